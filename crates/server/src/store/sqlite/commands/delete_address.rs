//! Removes an address; if it was a default, the next one takes its place.

use rusqlite::{Connection, params};

use super::{Event, current_address, log_event};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::{DeleteAddress, address_target},
        sqlite::{addresses, writer::RunInSqlite},
    },
};

impl RunInSqlite for DeleteAddress {
    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let (pk, address) = current_address(connection, &self.user_id, self.id)?;
        self.check(&address)?;
        connection
            .prepare_cached("DELETE FROM addresses WHERE user_pk = ?1 AND id = ?2")?
            .execute(params![pk, self.id])?;
        if address.is_default
            && let Some(mut oldest) = addresses::list(connection, pk, Some(address.kind))?.into_iter().next()
        {
            oldest.is_default = true;
            oldest.touch(self.meta.at);
            addresses::put(connection, pk, &oldest)?;
        }
        let target = address_target(self.id);
        let event = Event { user: Some((pk, &self.user_id)), target: &target, ..Event::default() };
        log_event(connection, Action::AddressDeleted, &event, &self.meta)
    }
}
