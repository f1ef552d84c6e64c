//! The rules that the protos keep: those of buf's STANDARD and COMMENTS, so that the tests need no buf.
//!
//! What a rule finds must be listed in [`EXCEPTIONS`], one by one; an exception that nothing needs any more fails too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, Kind, MessageDescriptor, ServiceDescriptor, Syntax,
};

/// What the rules find and we keep, each with the rule's name in buf and the place.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // AIP-131, 133, 134, 136: a method that gets or changes one resource answers with the resource itself, and AIP-135: a
    // deletion answers with Empty.
    (
        "RPC_RESPONSE_STANDARD_NAME",
        &[
            "user.v1.UserService.AddAddress",
            "user.v1.UserService.CreateUser",
            "user.v1.UserService.DeactivateUser",
            "user.v1.UserService.DeleteAddress",
            "user.v1.UserService.DeleteUser",
            "user.v1.UserService.GetAddress",
            "user.v1.UserService.GetPreferences",
            "user.v1.UserService.GetUser",
            "user.v1.UserService.GetUserByEmail",
            "user.v1.UserService.ListUsers",
            "user.v1.UserService.ReactivateUser",
            "user.v1.UserService.SetDefaultAddress",
            "user.v1.UserService.UpdateAddress",
            "user.v1.UserService.UpdatePreferences",
            "user.v1.UserService.UpdateUser",
            // From here on, as clients hold it.
            "user.UserService.BatchCreateUsers",
            "user.UserService.CreateUser",
            "user.UserService.GetUser",
            "user.UserService.ListUsers",
            "user.UserService.StreamUserUpdates",
        ],
    ),
    (
        "RPC_REQUEST_RESPONSE_UNIQUE",
        &[
            "google.protobuf.Empty",
            "user.v1.Address",
            "user.v1.Preferences",
            "user.v1.User",
            // From here on, as clients hold it.
            "user.CreateUserRequest",
            "user.User",
        ],
    ),
    // The rest is as clients hold it, to the letter.
    ("RPC_REQUEST_STANDARD_NAME", &["user.UserService.BatchCreateUsers", "user.UserService.StreamUserUpdates"]),
    ("PACKAGE_DEFINED", &["compat/notification_service.proto"]),
    ("PACKAGE_VERSION_SUFFIX", &["compat/user.proto"]),
    ("PACKAGE_DIRECTORY_MATCH", &["compat/user.proto"]),
    ("DIRECTORY_SAME_PACKAGE", &["compat"]),
    ("ENUM_VALUE_PREFIX", &["GOODBYE", "HELLO", "UNKNOWN"]),
    ("ENUM_ZERO_VALUE_SUFFIX", &["UNKNOWN"]),
];

#[test]
fn the_protos_keep_the_rules() {
    let mut findings = Findings::default();
    let pool = DescriptorPool::decode(roster_api::DESCRIPTOR_SET).unwrap();
    let files: Vec<_> = pool.files().filter(|file| !file.name().starts_with("google/")).collect();
    packages(&files, &mut findings);
    for file in &files {
        self::file(file, &mut findings);
        comments(file, &mut findings);
        file.services().for_each(|service| self::service(&service, &mut findings));
        file.enums().for_each(|list| enumeration(&list, &mut findings));
        file.messages().for_each(|message| self::message(&message, &mut findings));
    }
    requests_and_responses(&files, &mut findings);

    let expected =
        EXCEPTIONS.iter().flat_map(|(rule, places)| places.iter().map(move |place| format!("{rule} {place}")));
    let expected: BTreeSet<String> = expected.collect();
    let new: Vec<_> = findings.0.difference(&expected).collect();
    let stale: Vec<_> = expected.difference(&findings.0).collect();
    assert!(new.is_empty() && stale.is_empty(), "new findings: {new:#?}\nexceptions without a finding: {stale:#?}");
}

#[test]
fn every_proto_in_the_repository_is_served() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let pool = DescriptorPool::decode(roster_api::DESCRIPTOR_SET).unwrap();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                assert!(pool.get_file_by_name(name).is_some(), "{name} is in no import and not in FILES of build.rs");
            }
        }
    }
}

/// `RULE place`, each once.
#[derive(Default)]
struct Findings(BTreeSet<String>);

impl Findings {
    fn check(&mut self, kept: bool, rule: &str, place: &str) {
        if !kept {
            self.0.insert(format!("{rule} {place}"));
        }
    }
}

/// Rules about packages and the folders that they are in.
fn packages(files: &[FileDescriptor], findings: &mut Findings) {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut homes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut options: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let folder = file.name().rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().insert(file.package_name());
        if file.package_name().is_empty() {
            findings.check(false, "PACKAGE_DEFINED", file.name());
            continue;
        }
        homes.entry(file.package_name()).or_default().insert(folder);
        options.entry(file.package_name()).or_default().insert(format!("{:?}", file.file_descriptor_proto().options));
        let parts = file.package_name().split('.');
        findings.check(parts.clone().all(is_lower_snake), "PACKAGE_LOWER_SNAKE_CASE", file.name());
        findings.check(parts.clone().next_back().is_some_and(is_version), "PACKAGE_VERSION_SUFFIX", file.name());
        findings.check(file.package_name().replace('.', "/") == folder, "PACKAGE_DIRECTORY_MATCH", file.name());
        for import in file.dependencies().filter(|import| import.package_name() != file.package_name()) {
            // One direction between packages is stricter than no cycle, and simpler: only the option is imported.
            let allowed = import.name().starts_with("google/") || import.package_name() == "roster.options.v1";
            findings.check(allowed, "PACKAGE_NO_IMPORT_CYCLE", file.name());
        }
    }
    folders.iter().for_each(|(folder, all)| findings.check(all.len() == 1, "DIRECTORY_SAME_PACKAGE", folder));
    homes.iter().for_each(|(package, all)| findings.check(all.len() == 1, "PACKAGE_SAME_DIRECTORY", package));
    // buf has a rule for each option that generators read; we set none differently.
    options.iter().for_each(|(package, all)| findings.check(all.len() == 1, "PACKAGE_SAME_OPTIONS", package));
}

/// Rules about a file and its imports.
fn file(file: &FileDescriptor, findings: &mut Findings) {
    let proto = file.file_descriptor_proto();
    let stem = file.name().rsplit('/').next().and_then(|name| name.strip_suffix(".proto"));
    findings.check(stem.is_some_and(is_lower_snake), "FILE_LOWER_SNAKE_CASE", file.name());
    findings.check(file.syntax() == Syntax::Proto3, "SYNTAX_SPECIFIED", file.name());
    findings.check(proto.public_dependency.is_empty(), "IMPORT_NO_PUBLIC", file.name());
    findings.check(proto.weak_dependency.is_empty(), "IMPORT_NO_WEAK", file.name());

    let mut used = BTreeSet::new();
    for field in file.messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        match field.kind() {
            Kind::Message(message) if field.is_map() => {
                if let Kind::Message(value) = message.map_entry_value_field().kind() {
                    used.insert(value.parent_file().name().to_owned());
                }
            }
            Kind::Message(message) => drop(used.insert(message.parent_file().name().to_owned())),
            Kind::Enum(list) => drop(used.insert(list.parent_file().name().to_owned())),
            _ => {}
        }
    }
    for method in file.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        used.insert(method.input().parent_file().name().to_owned());
        used.insert(method.output().parent_file().name().to_owned());
        used.extend(method.options().extensions().map(|(option, _)| option.parent_file().name().to_owned()));
    }
    used.extend(file.extensions().map(|extension| extension.containing_message().parent_file().name().to_owned()));
    for import in &proto.dependency {
        findings.check(used.contains(import), "IMPORT_USED", &format!("{} of {import}", file.name()));
    }
}

/// COMMENT_*: everything that a client can name says what it is.
fn comments(file: &FileDescriptor, findings: &mut Findings) {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
    let commented: BTreeSet<&[i32]> = locations
        .filter(|location| !location.leading_comments().trim().is_empty())
        .map(|location| location.path.as_slice())
        .collect();
    let mut check = |path: &[i32], name: &str| findings.check(commented.contains(path), "COMMENT", name);
    for message in file.messages() {
        check(message.path(), message.full_name());
        message.fields().for_each(|field| check(field.path(), field.full_name()));
        message.oneofs().filter(|oneof| !oneof.is_synthetic()).for_each(|oneof| check(oneof.path(), oneof.full_name()));
    }
    for list in file.enums() {
        check(list.path(), list.full_name());
        list.values().for_each(|value| check(value.path(), value.full_name()));
    }
    for service in file.services() {
        check(service.path(), service.full_name());
        service.methods().for_each(|method| check(method.path(), method.full_name()));
    }
    file.extensions().for_each(|extension| check(extension.path(), extension.full_name()));
}

fn service(service: &ServiceDescriptor, findings: &mut Findings) {
    findings.check(is_pascal(service.name()), "SERVICE_PASCAL_CASE", service.full_name());
    findings.check(service.name().ends_with("Service"), "SERVICE_SUFFIX", service.full_name());
    for method in service.methods() {
        let named = |name: &str, suffix: &str| {
            name == format!("{}{suffix}", method.name())
                || name == format!("{}{}{suffix}", service.name(), method.name())
        };
        findings.check(is_pascal(method.name()), "RPC_PASCAL_CASE", method.full_name());
        findings.check(named(method.input().name(), "Request"), "RPC_REQUEST_STANDARD_NAME", method.full_name());
        findings.check(named(method.output().name(), "Response"), "RPC_RESPONSE_STANDARD_NAME", method.full_name());
    }
}

fn enumeration(list: &EnumDescriptor, findings: &mut Findings) {
    let prefix = upper_snake(list.name()) + "_";
    let alias = list.enum_descriptor_proto().options.as_ref().is_some_and(|options| options.allow_alias());
    findings.check(is_pascal(list.name()), "ENUM_PASCAL_CASE", list.full_name());
    findings.check(!alias, "ENUM_NO_ALLOW_ALIAS", list.full_name());
    findings.check(list.default_value().number() == 0, "ENUM_FIRST_VALUE_ZERO", list.full_name());
    for value in list.values() {
        let shouts = value.name().split('_').all(|word| !word.is_empty() && word.bytes().all(is_upper_or_digit));
        findings.check(shouts, "ENUM_VALUE_UPPER_SNAKE_CASE", value.full_name());
        findings.check(value.name().starts_with(&prefix), "ENUM_VALUE_PREFIX", value.full_name());
        let zero_named = value.number() != 0 || value.name().ends_with("_UNSPECIFIED");
        findings.check(zero_named, "ENUM_ZERO_VALUE_SUFFIX", value.full_name());
    }
}

fn message(message: &MessageDescriptor, findings: &mut Findings) {
    findings.check(is_pascal(message.name()), "MESSAGE_PASCAL_CASE", message.full_name());
    // The other rules look at what a file declares at its top; nothing is nested but the entries of maps.
    let nested = message.child_messages().any(|child| !child.is_map_entry()) || message.child_enums().next().is_some();
    findings.check(!nested, "NOTHING_NESTED", message.full_name());
    for field in message.fields() {
        findings.check(is_lower_snake(field.name()), "FIELD_LOWER_SNAKE_CASE", field.full_name());
        findings.check(!field.is_required(), "FIELD_NOT_REQUIRED", field.full_name());
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        findings.check(is_lower_snake(oneof.name()), "ONEOF_LOWER_SNAKE_CASE", oneof.full_name());
    }
}

/// RPC_REQUEST_RESPONSE_UNIQUE: a message serves one method, so that it can grow with it.
fn requests_and_responses(files: &[FileDescriptor], findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for method in files.iter().flat_map(FileDescriptor::services).flat_map(|s| s.methods().collect::<Vec<_>>()) {
        for message in [method.input(), method.output()] {
            let first = seen.insert(message.full_name().to_owned());
            findings.check(first, "RPC_REQUEST_RESPONSE_UNIQUE", message.full_name());
        }
    }
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_lower_snake(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('_').all(word)
}

fn is_upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| !number.starts_with('0') && number.parse::<u32>().is_ok())
}

/// `HealthStatus` as `HEALTH_STATUS`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}
