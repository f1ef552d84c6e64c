//! Adds an address to a user.

use rusqlite::Connection;

use super::{Event, log_event};
use crate::{
    model::{Action, Address, address::ADDRESSES_MAX},
    store::{
        StoreError,
        commands::{AddAddress, address_target},
        sqlite::{addresses, writer::RunInSqlite},
    },
};

impl RunInSqlite for AddAddress {
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
}
