//! What is to be done now and then without a call: hand on what memory has gathered, remove what has ended.

use std::time::Duration;

use super::Ops;
use crate::{
    model::Timestamp,
    store::{LogTrim, StoreError},
};

/// Uses in one command, so that no command holds up the writes of others.
const USES_BATCH: usize = 500;
/// Sessions, or answers, that are removed by one command.
const PURGE_BATCH: u32 = 500;
/// Rows of the change log that are removed by one command, and commands in one round.
const TRIM_BATCH: u32 = 500;
const TRIM_COMMANDS_MAX: usize = 2_000;
/// How long the change log keeps rows, and how many, unless it is set.
const LOG_AGE: Duration = Duration::from_secs(90 * 24 * 3_600);
const LOG_ROWS: u64 = 10_000_000;

/// What the change log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogRetention {
    /// Rows older than this go.
    pub max_age: Duration,
    /// The oldest rows go beyond this number.
    pub max_rows: u64,
}

impl Default for LogRetention {
    fn default() -> Self {
        Self { max_age: LOG_AGE, max_rows: LOG_ROWS }
    }
}
/// How long the verdicts of an import are kept after its last row.
const IMPORTS_KEPT: Duration = Duration::from_hours(7 * 24);
/// Batches of verdicts that are removed by one command, each about 25 KB.
const IMPORTS_BATCH: u32 = 100;

impl Ops {
    /// One round. Each step stands alone: one that fails is logged and tried again in the next round.
    pub async fn keep_house(&self) {
        self.keep_uses().await;
        report("read the signing keys", self.read_signing_keys().await);
        report("remove signing keys", self.purge_signing_keys().await);
        report("remove sessions", self.purge_sessions().await);
        report("remove kept answers", self.purge_answers().await);
        report("trim the change log", self.trim_log().await);
        report("forget imports", self.purge_imports().await);
        tracing::debug!("the house is kept");
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

    async fn purge_answers(&self) -> Result<(), StoreError> {
        while self.store.purge_answers(self.clock.now(), PURGE_BATCH).await? == PURGE_BATCH {}
        Ok(())
    }

    /// What is left after so many commands goes in the next round; a drain waits for the end of this one.
    async fn trim_log(&self) -> Result<(), StoreError> {
        let age = i64::try_from(self.retention.max_age.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp(self.clock.now().0.saturating_sub(age));
        let trim = LogTrim { before, keep_max: self.retention.max_rows, batch_max: TRIM_BATCH };
        for _ in 0..TRIM_COMMANDS_MAX {
            if self.store.trim_log(trim).await? < TRIM_BATCH || self.is_draining() {
                break;
            }
        }
        Ok(())
    }

    async fn purge_imports(&self) -> Result<(), StoreError> {
        let before = Timestamp(self.clock.now().0 - i64::try_from(IMPORTS_KEPT.as_micros()).unwrap_or(i64::MAX));
        while self.store.purge_imports(before, IMPORTS_BATCH).await? {}
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
