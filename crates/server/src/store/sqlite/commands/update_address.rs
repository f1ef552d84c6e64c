//! Changes an address.

use rusqlite::Connection;

use super::{Event, address_target, current_address, log_event};
use crate::{
    model::{Action, Address, AddressId, AddressPatch, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        sqlite::{addresses, writer::Command},
    },
};

/// See [`crate::store::AddressStore::update_address`].
pub(in crate::store::sqlite) struct UpdateAddress {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) id: AddressId,
    pub(in crate::store::sqlite) patch: AddressPatch,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for UpdateAddress {
    type Output = Address;

    fn run(&self, connection: &Connection) -> Result<Address, StoreError> {
        let (pk, before) = current_address(connection, &self.user_id, self.id, self.etag.as_deref())?;
        if self.patch.kind.is_some_and(|kind| kind != before.kind) {
            let description = "is immutable; add another address instead".into();
            return Err(StoreError::Rejected { field: "address.kind".into(), description });
        }
        let (address, changed) = self.patch.apply(&before, self.meta.at);
        if !changed.is_empty() {
            addresses::put(connection, pk, &address)?;
            let target = address_target(address.id);
            let user = Some((pk, &self.user_id));
            let event = Event { user, target: &target, fields: &changed, ..Event::default() };
            log_event(connection, Action::AddressUpdated, &event, &self.meta)?;
        }
        Ok(address)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, address)
    }
}
