//! Notes a sign-in that was refused.

use rusqlite::Connection;

use super::{Event, log_event, user_pk};
use crate::{
    model::Action,
    store::{StoreError, commands::FailSignIn, sqlite::writer::RunInSqlite},
};

impl RunInSqlite for FailSignIn {
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
}
