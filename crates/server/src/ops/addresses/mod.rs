//! Use cases about the addresses of a user, one a file.

mod add_address;
mod delete_address;
mod get_address;
mod list_addresses;
mod set_default_address;
mod update_address;

pub use self::{add_address::AddAddressInput, update_address::UpdateAddressInput};

use crate::model::{AddressId, AddressKind, AddressLines, UserId, Violations, inputs};

/// The writable part of an `Address`, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct AddressInput {
    /// The API's number; 0 for none.
    pub kind: i32,
    /// As they were given.
    pub lines: AddressLines,
}

/// The id in a request's `address_id`.
fn check_address_id(address_id: &str, violations: &mut Violations) -> Option<AddressId> {
    if address_id.is_empty() {
        violations.add("address_id", "is required");
        return None;
    }
    violations.check("address_id", AddressId::parse(address_id).ok_or("must be the id of an address, which is a UUID"))
}

/// Both ids, once nothing is wrong with either.
fn both(
    user_id: Option<UserId>,
    id: Option<AddressId>,
    violations: Violations,
) -> Result<(UserId, AddressId), Violations> {
    match (user_id, id) {
        (Some(user_id), Some(id)) if violations.is_empty() => Ok((user_id, id)),
        _ => Err(violations),
    }
}

/// The kind with the API's number; `None` for 0, and for what is none, which is noted.
fn check_kind(field: &str, number: i32, violations: &mut Violations) -> Option<AddressKind> {
    let kind = AddressKind::from_number(number);
    if kind.is_none() && number != 0 {
        violations.add(field, format!("{number} is no kind; use 1 (SHIPPING) or 2 (BILLING)"));
    }
    kind
}

/// The lines with those that are `wanted` parsed.
fn parse_lines(mut lines: AddressLines, wanted: impl Fn(&str) -> bool, violations: &mut Violations) -> AddressLines {
    for (field, value) in lines.fields_mut() {
        if wanted(field)
            && let Some(parsed) =
                violations.check(&format!("address.{field}"), inputs::parse_address_field(field, value))
        {
            *value = parsed;
        }
    }
    lines
}
