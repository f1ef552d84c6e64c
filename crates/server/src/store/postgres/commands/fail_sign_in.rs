//! Notes a sign-in that was refused.

use super::{Event, RunInPostgres, log_event, user_pk};
use crate::{
    model::Action,
    store::{StoreError, commands::FailSignIn, postgres::tx::Tx},
};

impl RunInPostgres for FailSignIn {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let user = match &self.user_id {
            Some(id) => user_pk(tx, id).await?.map(|_| id),
            None => None,
        };
        log_event(tx, Action::SignInFailed, &Event { user, reason: self.reason, ..Event::default() }, &self.meta)
    }
}
