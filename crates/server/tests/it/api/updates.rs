//! UpdateUser: presence, masks, etags, and what only looks like a change.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use roster_api::{
    client::Transport,
    user::v1::{
        CreateUserRequest, GetUserRequest, Role, UpdateUserRequest, User, user_service_client::UserServiceClient,
    },
};
use tonic::Code;

use crate::harness::{Problem, Server, everything, problem, with_email};

/// A server with one user that has everything.
struct Fixture {
    users: UserServiceClient<Transport>,
    user: User,
    _server: Server,
}

async fn fixture() -> Fixture {
    let server = Server::dev();
    let mut users = server.users().await;
    let request = CreateUserRequest {
        name: "Ada".into(),
        username: "ada".into(),
        role: Role::Admin as i32,
        age: Some(36),
        phone: "+442079460018".into(),
        locale: "en".into(),
        attributes: attributes(&[("team", "blue"), ("desk", "7")]),
        email_verified: true,
        ..with_email("ada@example.com")
    };
    let user = users.create_user(request).await.unwrap().into_inner();
    Fixture { users, user, _server: server }
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

impl Fixture {
    /// An update of the user that changes nothing yet.
    fn update(&self) -> UpdateUserRequest {
        UpdateUserRequest { user_id: self.user.id.clone(), ..Default::default() }
    }

    /// What the update leaves, apart from the marks that every change leaves.
    async fn after(&mut self, request: UpdateUserRequest) -> User {
        let after = self.users.update_user(request).await.unwrap().into_inner();
        let read = self.users.get_user(GetUserRequest { user_id: self.user.id.clone() }).await.unwrap().into_inner();
        assert_eq!(read, after);
        assert_ne!(after.etag, self.user.etag);
        User { etag: self.user.etag.clone(), updated_at: self.user.updated_at, ..after }
    }

    async fn refused(&mut self, request: UpdateUserRequest) -> Problem {
        let problem = problem(self.users.update_user(request).await);
        assert_eq!(everything(&mut self.users).await, std::slice::from_ref(&self.user));
        problem
    }
}

#[tokio::test]
async fn without_a_mask_the_fields_that_are_present_count() {
    let mut fixture = fixture().await;
    let request = UpdateUserRequest { name: Some("Countess".into()), age: Some(0), ..fixture.update() };
    let expected = User { name: "Countess".into(), age: Some(0), ..fixture.user.clone() };
    assert_eq!(fixture.after(request).await, expected);

    // Empty is present: it clears. Attributes that are present replace all.
    let request = UpdateUserRequest {
        username: Some(String::new()),
        phone: Some(String::new()),
        attributes: attributes(&[("team", "red")]),
        ..fixture.update()
    };
    let attributes = attributes(&[("team", "red")]);
    let expected = User { username: String::new(), phone: String::new(), attributes, ..expected };
    assert_eq!(fixture.after(request).await, expected);
}

#[tokio::test]
async fn a_mask_sets_what_it_names_and_clears_what_is_not_present() {
    let mut fixture = fixture().await;
    // Present but not named: left alone.
    let request = UpdateUserRequest {
        name: Some("ignored".into()),
        locale: Some("de".into()),
        update_mask: mask(&["locale", "username", "age", "role", "email_verified"]),
        ..fixture.update()
    };
    let expected = User {
        locale: "de".into(),
        username: String::new(),
        age: None,
        role: Role::User as i32,
        email_verified: false,
        ..fixture.user.clone()
    };
    assert_eq!(fixture.after(request).await, expected);
}

#[tokio::test]
async fn a_star_replaces_all_and_stands_alone() {
    let mut fixture = fixture().await;
    let update = fixture.update();
    let star = |paths| UpdateUserRequest { update_mask: mask(paths), ..update.clone() };
    let without_email = fixture.refused(star(&["*"])).await;
    assert_eq!((without_email.code, without_email.fields()), (Code::InvalidArgument, vec!["email"]));
    let with_name = UpdateUserRequest { email: Some("x@y.z".into()), ..star(&["*", "name"]) };
    let not_alone = fixture.refused(with_name).await;
    assert_eq!((not_alone.code, not_alone.fields()), (Code::InvalidArgument, vec!["update_mask"]));

    let (email, name) = (Some("new@example.com".into()), Some("New".into()));
    let request = UpdateUserRequest { email, name, ..star(&["*"]) };
    let User { id, status, created_at, updated_at, etag, .. } = fixture.user.clone();
    let expected = User {
        email: "new@example.com".into(),
        name: "New".into(),
        role: Role::User as i32,
        ..User { id, status, created_at, updated_at, etag, ..Default::default() }
    };
    assert_eq!(fixture.after(request).await, expected);
}

#[tokio::test]
async fn single_attributes_are_set_and_removed_by_their_path() {
    let mut fixture = fixture().await;
    let request = UpdateUserRequest {
        attributes: attributes(&[("team", "red"), ("new.key", "1"), ("not named", "is not looked at")]),
        update_mask: mask(&["attributes.team", "attributes.desk", "attributes.new.key", "attributes.absent"]),
        ..fixture.update()
    };
    let expected = User { attributes: attributes(&[("team", "red"), ("new.key", "1")]), ..fixture.user.clone() };
    assert_eq!(fixture.after(request).await, expected);

    // The limits hold for what the user has after the change, and a request that breaks them changes nothing.
    fixture.user =
        fixture.users.get_user(GetUserRequest { user_id: fixture.user.id.clone() }).await.unwrap().into_inner();
    let many: Vec<_> = (0..63).map(|n| format!("key{n}")).collect();
    let paths: Vec<_> = many.iter().map(|key| format!("attributes.{key}")).collect();
    let request = UpdateUserRequest {
        attributes: many.iter().map(|key| (key.clone(), "x".to_owned())).collect(),
        update_mask: Some(FieldMask { paths }),
        ..fixture.update()
    };
    let refused = fixture.refused(request).await;
    assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["attributes"]));
}

#[tokio::test]
async fn a_new_address_is_unverified_unless_said_otherwise() {
    let mut fixture = fixture().await;
    let update = fixture.update();
    let to = |email: &str| UpdateUserRequest { email: Some(email.into()), ..update.clone() };
    let (plain, verified) = (to("a@example.com"), to("b@example.com"));
    // Another spelling of one's own address is not taken.
    let respelled = to("ADA@example.com");
    assert_eq!(fixture.after(respelled).await.email, "ADA@example.com");
    assert!(!fixture.after(plain).await.email_verified);
    assert!(fixture.after(UpdateUserRequest { email_verified: Some(true), ..verified }).await.email_verified);
}

#[tokio::test]
async fn an_email_cannot_be_cleared() {
    let mut fixture = fixture().await;
    let empty = UpdateUserRequest { email: Some(String::new()), ..fixture.update() };
    let by_mask = UpdateUserRequest { update_mask: mask(&["email", "name"]), ..fixture.update() };
    for request in [empty, by_mask] {
        let refused = fixture.refused(request).await;
        assert_eq!((refused.kind(), refused.fields()), ((Code::InvalidArgument, "VALIDATION_FAILED"), vec!["email"]));
    }
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_mark() {
    let mut fixture = fixture().await;
    let same = UpdateUserRequest { name: Some("Ada".into()), etag: fixture.user.etag.clone(), ..fixture.update() };
    let rehearsal = UpdateUserRequest { name: Some("Countess".into()), validate_only: true, ..fixture.update() };
    for (request, name) in [(fixture.update(), "Ada"), (same, "Ada"), (rehearsal, "Countess")] {
        let answer = fixture.users.update_user(request).await.unwrap().into_inner();
        assert_eq!((answer.name.as_str(), &answer.id), (name, &fixture.user.id));
        assert_eq!(everything(&mut fixture.users).await, [fixture.user.clone()]);
    }
    let create = CreateUserRequest { validate_only: true, ..with_email("new@example.com") };
    assert_eq!(fixture.users.create_user(create).await.unwrap().into_inner().email, "new@example.com");
    assert_eq!(everything(&mut fixture.users).await, [fixture.user.clone()]);
}

#[tokio::test]
pub(super) async fn a_stale_etag_aborts_and_the_right_one_goes_on() {
    let mut fixture = fixture().await;
    let update = fixture.update();
    let named =
        |name: &str, etag: &str| UpdateUserRequest { name: Some(name.into()), etag: etag.into(), ..update.clone() };
    let (stale, absurd) = (named("x", "\"1\""), named("x", &"e".repeat(100_000)));
    let first = named("First", &fixture.user.etag);
    let second = named("Second", &fixture.user.etag);
    for request in [stale, absurd] {
        let refused = fixture.refused(request).await;
        assert_eq!(refused.kind(), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(refused.resource, Some(("user.v1.User".into(), fixture.user.id.clone())));
    }
    let after = fixture.users.update_user(first).await.unwrap().into_inner();
    assert!(after.updated_at.map(|t| (t.seconds, t.nanos)) >= fixture.user.updated_at.map(|t| (t.seconds, t.nanos)));
    // The slower of two that read the same.
    assert_eq!(problem(fixture.users.update_user(second).await).kind(), (Code::Aborted, "ETAG_MISMATCH"));
    assert_eq!(everything(&mut fixture.users).await, [after]);
}
