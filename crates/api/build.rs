//! Compiles the protos without `protoc`, writes the stubs, and writes the tables that are read off the protos.
//!
//! Two passes: messages and clients use tonic's own codec; the server stubs use
//! [`ServerCodec`](../src/codec.rs), which answers a malformed message with `INVALID_ARGUMENT`, and answer with users
//! that are [encoded already](../src/encoded.rs).
//! A method of ours without an access rule, a rate class or a load class stops the build here.

#[path = "build/access.rs"]
mod access;
#[path = "build/streams.rs"]
mod streams;

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};

/// Every proto file that Roster serves, relative to `proto/`. The imports of these are found by themselves.
const FILES: &[&str] = &[
    "user/v1/user_service.proto",
    "auth/v1/auth.proto",
    "notification/v1/notification.proto",
    "roster/admin/v1/admin.proto",
    "compat/user.proto",
    "compat/notification_service.proto",
];

/// The user, and what stands for it in the server stubs.
const USER: (&str, &str) = ("user.v1.User", "crate::encoded::EncodedUser");

/// Packages and their Rust modules; the server stubs borrow the messages from there.
const PACKAGES: &[(&str, &str)] = &[
    ("user.v1", "crate::user::v1"),
    ("auth.v1", "crate::auth::v1"),
    ("notification.v1", "crate::notification::v1"),
    ("roster.admin.v1", "crate::admin::v1"),
    ("user", "crate::compat::user"),
    ("", "crate::compat::notification"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // `encode_file_descriptor_set` keeps custom options; `file_descriptor_set` drops them.
    let encoded = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("descriptors.bin"), &encoded)?;
    fs::write(out.join("access.rs"), access::table(&pool)?)?;
    fs::write(out.join("streams.rs"), streams::table(&pool)?)?;

    let files = || prost_types::FileDescriptorSet::decode(encoded.as_slice());
    // Maps in the order of their keys: the same message always has the same bytes.
    // Without transport: its `connect` would collide with the RPC of that name. `Client::connect` is the way in.
    tonic_prost_build::configure().btree_map(".").build_server(false).build_transport(false).compile_fds(files()?)?;

    let server_out = out.join("server");
    fs::create_dir_all(&server_out)?;
    let mut server = tonic_prost_build::configure()
        .out_dir(server_out)
        .build_client(false)
        .generate_default_stubs(true)
        .codec_path("crate::codec::ServerCodec");
    for (path, rust) in borrowed(&pool) {
        server = server.extern_path(path, rust);
    }
    server.compile_fds(files()?)?;
    Ok(())
}

/// The messages and enums that the server stubs borrow, with their Rust paths. A message that has a user in it is not
/// among them: it is made anew, around the encoded one.
fn borrowed(pool: &DescriptorPool) -> Vec<(String, String)> {
    let holds_user = |message: &MessageDescriptor| {
        message.fields().any(|field| field.kind().as_message().is_some_and(|kind| kind.full_name() == USER.0))
    };
    let mut borrowed = vec![(format!(".{}", USER.0), USER.1.to_owned())];
    for file in pool.files() {
        let Some((_, module)) = PACKAGES.iter().find(|(package, _)| *package == file.package_name()) else { continue };
        let messages = file.messages().filter(|message| message.full_name() != USER.0 && !holds_user(message));
        let messages = messages.map(|message| (message.full_name().to_owned(), message.name().to_owned()));
        let enums = file.enums().map(|one| (one.full_name().to_owned(), one.name().to_owned()));
        borrowed.extend(messages.chain(enums).map(|(path, name)| (format!(".{path}"), format!("{module}::{name}"))));
    }
    borrowed
}
