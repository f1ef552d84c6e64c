//! How a watch ends: with the server, with the right to watch, and when there are too many.

use std::time::{Duration, SystemTime};

use roster_api::{
    auth::v1::{RefreshTokenRequest, RevokeApiKeyRequest},
    user::v1::{CreateUserRequest, Role, WatchUsersRequest, watch_users_response::Event},
    watch::Step,
};
use tonic::Code;

use super::{Watch, from_token, named, snapshot};
use crate::{
    api::{
        api_keys::create_key,
        sign_in::{PASSWORD, sign_in},
    },
    harness::{Problem, Server, problem, signed_in},
};

#[tokio::test]
async fn a_drain_ends_watches_with_the_token_to_go_on_from() {
    let server = Server::dev();
    let mut users = server.users().await;
    for number in 0..300 {
        users.create_user(named(&format!("u-{number:03}"))).await.unwrap();
    }
    let mut idle = Watch::start(&mut users, Default::default()).await;
    users.create_user(named("ada")).await.unwrap();
    assert_eq!(idle.change().await.user_id, "ada");
    // Reads a single user of its snapshot, and then nothing until the server has begun to stop.
    let mut busy = Watch::start(&mut server.users().await, snapshot()).await;
    let first = busy.next().await;
    drop(users);
    server.shutdown();
    let mut tokens = Vec::new();
    for watch in [&mut idle, &mut busy] {
        let problem = Problem::in_trailers(&watch.end().await);
        assert_eq!(problem.kind(), (Code::Unavailable, "SHUTTING_DOWN"));
        tokens.push(problem.metadata["resume_token"].clone());
    }
    let (report, folder) = server.ended().await;
    assert_eq!(report.connections_cut, 0, "{report:?}");

    let server = Server::start_in(folder, |_| ());
    let mut users = server.users().await;
    users.create_user(named("bea")).await.unwrap();
    assert_eq!(Watch::start(&mut users, from_token(&tokens[0])).await.change().await.user_id, "bea");
    // The snapshot goes on after what was sent, whatever of it was read: the token of what was read is as good.
    let mut again = Watch::start(&mut users, from_token(&first.0)).await;
    let mut known = super::Known::default();
    known.take(first.1);
    while known.take(again.next().await.1).is_none() {}
    assert_eq!(known.0.len(), 302);
}

#[tokio::test]
async fn a_watch_ends_with_the_key_of_its_caller() {
    let server = Server::dev();
    let (id, secret) = create_key(&server, &["users.watch"]).await;
    let mut users = server.users().await;
    let request = signed_in(Default::default(), &secret);
    let mut watch = Watch(users.watch_users(request).await.unwrap().into_inner());
    users.create_user(named("ada")).await.unwrap();
    assert_eq!(watch.change().await.user_id, "ada");
    server.auth().await.revoke_api_key(RevokeApiKeyRequest { api_key_id: id }).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(1), watch.end()).await.unwrap();
    assert_eq!(Problem::in_trailers(&ended).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let again = problem(users.watch_users(signed_in(Default::default(), &secret)).await);
    assert_eq!(again.reason, "CREDENTIALS_INVALID");
}

#[tokio::test]
async fn there_are_no_more_watches_than_may_be() {
    let server = Server::start(|config| config.watchers_max = 2);
    let mut users = server.users().await;
    let one = Watch::start(&mut users, Default::default()).await;
    let mut two = Watch::start(&mut users, Default::default()).await;
    let refused = problem(users.watch_users(WatchUsersRequest::default()).await);
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "WATCHER_LIMIT_REACHED"));
    assert!(refused.retry_after.is_some());
    drop(one);
    // The server hears of it soon.
    let mut three = loop {
        match users.watch_users(WatchUsersRequest::default()).await {
            Ok(stream) => break Watch(stream.into_inner()),
            Err(status) => assert_eq!(Problem::of(&status).reason, "WATCHER_LIMIT_REACHED"),
        }
    };
    users.create_user(named("ada")).await.unwrap();
    for watch in [&mut two, &mut three] {
        assert_eq!(watch.change().await.user_id, "ada");
    }
}

/// How long access tokens are good here.
const LIFETIME: Duration = Duration::from_secs(3);

/// A server with short-lived tokens and an administrator.
async fn with_brief_tokens() -> Server {
    let server = Server::start(|config| config.access_token_lifetime = LIFETIME);
    let password = PASSWORD.into();
    let ada = CreateUserRequest { role: Role::Admin.into(), password, ..named("ada") };
    server.users().await.create_user(ada).await.unwrap();
    server
}

#[tokio::test]
async fn a_watch_ends_with_the_access_token_that_it_was_opened_with() {
    let server = with_brief_tokens().await;
    let tokens = sign_in(&mut server.auth().await, "ada@example.com", PASSWORD).await.unwrap().tokens.unwrap();
    let mut users = server.users().await;
    let request = signed_in(Default::default(), &tokens.access_token);
    let mut watch = Watch(users.watch_users(request).await.unwrap().into_inner());
    users.create_user(named("bea")).await.unwrap();
    let (kept, _) = watch.next().await;
    assert_eq!(Problem::in_trailers(&watch.end().await).kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let ends = SystemTime::try_from(tokens.access_token_expires_at.unwrap()).unwrap();
    assert!(SystemTime::now() >= ends, "not before its time");
    // The session stands, and goes on with its next token.
    users.create_user(named("eve")).await.unwrap();
    let refresh = RefreshTokenRequest { refresh_token: tokens.refresh_token };
    let next = server.auth().await.refresh_token(refresh).await.unwrap().into_inner().tokens.unwrap();
    let request = signed_in(from_token(&kept), &next.access_token);
    let mut watch = Watch(users.watch_users(request).await.unwrap().into_inner());
    assert_eq!(watch.change().await.user_id, "eve");
}

#[tokio::test]
async fn the_watch_of_the_client_goes_on_from_token_to_token() {
    let server = with_brief_tokens().await;
    let ada = server.client().await.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let second = prost_types::Duration { seconds: 1, nanos: 0 };
    let request = WatchUsersRequest { heartbeat_interval: Some(second), ..Default::default() };
    let mut watch = ada.watch(request);
    let mut users = server.users().await;
    watch.next().await.unwrap();
    let mut seen = Vec::new();
    for number in 0..3 {
        let id = format!("u-{number}");
        loop {
            match watch.step().await.unwrap() {
                Step::Told(told) => seen.extend(told.event.and_then(changed)),
                Step::Cut(error, _) => {
                    assert_eq!(error.reason(), Some("CREDENTIALS_INVALID"));
                    break;
                }
            }
        }
        // While nobody watches.
        users.create_user(named(&id)).await.unwrap();
    }
    while seen.len() < 3 {
        seen.extend(watch.next().await.unwrap().event.and_then(changed));
    }
    assert_eq!(seen, ["u-0", "u-1", "u-2"]);
}

fn changed(event: Event) -> Option<String> {
    match event {
        Event::Change(change) => Some(change.user_id),
        _ => None,
    }
}
