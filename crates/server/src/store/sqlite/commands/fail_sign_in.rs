//! Notes a sign-in that was refused.

use rusqlite::Connection;

use super::{Event, log_event, user_pk};
use crate::{
    model::{Action, ChangeMeta, UserId},
    store::{StoreError, sqlite::writer::Command},
};

/// See [`crate::store::SessionStore::fail_sign_in`].
pub(in crate::store::sqlite) struct FailSignIn {
    pub(in crate::store::sqlite) user_id: Option<UserId>,
    pub(in crate::store::sqlite) reason: &'static str,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for FailSignIn {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let user = match &self.user_id {
            Some(id) => user_pk(connection, id)?.map(|pk| (pk, id)),
            None => None,
        };
        log_event(
            connection,
            Action::SignInFailed,
            &Event { user, target: "", reason: self.reason, ..Event::default() },
            &self.meta,
        )
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }
}
