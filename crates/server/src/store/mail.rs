//! The outbox and the one-time tokens of mailed links, as a store keeps them.

use async_trait::async_trait;

use super::{StoreError, StoredUser};
use crate::{
    auth::{OneTimeToken, PasswordHash},
    model::{ChangeMeta, Language, Mail, MailId, MailKind, Timestamp, User, UserId, UserStatus},
};

/// Mails of one kind to one user in an hour, whoever asks and from wherever.
pub(super) const MAILS_PER_HOUR: i64 = 10;
const HOUR_US: i64 = 3_600_000_000;

/// When the hour began that ends now.
pub(super) fn an_hour_before(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(HOUR_US))
}

/// Whether a mail of this kind is of use to the user.
pub(super) fn wants(user: &User, kind: MailKind) -> bool {
    user.status == UserStatus::Active && !(kind == MailKind::Verification && user.email_verified)
}

/// A mail to write. Its recipient is the user's address as the store has it, never as a caller spelled it.
#[derive(Debug)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// The language to write it in.
    pub language: Language,
    /// What its link holds.
    pub token: OneTimeToken,
    /// When the link ends.
    pub expires_at: Timestamp,
}

/// A mail to send now.
#[derive(Clone, Debug)]
pub struct ClaimedMail {
    /// The mail; its `attempts` count this one.
    pub mail: Mail,
    /// What its link holds.
    pub token: OneTimeToken,
    /// Its `Message-ID` without brackets: the same on every attempt.
    pub message_id: String,
}

/// A claim on mails that are due.
#[derive(Clone, Debug)]
pub struct MailClaim {
    /// Mails whose time has come by now.
    pub now: Timestamp,
    /// When they are due again if nobody says how it went.
    pub until: Timestamp,
    /// The domain of new `Message-ID`s.
    pub domain: String,
    /// At most so many.
    pub limit: u32,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The mail server took it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// It failed and is worth another try.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// It will never succeed.
    GivenUp {
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
    },
}

/// What waits in the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailBacklog {
    /// How many mails.
    pub waiting: u32,
    /// Since when the oldest of them.
    pub oldest: Option<Timestamp>,
}

/// Mails and tokens. Each command is one atomic commit. A user has one token of a kind, bound to the address that it was
/// mailed to: a newer one, or another address, ends it.
#[async_trait]
pub trait MailStore {
    /// Writes the mail for the active user with this email key, unless it would verify an address that is verified. The
    /// new token takes the place of the last, whose mail is given up if it still waits. The event is logged either way.
    async fn request_mail(&self, email_key: String, mail: NewMail, meta: ChangeMeta) -> Result<(), StoreError>;

    /// The user whom a token that still stands belongs to.
    async fn find_one_time_token(
        &self,
        kind: MailKind,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Uses up the user's token and marks the address as verified. [`StoreError::NotFound`] if it does not stand.
    async fn verify_email(&self, id: UserId, hash: [u8; 32], meta: ChangeMeta) -> Result<StoredUser, StoreError>;

    /// Uses up the user's token, sets the password, marks the address as verified (the mail came there) and ends every
    /// session. [`StoreError::NotFound`] if it does not stand.
    async fn reset_password(
        &self,
        id: UserId,
        hash: [u8; 32],
        password: PasswordHash,
        meta: ChangeMeta,
    ) -> Result<StoredUser, StoreError>;

    /// Takes mails that are due, the longest due first; nobody else gets them before the claim ends. Due mails whose
    /// token does not stand any more are given up instead.
    async fn claim_mails(&self, claim: MailClaim) -> Result<Vec<ClaimedMail>, StoreError>;

    /// Notes how attempt number `attempt` went, if the mail still waits and nobody has claimed it since. The token is
    /// kept after the end only if `keep_token` says so.
    async fn finish_mail(
        &self,
        id: MailId,
        attempt: u32,
        outcome: MailOutcome,
        keep_token: bool,
    ) -> Result<(), StoreError>;

    /// When the next mail is due; `None` if none waits.
    async fn next_mail_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// What waits in the outbox.
    async fn mail_backlog(&self) -> Result<MailBacklog, StoreError>;

    /// Up to `limit` mails before this one, the newest first.
    async fn list_mails(&self, before: Option<MailId>, limit: u32) -> Result<Vec<Mail>, StoreError>;

    /// The mail, and its token while it is kept.
    async fn find_mail(&self, id: MailId) -> Result<Option<(Mail, Option<OneTimeToken>)>, StoreError>;

    /// Gives up what waits past its link's end, and removes tokens that have ended and mails that ended before
    /// `finished_before`: up to `limit` of each; how many in all.
    async fn purge_mails(&self, now: Timestamp, finished_before: Timestamp, limit: u32) -> Result<u32, StoreError>;
}
