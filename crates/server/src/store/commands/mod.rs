//! The write commands, but for what they do in the database: what each is given, gives, ends, and is answered with when
//! its call comes again.
//!
//! How a command runs is each backend's: `RunInSqlite` inside the writer's transaction, `RunInPostgres` in one of its own.

mod addresses;
mod api_keys;
mod import;
mod log;
mod mail;
mod preferences;
mod refresh_session;
mod sessions;
mod signing_keys;
mod upkeep;
mod users;

pub use self::{
    addresses::{AddAddress, DeleteAddress, SetDefaultAddress, UpdateAddress, address_target},
    api_keys::{CreateApiKey, RevokeApiKey, TouchApiKeys},
    import::{ImportUsers, Imported, PurgeImports},
    log::{AppendEvents, TrimLog, is_by_another, json},
    mail::{ClaimMails, FinishMail, Finished, PurgeMails, RequestMail, UseToken, verified},
    preferences::UpdatePreferences,
    refresh_session::{Judged, Presented, RefreshSession, Refreshed},
    sessions::{
        ALL_SESSIONS, CreateSession, EndSession, EndSessions, FailSignIn, PurgeSessions, SetPassword, TouchSessions,
        session_target,
    },
    signing_keys::{EnsureSigningKey, PurgeSigningKeys, RotateSigningKey},
    upkeep::{PurgeAnswers, Secret},
    users::{
        ChangeUser, CreateUser, DeleteUser, UserAfter, check_rank, check_ruled, may_leave_no_admin, patched,
        with_status,
    },
};

use super::{Ended, StoreError, StoredUser, answers::Kept};
use crate::model::{ChangeMeta, UserId};

/// What changes the database, in one atomic commit.
pub trait Command: Send + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// What the call that it belongs to has brought along; `None` if no caller asked for it.
    fn meta(&self) -> Option<&ChangeMeta> {
        None
    }

    /// What a retry of the call is to be answered with; `None` if this is no answer that a retry would want. Asked
    /// for only if the call has an idempotency key.
    fn answer(&self, _: &Self::Output) -> Result<Option<Kept>, StoreError> {
        Ok(None)
    }

    /// Whether the changes are kept; `false` for a rehearsal, which is answered as if they were.
    fn keep(&self) -> bool {
        self.meta().is_none_or(|meta| !meta.validate_only)
    }

    /// Whether it takes as long as hundreds of others, which therefore go before it.
    fn is_bulk(&self) -> bool {
        false
    }

    /// The grants that it ends or changes.
    fn ends(&self, _: &Self::Output) -> Vec<Ended> {
        Vec::new()
    }

    /// Shows the users that it has changed, in order, and what each is now; `None` if it is gone or need not be in memory.
    /// Where no other server writes, they are what memory keeps.
    fn show_users<'a>(&'a self, _: &'a Self::Output, _: &mut ShowUser<'_, 'a>) {}
}

/// Is shown a user that was changed, and what it is now.
pub type ShowUser<'f, 'a> = dyn FnMut(&'a UserId, Option<&'a StoredUser>) + 'f;

/// The name of a command: the last part of its type's, without parameters.
pub fn name_of<C>() -> &'static str {
    let name = std::any::type_name::<C>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// Refuses what is not any more as the caller last saw it.
fn check_etag(seen: Option<&str>, now: impl FnOnce() -> String) -> Result<(), StoreError> {
    if seen.is_some_and(|seen| seen != now()) { Err(StoreError::Stale) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_called_what_its_type_is() {
        assert_eq!(name_of::<RevokeApiKey>(), "RevokeApiKey");
        assert_eq!(name_of::<ChangeUser<Vec<u8>>>(), "ChangeUser");
    }
}
