//! Makes an address the default of its kind.

use super::{
    Command,
    addresses::{Current, current, log, unset_default},
};
use crate::{
    model::{Action, Address, AddressId, ChangeMeta, UserId},
    store::{
        StoreError,
        answers::Kept,
        postgres::{addresses, tx::Tx},
    },
};

/// See [`crate::store::AddressStore::set_default_address`].
pub(in crate::store::postgres) struct SetDefaultAddress {
    pub(in crate::store::postgres) user_id: UserId,
    pub(in crate::store::postgres) id: AddressId,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for SetDefaultAddress {
    type Output = Address;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Address, StoreError> {
        let Current { pk, mut address, others } = current(tx, &self.user_id, self.id, None).await?;
        if address.is_default {
            return Ok(address);
        }
        unset_default(tx, pk, others, address.kind, self.meta.at);
        address.is_default = true;
        address.touch(self.meta.at);
        addresses::put(tx, pk, &address);
        log(tx, Action::AddressUpdated, (&self.user_id, self.id), &["is_default"], &self.meta)?;
        Ok(address)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&self.user_id, address)
    }
}
