//! Adds, changes and removes addresses.

use super::{Command, check_etag};
use crate::{
    model::{Address, AddressId, AddressPatch, ChangeMeta, UserId},
    store::{StoreError, answers::Kept},
};

/// How an event names an address.
pub fn address_target(id: AddressId) -> String {
    format!("addresses/{id}")
}

/// See [`crate::store::AddressStore::add_address`].
pub struct AddAddress {
    pub address: Address,
    pub meta: ChangeMeta,
}

impl Command for AddAddress {
    type Output = Address;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&address.user_id, address)
    }
}

/// See [`crate::store::AddressStore::update_address`].
pub struct UpdateAddress {
    pub user_id: UserId,
    pub id: AddressId,
    pub patch: AddressPatch,
    pub etag: Option<String>,
    pub meta: ChangeMeta,
}

impl UpdateAddress {
    /// What it makes of the address, and the names of the fields that change.
    pub fn apply(&self, before: &Address) -> Result<(Address, Vec<&'static str>), StoreError> {
        check_etag(self.etag.as_deref(), || before.etag())?;
        if self.patch.kind.is_some_and(|kind| kind != before.kind) {
            let description = "is immutable; add another address instead".into();
            return Err(StoreError::Rejected { field: "address.kind".into(), description });
        }
        Ok(self.patch.apply(before, self.meta.at))
    }
}

impl Command for UpdateAddress {
    type Output = Address;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, address)
    }
}

/// See [`crate::store::AddressStore::set_default_address`].
pub struct SetDefaultAddress {
    pub user_id: UserId,
    pub id: AddressId,
    pub meta: ChangeMeta,
}

impl Command for SetDefaultAddress {
    type Output = Address;

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, address)
    }
}

/// See [`crate::store::AddressStore::delete_address`].
pub struct DeleteAddress {
    pub user_id: UserId,
    pub id: AddressId,
    pub etag: Option<String>,
    pub meta: ChangeMeta,
}

impl DeleteAddress {
    /// Refuses to remove an address that is not any more as the caller last saw it.
    pub fn check(&self, address: &Address) -> Result<(), StoreError> {
        check_etag(self.etag.as_deref(), || address.etag())
    }
}

impl Command for DeleteAddress {
    type Output = ();

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, deleted: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(deleted)
    }
}
