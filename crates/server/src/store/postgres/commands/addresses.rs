//! What the commands on addresses have in common.

use super::{Event, log_event};
use crate::{
    model::{Action, Address, AddressId, AddressKind, ChangeMeta, Timestamp, UserId},
    store::{
        StoreError,
        commands::address_target,
        postgres::{addresses, tx::Tx},
    },
};

/// The user's row, locked, one of the user's addresses, and the others, oldest first.
pub(super) struct Current {
    pub(super) pk: i64,
    pub(super) address: Address,
    pub(super) others: Vec<Address>,
}

/// The address.
pub(super) async fn current(tx: &mut Tx<'_>, user_id: &UserId, id: AddressId) -> Result<Current, StoreError> {
    let (pk, mut others) = addresses::locked(tx, user_id).await?;
    let place = others.iter().position(|address| address.id == id).ok_or(StoreError::ItemNotFound)?;
    Ok(Current { pk, address: others.remove(place), others })
}

/// Makes room for another default of a kind. Written before that one: two at once would break the index that there is
/// but one.
pub(super) fn unset_default(tx: &mut Tx<'_>, pk: i64, others: Vec<Address>, kind: AddressKind, at: Timestamp) {
    if let Some(mut old) = others.into_iter().find(|address| address.kind == kind && address.is_default) {
        old.is_default = false;
        old.touch(at);
        addresses::put(tx, pk, &old);
    }
}

/// Logs what was done to an address.
pub(super) fn log(
    tx: &mut Tx<'_>,
    action: Action,
    (user_id, id): (&UserId, AddressId),
    fields: &[&str],
    meta: &ChangeMeta,
) -> Result<(), StoreError> {
    let target = address_target(id);
    log_event(tx, action, &Event { user: Some(user_id), target: &target, fields, ..Event::default() }, meta)
}
