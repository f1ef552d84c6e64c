//! The table of methods with their access rules and classes, read off the `(roster.options.v1.access)`,
//! `(roster.options.v1.rate_class)` and `(roster.options.v1.load_class)` options of the protos.
//!
//! Part of the build script, and of the test that shows that a method without one does not build.

use std::{error::Error, fmt::Write as _};

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// Rust source of a `match` from the exact gRPC path to the method, so that a lookup allocates nothing.
///
/// # Errors
/// Names the first method that lacks the rule or a class.
pub fn table(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let (mut arms, mut rows) = (String::new(), String::new());
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let rule = rule_of(pool, &method).ok_or_else(|| {
            format!("{path} has no access rule: add option (roster.options.v1.access) to it in its proto")
        })?;
        let class = rate_class_of(pool, &method).ok_or_else(|| {
            format!("{path} has no rate class: add option (roster.options.v1.rate_class) to it in its proto")
        })?;
        let load = load_class_of(pool, &method).ok_or_else(|| {
            format!("{path} has no load class: add option (roster.options.v1.load_class) to it in its proto")
        })?;
        writeln!(arms, "        {path:?} => &METHODS[{}],", rows.lines().count())?;
        let index = rows.lines().count();
        writeln!(
            rows,
            "    Method {{ index: {index}, path: {path:?}, access: {rule}, rate_class: RateClass::{class}, \
             load_class: LoadClass::{load} }},"
        )?;
    }
    Ok(format!(
        "/// The method at an exact gRPC path, such as `/user.v1.UserService/GetUser`.\n\
         #[must_use]\n\
         pub fn method(path: &str) -> Option<&'static Method> {{\n    Some(match path {{\n{arms}        _ => return None,\n    }})\n}}\n\n\
         /// Every method of Roster, in the order of the protos.\n\
         pub const METHODS: &[Method] = &[\n{rows}];\n"
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

/// The variant of `RateClass`. None if there is no option, or one that says nothing.
fn rate_class_of(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<&'static str> {
    match number_of(pool, method, "roster.options.v1.rate_class")? {
        1 => Some("SignIn"),
        2 => Some("SignUp"),
        3 => Some("Mail"),
        4 => Some("Read"),
        5 => Some("Write"),
        _ => None,
    }
}

/// The variant of `LoadClass`. None if there is no option, or one that says nothing.
fn load_class_of(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<&'static str> {
    match number_of(pool, method, "roster.options.v1.load_class")? {
        1 => Some("Vital"),
        2 => Some("Read"),
        3 => Some("Write"),
        4 => Some("Stream"),
        5 => Some("Bulk"),
        6 => Some("Hash"),
        _ => None,
    }
}

/// The number of an enum that is an option of the method; 0 if it has none.
fn number_of(pool: &DescriptorPool, method: &MethodDescriptor, option: &str) -> Option<i32> {
    method.options().get_extension(&pool.get_extension_by_name(option)?).as_enum_number()
}
