//! Who may speak for whom, and who may look.

use roster_api::{
    auth::v1::RevokeAllSessionsRequest,
    user::v1::{AuditOutcome, ListAuditEventsRequest},
};

use super::*;
use crate::{
    api::sign_in::{PASSWORD, sign_in, sign_up},
    harness::{problem, signed_in},
};

const DENIED: (Code, &str) = (Code::PermissionDenied, "PERMISSION_DENIED");

async fn token_of(server: &Server, name: &str) -> String {
    let signed = sign_in(&mut server.auth().await, name, PASSWORD).await.unwrap();
    signed.tokens.unwrap().access_token
}

#[tokio::test]
async fn a_user_speaks_and_looks_for_themselves_and_their_devices() {
    let server = Server::start(|config| config.dev = false);
    let id = sign_up(&server, "ada").await.id;
    let token = token_of(&server, "ada").await;
    let mut notifications = notifications(&server).await;
    let own = [id.clone(), format!("{id}/phone"), format!("{id}/a/b")];
    let foreign = [
        "ada".to_owned(),
        id[..id.len() - 1].to_owned(),
        format!("{id}x"),
        format!("{id} /phone"),
        format!("/{id}"),
        id.to_uppercase(),
    ];
    let get = |client_id: &str| GetClientStatusRequest { client_id: client_id.into(), ..Default::default() };
    let watch = |client_ids: Vec<String>, prefix: &str| {
        signed_in(WatchClientStatusRequest { client_ids, client_id_prefix: prefix.into() }, &token)
    };
    for client in &own {
        let answer = notifications.send_message(signed_in(message(client, MessageType::Hello), &token)).await.unwrap();
        assert_eq!(answer.into_inner().status(), ClientStatus::Connected);
        let found = notifications.get_client_status(signed_in(get(client), &token)).await.unwrap().into_inner();
        assert_eq!(found.clients.len(), 1, "{client}");
        let mut line = Line::open_as(&mut notifications, hello(client), Some(&token)).await;
        assert!(matches!(line.next().await, Message::Welcome(_)), "{client}");
    }
    for client in &foreign {
        let refused = problem(notifications.send_message(signed_in(message(client, MessageType::Hello), &token)).await);
        assert_eq!(refused.kind(), DENIED, "{client}");
        assert_eq!(refused.metadata["permission"], "presence.write");
        let refused = problem(notifications.get_client_status(signed_in(get(client), &token)).await);
        assert_eq!((refused.kind(), refused.metadata["permission"].as_str()), (DENIED, "presence.read"), "{client}");
        let mut line = Line::open_as(&mut notifications, hello(client), Some(&token)).await;
        assert_eq!(line.error().await.kind(), DENIED, "{client}");
        let refused = problem(notifications.watch_client_status(watch(vec![id.clone(), client.clone()], "")).await);
        assert_eq!(refused.kind(), DENIED, "{client}");
    }
    assert_eq!(problem(notifications.get_client_status(signed_in(get(""), &token)).await).kind(), DENIED);
    // Without the slash, a prefix has others' clients too.
    for prefix in ["", &id, &id[..4], "/"] {
        let refused = problem(notifications.watch_client_status(watch(vec![], prefix)).await);
        assert_eq!(refused.kind(), DENIED, "{prefix:?}");
    }
    let own_watch = watch(own.to_vec(), &format!("{id}/"));
    let mut events = notifications.watch_client_status(own_watch).await.unwrap().into_inner();
    for _ in 0..3 {
        assert!(matches!(events.message().await.unwrap().unwrap().event, Some(Event::Client(_))));
    }
    let complete = events.message().await.unwrap().unwrap().event;
    assert!(matches!(complete, Some(Event::PresentStateComplete(_))), "{complete:?}");
}

#[tokio::test]
async fn a_user_has_so_many_devices_and_no_more() {
    let server = Server::dev();
    let id = sign_up(&server, "ada").await.id;
    let token = token_of(&server, "ada").await;
    let mut notifications = notifications(&server).await;
    let hello = |device: usize| signed_in(message(&format!("{id}/{device}"), MessageType::Hello), &token);
    for device in 0..100 {
        notifications.send_message(hello(device)).await.unwrap();
    }
    let refused = problem(notifications.send_message(hello(100)).await);
    assert_eq!(refused.kind(), (Code::ResourceExhausted, "CLIENT_LIMIT_REACHED"));
    notifications.send_message(hello(7)).await.unwrap();
}

#[tokio::test]
async fn a_refusal_on_a_stream_is_in_the_audit_log() {
    let server = Server::dev();
    sign_up(&server, "ada").await;
    let token = token_of(&server, "ada").await;
    let mut notifications = notifications(&server).await;
    let mut line = Line::open_as(&mut notifications, hello("bea"), Some(&token)).await;
    assert_eq!(line.error().await.kind(), DENIED);
    let filter = "action = \"call.refused\"".to_owned();
    let refused = loop {
        let request = ListAuditEventsRequest { filter: filter.clone(), ..Default::default() };
        let page = server.users().await.list_audit_events(request).await.unwrap().into_inner();
        if let Some(event) = page.events.into_iter().next() {
            break event;
        }
    };
    assert_eq!(refused.outcome(), AuditOutcome::Refused);
    assert_eq!(refused.target, "methods/notification.v1.NotificationService/Connect");
    assert_eq!(refused.reason, "PERMISSION_DENIED");
}

#[tokio::test]
async fn streams_end_with_the_session_and_so_does_presence() {
    let server = Server::dev();
    let id = sign_up(&server, "ada").await.id;
    let token = token_of(&server, "ada").await;
    let mut notifications = notifications(&server).await;
    let mut line = Line::open_as(&mut notifications, hello(&id), Some(&token)).await;
    assert!(matches!(line.next().await, Message::Welcome(_)));
    let watch = WatchClientStatusRequest { client_ids: vec![id.clone()], ..Default::default() };
    let mut own = notifications.watch_client_status(signed_in(watch, &token)).await.unwrap().into_inner();
    let mut observer = Watching::start(&mut notifications, vec![id.clone()], "").await.unwrap().1;

    let all = RevokeAllSessionsRequest { user_id: id.clone(), keep_current: false };
    server.auth().await.revoke_all_sessions(all).await.unwrap();
    let ended = (Code::Unauthenticated, "CREDENTIALS_INVALID");
    let second = Duration::from_secs(1);
    let last = tokio::time::timeout(second, line.next()).await.unwrap();
    assert_eq!(notice(last), NoticeKind::SessionEnded);
    assert_eq!(line.error().await.kind(), ended);
    let end = loop {
        if let Err(end) = tokio::time::timeout(second, own.message()).await.unwrap() {
            break Problem::in_trailers(&end);
        }
    };
    assert_eq!(end.kind(), ended);
    assert_eq!(observer.change().await, (id, ClientStatus::Disconnected));
}

#[tokio::test]
async fn who_is_watched_is_told_as_long_as_the_token_is_good_and_who_is_there_is_so_as_long_as_the_session() {
    let server = Server::start(|config| config.access_token_lifetime = Duration::from_secs(3));
    let id = sign_up(&server, "ada").await.id;
    let token = token_of(&server, "ada").await;
    let mut notifications = notifications(&server).await;
    let mut line = Line::open_as(&mut notifications, hello(&id), Some(&token)).await;
    assert!(matches!(line.next().await, Message::Welcome(_)));
    let request = WatchClientStatusRequest { client_ids: vec![id.clone()], ..Default::default() };
    let mut own = notifications.watch_client_status(signed_in(request.clone(), &token)).await.unwrap().into_inner();
    let end = loop {
        if let Err(end) = own.message().await {
            break Problem::in_trailers(&end);
        }
    };
    assert_eq!(end.kind(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    let again = problem(notifications.watch_client_status(signed_in(request, &token)).await);
    assert_eq!(again.reason, "CREDENTIALS_INVALID");
    line.exchange(MessageType::Heartbeat).await;
    assert_eq!(state(&mut notifications, &id).await, (ClientStatus::Connected, 1));
}
