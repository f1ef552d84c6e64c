//! SendMessage and GetClientStatus.

use super::*;
use crate::harness::problem;

#[tokio::test]
async fn a_client_comes_is_still_there_and_goes() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    let said = |answer: SendMessageResponse| (answer.success, answer.status(), answer.message);
    let is = |state: &str| format!("client ada is {state}");
    use ClientStatus::{Connected, Disconnected};
    for (what, status, message) in [
        // Of a client that nobody knows, and without making it known.
        (MessageType::Ping, Disconnected, is("disconnected")),
        (MessageType::Hello, Connected, is("connected")),
        (MessageType::Hello, Connected, is("connected")),
        (MessageType::Ping, Connected, is("connected")),
        (MessageType::Goodbye, Disconnected, is("disconnected")),
        (MessageType::Goodbye, Disconnected, is("disconnected")),
        (MessageType::Ping, Disconnected, is("disconnected")),
        // After a restart, say.
        (MessageType::Heartbeat, Connected, is("connected")),
    ] {
        if what == MessageType::Ping && known(&mut notifications, "ada").await.is_none() {
            assert_eq!(status, Disconnected);
        }
        assert_eq!(said(say(&mut notifications, "ada", what).await), (true, status, message), "{what:?}");
    }
    let ada = known(&mut notifications, "ada").await.unwrap();
    assert!(is_recent(&ada.last_seen_at), "{ada:?}");
    assert_eq!((ada.status(), ada.connection_count), (Connected, 0));
    // One that goes without having come is known from then on, and another is not.
    say(&mut notifications, "bea", MessageType::Goodbye).await;
    assert_eq!(state(&mut notifications, "bea").await, (Disconnected, 0));
    assert_eq!(known(&mut notifications, "eve").await, None);
    let ids = |client_id: &str| GetClientStatusRequest { client_id: client_id.into(), ..Default::default() };
    let of_ada = notifications.get_client_status(ids("ada")).await.unwrap().into_inner();
    assert_eq!(of_ada.client_statuses, [("ada".to_owned(), "connected".to_owned())].into());
    let all = notifications.get_client_status(ids("")).await.unwrap().into_inner();
    let statuses = [("ada", "connected"), ("bea", "disconnected")].map(|(id, is)| (id.to_owned(), is.to_owned()));
    assert_eq!(all.client_statuses, statuses.into());
}

#[tokio::test]
async fn what_no_client_says_is_refused_field_by_field() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    for (client_id, number, fields, told) in [
        ("", 1, &["client_id"][..], "is required"),
        (&"é".repeat(65), 1, &["client_id"], "has 130 bytes; at most 128"),
        ("a\u{0}b", 1, &["client_id"], "U+0000 at character 2"),
        ("ada", 0, &["message_type"], "0 is no message; use HELLO (1)"),
        ("ada", 5, &["message_type"], "5 is no message"),
        ("", -1, &["client_id", "message_type"], "is required"),
    ] {
        let request = SendMessageRequest { client_id: client_id.into(), message_type: number };
        let refused = problem(notifications.send_message(request).await);
        assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{client_id:?} {number}");
        assert_eq!(refused.fields(), fields);
        assert!(refused.violations[0].1.contains(told), "{refused:?}");
    }
    let ada = || GetClientStatusRequest { client_id: "ada".into(), ..Default::default() };
    for (request, reason, fields) in [
        (GetClientStatusRequest { client_id: "x".repeat(129), ..ada() }, "VALIDATION_FAILED", &["client_id"][..]),
        (GetClientStatusRequest { page_size: -1, ..ada() }, "VALIDATION_FAILED", &["page_size"]),
        (GetClientStatusRequest { page_token: "~x".into(), ..ada() }, "PAGE_TOKEN_INVALID", &["page_token"]),
        (GetClientStatusRequest { page_size: -1, ..Default::default() }, "VALIDATION_FAILED", &["page_size"]),
        (
            GetClientStatusRequest { page_token: "ada".into(), ..Default::default() },
            "PAGE_TOKEN_INVALID",
            &["page_token"],
        ),
    ] {
        let refused = problem(notifications.get_client_status(request.clone()).await);
        assert_eq!(refused.kind(), (Code::InvalidArgument, reason), "{request:?}");
        assert_eq!(refused.fields(), fields, "{request:?}");
    }
    assert_eq!(known(&mut notifications, "ada").await, None, "nothing of it was taken");
}

#[tokio::test]
async fn all_clients_come_page_by_page_in_the_order_of_their_ids() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    let mut expected: Vec<String> = (0..95).map(|number| format!("c{number}/📱")).collect();
    for id in &expected {
        say(&mut notifications, id, MessageType::Hello).await;
    }
    expected.sort();
    for page_size in [1, 10, 95, 0, i32::MAX] {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = GetClientStatusRequest { page_size, page_token, ..Default::default() };
            let page = notifications.get_client_status(request).await.unwrap().into_inner();
            assert!(page_size == 0 || page.clients.len() <= page_size as usize);
            let ids: Vec<_> = page.clients.iter().map(|client| client.client_id.clone()).collect();
            assert!(ids.iter().eq(page.client_statuses.keys()), "the map has the same");
            seen.extend(ids);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {page_size}");
    }
}

#[tokio::test]
async fn who_falls_silent_is_gone_and_then_forgotten() {
    let server = Server::start(|config| {
        config.presence_timeout = SOON;
        config.presence_forget_after = SOON;
    });
    let mut notifications = notifications(&server).await;
    let mut watch = Watching::quiet(&mut notifications, &["ada", "bea"]).await;
    let began = std::time::Instant::now();
    say(&mut notifications, "ada", MessageType::Hello).await;
    assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Connected));
    // As long as something is heard of her, she is there.
    while began.elapsed() < SOON * 3 {
        assert_eq!(say(&mut notifications, "ada", MessageType::Heartbeat).await.status(), ClientStatus::Connected);
    }
    say(&mut notifications, "bea", MessageType::Hello).await;
    assert_eq!(watch.change().await, ("bea".into(), ClientStatus::Connected), "ada was there all the time");
    let silent = std::time::Instant::now();
    let mut gone = [watch.change().await, watch.change().await];
    gone.sort();
    let disconnected = |id: &str| (id.to_owned(), ClientStatus::Disconnected);
    assert_eq!(gone, [disconnected("ada"), disconnected("bea")]);
    assert!(silent.elapsed() < Duration::from_secs(10), "{:?}", silent.elapsed());
    while known(&mut notifications, "ada").await.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn there_is_an_end_to_clients() {
    let server = Server::start(|config| config.presence_clients_max = 2);
    let mut notifications = notifications(&server).await;
    say(&mut notifications, "ada", MessageType::Hello).await;
    say(&mut notifications, "bea", MessageType::Hello).await;
    let limit = (Code::ResourceExhausted, "CLIENT_LIMIT_REACHED");
    let refused = problem(notifications.send_message(message("eve", MessageType::Hello)).await);
    assert_eq!(refused.kind(), limit);
    assert_eq!(Line::open(&mut notifications, hello("eve")).await.error().await.kind(), limit);
    // Who is known goes on, and who goes needs no room.
    say(&mut notifications, "ada", MessageType::Heartbeat).await;
    Line::of(&mut notifications, "bea").await;
    assert_eq!(say(&mut notifications, "eve", MessageType::Goodbye).await.status(), ClientStatus::Disconnected);
    assert_eq!(known(&mut notifications, "eve").await, None);
}

#[tokio::test]
async fn a_restart_forgets_everybody_and_a_heartbeat_brings_them_back() {
    let server = Server::dev();
    let mut before = notifications(&server).await;
    say(&mut before, "ada", MessageType::Hello).await;
    drop(before);
    let (_, folder) = server.stop().await;
    let server = Server::start_in(folder, |_| ());
    let mut after = notifications(&server).await;
    assert_eq!(known(&mut after, "ada").await, None);
    assert_eq!(say(&mut after, "ada", MessageType::Heartbeat).await.status(), ClientStatus::Connected);
}
