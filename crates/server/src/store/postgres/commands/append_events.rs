//! Adds events that no command of their own has caused.

use std::collections::HashSet;

use super::{Event, RunInPostgres, log_rows::LogRows};
use crate::{
    model::{Actor, UserId},
    store::{
        NewEvent, StoreError,
        commands::AppendEvents,
        postgres::{
            row::{column, id_bytes},
            tx::Tx,
            value::{Value, params},
        },
    },
};

impl RunInPostgres for AppendEvents {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let there = self.users(tx).await?;
        let mut rows = LogRows::default();
        for new in &self.events {
            let mut meta = new.meta.clone();
            // Events come late: the user may have been deleted meanwhile, and what was scrubbed stays so.
            if let Actor::User(id) = &meta.actor
                && !there.contains(id)
            {
                meta.remote_address.clear();
            }
            let user = new.user_id.as_ref().filter(|id| there.contains(id));
            let event = Event { user, target: &new.target, reason: new.reason, ..Event::default() };
            rows.event(new.action, &event, &meta)?;
        }
        rows.write(tx);
        Ok(())
    }
}

impl AppendEvents {
    /// Those of the users that the events name who are there, and are not deleted before this has ended. In one order on
    /// all nodes, so that none waits for another that waits for it.
    async fn users(&self, tx: &mut Tx<'_>) -> Result<HashSet<UserId>, StoreError> {
        const SQL: &str = "SELECT id FROM users WHERE id = ANY($1) ORDER BY pk FOR KEY SHARE";
        let actor = |new: &NewEvent| match &new.meta.actor {
            Actor::User(id) => Some(id.clone()),
            _ => None,
        };
        let named: HashSet<UserId> =
            self.events.iter().flat_map(|new| [new.user_id.clone(), actor(new)]).flatten().collect();
        let ids = named.iter().map(|id| Some(id_bytes(id).into())).collect();
        tx.rows(SQL, params![Value::ByteStrings(ids)]).await?.iter().map(|row| column(row, 0)).collect()
    }
}
