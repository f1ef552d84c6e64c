//! Ends all sessions of a user, or all but one.

use super::{Event, RunInPostgres, log_event, ruled_pk};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::{ALL_SESSIONS, EndSessions},
        postgres::{tx::Tx, value::params},
    },
};

impl RunInPostgres for EndSessions {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32, StoreError> {
        // Those that have ended by themselves are left to the purge: they are nothing to count.
        const SQL: &str = "DELETE FROM sessions WHERE user_pk = $1 AND id IS DISTINCT FROM $2 AND expires_at > $3";
        let pk = ruled_pk(tx, &self.user_id, &self.meta).await?;
        let ended = tx.affected(SQL, params![pk, self.except.map(|id| id.0), self.meta.at]).await?;
        if ended > 0 {
            let event = Event { user: Some(&self.user_id), target: ALL_SESSIONS, ..Event::default() };
            log_event(tx, Action::SessionRevoked, &event, &self.meta)?;
        }
        Ok(u32::try_from(ended).unwrap_or(u32::MAX))
    }
}
