//! Adds an address to a user.

use super::{
    RunInPostgres,
    addresses::{log, unset_default},
};
use crate::{
    model::{Action, Address, address::ADDRESSES_MAX},
    store::{
        StoreError,
        commands::AddAddress,
        postgres::{addresses, tx::Tx},
    },
};

impl RunInPostgres for AddAddress {
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
}
