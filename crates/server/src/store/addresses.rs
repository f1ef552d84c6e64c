//! Addresses of users, as a store keeps them.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Address, AddressId, AddressKind, AddressPatch, ChangeMeta, UserId};

/// Addresses. Each command is one atomic commit with its event in the change log; none changes the user's revision.
///
/// A user that has addresses of a kind has one default of that kind, at every moment. The oldest address is the one of
/// the earliest `created_at`, and among those the one with the smallest id. All fail with [`StoreError::NotFound`] if
/// there is no such user.
#[async_trait]
pub trait AddressStore {
    /// The address, or `None` if the user has none of this id.
    async fn find_address(&self, user_id: &UserId, id: AddressId) -> Result<Option<Address>, StoreError>;

    /// All addresses of a user, or those of a kind, oldest first.
    async fn list_addresses(&self, user_id: &UserId, kind: Option<AddressKind>) -> Result<Vec<Address>, StoreError>;

    /// Adds an address. It becomes the default of its kind if it says so or is the first; then the one that was ceases
    /// to be. [`StoreError::LimitReached`] if the user has
    /// [`ADDRESSES_MAX`](crate::model::address::ADDRESSES_MAX).
    async fn add_address(&self, address: Address, meta: ChangeMeta) -> Result<Address, StoreError>;

    /// Applies `patch`; a patch that changes nothing leaves the revision as it is. [`StoreError::ItemNotFound`] if the
    /// user has no such address, [`StoreError::Stale`] if `etag` is given and is not the address's, and
    /// [`StoreError::Rejected`] if the address is of another kind than the patch says.
    async fn update_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        patch: AddressPatch,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError>;

    /// Removes an address. If it was the default, the oldest left of the kind becomes it. Fails as
    /// [`AddressStore::update_address`].
    async fn delete_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        etag: Option<String>,
        meta: ChangeMeta,
    ) -> Result<(), StoreError>;

    /// Makes an address the default of its kind in place of the one that was; if it is that already, nothing changes.
    /// [`StoreError::ItemNotFound`] if the user has no such address.
    async fn set_default_address(
        &self,
        user_id: &UserId,
        id: AddressId,
        meta: ChangeMeta,
    ) -> Result<Address, StoreError>;
}
