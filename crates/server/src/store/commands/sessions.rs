//! Begins and ends sessions, notes their use, and sets the password, which ends them all.

use super::Command;
use crate::{
    auth::PasswordHash,
    model::{ChangeMeta, SessionId, Timestamp, UserId},
    store::{Ended, NewSession, SessionUse, StoreError, answers::Kept},
};

/// A session as the target of an event.
pub fn session_target(id: SessionId) -> String {
    format!("sessions/{id}")
}

/// All sessions of the event's user ([AIP-159](https://google.aip.dev/159)).
pub const ALL_SESSIONS: &str = "sessions/-";

/// See [`crate::store::SessionStore::create_session`].
pub struct CreateSession {
    pub new: NewSession,
    pub meta: ChangeMeta,
}

impl Command for CreateSession {
    /// The sessions that had to make room.
    type Output = Vec<SessionId>;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, _: &Vec<SessionId>) -> Result<Option<Kept>, StoreError> {
        Kept::prepared(Some(&self.new.session.user_id), &self.meta)
    }

    fn ends(&self, ended: &Vec<SessionId>) -> Vec<Ended> {
        let user_id = &self.new.session.user_id;
        ended.iter().map(|id| Ended::Session { user_id: user_id.clone(), id: *id }).collect()
    }
}

/// See [`crate::store::SessionStore::fail_sign_in`].
pub struct FailSignIn {
    pub user_id: Option<UserId>,
    pub reason: &'static str,
    pub meta: ChangeMeta,
}

impl Command for FailSignIn {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }
}

/// See [`crate::store::SessionStore::end_session`].
pub struct EndSession {
    pub user_id: UserId,
    pub id: SessionId,
    pub meta: ChangeMeta,
}

impl Command for EndSession {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, ended: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(ended)
    }

    fn ends(&self, (): &()) -> Vec<Ended> {
        vec![Ended::Session { user_id: self.user_id.clone(), id: self.id }]
    }
}

/// See [`crate::store::SessionStore::end_sessions`].
pub struct EndSessions {
    pub user_id: UserId,
    pub except: Option<SessionId>,
    pub meta: ChangeMeta,
}

impl Command for EndSessions {
    type Output = u32;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, ended: &u32) -> Result<Option<Kept>, StoreError> {
        Kept::of(ended)
    }

    fn ends(&self, _: &u32) -> Vec<Ended> {
        vec![Ended::SessionsOf { user_id: self.user_id.clone(), except: self.except }]
    }
}

/// See [`crate::store::SessionStore::set_password`].
pub struct SetPassword {
    pub user_id: UserId,
    pub hash: PasswordHash,
    pub verified: Option<PasswordHash>,
    pub meta: ChangeMeta,
}

impl Command for SetPassword {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, set: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(set)
    }

    fn ends(&self, (): &()) -> Vec<Ended> {
        vec![Ended::SessionsOf { user_id: self.user_id.clone(), except: None }]
    }
}

/// See [`crate::store::SessionStore::touch_sessions`].
pub struct TouchSessions {
    pub uses: Vec<SessionUse>,
}

impl Command for TouchSessions {
    type Output = ();
}

/// See [`crate::store::SessionStore::purge_sessions`]. It ends no grant: those end by the clock.
pub struct PurgeSessions {
    pub now: Timestamp,
    pub limit: u32,
}

impl Command for PurgeSessions {
    type Output = u32;
}
