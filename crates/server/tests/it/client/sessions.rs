//! A session of the client: it renews its tokens by itself, and loses none.

use std::sync::{Arc, Mutex};

use roster_api::{
    Client, RetryPolicy,
    auth::v1::{ListSessionsRequest, Tokens},
    client::SignInError,
    user::v1::{CreateUserRequest, GetUserRequest, ListAuditEventsRequest},
};
use tokio::task::JoinSet;
use tonic::Code;

use super::bad_server::{BadServer, Deed};
use crate::harness::Server;

const PASSWORD: &str = "correct horse battery staple";

async fn server_with_ada() -> (Server, Client, String) {
    let server = Server::start(|config| config.dev = false);
    let client = Client::connect(&server.addr().to_string()).await.unwrap();
    let request =
        CreateUserRequest { email: "ada@example.com".into(), password: PASSWORD.into(), ..Default::default() };
    let id = client.users().create_user(request).await.unwrap().into_inner().id;
    (server, client, id)
}

#[tokio::test]
async fn fifty_calls_with_a_spent_token_renew_it_once() {
    let (_server, client, id) = server_with_ada().await;
    let ada = client.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let request = roster_api::auth::v1::SignInRequest {
        login: "ada@example.com".into(),
        password: PASSWORD.into(),
        ..Default::default()
    };
    let tokens = client.auth().sign_in(request).await.unwrap().into_inner().tokens.unwrap();
    // As if it had been forged: the server refuses it, and nothing says so before.
    let spent = Tokens { access_token: format!("{}x", tokens.access_token), ..tokens };
    let renewed = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&renewed);
    let session = client.with_session(spent, move |tokens| kept.lock().unwrap().push(tokens.clone())).unwrap();
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let (session, user_id) = (session.clone(), id.clone());
        let call = calls.spawn(async move { session.users().get_user(GetUserRequest { user_id }).await });
        // Some give up at once; the new tokens must not be lost with them.
        if number % 5 == 0 {
            call.abort();
        }
    }
    while let Some(outcome) = calls.join_next().await {
        if let Ok(answer) = outcome {
            answer.unwrap();
        }
    }
    assert_eq!(renewed.lock().unwrap().len(), 1);
    // A refresh token that was used twice would have ended the session.
    let sessions = ada.auth().list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner().sessions;
    assert_eq!(sessions.len(), 2);
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_the_same_call_again() {
    let server = BadServer::start(|_| Deed::Drop).await;
    let builder = Client::builder().endpoint(server.addr.to_string()).retry(RetryPolicy::never());
    let client = builder.connect().await.unwrap();
    let session = client.with_session(Tokens { refresh_token: "r".into(), ..Default::default() }, |_| ()).unwrap();
    for _ in 0..3 {
        session.users().get_user(GetUserRequest { user_id: "ada".into() }).await.unwrap_err();
    }
    let keys: Vec<_> = server.seen().iter().map(|headers| headers["idempotency-key"].clone()).collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_session_that_has_ended_says_so() {
    let (_server, client, id) = server_with_ada().await;
    let refused = client.sign_in("ada@example.com", "wrong horse battery staple").await.unwrap_err();
    assert!(matches!(&refused, SignInError::Refused(error) if error.reason() == Some("SIGN_IN_FAILED")), "{refused}");
    let ada = client.sign_in("ada@example.com", PASSWORD).await.unwrap();
    let other = client.sign_in("ada@example.com", PASSWORD).await.unwrap();
    other.auth().revoke_all_sessions(roster_api::auth::v1::RevokeAllSessionsRequest::default()).await.unwrap();
    let ended = ada.users().get_user(GetUserRequest { user_id: id }).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_request_id_of_a_call_goes_on_to_the_calls_it_makes() {
    let server = Server::dev();
    let mut incoming = tonic::metadata::MetadataMap::new();
    incoming.insert("x-request-id", "outer-call-7".parse().unwrap());
    let client = server.client().await.passing_on(&incoming);
    let request = CreateUserRequest { email: "ada@example.com".into(), ..Default::default() };
    client.users().create_user(request).await.unwrap();
    let events = client.users().list_audit_events(ListAuditEventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(events.events[0].request_id, "outer-call-7");
}
