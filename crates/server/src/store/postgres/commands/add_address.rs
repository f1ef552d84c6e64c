//! Adds an address to a user.

use super::{
    Command,
    addresses::{log, unset_default},
};
use crate::{
    model::{Action, Address, ChangeMeta, address::ADDRESSES_MAX},
    store::{
        StoreError,
        answers::Kept,
        postgres::{addresses, tx::Tx},
    },
};

/// See [`crate::store::AddressStore::add_address`].
pub(in crate::store::postgres) struct AddAddress {
    pub(in crate::store::postgres) address: Address,
    pub(in crate::store::postgres) meta: ChangeMeta,
}

impl Command for AddAddress {
    type Output = Address;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Address, StoreError> {
        let mut address = self.address.clone();
        let (pk, others) = addresses::locked(tx, &address.user_id).await?;
        if others.len() >= ADDRESSES_MAX {
            return Err(StoreError::LimitReached);
        }
        if !others.iter().any(|other| other.kind == address.kind) {
            address.is_default = true;
        } else if address.is_default {
            unset_default(tx, pk, others, address.kind, self.meta.at);
        }
        addresses::put(tx, pk, &address);
        log(tx, Action::AddressAdded, (&address.user_id, address.id), &[], &self.meta)?;
        Ok(address)
    }

    fn meta(&self) -> Option<&ChangeMeta> {
        Some(&self.meta)
    }

    fn answer(&self, address: &Address) -> Result<Option<Kept>, StoreError> {
        Kept::about(&address.user_id, address)
    }
}
