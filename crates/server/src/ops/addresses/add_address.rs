//! Adds an address to a user.

use super::{AddressInput, check_kind, parse_lines};
use crate::{
    model::{Address, AddressId, AddressKind, AddressLines, Permission, Violations},
    ops::{Ctx, Error, Ops, users::check_user_id},
};

/// An `AddAddressRequest`, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct AddAddressInput {
    /// Required.
    pub user_id: String,
    /// Required.
    pub address: Option<AddressInput>,
    /// Make it the default of its kind.
    pub make_default: bool,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Ops {
    /// Adds an address. The first of its kind is the default.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Precondition`] if the user has as many
    /// as a user may have, and those of the store.
    pub async fn add_address(&self, ctx: &Ctx, input: AddAddressInput) -> Result<Address, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(&input.user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesWrite)?;
        }
        let parsed = parse(input.address, &mut violations);
        let (user_id, (kind, lines)) = match (user_id, parsed) {
            (Some(user_id), Some(parsed)) if violations.is_empty() => (user_id, parsed),
            _ => return Err(violations.into()),
        };
        let now = self.clock.now();
        let address = Address {
            id: AddressId::generate(now),
            user_id: user_id.clone(),
            kind,
            lines,
            is_default: input.make_default,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let id = address.id;
        let ctx = ctx.unless_rehearsed(input.validate_only);
        self.once(&ctx, async {
            let meta = ctx.change(now, input.validate_only);
            self.store.add_address(address, meta).await.map_err(Error::for_address(&user_id, id))
        })
        .await
    }
}

fn parse(address: Option<AddressInput>, violations: &mut Violations) -> Option<(AddressKind, AddressLines)> {
    let Some(AddressInput { kind, lines }) = address else {
        violations.add("address", "is required");
        return None;
    };
    if kind == 0 {
        violations.add("address.kind", "is required; use 1 (SHIPPING) or 2 (BILLING)");
    }
    let kind = check_kind("address.kind", kind, violations);
    let lines = parse_lines(lines, |_| true, violations);
    kind.map(|kind| (kind, lines))
}
