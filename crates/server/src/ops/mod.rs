//! The use cases. Every face joins here, so no rule and no permission can be skipped.

mod addresses;
mod api_keys;
mod audit;
pub mod ctx;
pub mod error;
mod health;
mod housekeeping;
mod mail;
mod page_token;
mod passwords;
mod preferences;
pub mod reason;
mod sessions;
mod signing_keys;
mod update_mask;
mod users;

use std::{sync::Arc, time::Duration};

pub use self::{
    addresses::{AddAddressInput, AddressInput, UpdateAddressInput},
    api_keys::{ApiKeyInput, ApiKeyPage, CreateApiKeyInput, CreatedApiKey},
    audit::{AuditPage, ListAuditEventsInput, RefusedCall},
    ctx::{Ctx, RequestId, UserAgent},
    error::{Error, Resource},
    health::{DependencyHealth, Health, HealthState},
    housekeeping::HOUSEKEEPING_EVERY,
    mail::{MailPage, MailView},
    passwords::ChangePasswordInput,
    preferences::{SwitchesInput, UpdatePreferencesInput},
    reason::Reason,
    sessions::{ListSessionsInput, SessionOptions, SessionPage, SignInInput, SignedIn, Tokens},
    signing_keys::RotatedKeys,
    users::{
        CreateUserInput, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput, UserPage,
    },
};
use self::{audit::AuditTrail, page_token::PageTokens};
use crate::{
    auth::{Attempts, Authenticator, Hasher, RefreshTokens},
    mail::Mailer,
    model::Clock,
    store::{Store, StoreError},
};

/// What the use cases stand on.
pub struct Ops {
    store: Arc<dyn Store>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    authenticator: Arc<Authenticator>,
    mailer: Arc<Mailer>,
    page_tokens: PageTokens,
    refresh_tokens: RefreshTokens,
    attempts: Attempts,
    session_idle: Duration,
    trail: AuditTrail,
    sign_up_open: bool,
}

impl Ops {
    /// Readies the use cases over an open store. Sign-up is open, and refusals are written by a task on this runtime.
    ///
    /// # Errors
    /// The store failed to hand out the keys for tokens.
    pub async fn new(
        store: Arc<dyn Store>,
        hasher: Hasher,
        clock: Arc<dyn Clock>,
        authenticator: Arc<Authenticator>,
        mailer: Arc<Mailer>,
        sessions: SessionOptions,
    ) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        let refresh_tokens = RefreshTokens::new(store.secret("refresh_token").await?);
        let (attempts, session_idle) = (Attempts::new(sessions.attempts), sessions.idle);
        let trail = AuditTrail::start(Arc::clone(&store), Arc::clone(&clock));
        Ok(Self {
            store,
            hasher,
            clock,
            authenticator,
            mailer,
            page_tokens,
            refresh_tokens,
            attempts,
            session_idle,
            trail,
            sign_up_open: true,
        })
    }

    /// The same, with sign-up open or closed.
    #[must_use]
    pub fn with_sign_up(self, open: bool) -> Self {
        Self { sign_up_open: open, ..self }
    }

    /// Has a refused call written to the audit log, soon and if there is room; nobody waits for it.
    pub fn note_refusal(&self, refused: RefusedCall) {
        self.trail.note(refused);
    }

    /// Counts a refusal that is one too many for the audit log.
    pub fn lose_refusal(&self) {
        self.trail.lose();
    }

    /// What the platform is called, for pages that people see.
    #[must_use]
    pub fn platform(&self) -> &str {
        self.mailer.platform()
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.keep_uses().await;
        self.trail.flush().await;
        self.store.close().await;
    }
}
