//! The use cases. Every face joins here, so no rule and no permission can be skipped.

pub mod ctx;
pub mod error;
mod health;
mod mail;
mod page_token;
pub mod reason;
mod users;

use std::sync::Arc;

use self::page_token::PageTokens;
pub use self::{
    ctx::{Ctx, RequestId, UserAgent},
    error::Error,
    health::{DependencyHealth, Health, HealthState},
    mail::{MailPage, MailView},
    reason::Reason,
    users::{
        CreateUserInput, ListUsersInput, SearchUsersInput, SearchUsersOutput, SetStatusInput, UpdateUserInput, UserPage,
    },
};
use crate::{
    auth::Hasher,
    mail::Mailer,
    model::Clock,
    store::{Store, StoreError},
};

/// What the use cases stand on.
pub struct Ops {
    store: Arc<dyn Store>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
    mailer: Arc<Mailer>,
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
        mailer: Arc<Mailer>,
    ) -> Result<Self, StoreError> {
        let page_tokens = PageTokens::new(store.secret("page_token").await?);
        Ok(Self { store, hasher, clock, mailer, page_tokens })
    }

    /// What the platform is called, for pages that people see.
    #[must_use]
    pub fn platform(&self) -> &str {
        self.mailer.platform()
    }

    /// Finishes what was accepted and closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
