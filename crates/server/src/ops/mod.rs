//! The use cases. Every face joins here, so no rule and no permission can be skipped.

mod addresses;
mod api_keys;
pub mod ctx;
pub mod error;
mod health;
mod housekeeping;
mod page_token;
mod passwords;
mod preferences;
pub mod reason;
mod sessions;
mod signing_keys;
mod update_mask;
mod users;

use std::{sync::Arc, time::Duration};

use self::page_token::PageTokens;
pub use self::{
    addresses::{AddAddressInput, AddressInput, UpdateAddressInput},
    api_keys::{ApiKeyInput, ApiKeyPage, CreateApiKeyInput, CreatedApiKey},
    ctx::{Ctx, RequestId, UserAgent},
    error::{Error, Resource},
    health::{DependencyHealth, Health, HealthState},
    housekeeping::HOUSEKEEPING_EVERY,
    passwords::ChangePasswordInput,
    preferences::{SwitchesInput, UpdatePreferencesInput},
    reason::Reason,
    sessions::{ListSessionsInput, SessionOptions, SessionPage, SignInInput, SignedIn, Tokens},
    signing_keys::RotatedKeys,
    users::{
        CreateUserInput, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput, UserPage,
    },
};
use crate::{
    auth::{Attempts, Authenticator, Hasher, RefreshTokens},
    model::Clock,
    store::{Store, StoreError},
};

/// What the use cases stand on.
pub struct Ops {
    store: Arc<dyn Store>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    authenticator: Arc<Authenticator>,
    page_tokens: PageTokens,
    refresh_tokens: RefreshTokens,
    attempts: Attempts,
    session_idle: Duration,
}

impl Ops {
    /// Readies the use cases over an open store.
    ///
    /// # Errors
    /// The store failed to hand out the keys for tokens.
    pub async fn new(
        store: Arc<dyn Store>,
        hasher: Hasher,
        clock: Arc<dyn Clock>,
        authenticator: Arc<Authenticator>,
        sessions: SessionOptions,
    ) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        let refresh_tokens = RefreshTokens::new(store.secret("refresh_token").await?);
        let (attempts, session_idle) = (Attempts::new(sessions.attempts), sessions.idle);
        Ok(Self { store, hasher, clock, authenticator, page_tokens, refresh_tokens, attempts, session_idle })
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.keep_uses().await;
        self.store.close().await;
    }
}
