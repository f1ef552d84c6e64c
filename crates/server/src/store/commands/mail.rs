//! Asks for mails, uses their tokens, and what the sender does with the outbox: claims, notes outcomes, tidies up.

use super::{Command, ShowUser};
use crate::{
    auth::PasswordHash,
    model::{ChangeMeta, MailId, MailKind, MailState, Timestamp, User, UserId},
    store::{ClaimedMail, Ended, MailClaim, MailOutcome, NewMail, StoreError, StoredUser, answers::Kept},
};

/// See [`crate::store::MailStore::request_mail`].
pub struct RequestMail {
    pub email_key: String,
    pub mail: NewMail,
    pub meta: ChangeMeta,
}

impl Command for RequestMail {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    /// About nobody, whoever has the address: it says nothing.
    fn answer(&self, requested: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(requested)
    }
}

/// See [`crate::store::MailStore::verify_email`] and [`crate::store::MailStore::reset_password`].
pub struct UseToken {
    pub id: UserId,
    pub hash: [u8; 32],
    /// With a password the token is one that resets it; else one that verifies the address.
    pub password: Option<PasswordHash>,
    pub meta: ChangeMeta,
}

impl UseToken {
    /// What the token was mailed for.
    pub fn kind(&self) -> MailKind {
        if self.password.is_some() { MailKind::PasswordReset } else { MailKind::Verification }
    }
}

impl Command for UseToken {
    type Output = StoredUser;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, user: &StoredUser) -> Result<Option<Kept>, StoreError> {
        if self.password.is_some() { Kept::of(&()) } else { Kept::about(&self.id, user) }
    }

    fn ends(&self, _: &StoredUser) -> Vec<Ended> {
        let resets = self.password.is_some();
        resets.then(|| Ended::SessionsOf { user_id: self.id.clone(), except: None }).into_iter().collect()
    }

    fn show_users<'a>(&'a self, user: &'a StoredUser, show: &mut ShowUser<'_, 'a>) {
        show(&self.id, Some(user));
    }
}

/// The user with the address verified, and the same to be stored.
pub fn verified(user: User, at: Timestamp) -> (User, StoredUser) {
    let user = User { email_verified: true, revision: user.revision + 1, updated_at: at.max(user.updated_at), ..user };
    let stored = StoredUser::of(&user);
    (user, stored)
}

/// See [`crate::store::MailStore::claim_mails`].
pub struct ClaimMails(pub MailClaim);

impl Command for ClaimMails {
    type Output = Vec<ClaimedMail>;
}

/// See [`crate::store::MailStore::finish_mail`].
pub struct FinishMail {
    pub id: MailId,
    pub attempt: u32,
    pub outcome: MailOutcome,
    pub keep_token: bool,
}

/// What the row of a mail has after an attempt.
pub struct Finished<'a> {
    pub state: MailState,
    pub next_attempt_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// `None` if it stays as it is.
    pub last_error: Option<&'a str>,
    pub keep_token: bool,
}

impl FinishMail {
    /// What the row has then.
    pub fn row(&self) -> Finished<'_> {
        let (state, next_attempt_at, finished_at, last_error) = match &self.outcome {
            MailOutcome::Sent { at } => (MailState::Sent, None, Some(*at), None),
            MailOutcome::Retry { at, error } => (MailState::Waiting, Some(*at), None, Some(error.as_str())),
            MailOutcome::GivenUp { at, error } => (MailState::GivenUp, None, Some(*at), Some(error.as_str())),
        };
        let keep_token = self.keep_token || finished_at.is_none();
        Finished { state, next_attempt_at, finished_at, last_error, keep_token }
    }
}

impl Command for FinishMail {
    type Output = ();
}

/// See [`crate::store::MailStore::purge_mails`].
pub struct PurgeMails {
    pub now: Timestamp,
    pub finished_before: Timestamp,
    pub limit: u32,
}

impl Command for PurgeMails {
    type Output = u32;
}
