//! Makes an address the default of its kind.

use super::{
    RunInPostgres,
    addresses::{Current, current, log, unset_default},
};
use crate::{
    model::{Action, Address},
    store::{
        StoreError,
        commands::SetDefaultAddress,
        postgres::{addresses, tx::Tx},
    },
};

impl RunInPostgres for SetDefaultAddress {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Address, StoreError> {
        let Current { pk, mut address, others } = current(tx, &self.user_id, self.id).await?;
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
}
