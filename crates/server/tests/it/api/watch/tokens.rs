//! Resume tokens that are of no use, and what is said of each.

use roster_api::user::v1::WatchUsersRequest;
use roster_server::{
    model::Timestamp,
    store::{FeedStore as _, LogTrim, Store as _},
};
use tonic::Code;

use super::{Watch, from_token, named, renamed, with_filter};
use crate::harness::{Problem, Server, database_in, problem, store_in};

#[tokio::test]
async fn garbage_and_what_belongs_elsewhere_is_refused() {
    let (server, other) = (Server::dev(), Server::dev());
    let (mut users, mut elsewhere) = (server.users().await, other.users().await);
    let mut tokens = Vec::new();
    for users in [&mut users, &mut elsewhere] {
        let mut watch = Watch::start(users, Default::default()).await;
        users.create_user(named("ada")).await.unwrap();
        tokens.push(watch.next().await.0);
    }
    let token = &tokens[0];
    let (last, rest) = (token.chars().last().unwrap(), &token[..token.len() - 1]);
    let page = roster_api::user::v1::SearchUsersRequest { page_size: 1, ..Default::default() };
    users.create_user(named("bea")).await.unwrap();
    let page_token = users.search_users(page).await.unwrap().into_inner().next_page_token;
    let garbage = [
        String::new(),
        "~".into(),
        "garbage".into(),
        "\u{1f600}".repeat(200),
        "~".repeat(100_000),
        rest.into(),
        format!("{token}A"),
        format!("{rest}{}", if last == 'A' { 'B' } else { 'A' }),
        tokens[1].clone(),
        page_token,
    ];
    for token in &garbage {
        let problem = problem(users.watch_users(from_token(token)).await);
        assert_eq!(problem.kind(), (Code::InvalidArgument, "RESUME_TOKEN_INVALID"), "{token}");
        assert_eq!(problem.fields(), ["resume_token"]);
    }
    // A token is of its filter, however that is spelt.
    let filtered = |filter: &str| WatchUsersRequest { filter: filter.into(), ..from_token(token) };
    assert_eq!(problem(users.watch_users(filtered("name = a")).await).reason, "RESUME_TOKEN_INVALID");
    let mut watch = Watch::start(&mut users, with_filter("role=ADMIN AND NOT name=x")).await;
    users.create_user(roster_api::user::v1::CreateUserRequest { role: 2, ..named("eve") }).await.unwrap();
    let (token, _) = watch.next().await;
    let filter = "role = ADMIN -name = \"x\"".into();
    users.watch_users(WatchUsersRequest { filter, ..from_token(&token) }).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_older_than_the_log_is_told_how_to_go_on() {
    let server = Server::dev();
    let mut users = server.users().await;
    let mut watch = Watch::start(&mut users, Default::default()).await;
    let mut tokens = Vec::new();
    for number in 0..10 {
        users.create_user(named(&format!("u-{number}"))).await.unwrap();
        tokens.push(watch.next().await.0);
    }
    drop((watch, users));
    let folder = server.stop().await.1;
    let store = store_in(&folder);
    let trim = LogTrim { before: Timestamp(0), keep_max: 5, batch_max: 1_000 };
    assert!(store.trim_log(trim).await.unwrap() >= 5);
    store.close().await;
    drop(store);

    let server = Server::start_in(folder, |_| ());
    let mut users = server.users().await;
    let ended = Watch::start(&mut users, from_token(&tokens[0])).await.end().await;
    let problem = Problem::in_trailers(&ended);
    assert_eq!(problem.kind(), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
    assert!(problem.message.contains("snapshot"), "{}", problem.message);
    let mut watch = Watch::start(&mut users, from_token(&tokens[8])).await;
    assert_eq!(watch.change().await.user_id, "u-9");
}

#[tokio::test]
async fn a_token_of_what_an_older_copy_of_the_database_lacks_is_expired() {
    let server = Server::dev();
    server.users().await.create_user(named("ada")).await.unwrap();
    let folder = server.stop().await.1;
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(database_in(&folder), database_in(&copy)).unwrap();

    let server = Server::start_in(folder, |_| ());
    let mut users = server.users().await;
    let mut watch = Watch::start(&mut users, Default::default()).await;
    users.update_user(renamed("ada", "Countess")).await.unwrap();
    let (token, _) = watch.next().await;

    let restored = Server::start_in(copy, |_| ());
    let problem = problem(restored.users().await.watch_users(from_token(&token)).await);
    assert_eq!(problem.kind(), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
}
