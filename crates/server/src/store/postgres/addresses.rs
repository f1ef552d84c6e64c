//! Addresses in PostgreSQL.

#![expect(unused_variables, reason = "not written yet")]

use async_trait::async_trait;

use super::PostgresStore;
use crate::{
    model::{Address, AddressId, AddressKind, AddressPatch, ChangeMeta, UserId},
    store::{AddressStore, StoreError},
};

#[async_trait]
impl AddressStore for PostgresStore {
    async fn find_address(&self, user_id: &UserId, id: AddressId) -> Result<Option<Address>, StoreError> {
        unimplemented!()
    }

    async fn list_addresses(&self, user_id: &UserId, kind: Option<AddressKind>) -> Result<Vec<Address>, StoreError> {
        unimplemented!()
    }

    async fn add_address(&self, address: Address, meta: ChangeMeta) -> Result<Address, StoreError> {
        unimplemented!()
    }

    async fn update_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        patch: AddressPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        unimplemented!()
    }

    async fn delete_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn set_default_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError> {
        unimplemented!()
    }
}
