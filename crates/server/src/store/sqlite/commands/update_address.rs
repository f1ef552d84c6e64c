//! Changes an address.

use rusqlite::Connection;

use super::{Event, current_address, log_event};
use crate::{
    model::{Action, Address},
    store::{
        StoreError,
        commands::{UpdateAddress, address_target},
        sqlite::{addresses, writer::RunInSqlite},
    },
};

impl RunInSqlite for UpdateAddress {
    fn run(&self, connection: &Connection) -> Result<Address, StoreError> {
        let (pk, before) = current_address(connection, &self.user_id, self.id)?;
        let (address, changed) = self.apply(&before)?;
        if !changed.is_empty() {
            addresses::put(connection, pk, &address)?;
            let target = address_target(address.id);
            let user = Some((pk, &self.user_id));
            let event = Event { user, target: &target, fields: &changed, ..Event::default() };
            log_event(connection, Action::AddressUpdated, &event, &self.meta)?;
        }
        Ok(address)
    }
}
