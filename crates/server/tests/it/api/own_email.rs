//! One's own email address takes the password: a stolen token alone must not become the account.

use std::time::Duration;

use roster_api::{
    client::Transport,
    user::v1::{
        CreateUserRequest, GetUserRequest, Role, UpdateUserRequest, User, user_service_client::UserServiceClient,
    },
};
use tonic::{Code, Status};

use super::sign_in::{PASSWORD, looked_at, sign_in, sign_up};
use crate::harness::{Problem, Server, problem, signed_in, with_email};

/// Somebody with a session.
struct Person {
    users: UserServiceClient<Transport>,
    user: User,
    token: String,
}

impl Person {
    async fn of(server: &Server, user: User, password: &str) -> Self {
        let tokens = sign_in(&mut server.auth().await, &user.email, password).await.unwrap().tokens.unwrap();
        Self { users: server.users().await, user, token: tokens.access_token }
    }

    fn to(&self, email: &str, password: Option<&str>) -> UpdateUserRequest {
        let current_password = password.map(str::to_owned);
        let user_id = self.user.id.clone();
        UpdateUserRequest { user_id, email: Some(email.into()), current_password, ..Default::default() }
    }

    async fn update(&self, request: UpdateUserRequest) -> Result<User, Status> {
        Ok(self.users.clone().update_user(signed_in(request, &self.token)).await?.into_inner())
    }

    async fn refused(&self, request: UpdateUserRequest) -> Problem {
        problem(self.update(request).await)
    }

    async fn email(&self) -> String {
        let get = signed_in(GetUserRequest { user_id: self.user.id.clone() }, &self.token);
        self.users.clone().get_user(get).await.unwrap().into_inner().email
    }
}

#[tokio::test]
async fn a_token_alone_does_not_change_the_email() {
    let server = Server::start(|config| config.dev = false);
    let ada = Person::of(&server, sign_up(&server, "ada").await, PASSWORD).await;
    let evil = "evil@example.com";
    let required = |fields: &[&str]| (Code::InvalidArgument, "VALIDATION_FAILED".to_owned(), fields.join(","));
    let told = |problem: Problem| (problem.code, problem.reason.clone(), problem.fields().join(","));
    for request in [
        ada.to(evil, None),
        ada.to(evil, Some("")),
        // One that looks the same is another one's.
        ada.to("ada@ехample.com", None),
        UpdateUserRequest { validate_only: true, ..ada.to(evil, None) },
        UpdateUserRequest { update_mask: Some(mask(&["email"])), ..ada.to(evil, None) },
    ] {
        assert_eq!(told(ada.refused(request).await), required(&["current_password"]));
    }
    // None that it could be, and not repeated.
    for hostile in ["hunter2\0".to_owned(), "hunter2".repeat(200), "\0".into(), "hunter2\u{a0}\0".repeat(1 << 16)] {
        let refused = ada.refused(ada.to(evil, Some(&hostile))).await;
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        assert_eq!(told(refused), required(&["current_password"]));
    }
    // All that is wrong is told at once.
    let old = UpdateUserRequest { age: Some(-1), ..ada.to(evil, None) };
    assert_eq!(told(ada.refused(old).await), required(&["age", "current_password"]));
    for validate_only in [true, false] {
        let wrong = UpdateUserRequest { validate_only, ..ada.to(evil, Some("wrong password")) };
        let refused = told(ada.refused(wrong).await);
        assert_eq!(refused, (Code::InvalidArgument, "PASSWORD_WRONG".into(), "current_password".into()));
    }
    assert_eq!(ada.email().await, "ada@example.com");

    // What is not the address needs no password, nor does the address in another case.
    let named = UpdateUserRequest { name: Some("Ada".into()), ..ada.to("ADA@example.com", None) };
    assert_eq!(ada.update(named).await.unwrap().email, "ADA@example.com");
    // The right one.
    let tried = UpdateUserRequest { validate_only: true, ..ada.to("new@example.com", Some(PASSWORD)) };
    assert_eq!(ada.update(tried).await.unwrap().email, "new@example.com");
    assert_eq!(ada.email().await, "ADA@example.com");
    let changed = ada.update(ada.to("new@example.com", Some(PASSWORD))).await.unwrap();
    assert_eq!((changed.email.as_str(), changed.email_verified), ("new@example.com", false));
}

fn mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() }
}

#[tokio::test]
async fn administrators_give_theirs_for_themselves_and_none_for_others() {
    let server = Server::dev();
    let root = CreateUserRequest {
        password: PASSWORD.into(),
        role: Role::Admin.into(),
        email_verified: true,
        ..with_email("root@example.com")
    };
    let root = server.users().await.create_user(root).await.unwrap().into_inner();
    let root = Person::of(&server, root, PASSWORD).await;
    let ada = sign_up(&server, "ada").await;
    let of_ada = UpdateUserRequest { user_id: ada.id.clone(), ..root.to("lovelace@example.com", None) };
    assert_eq!(root.update(of_ada).await.unwrap().email, "lovelace@example.com");
    // Not looked at where it is not needed.
    let of_ada = UpdateUserRequest { user_id: ada.id, ..root.to("ada@example.com", Some("")) };
    assert_eq!(root.update(of_ada).await.unwrap().email, "ada@example.com");
    let verified = UpdateUserRequest { email_verified: Some(true), ..root.to("r@example.com", None) };
    assert_eq!(root.refused(verified.clone()).await.fields(), ["current_password"]);
    let with_password = UpdateUserRequest { current_password: Some(PASSWORD.into()), ..verified };
    assert!(root.update(with_password).await.unwrap().email_verified);
    // Who has no session has no password to give.
    let mut users = server.users().await;
    users.update_user(root.to("root@example.com", None)).await.unwrap();
}

#[tokio::test]
async fn guesses_at_it_are_counted_with_those_at_sign_in() {
    let server = Server::start(|config| config.dev = false);
    let ada = Person::of(&server, sign_up(&server, "ada").await, PASSWORD).await;
    let auth = server.auth().await;
    let ada = &ada;
    let guess = |number: usize| {
        let (mut users, mut auth) = (ada.users.clone(), auth.clone());
        let request = signed_in(ada.to("evil@example.com", Some("wrong password")), &ada.token);
        async move {
            if number.is_multiple_of(2) {
                return sign_in(&mut auth, "ada", "wrong password").await.map(drop);
            }
            users.update_user(request).await.map(drop)
        }
    };
    looked_at(5, (0..12).map(guess)).await;
    // However slow the machine, the wait outlasts the next call then.
    let lasting = async || {
        let refused = ada.refused(ada.to("evil@example.com", Some("wrong password"))).await;
        refused.retry_after.is_some_and(|wait| wait > Duration::from_secs(2))
    };
    while !lasting().await {}
    // The right one has to wait as well, and what needs none goes on.
    let locked = ada.refused(ada.to("evil@example.com", Some(PASSWORD))).await;
    assert_eq!(locked.kind(), (Code::ResourceExhausted, "ACCOUNT_LOCKED"));
    assert!(locked.retry_after.is_some());
    let renamed = UpdateUserRequest { user_id: ada.user.id.clone(), name: Some("Ada".into()), ..Default::default() };
    ada.update(renamed).await.unwrap();
}
