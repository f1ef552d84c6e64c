//! Removes an address; if it was a default, the next one takes its place.

use super::{
    Command,
    addresses::{current, log},
};
use crate::{
    model::{Action, AddressId, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        postgres::{addresses, tx::Tx, value::params},
    },
};

/// See [`crate::store::AddressStore::delete_address`].
pub(in crate::store::postgres) struct DeleteAddress {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) id: AddressId,
    pub(in crate::store::postgres) etag: Option<String>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for DeleteAddress {
    type Output = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let found = current(tx, &self.user_id, self.id, self.etag.as_deref()).await?;
        tx.queue("DELETE FROM addresses WHERE user_pk = $1 AND id = $2", params![found.pk, self.id.0]);
        let mut others = found.others.into_iter();
        if found.address.is_default
            && let Some(mut oldest) = others.find(|other| other.kind == found.address.kind)
        {
            oldest.is_default = true;
            oldest.touch(self.meta.at);
            addresses::put(tx, found.pk, &oldest);
        }
        log(tx, Action::AddressDeleted, (&self.user_id, self.id), &[], &self.meta)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, deleted: &()) -> Result<Option<Kept>, StoreError> {
        Kept::of(deleted)
    }
}
