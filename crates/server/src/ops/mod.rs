//! The use cases. Every face joins here, so no rule and no permission can be skipped.

mod addresses;
pub mod ctx;
pub mod error;
mod health;
mod page_token;
mod preferences;
pub mod reason;
mod update_mask;
mod users;

use std::sync::Arc;

use self::page_token::PageTokens;
pub use self::{
    addresses::{AddAddressInput, AddressInput, UpdateAddressInput},
    ctx::{Ctx, RequestId, UserAgent},
    error::{Error, Resource},
    health::{DependencyHealth, Health, HealthState},
    preferences::{SwitchesInput, UpdatePreferencesInput},
    reason::Reason,
    users::{
        CreateUserInput, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput, UserPage,
    },
};
use crate::{
    auth::Hasher,
    model::Clock,
    store::{Store, StoreError},
};

/// What the use cases stand on.
pub struct Ops {
    store: Arc<dyn Store>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    page_tokens: PageTokens,
}

impl Ops {
    /// Readies the use cases over an open store.
    ///
    /// # Errors
    /// The store failed to hand out the key for page tokens.
    pub async fn new(store: Arc<dyn Store>, hasher: Hasher, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        Ok(Self { store, hasher, clock, page_tokens })
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
