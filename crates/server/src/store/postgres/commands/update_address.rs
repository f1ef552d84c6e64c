//! Changes an address.

use super::{
    RunInPostgres,
    addresses::{current, log},
};
use crate::{
    model::{Action, Address},
    store::{
        StoreError,
        commands::UpdateAddress,
        postgres::{addresses, tx::Tx},
    },
};

impl RunInPostgres for UpdateAddress {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<Address, StoreError> {
        let found = current(tx, &self.user_id, self.id).await?;
        let (address, changed) = self.apply(&found.address)?;
        if !changed.is_empty() {
            addresses::put(tx, found.pk, &address);
            log(tx, Action::AddressUpdated, (&self.user_id, self.id), &changed, &self.meta)?;
        }
        Ok(address)
    }
}
