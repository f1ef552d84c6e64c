//! The use cases. Every face joins here, so no rule and no permission can be skipped.

mod api_keys;
pub mod ctx;
pub mod error;
mod health;
mod housekeeping;
mod page_token;
pub mod reason;
mod signing_keys;
mod users;

use std::sync::Arc;

use self::page_token::PageTokens;
pub use self::{
    api_keys::{ApiKeyInput, ApiKeyPage, CreateApiKeyInput, CreatedApiKey},
    ctx::{Ctx, RequestId, UserAgent},
    error::Error,
    health::{DependencyHealth, Health, HealthState},
    housekeeping::HOUSEKEEPING_EVERY,
    reason::Reason,
    signing_keys::RotatedKeys,
    users::{
        CreateUserInput, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput, UserPage,
    },
};
use crate::{
    auth::{Authenticator, Hasher},
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
}

impl Ops {
    /// Readies the use cases over an open store.
    ///
    /// # Errors
    /// The store failed to hand out the key for page tokens.
    pub async fn new(
        store: Arc<dyn Store>,
        hasher: Hasher,
        clock: Arc<dyn Clock>,
        authenticator: Arc<Authenticator>,
    ) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        Ok(Self { store, hasher, clock, authenticator, page_tokens })
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.keep_uses().await;
        self.store.close().await;
    }
}
