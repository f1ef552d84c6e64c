//! Takes a refresh token for the next, or ends the session if it was used before.

use super::Command;
use crate::{
    model::{ChangeMeta, Session, SessionId, UserId},
    store::{Ended, RefreshUse, StoreError, answers::Kept},
};

/// See [`crate::store::SessionStore::refresh_session`].
pub struct RefreshSession {
    pub used: RefreshUse,
    pub meta: ChangeMeta,
}

/// A session that has not ended, of a user who is active, and what its tokens are checked against.
pub struct Presented {
    pub session: Session,
    pub generation: u32,
    pub hash: [u8; 32],
}

/// What a token comes to.
pub enum Judged {
    /// It is of no use.
    Refused,
    /// It was used before: the session ends.
    Reused(Session),
    /// The session goes on so, with the next token of this generation.
    Renewed(Session, u32),
}

/// What came of a token.
pub enum Refreshed {
    /// The session goes on.
    Renewed(Session),
    /// The token had been used, so the session has ended. No error: it would take that back.
    Reused { user_id: UserId, id: SessionId },
    /// Nothing was changed.
    Refused,
}

impl Refreshed {
    /// For the caller, to whom all that is refused is the same.
    pub fn session(self) -> Result<Session, StoreError> {
        match self {
            Self::Renewed(session) => Ok(session),
            Self::Refused | Self::Reused { .. } => Err(StoreError::NotFound),
        }
    }
}

impl RefreshSession {
    /// What the token comes to with its session.
    pub fn judge(&self, Presented { mut session, generation, hash }: Presented) -> Judged {
        if self.used.generation < generation {
            return Judged::Reused(session);
        }
        // A token of a later generation is of a database that was since put back to an older backup.
        let (true, Some(next)) = (hash == self.used.hash, generation.checked_add(1)) else {
            return Judged::Refused;
        };
        session.last_used_at = self.meta.at.max(session.last_used_at);
        session.expires_at = self.used.expires_at;
        session.remote_address.clone_from(&self.meta.remote_address);
        Judged::Renewed(session, next)
    }
}

impl Command for RefreshSession {
    type Output = Refreshed;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, output: &Refreshed) -> Result<Option<Kept>, StoreError> {
        match output {
            Refreshed::Renewed(session) => Kept::prepared(Some(&session.user_id), &self.meta),
            Refreshed::Reused { .. } | Refreshed::Refused => Ok(None),
        }
    }

    fn ends(&self, output: &Refreshed) -> Vec<Ended> {
        match output {
            Refreshed::Renewed(_) | Refreshed::Refused => Vec::new(),
            Refreshed::Reused { user_id, id } => vec![Ended::Session { user_id: user_id.clone(), id: *id }],
        }
    }
}
