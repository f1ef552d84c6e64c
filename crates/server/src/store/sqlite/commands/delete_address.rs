//! Removes an address; if it was a default, the next one takes its place.

use rusqlite::{Connection, params};

use super::{Event, address_target, current_address, log_event};
use crate::{
    model::{Action, AddressId, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        sqlite::{addresses, writer::Command},
    },
};

/// See [`crate::store::AddressStore::delete_address`].
pub(in crate::store::sqlite) struct DeleteAddress {
    pub(in crate::store::sqlite) user_id: UserId,
    pub(in crate::store::sqlite) id: AddressId,
    pub(in crate::store::sqlite) etag: Option<String>,
    pub(in crate::store::sqlite) meta: ChangeMeta,
}

impl Command for DeleteAddress {
    type Output = ();

    fn run(&self, connection: &Connection) -> Result<(), StoreError> {
        let (pk, address) = current_address(connection, &self.user_id, self.id, self.etag.as_deref())?;
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

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, deleted: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(deleted)
    }
}
