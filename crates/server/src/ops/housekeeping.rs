//! What is to be done now and then without a call: hand on what memory has gathered, remove what has ended.

use std::time::Duration;

use super::Ops;
use crate::store::StoreError;

/// How often the house is kept.
pub const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);
/// Uses in one command, so that no command holds up the writes of others.
const USES_BATCH: usize = 500;
/// Sessions that are removed by one command.
const PURGE_BATCH: u32 = 500;

impl Ops {
    /// One round. Each step stands alone: one that fails is logged and tried again in the next round.
    pub async fn keep_house(&self) {
        self.keep_uses().await;
        report("read the signing keys", self.read_signing_keys().await);
        report("remove signing keys", self.purge_signing_keys().await);
        report("remove sessions", self.purge_sessions().await);
    }

    /// Hands the uses of API keys and sessions to the store.
    pub(super) async fn keep_uses(&self) {
        report("note the use of API keys", self.touch_api_keys().await);
        report("note the use of sessions", self.touch_sessions().await);
    }

    async fn touch_api_keys(&self) -> Result<(), StoreError> {
        for uses in self.authenticator.uses().take_api_keys().chunks(USES_BATCH) {
            self.store.touch_api_keys(uses.to_vec()).await?;
        }
        Ok(())
    }

    async fn touch_sessions(&self) -> Result<(), StoreError> {
        for uses in self.authenticator.uses().take_sessions().chunks(USES_BATCH) {
            self.store.touch_sessions(uses.to_vec()).await?;
        }
        Ok(())
    }

    async fn purge_sessions(&self) -> Result<(), StoreError> {
        while self.store.purge_sessions(self.clock.now(), PURGE_BATCH).await? == PURGE_BATCH {}
        Ok(())
    }

    /// Another node may have rotated them.
    async fn read_signing_keys(&self) -> Result<(), impl std::fmt::Display> {
        self.authenticator.refresh_keys().await
    }

    async fn purge_signing_keys(&self) -> Result<(), StoreError> {
        let retired_before = self.authenticator.tokens().keys_retired_before(self.clock.now());
        self.store.purge_signing_keys(retired_before).await.map(|_| ())
    }
}

fn report(step: &str, result: Result<(), impl std::fmt::Display>) {
    if let Err(error) = result {
        tracing::warn!(%error, "housekeeping could not {step}");
    }
}
