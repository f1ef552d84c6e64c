//! The Rust client that keeps a client online.

use http::HeaderValue;
use roster_api::{Client, NotificationClient};

use super::*;
use crate::api::sign_in::{PASSWORD, sign_in, sign_up};

#[tokio::test]
async fn the_client_says_what_its_words_mean() {
    let server = Server::dev();
    let client = NotificationClient::connect(&server.addr().to_string()).await.unwrap();
    use ClientStatus::{Connected, Disconnected};
    client.send_hello("alice").await.unwrap();
    client.send_hello("bob").await.unwrap();
    client.send_heartbeat("charlie").await.unwrap();
    client.send_goodbye("bob").await.unwrap();
    let is = |id: &str, status| (id.to_owned(), status);
    let all = client.get_client_status(None).await.unwrap();
    assert_eq!(all, [is("alice", Connected), is("bob", Disconnected), is("charlie", Connected)].into());
    assert_eq!(client.get_client_status(Some("bob")).await.unwrap(), [is("bob", Disconnected)].into());
    assert!(client.get_client_status(Some("nobody")).await.unwrap().is_empty());
    assert_eq!(client.send_hello("").await.unwrap_err().reason(), Some("VALIDATION_FAILED"));
    assert_eq!(client.stay("").await.unwrap_err().violations()[0].field, "client_id");
    client.disconnect();
}

#[tokio::test]
async fn who_stays_is_there_through_silence_and_restarts_until_dropped() {
    let server = Server::start(|config| config.presence_timeout = SOON * 2);
    let addr = server.addr();
    let client = NotificationClient::connect(&addr.to_string()).await.unwrap();
    let mut observer = notifications(&server).await;
    let mut watch = Watching::quiet(&mut observer, &["ada", "bea"]).await;
    let ada = client.stay("ada").await.unwrap();
    assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Connected));
    // Longer than she could be silent.
    client.send_hello("bea").await.unwrap();
    assert_eq!(watch.change().await, ("bea".into(), ClientStatus::Connected));
    assert_eq!(watch.change().await, ("bea".into(), ClientStatus::Disconnected), "bea is silent, ada is not");
    assert_eq!(state(&mut observer, "ada").await, (ClientStatus::Connected, 1));

    drop((observer, watch));
    server.shutdown();
    let (_, folder) = server.ended().await;
    let server = Server::start_in(folder, |config| config.grpc_addr = addr);
    let mut observer = notifications(&server).await;
    while known(&mut observer, "ada").await.is_none() {
        tokio::task::yield_now().await;
    }
    let mut watch = Watching::start(&mut observer, vec!["ada".into()], "").await.unwrap().1;
    drop(ada);
    assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Disconnected));
    let ada = client.stay("ada").await.unwrap();
    ada.leave().await;
    assert_eq!(state(&mut observer, "ada").await, (ClientStatus::Disconnected, 0), "it waits until that is heard");
}

#[tokio::test]
async fn who_may_stay_no_more_is_told() {
    let server = Server::dev();
    let id = sign_up(&server, "ada").await.id;
    let signed = sign_in(&mut server.auth().await, "ada", PASSWORD).await.unwrap();
    let token = signed.tokens.unwrap().access_token;
    let authorization: HeaderValue = format!("Bearer {token}").parse().unwrap();
    let client = Client::connect(&server.addr().to_string()).await.unwrap().with_authorization(authorization).unwrap();
    let client = NotificationClient::over(&client);
    assert_eq!(client.stay("bea").await.unwrap_err().reason(), Some("PERMISSION_DENIED"));
    let mut ada = client.stay(&id).await.unwrap();
    let all = roster_api::auth::v1::RevokeAllSessionsRequest { user_id: id, keep_current: false };
    server.auth().await.revoke_all_sessions(all).await.unwrap();
    let why = ada.refused().await.unwrap();
    assert_eq!((why.code(), why.reason()), (Code::Unauthenticated, Some("CREDENTIALS_INVALID")));
    ada.leave().await;
}
