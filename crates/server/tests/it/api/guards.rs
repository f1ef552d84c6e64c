//! What protects, whoever calls: private fields, closed sign-up, the last administrator, and silence about who exists.
//!
//! The use cases are asked themselves here, as callers of every kind; what needs no sign-in goes over the wire.

use std::sync::Arc;

use roster_api::user::v1::{CreateUserRequest, Role as ApiRole};
use roster_server::{
    auth::{Caller, Service},
    config::SignUp,
    mail::{Delivery, Mailer},
    model::{Grant, Permission, PermissionSet, Role, SessionId, Staleness, SystemClock, Timestamp, User, UserId},
    ops::{
        CreateUserInput, Ctx, Error, ListAuditEventsInput, ListUsersInput, Ops, Reason, RequestId, SearchUsersInput,
        SetStatusInput, UpdateUserInput, UserAgent,
    },
    store::{LiveGrants, StoredUser, sqlite::Location, sqlite::SqliteOptions, sqlite::SqliteStore},
};
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Server, create_all, ops_over, problem, with_email};

async fn ops() -> Ops {
    let location = Location::Memory;
    let options = SqliteOptions { location, cache_bytes: 1 << 20, write_queue_max: 100, reader_threads: 1 };
    let mailer = Mailer::new(Delivery::Waiting, false, "Roster".into(), None);
    ops_over(Arc::new(SqliteStore::open(options).unwrap()), Arc::new(SystemClock), Arc::new(mailer)).await
}

fn ctx(caller: Caller) -> Ctx {
    let request_id = RequestId::parse(b"request-1").unwrap();
    Ctx {
        caller,
        request_id,
        remote: Some("192.0.2.1".parse().unwrap()),
        user_agent: UserAgent::default(),
        idempotency: None,
        staleness: Staleness::NONE,
    }
}

fn session(user: &User) -> Ctx {
    let grants = LiveGrants::default();
    let id = SessionId(Uuid::from_u128(1));
    let grant = Grant::Session { id, user_id: user.id.clone(), role: user.role, expires_at: Timestamp(i64::MAX) };
    ctx(Caller::Granted(grants.admit(grants.ticket(), grant)))
}

fn service(permissions: &[Permission]) -> Ctx {
    ctx(Caller::Service(Arc::new(Service { name: "billing".into(), permissions: PermissionSet::of(permissions) })))
}

/// Everybody can sign in. Made by another program.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";

async fn create(ops: &Ops, name: &str, role: Role) -> User {
    let input = CreateUserInput {
        email: format!("{name}@example.com"),
        role: role as i32,
        age: Some(36),
        phone: "+493012345678".into(),
        attributes: [("team".to_owned(), "blue".to_owned())].into(),
        user_id: name.into(),
        password_hash: PASSWORD_HASH.into(),
        ..CreateUserInput::default()
    };
    ops.create_user(&ctx(Caller::Developer), input).await.unwrap().user().unwrap()
}

fn has_private(user: &StoredUser) -> bool {
    let user = user.user().unwrap();
    let all = user.age.is_some() && !user.phone.is_empty() && !user.attributes.is_empty();
    let none = user.age.is_none() && user.phone.is_empty() && user.attributes.is_empty();
    assert!(all || none, "{user:?}");
    all
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    format!("{:?}", result.unwrap_err())
}

#[tokio::test]
async fn private_fields_are_for_their_user_and_for_who_holds_the_permission() {
    let ops = ops().await;
    let [ada, moderator, admin] = [
        create(&ops, "ada", Role::User).await,
        create(&ops, "mod", Role::Moderator).await,
        create(&ops, "root", Role::Admin).await,
    ];
    let writer = service(&[Permission::UsersRead, Permission::UsersUpdate, Permission::UsersDeactivate]);
    let reader = service(&[Permission::UsersRead, Permission::UsersReadPrivate]);
    for (ctx, sees) in [
        (session(&ada), true),
        (session(&moderator), false),
        (session(&admin), true),
        (writer.clone(), false),
        (reader, true),
        (ctx(Caller::Operator), true),
    ] {
        assert_eq!(has_private(&ops.get_user(&ctx, "ada").await.unwrap()), sees);
        assert_eq!(has_private(&ops.get_user_by_email(&ctx, "ADA@example.com").await.unwrap()), sees);
    }
    // The cache and its owner see all of it still.
    assert!(has_private(&ops.get_user(&session(&ada), "ada").await.unwrap()));

    let rename = || UpdateUserInput { user_id: "ada".into(), name: Some("Ada".into()), ..UpdateUserInput::default() };
    assert!(!has_private(&ops.update_user(&writer, rename()).await.unwrap()));
    assert!(has_private(&ops.update_user(&session(&ada), rename()).await.unwrap()));
    let ada_input = || SetStatusInput { user_id: "ada".into(), etag: String::new() };
    assert!(!has_private(&ops.deactivate_user(&session(&moderator), ada_input()).await.unwrap()));
    assert!(!has_private(&ops.reactivate_user(&writer, ada_input()).await.unwrap()));

    let list = |filter: &str, order: &str| ListUsersInput {
        filter: filter.into(),
        order_by: order.into(),
        ..ListUsersInput::default()
    };
    let search = |filter: &str, order: &str| SearchUsersInput {
        query: "example".into(),
        filter: filter.into(),
        order_by: order.into(),
        ..SearchUsersInput::default()
    };
    for (ctx, sees) in [(session(&moderator), false), (session(&admin), true)] {
        let listed = ops.list_users(&ctx, &list("", "")).await.unwrap().users;
        let found = ops.search_users(&ctx, &search("", "email")).await.unwrap().users;
        assert_eq!((listed.len(), found.len()), (3, 3));
        for user in listed.iter().chain(&found) {
            // Of oneself one sees all.
            assert_eq!(has_private(user), sees || user.user().unwrap().id == moderator.id);
        }
    }
    for (filter, order) in [
        ("age > 30", ""),
        ("NOT age:*", ""),
        ("status = ACTIVE AND (role = USER OR NOT phone = \"+49*\")", ""),
        ("phone:*", ""),
        ("attributes:team", ""),
        ("attributes.team = blue", ""),
        ("", "age"),
        ("", "name, age desc"),
    ] {
        let denied = format!("{:?}", Error::Refused(roster_server::auth::Refusal::Lacks(Permission::UsersReadPrivate)));
        assert_eq!(refusal(ops.list_users(&session(&moderator), &list(filter, order)).await), denied);
        assert_eq!(refusal(ops.search_users(&session(&moderator), &search(filter, order)).await), denied);
        ops.list_users(&session(&admin), &list(filter, order)).await.unwrap();
        ops.search_users(&session(&admin), &search(filter, order)).await.unwrap();
    }
    ops.close().await;
}

#[tokio::test]
async fn who_may_not_read_others_cannot_tell_them_from_nobody() {
    let ops = ops().await;
    let ada = create(&ops, "ada", Role::User).await;
    create(&ops, "bea", Role::User).await;
    let ctx = session(&ada);
    let mut answers = Vec::new();
    for whom in ["bea", "cyd"] {
        let status = || SetStatusInput { user_id: whom.into(), etag: "1-1".into() };
        let update = |validate_only| UpdateUserInput {
            user_id: whom.into(),
            // Wrong as well, which is not told either.
            email: Some("no address".into()),
            etag: "1-1".into(),
            validate_only,
            ..UpdateUserInput::default()
        };
        answers.push([
            refusal(ops.get_user(&ctx, whom).await),
            refusal(ops.get_user_by_email(&ctx, &format!("{whom}@example.com")).await),
            refusal(ops.update_user(&ctx, update(false)).await),
            refusal(ops.update_user(&ctx, update(true)).await),
            refusal(ops.delete_user(&ctx, whom, "1-1".into()).await),
            refusal(ops.deactivate_user(&ctx, status()).await),
            refusal(ops.reactivate_user(&ctx, status()).await),
        ]);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].iter().all(|answer| answer.starts_with("Refused(Lacks(")), "{answers:?}");
    assert_eq!(ops.get_user_by_email(&ctx, "ada@example.com").await.unwrap().user().unwrap().id, ada.id);
    ops.close().await;
}

#[tokio::test]
async fn closed_sign_up_is_closed_for_all_who_may_not_create_users() {
    let ops = ops().await;
    let [ada, moderator, admin] = [
        create(&ops, "ada", Role::User).await,
        create(&ops, "mod", Role::Moderator).await,
        create(&ops, "root", Role::Admin).await,
    ];
    let ops = ops.with_sign_up(false);
    let input =
        |validate_only| CreateUserInput { email: "new@example.com".into(), validate_only, ..Default::default() };
    for ctx in [ctx(Caller::Anonymous), session(&ada), session(&moderator), service(&[Permission::UsersUpdate])] {
        for validate_only in [true, false] {
            let refused = ops.create_user(&ctx, input(validate_only)).await.unwrap_err();
            assert_eq!(refused.reason(), Reason::SignUpClosed);
        }
    }
    for ctx in [session(&admin), service(&[Permission::UsersCreate]), ctx(Caller::Operator)] {
        ops.create_user(&ctx, input(true)).await.unwrap();
    }
    ops.create_user(&session(&admin), input(false)).await.unwrap();
    ops.close().await;
}

#[tokio::test]
async fn sign_up_is_closed_by_a_setting() {
    let server = Server::start(|config| (config.dev, config.sign_up) = (false, SignUp::Closed));
    let mut users = server.users().await;
    for request in [
        with_email("ada@example.com"),
        CreateUserRequest { validate_only: true, ..with_email("ada@example.com") },
        // Neither what is wrong nor what is too much is told.
        with_email("no address"),
        CreateUserRequest { role: ApiRole::Admin as i32, ..with_email("ada@example.com") },
    ] {
        let refused = problem(users.create_user(request).await);
        assert_eq!(refused.kind(), (Code::PermissionDenied, "SIGN_UP_CLOSED"));
        assert!(refused.violations.is_empty() && refused.resource.is_none(), "{refused:?}");
    }
    // Who may create users still may.
    let server = Server::start(|config| config.sign_up = SignUp::Closed);
    create_all(&mut server.users().await, &["ada"]).await;
}

#[tokio::test]
pub(super) async fn the_last_administrator_stays() {
    let ops = ops().await;
    let admin = create(&ops, "root", Role::Admin).await;
    let id = || "root".to_owned();
    for ctx in [session(&admin), ctx(Caller::Operator), service(Permission::ALL)] {
        let demote = UpdateUserInput { user_id: id(), role: Some(Role::User as i32), ..UpdateUserInput::default() };
        let status = SetStatusInput { user_id: id(), etag: String::new() };
        let refused = [
            ops.update_user(&ctx, demote).await.unwrap_err(),
            ops.deactivate_user(&ctx, status).await.unwrap_err(),
            ops.delete_user(&ctx, "root", String::new()).await.unwrap_err(),
        ];
        assert_eq!(refused.map(|error| error.reason()), [Reason::LastAdmin; 3]);
    }
    assert_eq!(ops.get_user(&session(&admin), "root").await.unwrap().user().unwrap().role, Role::Admin);
    ops.close().await;
}

#[tokio::test]
async fn the_audit_log_is_for_who_may_read_it_and_its_tokens_for_who_got_them() {
    let ops = ops().await;
    let [moderator, admin] = [create(&ops, "mod", Role::Moderator).await, create(&ops, "root", Role::Admin).await];
    let page =
        |page_token: &str| ListAuditEventsInput { page_size: 1, page_token: page_token.into(), ..Default::default() };
    assert_eq!(
        ops.list_audit_events(&session(&moderator), &page("")).await.unwrap_err().reason(),
        Reason::PermissionDenied
    );
    let token = ops.list_audit_events(&session(&admin), &page("")).await.unwrap().next_page_token.unwrap();
    let other = service(&[Permission::AuditRead]);
    assert_eq!(ops.list_audit_events(&other, &page(&token)).await.unwrap_err().reason(), Reason::PageTokenInvalid);
    let next = ops.list_audit_events(&session(&admin), &page(&token)).await.unwrap();
    assert_eq!(next.events[0].user_id, Some(UserId::parse("mod").unwrap()));
    ops.close().await;
}
