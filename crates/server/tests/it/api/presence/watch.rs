//! WatchClientStatus.

use std::sync::Arc;

use roster_server::{
    auth::Caller,
    mail::Mailer,
    model::{Staleness, SystemClock},
    ops::{Ctx, Error, RequestId, UserAgent, WatchClientsInput, WatchEvent},
    presence::PresenceOptions,
};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;

use super::*;
use crate::harness::{ops_over, problem, store_in};

#[tokio::test]
async fn a_watch_tells_what_is_and_then_what_changes_of_its_own_clients() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    for (id, what) in [("ada/1", MessageType::Hello), ("ada/2", MessageType::Goodbye), ("bea", MessageType::Hello)] {
        say(&mut notifications, id, what).await;
    }
    let shown = |clients: Vec<ClientPresence>| {
        assert!(clients.iter().all(|client| is_recent(&client.last_seen_at)));
        clients.into_iter().map(|client| (client.client_id.clone(), client.status())).collect::<Vec<_>>()
    };
    use ClientStatus::{Connected, Disconnected};
    let is = |id: &str, status| (id.to_owned(), status);
    let (present, mut all) = Watching::start(&mut notifications, vec![], "").await.unwrap();
    assert_eq!(shown(present), [is("ada/1", Connected), is("ada/2", Disconnected), is("bea", Connected)]);
    let (present, mut adas) = Watching::start(&mut notifications, vec![], "ada/").await.unwrap();
    assert_eq!(shown(present), [is("ada/1", Connected), is("ada/2", Disconnected)]);
    let either = vec!["bea".into(), "eve".into(), "ada/2".into()];
    let (present, mut either) = Watching::start(&mut notifications, either, "ada/2").await.unwrap();
    let mut present = shown(present);
    present.sort();
    assert_eq!(present, [is("ada/2", Disconnected), is("bea", Connected)]);

    // Only what changes is told.
    say(&mut notifications, "ada/1", MessageType::Heartbeat).await;
    let _line = Line::of(&mut notifications, "ada/1").await;
    say(&mut notifications, "ada/1", MessageType::Goodbye).await;
    let mut change = async |id: &str, what, status| {
        say(&mut notifications, id, what).await;
        assert_eq!(all.change().await, is(id, status));
        if id.starts_with("ada/") {
            assert_eq!(adas.change().await, is(id, status));
        }
        if id != "ada/3" {
            assert_eq!(either.change().await, is(id, status));
        }
    };
    change("bea", MessageType::Goodbye, Disconnected).await;
    change("ada/2", MessageType::Hello, Connected).await;
    change("ada/3", MessageType::Heartbeat, Connected).await;
    change("eve", MessageType::Hello, Connected).await;
    change("ada/2", MessageType::Goodbye, Disconnected).await;
}

#[tokio::test]
async fn a_watch_of_too_much_is_refused() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    let watch = |client_ids: Vec<String>, prefix: &str| WatchClientStatusRequest {
        client_ids,
        client_id_prefix: prefix.into(),
    };
    for (request, fields) in [
        (watch((0..1_001).map(|id| id.to_string()).collect(), ""), &["client_ids"][..]),
        (watch(vec!["ada".into(), String::new(), "x".repeat(129)], ""), &["client_ids[1]", "client_ids[2]"]),
        (watch(vec![], &"x".repeat(129)), &["client_id_prefix"]),
        (watch(vec!["a\n".into()], "\t"), &["client_ids[0]", "client_id_prefix"]),
    ] {
        let refused = problem(notifications.watch_client_status(request).await);
        assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"));
        assert_eq!(refused.fields(), fields);
    }
    let thousand = (0..1_000).map(|id| id.to_string()).collect();
    assert!(Watching::start(&mut notifications, thousand, "").await.unwrap().0.is_empty());
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_the_latest_state_of_every_client() {
    const CLIENTS: usize = 3_000;
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    // Hyper's clients would take two megabytes that nobody reads.
    let endpoint = Channel::from_shared(format!("http://{}", server.addr())).unwrap();
    let channel = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let request = WatchClientStatusRequest { client_id_prefix: "c".into(), ..Default::default() };
    let watch = NotificationServiceClient::new(channel).watch_client_status(request).await.unwrap();
    let mut slow = Watching(watch.into_inner());
    assert!(matches!(slow.event().await.unwrap(), Event::PresentStateComplete(_)));
    // More than all buffers on the way hold, and more than a watch remembers.
    for round in 0..4 {
        for client in 0..CLIENTS {
            let what = if round % 2 == 0 { MessageType::Hello } else { MessageType::Goodbye };
            say(&mut notifications, &format!("c{client:0>100}"), what).await;
        }
    }
    say(&mut notifications, "c~", MessageType::Hello).await;
    let mut seen = std::collections::BTreeMap::new();
    let mut told = 0;
    while seen.len() <= CLIENTS || seen.values().filter(|status| **status == ClientStatus::Connected).count() > 1 {
        let (id, status) = slow.change().await;
        seen.insert(id, status);
        told += 1;
    }
    assert_eq!(seen.remove("c~"), Some(ClientStatus::Connected));
    assert!(told < 3 * CLIENTS, "{told} events of {CLIENTS} clients that changed 4 times each");
}

#[tokio::test]
async fn a_watch_in_which_nothing_happens_says_that_it_is_alive() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let mailer = Arc::new(Mailer::of(&Default::default(), None));
    let ops = ops_over(Arc::new(store_in(&folder)), clock, mailer).await;
    let often = PresenceOptions { watch_heartbeat: Duration::from_millis(20), ..PresenceOptions::default() };
    let ops = Arc::new(ops.with_presence(often));
    let request_id = RequestId::generate();
    let (caller, user_agent) = (Caller::Developer, UserAgent::default());
    let ctx = Ctx { caller, request_id, remote: None, user_agent, idempotency: None, staleness: Staleness::NONE };
    let mut events = ops.watch_clients::<()>(&ctx, WatchClientsInput::default()).unwrap();
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::PresentStateComplete(0)))));
    for _ in 0..3 {
        assert!(matches!(events.next().await, Some(Ok(WatchEvent::Heartbeat(_)))));
    }
    let nobody = Ctx { caller: Caller::Anonymous, ..ctx };
    let refused = ops.watch_clients::<()>(&nobody, WatchClientsInput::default());
    assert!(matches!(refused.map(|_| ()), Err(Error::Refused(_))));
}
