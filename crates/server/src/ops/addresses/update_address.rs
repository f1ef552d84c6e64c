//! Changes the fields of an address.

use super::{AddressInput, both, check_address_id, check_kind, parse_lines};
use crate::{
    model::{Address, AddressLines, AddressPatch, Permission, Violations},
    ops::{
        Ctx, Error, Ops,
        update_mask::{MaskRules, UpdateMask},
        users::{check_user_id, etag_of},
    },
};

const MASK: MaskRules = MaskRules {
    fields: &AddressLines::FIELDS,
    map: None,
    others: &[
        ("id", "is output only"),
        ("user_id", "is output only"),
        ("kind", "is immutable; add another address instead"),
        ("is_default", "is changed by SetDefaultAddress"),
        ("created_at", "is output only"),
        ("updated_at", "is output only"),
        ("etag", "is output only; the etag to compare with is the request's own field"),
    ],
};

/// An `UpdateAddressRequest`, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct UpdateAddressInput {
    /// Required.
    pub user_id: String,
    /// Required.
    pub address_id: String,
    /// Required.
    pub address: Option<AddressInput>,
    /// The paths of the mask; empty for none.
    pub update_mask: Vec<String>,
    /// The address as the caller last saw it; empty for whatever it is now.
    pub etag: String,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

impl Ops {
    /// Updates an address. See the proto for what a mask means.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Missing`], [`Error::StaleEtag`], and
    /// those of the store.
    pub async fn update_address(&self, ctx: &Ctx, input: UpdateAddressInput) -> Result<Address, Error> {
        let mut violations = Violations::new();
        let user_id = check_user_id(&input.user_id, &mut violations);
        if let Some(user_id) = &user_id {
            ctx.caller.check_self_or(user_id, Permission::AddressesWrite)?;
        }
        let id = check_address_id(&input.address_id, &mut violations);
        let patch = parse_patch(input.address, &input.update_mask, &mut violations);
        let (user_id, id) = both(user_id, id, violations)?;
        let ctx = ctx.unless_rehearsed(input.validate_only);
        self.once(&ctx, async {
            let meta = ctx.change(self.clock.now(), input.validate_only);
            let updated = self.store.update_address(&user_id, id, patch, etag_of(input.etag), meta).await;
            updated.map_err(Error::for_address(&user_id, id))
        })
        .await
    }
}

fn parse_patch(address: Option<AddressInput>, paths: &[String], violations: &mut Violations) -> AddressPatch {
    let AddressInput { kind, lines } = address.unwrap_or_else(|| {
        violations.add("address", "is required");
        AddressInput::default()
    });
    let mask = match paths {
        [] => UpdateMask::implied(lines.fields().map(|(field, value)| (field, !value.is_empty()))),
        paths => UpdateMask::parse(paths, &MASK, violations),
    };
    // An address that was read and is sent back has its kind. Where all of it counts, that must still be the one.
    let whole = paths.is_empty() || paths.iter().any(|path| path == "*");
    let kind = if whole { check_kind("address.kind", kind, violations) } else { None };
    let fields = AddressLines::FIELDS.into_iter().filter(|field| mask.has(field)).collect();
    AddressPatch { kind, lines: parse_lines(lines, |field| mask.has(field), violations), fields }
}
