//! Changes an address.

use super::{
    Command,
    addresses::{current, log},
};
use crate::{
    model::{Action, Address, AddressId, AddressPatch, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        postgres::{addresses, tx::Tx},
    },
};

/// See [`crate::store::AddressStore::update_address`].
pub(in crate::store::postgres) struct UpdateAddress {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) id: AddressId,
    pub(in crate::store::postgres) patch: AddressPatch,
    pub(in crate::store::postgres) etag: Option<String>,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for UpdateAddress {
    type Output = Address;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Address, StoreError> {
        let found = current(tx, &self.user_id, self.id, self.etag.as_deref()).await?;
        let before = found.address;
        if self.patch.kind.is_some_and(|kind| kind != before.kind) {
            let description = "is immutable; add another address instead".into();
            return Err(StoreError::Rejected { field: "address.kind".into(), description });
        }
        let (address, changed) = self.patch.apply(&before, self.meta.at);
        if !changed.is_empty() {
            addresses::put(tx, found.pk, &address);
            log(tx, Action::AddressUpdated, (&self.user_id, self.id), &changed, &self.meta)?;
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
