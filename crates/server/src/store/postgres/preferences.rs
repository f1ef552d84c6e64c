//! Preferences in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{ChangeMeta, Preferences, PreferencesPatch, UserId},
    store::{PreferencesStore, StoreError},
};

#[async_trait]
impl PreferencesStore for PostgresStore {
    async fn find_preferences(&self, user_id: &UserId) -> Result<Option<Preferences>, StoreError> {
        unimplemented!()
    }

    async fn update_preferences(
        &self,
        user_id: &UserId,
        patch: PreferencesPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Preferences, StoreError> {
        unimplemented!()
    }
}
