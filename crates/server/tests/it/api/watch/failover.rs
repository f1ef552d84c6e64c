//! A watch over a PostgreSQL whose primary is lost with its newest changes.

use roster_api::user::v1::watch_users_response::Event;
use tonic::Code;

use super::{Watch, from_token, named, snapshot};
use crate::{
    harness::{Problem, Server},
    postgres::Pair,
};

/// Creates a user once there is a server again that takes writes.
async fn create_at_last(server: &Server, id: &str) {
    let mut users = server.users().await;
    while let Err(status) = users.create_user(named(id)).await {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_what_was_lost_ends_and_its_token_is_refused() {
    let mut pair = Pair::start();
    let url = pair.url().parse().unwrap();
    let server = Server::start(|config| config.database_url = url);
    let mut users = server.users().await;
    users.create_user(named("ada")).await.unwrap();
    let mut watch = Watch::start(&mut users, snapshot()).await;
    let (_, kept) = complete(&mut watch).await;
    pair.part().await;
    users.create_user(named("bea")).await.unwrap();
    let (lost, event) = watch.next().await;
    assert!(matches!(event, Event::Change(change) if change.user_id == "bea"));

    pair.fail_over().await;
    create_at_last(&server, "cyn").await;
    assert_eq!(Problem::in_trailers(&watch.end().await).kind(), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
    let mut resumed = Watch::start(&mut users, from_token(&lost)).await;
    assert_eq!(Problem::in_trailers(&resumed.end().await).kind(), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
    assert_eq!(Watch::start(&mut users, from_token(&kept)).await.change().await.user_id, "cyn");
    let mut anew = Watch::start(&mut users, snapshot()).await;
    let (ids, token) = complete(&mut anew).await;
    assert_eq!(ids, ["ada", "cyn"]);
    users.create_user(named("dan")).await.unwrap();
    assert_eq!(Watch::start(&mut users, from_token(&token)).await.change().await.user_id, "dan");
}

/// The users of a snapshot, and the token at its end.
async fn complete(watch: &mut Watch) -> (Vec<String>, String) {
    let mut ids = Vec::new();
    loop {
        match watch.next().await {
            (_, Event::SnapshotUser(user)) => ids.push(user.id),
            (token, Event::SnapshotComplete(_)) => return (ids, token),
            (_, other) => panic!("{other:?} in a snapshot"),
        }
    }
}
