//! What an API key is given.

use super::parse_name;
use crate::model::{Permission, PermissionSet, Timestamp};

/// Characters that the name of an API key may have.
pub const API_KEY_NAME_MAX_CHARS: usize = 100;
/// Scopes that an API key may be given.
pub const SCOPES_MAX: usize = 64;

/// The name of an API key: as a user's display name, but shorter and not empty.
///
/// # Errors
/// Empty, more than 100 characters, or what no name may have.
pub fn parse_api_key_name(text: &str) -> Result<String, String> {
    let name = parse_name(text)?;
    match name.chars().count() {
        0 => Err("is required".into()),
        1..=API_KEY_NAME_MAX_CHARS => Ok(name),
        length => Err(format!("has {length} characters; at most {API_KEY_NAME_MAX_CHARS} are allowed")),
    }
}

/// Those of the names that are permissions.
#[must_use]
pub fn known_scopes(names: &[String]) -> PermissionSet {
    names.iter().filter_map(|name| Permission::find(name)).collect()
}

/// The permissions of these names.
///
/// # Errors
/// None, too many, or one that there is not, with all that there are.
pub fn parse_scopes(names: &[String]) -> Result<PermissionSet, String> {
    if !(1..=SCOPES_MAX).contains(&names.len()) {
        return Err(format!("has {} scopes; 1 to {SCOPES_MAX} are allowed", names.len()));
    }
    match names.iter().find(|name| Permission::find(name).is_none()) {
        None => Ok(known_scopes(names)),
        Some(unknown) => {
            let all = Permission::ALL.iter().map(|permission| permission.name()).collect::<Vec<_>>().join(", ");
            let shown: String = unknown.chars().take(40).collect();
            Err(format!("{shown:?} is no scope; there are {all}"))
        }
    }
}

/// When an API key ends: later than now.
///
/// # Errors
/// No moment, or one that has passed.
pub fn parse_key_expiry((seconds, nanos): (i64, i32), now: Timestamp) -> Result<Timestamp, String> {
    let at = Timestamp::from_parts(seconds, nanos).ok_or("is no time from the year 1 to 9999")?;
    if at > now { Ok(at) } else { Err(format!("{at} has passed; give a time after {now}, or none")) }
}
