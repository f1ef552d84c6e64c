//! Every method that is served: what it answers, and each error that its comment names.

use std::collections::BTreeMap;

use roster_api::user::v1::{
    CreateUserRequest, DeactivateUserRequest, DeleteUserRequest, GetUserByEmailRequest, GetUserRequest,
    HealthCheckRequest, HealthStatus, ReactivateUserRequest, Role, UpdateUserRequest, User, UserStatus,
};
use roster_server::{
    model::UserId,
    store::{FeedStore as _, Store as _},
};
use tonic::Code;

use crate::harness::{Server, create_all, everything, problem, store_in, with_email};

fn whole_user() -> CreateUserRequest {
    CreateUserRequest {
        email: "Ada@Example.com".into(),
        name: "Ada 👩‍💻 Lovelace".into(),
        password: String::new(),
        username: "ada".into(),
        role: Role::Moderator as i32,
        age: Some(36),
        phone: "+44 (20) 7946-0018".into(),
        locale: "en-gb".into(),
        attributes: BTreeMap::from([("team".into(), "engine".into())]),
        user_id: "legacy:42".into(),
        password_hash: String::new(),
        email_verified: true,
        validate_only: false,
    }
}

#[tokio::test]
pub(super) async fn a_user_is_returned_as_it_was_created_by_every_read() {
    let server = Server::dev();
    let mut users = server.users().await;
    let created = users.create_user(whole_user()).await.unwrap().into_inner();
    let at = created.created_at;
    assert!(at.is_some_and(|at| at.seconds > 1_700_000_000 && (0..1_000_000_000).contains(&at.nanos)));
    let expected = User {
        id: "legacy:42".into(),
        email: "Ada@Example.com".into(),
        name: "Ada 👩‍💻 Lovelace".into(),
        status: UserStatus::Active as i32,
        created_at: at,
        updated_at: at,
        username: "ada".into(),
        role: Role::Moderator as i32,
        age: Some(36),
        phone: "+442079460018".into(),
        locale: "en-GB".into(),
        attributes: BTreeMap::from([("team".into(), "engine".into())]),
        email_verified: true,
        etag: created.etag.clone(),
    };
    assert!(!created.etag.is_empty());
    assert_eq!(created, expected);

    let by_id = GetUserRequest { user_id: "legacy:42".into() };
    assert_eq!(users.get_user(by_id).await.unwrap().into_inner(), expected);
    for email in ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"] {
        let found = users.get_user_by_email(GetUserByEmailRequest { email: email.into() }).await.unwrap();
        assert_eq!(found.into_inner(), expected);
    }
    assert_eq!(everything(&mut users).await, [expected]);

    // A user with an email alone gets an id in time's order, and the plain role.
    let [first, second] = create_all(&mut users, &["first", "second"]).await.try_into().unwrap();
    assert!(first.id.len() == 36 && first.id < second.id && first.role == Role::User as i32, "{first:?}");
    assert!(!first.email_verified && first.age.is_none());
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_named() {
    let server = Server::dev();
    let mut users = server.users().await;
    let gone = create_all(&mut users, &["gone"]).await.remove(0);
    users.delete_user(DeleteUserRequest { user_id: gone.id.clone(), ..Default::default() }).await.unwrap();

    for user_id in [gone.id, "nonexistent".to_owned()] {
        let (id, etag) = (user_id.clone(), String::new());
        let update = UpdateUserRequest { user_id: id.clone(), name: Some("x".into()), ..Default::default() };
        for problem in [
            problem(users.get_user(GetUserRequest { user_id: id.clone() }).await),
            problem(users.update_user(update).await),
            problem(users.delete_user(DeleteUserRequest { user_id: id.clone(), etag: etag.clone() }).await),
            problem(users.deactivate_user(DeactivateUserRequest { user_id: id.clone(), etag: etag.clone() }).await),
            problem(users.reactivate_user(ReactivateUserRequest { user_id: id.clone(), etag }).await),
        ] {
            assert_eq!(problem.kind(), (Code::NotFound, "USER_NOT_FOUND"));
            // The words of seed 003.
            assert_eq!(problem.message, format!("User {user_id} not found"));
            assert_eq!(problem.resource, Some(("user.v1.User".into(), user_id.clone())));
            assert_eq!(problem.metadata["field"], "id");
            assert_eq!(problem.told_id.as_ref(), Some(&problem.request_id));
        }
    }
    let by_email = problem(users.get_user_by_email(GetUserByEmailRequest { email: "gone@example.com".into() }).await);
    assert_eq!(by_email.kind(), (Code::NotFound, "USER_NOT_FOUND"));
    assert_eq!(by_email.resource, Some(("user.v1.User".into(), "gone@example.com".into())));
    assert_eq!(by_email.metadata["field"], "email");
}

#[tokio::test]
async fn what_is_taken_is_named_in_whatever_case_and_letters() {
    let server = Server::dev();
    let mut users = server.users().await;
    users.create_user(whole_user()).await.unwrap();
    let other = create_all(&mut users, &["other"]).await.remove(0);
    let before = everything(&mut users).await;

    let email = |email: &str| with_email(email);
    let username = |name: &str| CreateUserRequest { username: name.into(), ..with_email("new@example.com") };
    let id = |id: &str| CreateUserRequest { user_id: id.into(), ..with_email("new@example.com") };
    for (request, reason, field) in [
        (email("ada@example.com"), "EMAIL_TAKEN", "email"),
        (email("ADA@EXAMPLE.COM"), "EMAIL_TAKEN", "email"),
        // The first letter is Cyrillic.
        (email("\u{430}da@example.com"), "EMAIL_TAKEN", "email"),
        (CreateUserRequest { password: "password123".into(), ..email("ada@example.com") }, "EMAIL_TAKEN", "email"),
        (username("ada"), "USERNAME_TAKEN", "username"),
        (username("ADA"), "USERNAME_TAKEN", "username"),
        (id("legacy:42"), "USER_ID_TAKEN", "id"),
    ] {
        for validate_only in [true, false] {
            let problem = problem(users.create_user(CreateUserRequest { validate_only, ..request.clone() }).await);
            assert_eq!(problem.kind(), (Code::AlreadyExists, reason), "{request:?}");
            assert_eq!(problem.metadata["field"], field);
            assert!(problem.message.contains(field), "{}", problem.message);
        }
    }
    let update = UpdateUserRequest { user_id: other.id, ..Default::default() };
    let to_email = UpdateUserRequest { email: Some("aDa@example.com".into()), ..update.clone() };
    let to_username = UpdateUserRequest { username: Some("Ada".into()), ..update };
    assert_eq!(problem(users.update_user(to_email).await).kind(), (Code::AlreadyExists, "EMAIL_TAKEN"));
    assert_eq!(problem(users.update_user(to_username).await).kind(), (Code::AlreadyExists, "USERNAME_TAKEN"));
    assert_eq!(everything(&mut users).await, before);

    // What is free again can be had again.
    users.delete_user(DeleteUserRequest { user_id: "legacy:42".into(), ..Default::default() }).await.unwrap();
    users.create_user(whole_user()).await.unwrap();
}

#[tokio::test]
pub(super) async fn one_of_32_parallel_creates_of_an_email_wins_over_several_connections() {
    let server = Server::dev();
    let mut calls = tokio::task::JoinSet::new();
    for connection in 0..4 {
        let users = server.users().await;
        for call in 0..8 {
            let mut users = users.clone();
            // Every other one in capitals.
            let email = if (connection + call) % 2 == 0 { "one@example.com" } else { "ONE@EXAMPLE.COM" };
            calls.spawn(async move { users.create_user(with_email(email)).await });
        }
    }
    let results = calls.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 31));
    for result in lost {
        assert_eq!(problem(result).kind(), (Code::AlreadyExists, "EMAIL_TAKEN"));
    }
    let winner = won.into_iter().next().unwrap().unwrap().into_inner();
    assert_eq!(everything(&mut server.users().await).await, [winner]);
}

#[tokio::test]
pub(super) async fn every_read_on_another_connection_sees_a_write_at_once() {
    let server = Server::dev();
    let (mut writer, mut reader) = (server.users().await, server.users().await);
    let id = create_all(&mut writer, &["ada"]).await.remove(0).id;
    for round in 0..100 {
        let name = format!("round {round}");
        let update = UpdateUserRequest { user_id: id.clone(), name: Some(name.clone()), ..Default::default() };
        let updated = writer.update_user(update).await.unwrap().into_inner();
        let read = reader.get_user(GetUserRequest { user_id: id.clone() }).await.unwrap().into_inner();
        assert_eq!((&read, &read.name), (&updated, &name));
        assert_eq!(everything(&mut reader).await, [updated]);
    }
}

#[tokio::test]
async fn deactivation_can_be_repeated_and_undone() {
    let server = Server::dev();
    let mut users = server.users().await;
    let user = create_all(&mut users, &["ada"]).await.remove(0);
    let off = |etag: &str| DeactivateUserRequest { user_id: user.id.clone(), etag: etag.into() };
    let on = |etag: &str| ReactivateUserRequest { user_id: user.id.clone(), etag: etag.into() };

    let inactive = users.deactivate_user(off(&user.etag)).await.unwrap().into_inner();
    assert_eq!(inactive.status, UserStatus::Inactive as i32);
    assert_ne!(inactive.etag, user.etag);
    assert_eq!(users.deactivate_user(off("")).await.unwrap().into_inner(), inactive);
    assert_eq!(problem(users.deactivate_user(off(&user.etag)).await).kind(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(problem(users.reactivate_user(on(&user.etag)).await).kind(), (Code::Aborted, "ETAG_MISMATCH"));

    let active = users.reactivate_user(on(&inactive.etag)).await.unwrap().into_inner();
    assert_eq!((active.status, &active.name), (UserStatus::Active as i32, &user.name));
    assert_eq!(users.reactivate_user(on("")).await.unwrap().into_inner(), active);
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_a_stale_etag_deletes_nothing() {
    let server = Server::dev();
    let mut users = server.users().await;
    let user = create_all(&mut users, &["ada"]).await.remove(0);
    let stale = DeleteUserRequest { user_id: user.id.clone(), etag: "stale".into() };
    let refused = problem(users.delete_user(stale).await);
    assert_eq!(refused.kind(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(refused.resource, Some(("user.v1.User".into(), user.id.clone())));
    assert_eq!(everything(&mut users).await, std::slice::from_ref(&user));

    users.delete_user(DeleteUserRequest { user_id: user.id.clone(), etag: user.etag }).await.unwrap();
    assert_eq!(everything(&mut users).await, []);

    // One change for each of the two calls that changed something, under the ids of their calls.
    let (_, folder) = server.stop().await;
    let store = store_in(&folder);
    let changes = store.list_changes(0, 10).await.unwrap().changes;
    let ids: Vec<_> = changes.iter().map(|change| change.user_id.clone()).collect();
    assert_eq!(ids, [UserId::parse(&user.id).unwrap(), UserId::parse(&user.id).unwrap()]);
    store.close().await;
}

#[tokio::test]
async fn the_health_check_tells_of_the_store() {
    let server = Server::dev();
    let health = server.users().await.health_check(HealthCheckRequest {}).await.unwrap().into_inner();
    assert_eq!(health.status, HealthStatus::Healthy as i32);
    assert_eq!(health.version, env!("CARGO_PKG_VERSION"));
    let [store, mail] = health.dependencies.as_slice() else { panic!("{health:?}") };
    assert_eq!((store.name.as_str(), store.status), ("store", HealthStatus::Healthy as i32));
    assert_eq!((mail.name.as_str(), mail.status), ("mail", HealthStatus::Healthy as i32));
    assert!(store.message.is_empty() && store.latency.is_some());
}
