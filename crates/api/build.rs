//! Compiles the protos without `protoc`, writes the stubs, and writes the table of access rules.
//!
//! Two passes: messages and clients use tonic's own codec; the server stubs use
//! [`ServerCodec`](../src/codec.rs), which answers a malformed message with `INVALID_ARGUMENT`.
//! A method of ours without an access rule stops the build here.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor, Value};

/// Every proto file that Roster serves, relative to `proto/`.
const FILES: &[&str] = &["user/v1/user.proto"];

/// Packages whose Rust modules are `roster_api::<package>`; the server stubs borrow their messages.
const PACKAGES: &[(&str, &str)] = &[(".user.v1", "crate::user::v1")];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // `encode_file_descriptor_set` keeps custom options; `file_descriptor_set` drops them.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;
    fs::write(out.join("access.rs"), access_table(&encoded)?)?;

    let files = || prost_types_set(&encoded);
    tonic_prost_build::configure().build_server(false).compile_fds(files()?)?;

    let server_out = out.join("server");
    fs::create_dir_all(&server_out)?;
    let mut server = tonic_prost_build::configure()
        .out_dir(server_out)
        .build_client(false)
        .generate_default_stubs(true)
        .codec_path("crate::codec::ServerCodec");
    for (package, module) in PACKAGES {
        server = server.extern_path(*package, *module);
    }
    server.compile_fds(files()?)?;
    Ok(())
}

fn prost_types_set(encoded: &[u8]) -> Result<prost_types::FileDescriptorSet, prost::DecodeError> {
    prost_types::FileDescriptorSet::decode(encoded)
}

/// A `match` from the exact gRPC path to its method and rule, generated so that a lookup allocates nothing.
fn access_table(encoded: &[u8]) -> Result<String, Box<dyn Error>> {
    let pool = DescriptorPool::decode(encoded)?;
    let mut arms = String::new();
    let mut paths = String::new();
    for service in pool.services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let rule = rule_of(&pool, &method).ok_or_else(|| {
                format!("{path} has no access rule: add option (roster.options.v1.access) to it in its proto")
            })?;
            writeln!(arms, "        {path:?} => {rule},")?;
            writeln!(paths, "    {path:?},")?;
        }
    }
    Ok(format!(
        "/// The rule of the method at an exact gRPC path, such as `/user.v1.UserService/GetUser`.\n\
         #[must_use]\n\
         pub fn rule(path: &str) -> Option<AccessRule> {{\n    Some(match path {{\n{arms}        _ => return None,\n    }})\n}}\n\n\
         /// The gRPC path of every method that has a rule, in the order of the protos.\n\
         pub const PATHS: &[&str] = &[\n{paths}];\n"
    ))
}

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
