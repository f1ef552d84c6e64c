//! Removes an address; if it was a default, the next one takes its place.

use super::{
    RunInPostgres,
    addresses::{current, log},
};
use crate::{
    model::Action,
    store::{
        StoreError,
        commands::DeleteAddress,
        postgres::{addresses, tx::Tx, value::params},
    },
};

impl RunInPostgres for DeleteAddress {
    async fn run(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let found = current(tx, &self.user_id, self.id).await?;
        self.check(&found.address)?;
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
}
