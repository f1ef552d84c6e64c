//! The table of access rules, read off the `(roster.options.v1.access)` options of the protos.
//!
//! Part of the build script, and of the test that shows that a method without a rule does not build.

use std::{error::Error, fmt::Write as _};

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// Rust source of a `match` from the exact gRPC path to its rule, so that a lookup allocates nothing.
///
/// # Errors
/// Names the first method that has no rule.
pub fn table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut arms = String::new();
    let mut paths = String::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let rule = rule_of(pool, &method).ok_or_else(|| {
            format!("{path} has no access rule: add option (roster.options.v1.access) to it in its proto")
        })?;
        writeln!(arms, "        {path:?} => {rule},")?;
        writeln!(paths, "    {path:?},")?;
    }
    Ok(format!(
        "/// The rule of the method at an exact gRPC path, such as `/user.v1.UserService/GetUser`.\n\
         #[must_use]\n\
         pub fn rule(path: &str) -> Option<AccessRule> {{\n    Some(match path {{\n{arms}        _ => return None,\n    }})\n}}\n\n\
         /// The gRPC path of every method that has a rule, in the order of the protos.\n\
         pub const PATHS: &[&str] = &[\n{paths}];\n"
    ))
}

/// The rule as Rust source. None if there is none, or one that says nothing: `public: false`, or an empty permission.
fn rule_of(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<String> {
    let extension = pool.get_extension_by_name("roster.options.v1.access")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    let rule = value.as_message()?;
    let name = |field: &str| match rule.get_field_by_name(field)?.into_owned() {
        Value::String(permission) if !permission.is_empty() => Some(permission),
        _ => None,
    };
    let flag = |field: &str| rule.get_field_by_name(field).and_then(|v| v.as_bool()) == Some(true);
    if flag("public") {
        Some("AccessRule::Public".into())
    } else if flag("signed_in") {
        Some("AccessRule::SignedIn".into())
    } else if let Some(permission) = name("self_or") {
        Some(format!("AccessRule::SelfOr({permission:?})"))
    } else {
        name("permission").map(|permission| format!("AccessRule::Permission({permission:?})"))
    }
}
