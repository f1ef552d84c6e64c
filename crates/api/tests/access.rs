//! Who may call what: the rules in the protos against a table that was reviewed by people, and what the build does with a
//! method that has none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use prost_reflect::DescriptorPool;
use roster_api::access::{
    AccessRule::{self, Permission, Public, SelfOr, SignedIn},
    PATHS, rule,
};

#[path = "../build/access.rs"]
mod access;

/// Written by hand and to be changed only with a review: it is not read off the protos.
const REVIEWED: &[(&str, AccessRule)] = &[
    ("/user.v1.UserService/CreateUser", Public),
    ("/user.v1.UserService/GetUser", SelfOr("users.read")),
    ("/user.v1.UserService/GetUserByEmail", SelfOr("users.read")),
    ("/user.v1.UserService/UpdateUser", SelfOr("users.update")),
    ("/user.v1.UserService/DeleteUser", SelfOr("users.delete")),
    ("/user.v1.UserService/DeactivateUser", SelfOr("users.deactivate")),
    ("/user.v1.UserService/ReactivateUser", Permission("users.deactivate")),
    ("/user.v1.UserService/ListUsers", Permission("users.list")),
    ("/user.v1.UserService/SearchUsers", Permission("users.list")),
    ("/user.v1.UserService/HealthCheck", Public),
    ("/user.v1.UserService/AddAddress", SelfOr("addresses.write")),
    ("/user.v1.UserService/GetAddress", SelfOr("addresses.read")),
    ("/user.v1.UserService/UpdateAddress", SelfOr("addresses.write")),
    ("/user.v1.UserService/DeleteAddress", SelfOr("addresses.write")),
    ("/user.v1.UserService/ListAddresses", SelfOr("addresses.read")),
    ("/user.v1.UserService/SetDefaultAddress", SelfOr("addresses.write")),
    ("/user.v1.UserService/SendVerificationEmail", Public),
    ("/user.v1.UserService/VerifyEmail", Public),
    ("/user.v1.UserService/ChangePassword", SelfOr("passwords.write")),
    ("/user.v1.UserService/RequestPasswordReset", Public),
    ("/user.v1.UserService/ResetPassword", Public),
    ("/user.v1.UserService/GetPreferences", SelfOr("preferences.read")),
    ("/user.v1.UserService/UpdatePreferences", SelfOr("preferences.write")),
    ("/user.v1.UserService/ImportUsers", Permission("users.import")),
    ("/user.v1.UserService/ExportUsers", Permission("users.export")),
    ("/user.v1.UserService/WatchUsers", Permission("users.watch")),
    ("/user.v1.UserService/ListAuditEvents", Permission("audit.read")),
    ("/auth.v1.AuthService/SignIn", Public),
    ("/auth.v1.AuthService/RefreshToken", Public),
    ("/auth.v1.AuthService/SignOut", SignedIn),
    ("/auth.v1.AuthService/ListSessions", SelfOr("sessions.read")),
    ("/auth.v1.AuthService/RevokeSession", SelfOr("sessions.revoke")),
    ("/auth.v1.AuthService/RevokeAllSessions", SelfOr("sessions.revoke")),
    ("/auth.v1.AuthService/CreateApiKey", Permission("api_keys.write")),
    ("/auth.v1.AuthService/ListApiKeys", Permission("api_keys.read")),
    ("/auth.v1.AuthService/RevokeApiKey", Permission("api_keys.write")),
    ("/notification.v1.NotificationService/SendMessage", SelfOr("presence.write")),
    ("/notification.v1.NotificationService/GetClientStatus", SelfOr("presence.read")),
    ("/notification.v1.NotificationService/Connect", SelfOr("presence.write")),
    ("/notification.v1.NotificationService/WatchClientStatus", SelfOr("presence.read")),
    ("/roster.admin.v1.AdminService/RotateSigningKey", Permission("keys.rotate")),
    ("/roster.admin.v1.AdminService/ListMails", Permission("mail.read")),
    ("/roster.admin.v1.AdminService/GetMail", Permission("mail.read")),
    ("/user.UserService/CreateUser", Public),
    ("/user.UserService/GetUser", SelfOr("users.read")),
    ("/user.UserService/ListUsers", Permission("users.list")),
    ("/user.UserService/BatchCreateUsers", Permission("users.import")),
    ("/user.UserService/StreamUserUpdates", SelfOr("users.update")),
    ("/user.UserService/DeleteUser", SelfOr("users.delete")),
    ("/NotificationService/SendMessage", SelfOr("presence.write")),
    ("/NotificationService/GetClientStatus", SelfOr("presence.read")),
];

#[test]
fn every_rule_is_the_reviewed_one() {
    let in_protos: Vec<_> = PATHS.iter().map(|path| (*path, rule(path).unwrap())).collect();
    assert_eq!(in_protos, REVIEWED);
}

#[test]
fn the_rule_is_found_by_the_exact_path_alone() {
    for path in
        ["", "/", "user.v1.UserService/GetUser", "/user.v1.UserService/GetUser/", "/user.v1.userservice/GetUser"]
    {
        assert_eq!(rule(path), None, "{path}");
    }
}

#[test]
fn a_method_without_a_rule_does_not_build() {
    let error = access::table(&compile("no_rule.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/no_rule.v1.RuleService/WithoutRule has no access rule"), "{error}");
    let error = access::table(&compile("empty_rule.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/empty_rule.v1.NothingService/Call has no access rule"), "{error}");
}

fn compile(file: &str) -> DescriptorPool {
    let here = env!("CARGO_MANIFEST_DIR");
    let mut compiler = protox::Compiler::new([format!("{here}/tests/protos"), format!("{here}/../../proto")]).unwrap();
    compiler.include_imports(true).open_file(file).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}
