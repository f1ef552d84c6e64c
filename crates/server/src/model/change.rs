//! The change log's vocabulary: who did what to whom, when, in which call.

use std::{borrow::Cow, sync::Arc};

use super::{ApiKeyId, Idempotency, PermissionSet, Timestamp, UserId};

/// What happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The user came to be.
    Created,
    /// Fields changed.
    Updated,
    /// May no longer sign in.
    Deactivated,
    /// May sign in again.
    Reactivated,
    /// Gone for good.
    Deleted,
    /// The email address was shown to be the user's.
    EmailVerified,
    /// The password was set, changed or reset; every session ended.
    PasswordChanged,
    /// A session began.
    SignedIn,
    /// A sign-in was refused.
    SignInFailed,
    /// A session was ended: by its user, by another, or because a used refresh token came again.
    SessionRevoked,
    /// A mail with a token was asked for.
    MailRequested,
    /// An address was added.
    AddressAdded,
    /// Fields of an address changed, or it became the default of its kind.
    AddressUpdated,
    /// An address was deleted.
    AddressDeleted,
    /// Preferences changed.
    PreferencesUpdated,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// The keys that sign access tokens were rotated.
    KeysRotated,
    /// A backup took the database's place; rows before this one are older than it.
    DatabaseRestored,
    /// A call was refused; the reason says why.
    CallRefused,
}

impl Action {
    /// All actions with their stored names.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Created, "created"),
        (Self::Updated, "updated"),
        (Self::Deactivated, "deactivated"),
        (Self::Reactivated, "reactivated"),
        (Self::Deleted, "deleted"),
        (Self::EmailVerified, "email_verified"),
        (Self::PasswordChanged, "password.changed"),
        (Self::SignedIn, "sign_in.done"),
        (Self::SignInFailed, "sign_in.failed"),
        (Self::SessionRevoked, "session.revoked"),
        (Self::MailRequested, "mail.requested"),
        (Self::AddressAdded, "address.added"),
        (Self::AddressUpdated, "address.updated"),
        (Self::AddressDeleted, "address.deleted"),
        (Self::PreferencesUpdated, "preferences.updated"),
        (Self::ApiKeyCreated, "api_key.created"),
        (Self::ApiKeyRevoked, "api_key.revoked"),
        (Self::KeysRotated, "keys.rotated"),
        (Self::DatabaseRestored, "database.restored"),
        (Self::CallRefused, "call.refused"),
    ];

    /// Whether it leaves a user other than before, so that whoever follows users has to hear of it.
    #[must_use]
    pub fn is_of_user(self) -> bool {
        matches!(
            self,
            Self::Created
                | Self::Updated
                | Self::Deactivated
                | Self::Reactivated
                | Self::Deleted
                | Self::EmailVerified
                | Self::PasswordChanged
        )
    }

    /// Whether it says that something was not done.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::SignInFailed | Self::CallRefused)
    }

    /// The name in the audit log: a noun and a verb, such as `user.created`.
    #[must_use]
    pub fn audit_name(self) -> Cow<'static, str> {
        match self.name() {
            name if name.contains('.') => name.into(),
            verb => format!("user.{verb}").into(),
        }
    }

    /// The stored name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }
}

/// Who did it, as the change log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A caller who did not sign in.
    Anonymous,
    /// The caller of a `--dev` server.
    Developer,
    /// A signed-in user.
    User(UserId),
    /// A service with an API key.
    ApiKey(ApiKeyId),
    /// A service with a client certificate, by the name in it.
    Service(Arc<str>),
    /// Roster itself, or its operator on the command line.
    System,
}

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "see `Actor`")]
pub enum ActorKind {
    Anonymous,
    Developer,
    User,
    ApiKey,
    Service,
    System,
}

impl ActorKind {
    /// All kinds with the names that filters use. In lower case, an [`Actor`] in text starts with it.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Anonymous, "ANONYMOUS"),
        (Self::Developer, "DEVELOPER"),
        (Self::User, "USER"),
        (Self::ApiKey, "API_KEY"),
        (Self::Service, "SERVICE"),
        (Self::System, "SYSTEM"),
    ];

    /// Kind and id of an [`Actor`] in text; the id is empty where there is none.
    #[must_use]
    pub fn split(actor: &str) -> Option<(Self, &str)> {
        let (kind, id) = actor.split_once(':').unwrap_or((actor, ""));
        let known = Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(kind));
        known.map(|(kind, _)| (*kind, id))
    }
}

impl std::fmt::Display for ActorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Developer => f.write_str("developer"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// What every write carries into its change-log row.
#[derive(Clone, Debug)]
pub struct ChangeMeta {
    /// The time of the change; also the user's new `updated_at`.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What they may do to others: nobody changes a user whose role may do more.
    pub held: PermissionSet,
    /// The `x-request-id` of the call.
    pub request_id: String,
    /// The IP address that the call came from; empty if it came from this machine's operator.
    pub remote_address: String,
    /// Do everything but keep nothing ([AIP-163](https://google.aip.dev/163)).
    pub validate_only: bool,
    /// Names the call, so that it is done once however often it comes.
    pub idempotency: Option<Arc<Idempotency>>,
}

impl ChangeMeta {
    /// The same with the answer to keep, where the command does not know it.
    ///
    /// # Errors
    /// Those of `answer`, which is not asked where nothing is kept.
    pub fn answering<E>(self, answer: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Self, E> {
        let Some(call) = &self.idempotency else { return Ok(self) };
        let idempotency = Some(Arc::new(call.answering(answer()?)));
        Ok(Self { idempotency, ..self })
    }
}
