//! Connect: present while the stream lives, and not a moment longer than promised.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::*;

#[tokio::test]
async fn a_stream_is_presence_and_the_last_of_several_ends_it() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    use ClientStatus::{Connected, Disconnected};
    let mut phone = Line::open(&mut notifications, hello("ada")).await;
    let Message::Welcome(welcome) = phone.next().await else { panic!("no welcome") };
    let seconds = |span: Option<prost_types::Duration>| span.map(|span| (span.seconds, span.nanos));
    assert_eq!(seconds(welcome.heartbeat_interval), Some((10, 0)));
    assert_eq!(seconds(welcome.presence_timeout), Some((30, 0)));
    // The first message may leave out that it is a hello.
    let first = ConnectRequest { client_id: "ada".into(), message_type: 0 };
    let mut laptop = Line::open(&mut notifications, first).await;
    assert!(matches!(laptop.next().await, Message::Welcome(_)));
    assert_eq!(state(&mut notifications, "ada").await, (Connected, 2));
    assert!(is_recent(&known(&mut notifications, "ada").await.unwrap().last_seen_at));

    phone.exchange(MessageType::Heartbeat).await;
    laptop.exchange(MessageType::Ping).await;
    // A goodbye by message ends what messages began, and no stream.
    say(&mut notifications, "ada", MessageType::Hello).await;
    assert_eq!(say(&mut notifications, "ada", MessageType::Goodbye).await.status(), Connected);
    let mut watch = Watching::start(&mut notifications, vec!["ada".into()], "").await.unwrap().1;
    phone.exchange(MessageType::Goodbye).await;
    assert!(phone.hear.message().await.unwrap().is_none(), "ends in peace");
    assert_eq!(state(&mut notifications, "ada").await, (Connected, 1));
    laptop.say = None;
    assert!(laptop.hear.message().await.unwrap().is_none());
    assert_eq!(watch.change().await, ("ada".into(), Disconnected));
    assert_eq!(state(&mut notifications, "ada").await, (Disconnected, 0));
}

#[tokio::test]
async fn what_no_stream_says_ends_it() {
    let server = Server::dev();
    let mut notifications = notifications(&server).await;
    let request = |client_id: &str, message_type| ConnectRequest { client_id: client_id.into(), message_type };
    for (first, fields) in [
        (request("", 0), &["client_id"][..]),
        (request(&"x".repeat(129), 1), &["client_id"]),
        (request("eve", 4), &["message_type"]),
        (request("", 9), &["client_id", "message_type"]),
    ] {
        let refused = Line::open(&mut notifications, first.clone()).await.error().await;
        assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{first:?}");
        assert_eq!(refused.fields(), fields, "{first:?}");
    }
    assert_eq!(known(&mut notifications, "eve").await, None);
    for (later, fields) in [
        (request("bea", 4), &["client_id"][..]),
        (request("", 1), &["message_type"]),
        (request("ada", 0), &["message_type"]),
        (request("bea", 77), &["client_id", "message_type"]),
    ] {
        let mut line = Line::of(&mut notifications, "ada").await;
        line.say.as_ref().unwrap().send(later.clone()).await.unwrap();
        let refused = line.error().await;
        assert_eq!(refused.kind(), (Code::InvalidArgument, "VALIDATION_FAILED"), "{later:?}");
        assert_eq!(refused.fields(), fields, "{later:?}");
        assert_eq!(state(&mut notifications, "ada").await, (ClientStatus::Disconnected, 0));
    }
    // Nothing at all is no mistake.
    let nothing = server.wire().await.call(&format!("{NOTIFICATIONS}/Connect"), b"").await;
    assert_eq!(Problem::in_trailers(&nothing.status()).fields(), ["client_id"]);
    let garbage = server.wire().await.call(&format!("{NOTIFICATIONS}/Connect"), b"\xff\xff").await;
    assert_eq!(Problem::in_trailers(&garbage.status()).reason, "MALFORMED_MESSAGE");
    let large = server.wire().await.call(&format!("{NOTIFICATIONS}/Connect"), &[0; 70_000]).await;
    assert_eq!(Problem::in_trailers(&large.status()).reason, "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_frozen_client_is_warned_and_then_gone() {
    let server = Server::start(|config| config.presence_timeout = SOON * 4);
    let mut notifications = notifications(&server).await;
    let mut watch = Watching::quiet(&mut notifications, &["ada"]).await;
    let mut line = Line::of(&mut notifications, "ada").await;
    assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Connected));
    // Warned once in each silence.
    assert_eq!(notice(line.next().await), NoticeKind::HeartbeatOverdue);
    line.exchange(MessageType::Heartbeat).await;
    assert_eq!(notice(line.next().await), NoticeKind::HeartbeatOverdue);
    assert_eq!(line.error().await.kind(), (Code::DeadlineExceeded, "HEARTBEAT_MISSED"));
    assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Disconnected));
    // One that never says who it is goes too.
    let (_say, said) = mpsc::channel::<ConnectRequest>(1);
    let mut mute = notifications.connect(ReceiverStream::new(said)).await.unwrap().into_inner();
    let end = Problem::in_trailers(&mute.message().await.unwrap_err());
    assert_eq!(end.kind(), (Code::DeadlineExceeded, "HEARTBEAT_MISSED"));
}

/// What is between a client and the server, until it goes down.
async fn proxy(server: &Server, cut: Arc<Notify>, silently: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, to) = (listener.local_addr().unwrap(), server.addr());
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            () = cut.notified() => {}
        }
        if silently {
            // Both ends stay as they are, as if a cable had been pulled.
            std::future::pending::<()>().await;
        }
    });
    addr.to_string()
}

#[tokio::test]
async fn a_connection_that_dies_without_a_word_takes_the_client_along() {
    // A cable that is pulled leaves nothing but silence; a process that is killed has its sockets closed.
    for silently in [true, false] {
        let timeout = if silently { SOON * 2 } else { Duration::from_secs(3_600) };
        let server = Server::start(|config| config.presence_timeout = timeout);
        let mut observer = notifications(&server).await;
        let mut watch = Watching::quiet(&mut observer, &["ada"]).await;
        let cut = Arc::new(Notify::new());
        let addr = proxy(&server, Arc::clone(&cut), silently).await;
        let mut behind = roster_api::Client::connect(&addr).await.unwrap().notifications();
        let mut line = Line::of(&mut behind, "ada").await;
        line.exchange(MessageType::Heartbeat).await;
        assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Connected));
        cut.notify_one();
        assert_eq!(watch.change().await, ("ada".into(), ClientStatus::Disconnected));
        assert_eq!(state(&mut observer, "ada").await, (ClientStatus::Disconnected, 0));
    }
}

#[tokio::test]
async fn a_flood_is_read_no_faster_than_anybody_needs_and_hurts_nobody() {
    let server = Server::start(|config| config.presence_timeout = SOON * 3);
    let mut notifications = notifications(&server).await;
    let mut flood = Line::of(&mut notifications, "flood").await;
    let say = flood.say.take().unwrap();
    let began = std::time::Instant::now();
    let flooding = tokio::spawn(async move {
        let ping = ConnectRequest { client_id: String::new(), message_type: MessageType::Ping.into() };
        let mut said = 0;
        while said < 45 && say.send(ping.clone()).await.is_ok() {
            said += 1;
        }
        say
    });
    for _ in 0..45 {
        assert!(matches!(flood.next().await, Message::Acknowledgement(_)), "all are answered, in order");
    }
    // Ten a tenth of a second.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let say = flooding.await.unwrap();

    // One that goes on and reads no more holds up nobody else, and takes nothing with it when it is cut off.
    let mut observer = self::notifications(&server).await;
    let mut watch = Watching::start(&mut observer, vec!["flood".into()], "").await.unwrap().1;
    let ping = ConnectRequest { client_id: String::new(), message_type: MessageType::Ping.into() };
    let unread = tokio::spawn(async move { while say.send(ping.clone()).await.is_ok() {} });
    for _ in 0..50 {
        let heartbeat = message("ada", MessageType::Heartbeat);
        let answer = observer.send_message(heartbeat).await.unwrap().into_inner();
        assert_eq!(answer.status(), ClientStatus::Connected);
    }
    drop(flood);
    assert_eq!(watch.change().await, ("flood".into(), ClientStatus::Disconnected));
    unread.abort();
}

#[tokio::test]
async fn a_drain_says_why_it_ends_streams() {
    let server = Server::start(|config| config.drain_grace = Duration::from_secs(3_600));
    let mut notifications = notifications(&server).await;
    let mut line = Line::of(&mut notifications, "ada").await;
    let (present, mut watch) = Watching::start(&mut notifications, vec![], "").await.unwrap();
    assert_eq!(present.len(), 1);
    server.shutdown();
    assert_eq!(notice(line.next().await), NoticeKind::ShuttingDown);
    assert_eq!(line.error().await.kind(), (Code::Unavailable, "SHUTTING_DOWN"));
    // It may hear of the end of the other first.
    let end = loop {
        match watch.event().await {
            Ok(Event::Client(client)) => assert_eq!(client.status(), ClientStatus::Disconnected),
            Ok(other) => panic!("{other:?}"),
            Err(end) => break Problem::in_trailers(&end),
        }
    };
    assert_eq!(end.kind(), (Code::Unavailable, "SHUTTING_DOWN"));
    drop((line, watch, notifications));
    let (report, _) = server.ended().await;
    assert_eq!(report.connections_cut, 0, "{report:?}");
}
