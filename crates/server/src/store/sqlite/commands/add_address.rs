//! Adds an address to a user.

use rusqlite::Connection;

use super::{Event, address_target, log_event};
use crate::{
    model::{Action, Address, ChangeMeta, address::ADDRESSES_MAX},
    store::{
        StoreError,
        answers::Kept,
        sqlite::{addresses, writer::Command},
    },
};

/// See [`crate::store::AddressStore::add_address`].
pub(in crate::store::sqlite) struct AddAddress {
    pub(in crate::store::sqlite) address: Address,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for AddAddress {
    type Output = Address;

    fn run(&self, connection: &Connection) -> Result<Address, StoreError> {
        let mut address = self.address.clone();
        let pk = addresses::user_pk(connection, &address.user_id)?;
        if addresses::list(connection, pk, None)?.len() >= ADDRESSES_MAX {
            return Err(StoreError::LimitReached);
        }
        match addresses::find_default(connection, pk, address.kind)? {
            None => address.is_default = true,
            Some(mut old) if address.is_default => {
                old.is_default = false;
                old.touch(self.meta.at);
                addresses::put(connection, pk, &old)?;
            }
            Some(_) => {}
        }
        addresses::put(connection, pk, &address)?;
        let target = address_target(address.id);
        let event = Event { user: Some((pk, &address.user_id)), target: &target, ..Event::default() };
        log_event(connection, Action::AddressAdded, &event, &self.meta)?;
        Ok(address)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&address.user_id, address)
    }
}
