//! Who may call what, and what a call counts as: the options in the protos against a table that was reviewed by people,
//! and what the build does with a method that has none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use prost_reflect::DescriptorPool;
use roster_api::access::{
    AccessRule::{self, Permission, Public, SelfOr, SignedIn},
    LoadClass::{self, Bulk, Hash, Stream, Vital},
    METHODS, Method,
    RateClass::{self, Mail, Read, SignIn, SignUp, Write},
    method,
};

#[path = "../build/access.rs"]
mod access;

/// Written by hand and to be changed only with a review: it is not read off the protos.
const REVIEWED: &[(&str, AccessRule, RateClass, LoadClass)] = &[
    ("/user.v1.UserService/CreateUser", Public, SignUp, LoadClass::Write),
    ("/user.v1.UserService/GetUser", SelfOr("users.read"), Read, LoadClass::Read),
    ("/user.v1.UserService/GetUserByEmail", SelfOr("users.read"), Read, LoadClass::Read),
    ("/user.v1.UserService/UpdateUser", SelfOr("users.update"), Write, LoadClass::Write),
    ("/user.v1.UserService/DeleteUser", SelfOr("users.delete"), Write, LoadClass::Write),
    ("/user.v1.UserService/DeactivateUser", SelfOr("users.deactivate"), Write, Vital),
    ("/user.v1.UserService/ReactivateUser", Permission("users.deactivate"), Write, LoadClass::Write),
    ("/user.v1.UserService/ListUsers", Permission("users.list"), Read, Bulk),
    ("/user.v1.UserService/SearchUsers", Permission("users.list"), Read, Bulk),
    ("/user.v1.UserService/HealthCheck", Public, Read, Vital),
    ("/user.v1.UserService/AddAddress", SelfOr("addresses.write"), Write, LoadClass::Write),
    ("/user.v1.UserService/GetAddress", SelfOr("addresses.read"), Read, LoadClass::Read),
    ("/user.v1.UserService/UpdateAddress", SelfOr("addresses.write"), Write, LoadClass::Write),
    ("/user.v1.UserService/DeleteAddress", SelfOr("addresses.write"), Write, LoadClass::Write),
    ("/user.v1.UserService/ListAddresses", SelfOr("addresses.read"), Read, LoadClass::Read),
    ("/user.v1.UserService/SetDefaultAddress", SelfOr("addresses.write"), Write, LoadClass::Write),
    ("/user.v1.UserService/SendVerificationEmail", Public, Mail, LoadClass::Write),
    ("/user.v1.UserService/VerifyEmail", Public, SignIn, LoadClass::Write),
    ("/user.v1.UserService/ChangePassword", SelfOr("passwords.write"), SignIn, Hash),
    ("/user.v1.UserService/RequestPasswordReset", Public, Mail, LoadClass::Write),
    ("/user.v1.UserService/ResetPassword", Public, SignIn, Hash),
    ("/user.v1.UserService/GetPreferences", SelfOr("preferences.read"), Read, LoadClass::Read),
    ("/user.v1.UserService/UpdatePreferences", SelfOr("preferences.write"), Write, LoadClass::Write),
    ("/user.v1.UserService/ImportUsers", Permission("users.import"), Write, Stream),
    ("/user.v1.UserService/ExportUsers", Permission("users.export"), Read, Bulk),
    ("/user.v1.UserService/WatchUsers", Permission("users.watch"), Read, Stream),
    ("/user.v1.UserService/ListAuditEvents", Permission("audit.read"), Read, Bulk),
    ("/auth.v1.AuthService/SignIn", Public, SignIn, Hash),
    ("/auth.v1.AuthService/RefreshToken", Public, Write, Vital),
    ("/auth.v1.AuthService/SignOut", SignedIn, Write, Vital),
    ("/auth.v1.AuthService/ListSessions", SelfOr("sessions.read"), Read, Bulk),
    ("/auth.v1.AuthService/RevokeSession", SelfOr("sessions.revoke"), Write, Vital),
    ("/auth.v1.AuthService/RevokeAllSessions", SelfOr("sessions.revoke"), Write, Vital),
    ("/auth.v1.AuthService/CreateApiKey", Permission("api_keys.write"), Write, LoadClass::Write),
    ("/auth.v1.AuthService/ListApiKeys", Permission("api_keys.read"), Read, Bulk),
    ("/auth.v1.AuthService/RevokeApiKey", Permission("api_keys.write"), Write, Vital),
    ("/notification.v1.NotificationService/SendMessage", SelfOr("presence.write"), Write, LoadClass::Read),
    ("/notification.v1.NotificationService/GetClientStatus", SelfOr("presence.read"), Read, LoadClass::Read),
    ("/notification.v1.NotificationService/Connect", SelfOr("presence.write"), Write, Stream),
    ("/notification.v1.NotificationService/WatchClientStatus", SelfOr("presence.read"), Read, Stream),
    ("/roster.admin.v1.AdminService/RotateSigningKey", Permission("keys.rotate"), Write, LoadClass::Write),
    ("/roster.admin.v1.AdminService/ListMails", Permission("mail.read"), Read, Bulk),
    ("/roster.admin.v1.AdminService/GetMail", Permission("mail.read"), Read, LoadClass::Read),
    ("/user.UserService/CreateUser", Public, SignUp, LoadClass::Write),
    ("/user.UserService/GetUser", SelfOr("users.read"), Read, LoadClass::Read),
    ("/user.UserService/ListUsers", Permission("users.list"), Read, Bulk),
    ("/user.UserService/BatchCreateUsers", Permission("users.import"), Write, Stream),
    ("/user.UserService/StreamUserUpdates", SelfOr("users.update"), Write, Stream),
    ("/user.UserService/DeleteUser", SelfOr("users.delete"), Write, LoadClass::Write),
    ("/NotificationService/SendMessage", SelfOr("presence.write"), Write, LoadClass::Read),
    ("/NotificationService/GetClientStatus", SelfOr("presence.read"), Read, LoadClass::Read),
];

#[test]
fn every_rule_and_class_is_the_reviewed_one() {
    let of = |method: &Method| (method.path, method.access, method.rate_class, method.load_class);
    let in_protos: Vec<_> = METHODS.iter().map(of).collect();
    assert_eq!(in_protos, REVIEWED);
}

#[test]
fn a_method_is_found_by_the_exact_path_alone() {
    assert!(METHODS.iter().all(|known| method(known.path) == Some(known)));
    for path in
        ["", "/", "user.v1.UserService/GetUser", "/user.v1.UserService/GetUser/", "/user.v1.userservice/GetUser"]
    {
        assert_eq!(method(path), None, "{path}");
    }
}

#[test]
fn a_method_without_a_rule_or_a_class_does_not_build() {
    let error = access::table(&compile("no_rule.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/no_rule.v1.RuleService/WithoutRule has no access rule"), "{error}");
    let error = access::table(&compile("empty_rule.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/empty_rule.v1.NothingService/Call has no access rule"), "{error}");
    let error = access::table(&compile("no_class.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/no_class.v1.ClassService/WithoutClass has no rate class"), "{error}");
    let error = access::table(&compile("no_load_class.proto")).unwrap_err().to_string();
    assert!(error.starts_with("/no_load_class.v1.LoadService/WithoutClass has no load class"), "{error}");
}

fn compile(file: &str) -> DescriptorPool {
    let here = env!("CARGO_MANIFEST_DIR");
    let mut compiler = protox::Compiler::new([format!("{here}/tests/protos"), format!("{here}/../../proto")]).unwrap();
    compiler.include_imports(true).open_file(file).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}
