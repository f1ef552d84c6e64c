//! Adds events that no command of their own has caused.

use rusqlite::Connection;

use super::{Event, log_event, user_pk};
use crate::{
    model::Actor,
    store::{StoreError, commands::AppendEvents, sqlite::writer::RunInSqlite},
};

impl RunInSqlite for AppendEvents {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        for new in &self.events {
            let mut meta = new.meta.clone();
            // Events come late: the user may have been deleted meanwhile, and what was scrubbed stays so.
            if let Actor::User(id) = &meta.actor
                && user_pk(connection, id)?.is_none()
            {
                meta.remote_address.clear();
            }
            let user = match &new.user_id {
                Some(id) => user_pk(connection, id)?.map(|pk| (pk, id)),
                None => None,
            };
            log_event(
                connection,
                new.action,
                &Event { user, target: &new.target, reason: new.reason, ..Event::default() },
                &meta,
            )?;
        }
        Ok(())
    }
}
