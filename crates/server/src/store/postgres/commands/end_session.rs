//! Ends one session of a user.

use super::{Command, Event, log_event, ruled_pk, session_target};
use crate::{
    model::{Action, ChangeMeta, SessionId, UserId},
    store::{
        Ended, StoreError,
        answers::Kept,
        postgres::{tx::Tx, value::params},
    },
};

/// See [`crate::store::SessionStore::end_session`].
pub(in crate::store::postgres) struct EndSession {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) id: SessionId,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for EndSession {
    type Output = ();

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

    fn ends(&self, _: &()) -> Vec<Ended> {
        vec![Ended::Session { user_id: self.user_id.clone(), id: self.id }]
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, ended: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(ended)
    }
}
