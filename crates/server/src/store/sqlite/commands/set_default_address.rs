//! Makes an address the default of its kind.

use rusqlite::Connection;

use super::{Event, current_address, log_event};
use crate::{
    model::{Action, Address},
    store::{
        StoreError,
        commands::{SetDefaultAddress, address_target},
        sqlite::{addresses, writer::RunInSqlite},
    },
};

impl RunInSqlite for SetDefaultAddress {
    fn run(&self, connection: &Connection) -> Result<Address, StoreError> {
        let (pk, mut address) = current_address(connection, &self.user_id, self.id)?;
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
}
