//! Makes an address the default of its kind.

use rusqlite::Connection;

use super::{Event, address_target, current_address, log_event};
use crate::{
    model::{Action, Address, AddressId, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        sqlite::{addresses, writer::Command},
    },
};

/// See [`crate::store::AddressStore::set_default_address`].
pub(in crate::store::sqlite) struct SetDefaultAddress {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) id: AddressId,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for SetDefaultAddress {
    type Output = Address;

    fn run(&self, connection: &Connection) -> Result<Address, StoreError> {
        let (pk, mut address) = current_address(connection, &self.user_id, self.id, None)?;
        if address.is_default {
            return Ok(address);
        }
        // First the one that was: two at once would break the index that there is but one.
        if let Some(mut old) = addresses::find_default(connection, pk, address.kind)? {
            old.is_default = false;
            old.touch(self.meta.at);
            addresses::put(connection, pk, &old)?;
        }
        address.is_default = true;
        address.touch(self.meta.at);
        addresses::put(connection, pk, &address)?;
        let target = address_target(address.id);
        let user = Some((pk, &self.user_id));
        let event = Event { user, target: &target, fields: &["is_default"], ..Event::default() };
        log_event(connection, Action::AddressUpdated, &event, &self.meta)?;
        Ok(address)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, address)
    }
}
