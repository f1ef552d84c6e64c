//! Who may call what: every method that there is, as every kind of caller, against a table that was reviewed by people.

mod cast;
mod requests;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderValue;
use roster_api::access::{AccessRule, METHODS, method};
use tonic::{Code, Status};

use self::cast::{Cast, Database};
use crate::harness::{Answer, Problem, Wire, grpc};

/// Who calls, in the order of the letters in [`TABLE`]. Ada names herself, and all others
/// name somebody else.
const CALLERS: [&str; 7] = [
    "nobody",
    "Ada",
    "another user",
    "a moderator",
    "an administrator",
    "a key with the scope",
    "a key with all others",
];

/// What each method does for each of [`CALLERS`]: `Y` goes on to what the request asks, `U` must sign in, `P` lacks the
/// permission. `-` is not decided before the method is served.
///
/// Written by hand and to be changed only with a review: it is not read off the rules that it checks.
const TABLE: &[(&str, &str)] = &[
    ("/user.v1.UserService/CreateUser", "YYYYYYY"),
    ("/user.v1.UserService/GetUser", "UYPYYYP"),
    ("/user.v1.UserService/GetUserByEmail", "UYPYYYP"),
    ("/user.v1.UserService/UpdateUser", "UYPPYYP"),
    ("/user.v1.UserService/DeleteUser", "UYPPYYP"),
    ("/user.v1.UserService/DeactivateUser", "UYPYYYP"),
    ("/user.v1.UserService/ReactivateUser", "UPPYYYP"),
    ("/user.v1.UserService/ListUsers", "UPPYYYP"),
    ("/user.v1.UserService/SearchUsers", "UPPYYYP"),
    ("/user.v1.UserService/HealthCheck", "YYYYYYY"),
    ("/user.v1.UserService/AddAddress", "UYPPYYP"),
    ("/user.v1.UserService/GetAddress", "UYPPYYP"),
    ("/user.v1.UserService/UpdateAddress", "UYPPYYP"),
    ("/user.v1.UserService/DeleteAddress", "UYPPYYP"),
    ("/user.v1.UserService/ListAddresses", "UYPPYYP"),
    ("/user.v1.UserService/SetDefaultAddress", "UYPPYYP"),
    ("/user.v1.UserService/SendVerificationEmail", "YYYYYYY"),
    ("/user.v1.UserService/VerifyEmail", "YYYYYYY"),
    ("/user.v1.UserService/ChangePassword", "UYPPYYP"),
    ("/user.v1.UserService/RequestPasswordReset", "YYYYYYY"),
    ("/user.v1.UserService/ResetPassword", "YYYYYYY"),
    ("/user.v1.UserService/GetPreferences", "UYPPYYP"),
    ("/user.v1.UserService/UpdatePreferences", "UYPPYYP"),
    ("/user.v1.UserService/ImportUsers", "UPPPYYP"),
    ("/user.v1.UserService/ExportUsers", "UPPPYYP"),
    ("/user.v1.UserService/WatchUsers", "UPPPYYP"),
    ("/user.v1.UserService/ListAuditEvents", "UPPPYYP"),
    ("/auth.v1.AuthService/SignIn", "YYYYYYY"),
    ("/auth.v1.AuthService/RefreshToken", "YYYYYYY"),
    ("/auth.v1.AuthService/SignOut", "UYYYYYY"),
    ("/auth.v1.AuthService/ListSessions", "UYPYYYP"),
    ("/auth.v1.AuthService/RevokeSession", "UYPYYYP"),
    ("/auth.v1.AuthService/RevokeAllSessions", "UYPYYYP"),
    ("/auth.v1.AuthService/CreateApiKey", "UPPPYYP"),
    ("/auth.v1.AuthService/ListApiKeys", "UPPPYYP"),
    ("/auth.v1.AuthService/RevokeApiKey", "UPPPYYP"),
    ("/notification.v1.NotificationService/SendMessage", "UYPPYYP"),
    ("/notification.v1.NotificationService/GetClientStatus", "UYPYYYP"),
    ("/notification.v1.NotificationService/Connect", "UYPPYYP"),
    ("/notification.v1.NotificationService/WatchClientStatus", "UYPYYYP"),
    ("/roster.admin.v1.AdminService/RotateSigningKey", "UPPPYYP"),
    ("/roster.admin.v1.AdminService/ListMails", "UPPPYYP"),
    ("/roster.admin.v1.AdminService/GetMail", "UPPPYYP"),
    ("/user.UserService/CreateUser", "YYYYYYY"),
    ("/user.UserService/GetUser", "UYPYYYP"),
    ("/user.UserService/ListUsers", "UPPYYYP"),
    ("/user.UserService/BatchCreateUsers", "UPPPYYP"),
    // A user may begin: each answer says whether that one was allowed.
    ("/user.UserService/StreamUserUpdates", "UYYYYYP"),
    ("/user.UserService/DeleteUser", "UYPPYYP"),
    ("/NotificationService/SendMessage", "UYPPYYP"),
    ("/NotificationService/GetClientStatus", "UYPYYYP"),
    ("/grpc.health.v1.Health/Check", "YYYYYYY"),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "UYYYYYY"),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "UYYYYYY"),
];

/// Deletes whomever it names.
const DELETES: &str = "/user.UserService/DeleteUser";

/// Calls `path` with what `requests` has for it about the user `target`.
async fn call(wire: &Wire, path: &str, target: &str, authorization: Option<&str>) -> Answer {
    let mut request = grpc(path, &requests::about(path, target));
    if path.ends_with("/WatchClientStatus") {
        // Goes on for ever where it is let through.
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("100m"));
    }
    if let Some(token) = authorization {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        request.headers_mut().insert("authorization", value);
    }
    wire.send(request).await
}

/// The letter of an outcome.
fn letter(status: &Status) -> char {
    if status.code() == Code::Ok {
        return 'Y';
    }
    match Problem::in_trailers(status).kind() {
        (Code::Unauthenticated, "CREDENTIALS_MISSING") => 'U',
        (Code::Unauthenticated, "CREDENTIALS_INVALID") => 'I',
        (Code::PermissionDenied, "PERMISSION_DENIED") => 'P',
        _ => 'Y',
    }
}

/// The permission that a method's rule names.
fn permission(path: &str) -> Option<&'static str> {
    match method(path)?.access {
        AccessRule::SelfOr(name) | AccessRule::Permission(name) => Some(name),
        _ => None,
    }
}

#[test]
fn the_table_has_a_row_for_every_method_and_none_besides() {
    let rows: BTreeSet<_> = TABLE.iter().map(|(path, _)| *path).collect();
    assert_eq!(rows.len(), TABLE.len(), "a method twice");
    let missing: Vec<_> = METHODS.iter().map(|method| method.path).filter(|path| !rows.contains(path)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let standard = |path: &str| path.starts_with("/grpc.");
    let unknown: Vec<_> = rows.iter().filter(|path| method(path).is_none() && !standard(path)).collect();
    assert!(unknown.is_empty(), "no such method: {unknown:?}");
    for (path, letters) in TABLE {
        assert_eq!(letters.len(), CALLERS.len(), "{path}");
        assert!(letters.chars().all(|letter| "YUP-".contains(letter)), "{path}");
    }
}

#[tokio::test]
async fn every_method_answers_every_caller_as_the_table_says() {
    let cast = Cast::gather().await;
    let wire = cast.server.wire().await;
    let mut wrong = Vec::new();
    // What ends the caller's own session comes last, and what cannot but delete, for want of an etag, after it.
    let mut rows: Vec<_> = TABLE.to_vec();
    rows.sort_by_key(|(path, _)| (*path == DELETES, path.ends_with("/SignOut")));
    for (path, letters) in rows {
        let keys = permission(path).map(|name| cast.keys_for(name));
        for (caller, expected) in letters.chars().enumerate().filter(|(_, letter)| *letter != '-') {
            let fresh;
            let token = match (caller, &keys) {
                (0, _) => None,
                (1..5, _) if path == DELETES => {
                    fresh = cast.sign_in(CALLERS[caller]).await;
                    Some(fresh.as_str())
                }
                (5, Some((with, _))) => Some(*with),
                (6, Some((_, without))) => Some(*without),
                (5 | 6, None) => Some(cast.any_key()),
                _ => Some(cast.token(CALLERS[caller])),
            };
            let before = (expected != 'Y').then(|| Database::read(&cast));
            // Only Ada names Ada: what ends another's sessions would end hers.
            let target = if caller == 1 { &cast.ada } else { &cast.idle };
            let answered = call(&wire, path, target, token).await.status();
            let got = letter(&answered);
            if got != expected {
                wrong
                    .push(format!("{path} as {}: {got} where the table has {expected}: {answered:?}", CALLERS[caller]));
            }
            if let Some(before) = before {
                assert_eq!(
                    Database::read(&cast),
                    before,
                    "{path} was refused to {} and changed something",
                    CALLERS[caller]
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn whoever_may_not_look_cannot_tell_a_foreign_id_from_an_absent_one() {
    let cast = Cast::gather().await;
    let wire = cast.server.wire().await;
    for (path, letters) in TABLE.iter().filter(|(_, letters)| letters.as_bytes()[2] == b'P') {
        let told = async |target: &str| {
            let answer = call(&wire, path, target, Some(cast.token("another user"))).await;
            let status = answer.status();
            let problem = Problem::in_trailers(&status);
            (problem.kind().0, problem.reason, problem.message, problem.metadata, problem.violations, problem.resource)
        };
        let absent = cast.absent();
        assert_eq!(told(&cast.ada).await, told(&absent).await, "{path} {letters}");
    }
}

#[tokio::test]
async fn credentials_that_are_not_good_are_refused_by_every_method() {
    let cast = Cast::gather().await;
    let wire = cast.server.wire().await;
    let bad: BTreeMap<&str, String> = tokens::bad(&cast).await;
    let before = Database::read(&cast);
    let mut wrong = Vec::new();
    for (path, _) in TABLE {
        for (what, token) in &bad {
            let status = call(&wire, path, &cast.ada, Some(token)).await.status();
            if letter(&status) != 'I' {
                wrong.push(format!("{path} with {what}: {status:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(Database::read(&cast), before);
}

#[tokio::test]
async fn what_was_taken_away_a_second_ago_is_gone() {
    let cast = Cast::gather().await;
    let wire = cast.server.wire().await;
    let admin = cast.token("an administrator").to_owned();
    let demoted = cast.sign_in("demoted").await;
    let path = "/user.v1.UserService/ListUsers";
    assert_eq!(letter(&call(&wire, path, &cast.ada, Some(&demoted)).await.status()), 'Y');
    cast.set_role("demoted", roster_api::user::v1::Role::User, &admin).await;
    assert_eq!(letter(&call(&wire, path, &cast.ada, Some(&demoted)).await.status()), 'P');
}

#[tokio::test]
async fn one_permission_does_not_become_all_of_them_by_way_of_another_user() {
    let cast = Cast::gather().await;
    let wire = cast.server.wire().await;
    let as_key = async |permission: &str, path: &str, message: Vec<u8>| {
        let mut request = grpc(path, &message);
        let bearer = HeaderValue::from_str(&format!("Bearer {}", cast.keys_for(permission).0)).unwrap();
        request.headers_mut().insert("authorization", bearer);
        letter(&wire.send(request).await.status())
    };
    for (permission, path, message) in requests::climbing("root", &cast.idle) {
        assert_eq!(as_key(permission, path, message).await, 'P', "{path} with {permission} alone");
    }
    let moderator = cast.token("a moderator");
    for path in ["/user.v1.UserService/DeactivateUser", "/auth.v1.AuthService/RevokeAllSessions"] {
        let answer = call(&wire, path, "root", Some(moderator)).await;
        assert_eq!(letter(&answer.status()), 'P', "{path} by a moderator, of an administrator");
    }
}
