//! Notes a sign-in that was refused.

use super::{Command, Event, log_event, user_pk};
use crate::{
    model::{Action, ChangeMeta, UserId},
    store::{StoreError, postgres::tx::Tx},
};

/// See [`crate::store::SessionStore::fail_sign_in`].
pub(in crate::store::postgres) struct FailSignIn {
    pub(in crate::store::postgres) user_id: Option<UserId>,
    pub(in crate::store::postgres) reason: &'static str,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for FailSignIn {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let user = match &self.user_id {
            Some(id) => user_pk(tx, id).await?.map(|_| id),
            None => None,
        };
        log_event(tx, Action::SignInFailed, &Event { user, reason: self.reason, ..Event::default() }, &self.meta)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }
}
