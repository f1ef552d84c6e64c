//! `WatchUsers` over the wire: what is told of which change, from where, and how a watch ends.

mod ends;
mod failover;
mod filters;
pub(super) mod resume;
mod tokens;

use std::{collections::BTreeMap, time::Duration};

use roster_api::{
    client::Transport,
    user::v1::{
        ActorKind, ChangeKind, ChangePasswordRequest, CreateUserRequest, DeactivateUserRequest, DeleteUserRequest,
        ReactivateUserRequest, UpdateUserRequest, User, UserChange, WatchUsersRequest, WatchUsersResponse,
        user_service_client::UserServiceClient, watch_users_request::Start, watch_users_response::Event,
    },
};
use tonic::{Status, Streaming};

use crate::harness::{Server, problem, with_email};

/// A watch that must go on.
pub struct Watch(Streaming<WatchUsersResponse>);

impl Watch {
    pub async fn start(users: &mut UserServiceClient<Transport>, request: WatchUsersRequest) -> Self {
        Self(users.watch_users(request).await.unwrap().into_inner())
    }

    /// The next event with its token, heartbeats aside.
    pub async fn next(&mut self) -> (String, Event) {
        loop {
            match self.any().await {
                (_, Event::Heartbeat(_)) => {}
                other => return other,
            }
        }
    }

    /// The next event with its token.
    async fn any(&mut self) -> (String, Event) {
        let response = self.0.message().await.unwrap().unwrap();
        assert!((1..=512).contains(&response.resume_token.len()));
        (response.resume_token, response.event.unwrap())
    }

    /// The next event, which must be a change.
    pub async fn change(&mut self) -> UserChange {
        match self.next().await.1 {
            Event::Change(change) => change,
            other => panic!("no change: {other:?}"),
        }
    }

    /// The error that the watch ends with, whatever it says before.
    pub async fn end(&mut self) -> Status {
        loop {
            match self.0.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without an error"),
                Err(status) => return status,
            }
        }
    }
}

pub fn snapshot() -> WatchUsersRequest {
    WatchUsersRequest { start: Some(Start::Snapshot(true)), ..Default::default() }
}

pub fn from_token(token: &str) -> WatchUsersRequest {
    WatchUsersRequest { start: Some(Start::ResumeToken(token.into())), ..Default::default() }
}

pub fn with_filter(filter: &str) -> WatchUsersRequest {
    WatchUsersRequest { filter: filter.into(), ..Default::default() }
}

/// All users, as who watches knows them; nothing may come twice or too late.
#[derive(Default)]
pub struct Known(pub BTreeMap<String, User>);

impl Known {
    /// Takes an event in; `Some` when a snapshot is complete.
    pub fn take(&mut self, event: Event) -> Option<i64> {
        match event {
            Event::Change(change) => self.change(change),
            Event::SnapshotUser(user) => assert_eq!(self.0.insert(user.id.clone(), user), None, "twice"),
            Event::SnapshotComplete(complete) => return Some(complete.user_count),
            Event::Heartbeat(_) => {}
        }
        None
    }

    fn change(&mut self, change: UserChange) {
        if change.kind() == ChangeKind::Deleted {
            self.0.remove(&change.user_id);
            return;
        }
        let is_new = change.kind() == ChangeKind::Created;
        // Deleted since: who knew the user hears of it later, and who did not need not.
        let Some(user) = change.user else { return };
        let revision = revision(&user);
        let before = self.0.insert(change.user_id.clone(), user);
        assert_eq!(before.is_none(), is_new, "{}", change.user_id);
        if let Some(before) = before {
            assert_eq!(revision, super::watch::revision(&before) + 1, "a gap or a repeat of {}", change.user_id);
        }
    }
}

/// How often a user has changed, as its etag tells.
pub fn revision(user: &User) -> u64 {
    u64::from_str_radix(user.etag.split_once('-').unwrap().0, 16).unwrap()
}

/// A user to create, by id.
pub fn named(id: &str) -> CreateUserRequest {
    CreateUserRequest { user_id: id.into(), name: id.into(), ..with_email(&format!("{id}@example.com")) }
}

/// A new name for a user.
pub fn renamed(id: &str, name: &str) -> UpdateUserRequest {
    UpdateUserRequest { user_id: id.into(), name: Some(name.into()), ..Default::default() }
}

fn deleted(id: &str) -> DeleteUserRequest {
    DeleteUserRequest { user_id: id.into(), etag: String::new() }
}

#[tokio::test]
pub(super) async fn every_kind_of_change_is_told_with_who_when_and_what() {
    let server = Server::dev();
    let mut users = server.users().await;
    users.create_user(named("before")).await.unwrap();
    let mut watch = Watch::start(&mut users, WatchUsersRequest::default()).await;

    let mut request = tonic::Request::new(named("ada"));
    request.metadata_mut().insert("x-request-id", "the-first".parse().unwrap());
    let created = users.create_user(request).await.unwrap().into_inner();
    let change = watch.change().await;
    assert_eq!((change.kind(), change.user_id.as_str()), (ChangeKind::Created, "ada"));
    assert_eq!(change.user.as_ref(), Some(&created));
    assert_eq!((change.request_id.as_str(), change.changed_fields.as_slice()), ("the-first", &[][..]));
    assert_eq!(change.actor.as_ref().unwrap().kind(), ActorKind::Developer);
    assert_eq!(change.changed_at, created.created_at);

    let updated = users.update_user(renamed("ada", "Countess")).await.unwrap().into_inner();
    let change = watch.change().await;
    assert_eq!((change.kind(), change.user), (ChangeKind::Updated, Some(updated)));
    assert_eq!(change.changed_fields, ["name"]);

    let (user_id, etag) = ("ada".to_owned(), String::new());
    users.deactivate_user(DeactivateUserRequest { user_id: user_id.clone(), etag: etag.clone() }).await.unwrap();
    let inactive = watch.change().await;
    let reactivated = users.reactivate_user(ReactivateUserRequest { user_id: user_id.clone(), etag }).await.unwrap();
    let active = watch.change().await;
    assert_eq!((inactive.kind(), active.kind()), (ChangeKind::Deactivated, ChangeKind::Reactivated));
    assert_eq!(active.user, Some(reactivated.into_inner()));

    let new_password = "correct horse battery staple".to_owned();
    let password = ChangePasswordRequest { user_id, new_password, ..Default::default() };
    users.change_password(password).await.unwrap();
    assert_eq!(watch.change().await.kind(), ChangeKind::PasswordChanged);

    // What is not of the user itself is not told.
    users.get_preferences(roster_api::user::v1::GetPreferencesRequest { user_id: "ada".into() }).await.unwrap();
    users.delete_user(deleted("ada")).await.unwrap();
    let change = watch.change().await;
    assert_eq!((change.kind(), change.user, change.user_id.as_str()), (ChangeKind::Deleted, None, "ada"));
}

#[tokio::test]
async fn a_snapshot_and_the_changes_after_it_are_all_users() {
    const USERS: usize = 300;
    let server = Server::dev();
    let mut users = server.users().await;
    for number in 0..USERS {
        users.create_user(named(&format!("u-{number:03}"))).await.unwrap();
    }
    // Writers go on while the snapshot is taken.
    let mut writer = server.users().await;
    let writing = tokio::spawn(async move {
        for number in 0..USERS {
            let id = format!("u-{:03}", number * 7 % USERS);
            writer.update_user(renamed(&id, &format!("changed {number}"))).await.unwrap();
            if number % 5 == 0 {
                writer.delete_user(deleted(&id)).await.unwrap();
                writer.create_user(named(&format!("new-{number:03}"))).await.unwrap();
            }
        }
        writer.create_user(named("the-last")).await.unwrap();
    });
    let mut watch = Watch::start(&mut users, snapshot()).await;
    let (mut known, mut counted) = (Known::default(), None);
    while !known.0.contains_key("the-last") || counted.is_none() {
        counted = known.take(watch.next().await.1).or(counted);
    }
    writing.await.unwrap();
    assert!((USERS as i64..=USERS as i64 + 1).contains(&counted.unwrap()), "{counted:?}");
    let listed: Vec<_> = crate::harness::everything(&mut users).await;
    assert_eq!(known.0.len(), listed.len());
    for user in listed {
        assert_eq!(known.0.get(&user.id), Some(&user));
    }
}

#[tokio::test]
async fn a_silent_watch_beats() {
    let server = Server::dev();
    let mut users = server.users().await;
    let every = |seconds, nanos| WatchUsersRequest {
        heartbeat_interval: Some(prost_types::Duration { seconds, nanos }),
        ..Default::default()
    };
    let mut watch = Watch::start(&mut users, every(1, 0)).await;
    let mut token = String::new();
    // The first tells where the watch starts.
    for _ in 0..3 {
        let beat = tokio::time::timeout(Duration::from_secs(10), watch.any()).await.unwrap();
        assert!(matches!(beat.1, Event::Heartbeat(beat) if beat.sent_at.is_some()));
        token = beat.0;
    }
    // Its token is as good as that of any other event.
    users.create_user(named("ada")).await.unwrap();
    assert_eq!(Watch::start(&mut users, from_token(&token)).await.change().await.user_id, "ada");
    for (seconds, nanos) in [(0, 0), (0, 999_999_999), (300, 1), (-1, 0), (5, -1), (5, 1_000_000_000), (i64::MAX, 0)] {
        let problem = problem(users.watch_users(every(seconds, nanos)).await);
        assert_eq!((problem.reason.as_str(), problem.fields()), ("VALIDATION_FAILED", vec!["heartbeat_interval"]));
    }
    for (seconds, nanos) in [(1, 0), (300, 0), (299, 999_999_999)] {
        users.watch_users(every(seconds, nanos)).await.unwrap();
    }
}
