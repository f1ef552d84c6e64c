//! Ends one session of a user.

use super::{Event, RunInPostgres, log_event, ruled_pk};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::{EndSession, session_target},
        postgres::{tx::Tx, value::params},
    },
};

impl RunInPostgres for EndSession {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sessions WHERE id = $1 AND user_pk = $2 AND expires_at > $3";
        let pk = ruled_pk(tx, &self.user_id, &self.meta).await?;
        if tx.affected(SQL, params![self.id.0, pk, self.meta.at]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        let target = session_target(self.id);
        let event = Event { user: Some(&self.user_id), target: &target, ..Event::default() };
        log_event(tx, Action::SessionRevoked, &event, &self.meta)
    }
}
