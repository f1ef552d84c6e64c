//! Several servers over one PostgreSQL database and one Redis: who is online on one is online on all, and whatever becomes
//! of Redis, they agree once it is there again.

use roster_api::{
    NotificationClient,
    compat::notification::{
        GetClientStatusRequest as OldGet, notification_service_client::NotificationServiceClient as OldClient,
    },
};
use roster_server::config::Config;

use super::*;
use crate::api::{
    metrics::Scraped,
    redis::{Shared, at_least, until},
};

use ClientStatus::{Connected, Disconnected};

/// A timeout that can be waited for, and that nobody who is there lets pass, however busy the machine is.
const SHORT: Duration = Duration::from_secs(3);

/// Servers that know one another, and how to ask them.
async fn servers<const N: usize>(shared: &Shared, set: impl Fn(&mut Config)) -> ([Server; N], [Notifications; N]) {
    let mut started = Vec::new();
    for _ in 0..N {
        started.push(shared.server(&set).await);
    }
    let mut clients = Vec::new();
    for server in &started {
        // All know all, and nobody is yet to hear of it.
        until(server, "roster_presence_nodes", (N - 1) as f64).await;
        at_least(server, "roster_presence_readings_total", (N - 1) as f64).await;
        clients.push(notifications(server).await);
    }
    let started: Result<[Server; N], _> = started.try_into();
    let clients: Result<[Notifications; N], _> = clients.try_into();
    (started.unwrap_or_else(|_| unreachable!("as many as were started")), clients.unwrap())
}

fn is(id: &str, status: ClientStatus) -> (String, ClientStatus) {
    (id.to_owned(), status)
}

/// Status and streams of all clients, page by page.
async fn pages(notifications: &mut Notifications, page_size: i32) -> Vec<(String, ClientStatus, i32)> {
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = GetClientStatusRequest { page_size, page_token, ..Default::default() };
        let page = notifications.get_client_status(request).await.unwrap().into_inner();
        assert!(page.clients.len() <= usize::try_from(page_size).unwrap());
        seen.extend(page.clients.iter().map(|one| (one.client_id.clone(), one.status(), one.connection_count)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return seen;
        }
    }
}

/// Waits until a server shows a client so.
async fn until_shown(notifications: &mut Notifications, id: &str, status: ClientStatus, streams: i32) {
    loop {
        let shown = known(notifications, id).await.map(|one| (one.status(), one.connection_count));
        if shown == Some((status, streams)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_is_online_on_one_server_is_seen_on_all() {
    all_see_all(&Shared::new()).await;
}

#[tokio::test]
async fn servers_over_a_cluster_of_redis_see_all_too() {
    all_see_all(&Shared::over_a_cluster().await).await;
}

async fn all_see_all(shared: &Shared) {
    let (servers, [mut a, mut b, mut c]) = servers::<3>(shared, |_| ()).await;
    for server in &servers {
        at_least(server, "roster_redis_messages_total{channel=\"presence\",direction=\"sent\"}", 1.0).await;
    }
    let mut on_b = Watching::start(&mut b, vec![], "").await.unwrap().1;
    let mut on_c = Watching::start(&mut c, vec!["bea".into()], "ada/").await.unwrap().1;
    let mut both = async |id: &str, status| {
        assert_eq!(on_b.change().await, is(id, status));
        assert_eq!(on_c.change().await, is(id, status));
    };
    say(&mut a, "ada/1", MessageType::Hello).await;
    both("ada/1", Connected).await;
    let bea = Line::of(&mut a, "bea").await;
    both("bea", Connected).await;
    say(&mut c, "ada/2", MessageType::Heartbeat).await;
    both("ada/2", Connected).await;
    // What changes nothing is told to nobody; with what does, the first that comes is the next.
    say(&mut a, "ada/1", MessageType::Heartbeat).await;
    say(&mut b, "ada/1", MessageType::Hello).await;
    let bea_on_b = Line::of(&mut b, "bea").await;
    say(&mut c, "ada/0", MessageType::Goodbye).await;
    both("ada/0", Disconnected).await;

    for notifications in [&mut a, &mut b, &mut c] {
        until_shown(notifications, "bea", Connected, 2).await;
        until_shown(notifications, "ada/0", Disconnected, 0).await;
        let all = [("ada/0", Disconnected, 0), ("ada/1", Connected, 0), ("ada/2", Connected, 0), ("bea", Connected, 2)];
        let all = all.map(|(id, status, streams)| (id.to_owned(), status, streams));
        for page_size in [1, 2, 10] {
            assert_eq!(pages(notifications, page_size).await, all);
        }
        for id in ["ada/0", "ada/1", "bea"] {
            assert!(is_recent(&known(notifications, id).await.unwrap().last_seen_at), "{id}");
        }
        assert_eq!(say(notifications, "ada/2", MessageType::Ping).await.status(), Connected);
        assert_eq!(known(notifications, "eve").await, None);
    }
    let mut old = OldClient::new(servers[1].channel().await);
    let statuses = old.get_client_status(OldGet::default()).await.unwrap().into_inner().client_statuses;
    let mut statuses: Vec<_> = statuses.iter().map(|(id, status)| (id.as_str(), status.as_str())).collect();
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [("ada/0", "disconnected"), ("ada/1", "connected"), ("ada/2", "connected"), ("bea", "connected")]
    );

    // A goodbye is one wherever it is said, and ends no stream; a client of two servers is there until it has left both.
    assert_eq!(say(&mut c, "ada/1", MessageType::Goodbye).await.status(), Disconnected);
    both("ada/1", Disconnected).await;
    assert_eq!(say(&mut c, "bea", MessageType::Goodbye).await.status(), Connected);
    drop(bea);
    until_shown(&mut c, "bea", Connected, 1).await;
    drop(bea_on_b);
    both("bea", Disconnected).await;
    for server in &servers {
        let numbers = Scraped::of(server).await;
        assert_eq!(numbers.get("roster_presence_ignored_total"), 0.0);
        assert_eq!(numbers.get("roster_presence_readings_total"), 2.0, "nothing was missed");
    }
}

#[tokio::test]
async fn a_server_that_starts_knows_who_is_there() {
    const CLIENTS: usize = 2_500;
    let shared = Shared::new();
    let ([_first], [mut a]) = servers::<1>(&shared, |_| ()).await;
    for client in 0..CLIENTS {
        say(&mut a, &format!("c{client:04}"), MessageType::Hello).await;
    }
    say(&mut a, "gone", MessageType::Goodbye).await;
    let second = shared.server(|_| ()).await;
    at_least(&second, "roster_presence_readings_total", 1.0).await;
    let mut b = notifications(&second).await;
    let all = pages(&mut b, 1_000).await;
    assert_eq!((all.len(), &all[1_500]), (CLIENTS, &("c1500".to_owned(), Connected, 0)));
    until(&second, "roster_presence_elsewhere", CLIENTS as f64).await;
    // What is found at its start is no change.
    let (present, mut watch) = Watching::start(&mut b, vec![], "c249").await.unwrap();
    assert_eq!(present.len(), 10);
    say(&mut a, "c2499", MessageType::Goodbye).await;
    assert_eq!(watch.change().await, is("c2499", Disconnected));
}

#[tokio::test]
async fn without_redis_each_server_goes_on_and_they_agree_when_it_is_back() {
    let mut shared = Shared::new();
    let (servers, [mut a, mut b]) = servers::<2>(&shared, |config| config.presence_timeout = SHORT).await;
    let on_a = NotificationClient::connect(&servers[0].addr().to_string()).await.unwrap();
    let mut lines = Vec::new();
    for id in ["stays", "leaves"] {
        lines.push(on_a.stay(id).await.unwrap());
        until_shown(&mut b, id, Connected, 1).await;
    }
    let mut watch = Watching::start(&mut b, vec!["stays".into(), "comes".into()], "").await.unwrap().1;
    shared.redis.kill();
    // Nobody vouches for them any more.
    assert_eq!(watch.change().await, is("stays", Disconnected));
    until_shown(&mut b, "leaves", Disconnected, 0).await;
    // On its own server everything goes on.
    lines.pop().unwrap().leave().await;
    until_shown(&mut a, "leaves", Disconnected, 0).await;
    lines.push(on_a.stay("comes").await.unwrap());
    assert_eq!(state(&mut a, "stays").await, (Connected, 1));
    shared.redis.start_again();
    let mut back = vec![watch.change().await, watch.change().await];
    back.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(back, [is("comes", Connected), is("stays", Connected)]);
    assert_eq!(state(&mut b, "leaves").await, (Disconnected, 0));
    say(&mut b, "eve", MessageType::Hello).await;
    until_shown(&mut a, "eve", Connected, 0).await;
}

#[tokio::test]
async fn what_was_missed_while_redis_hung_or_cut_connections_is_heard_in_the_end() {
    let shared = Shared::new();
    let (servers, [mut a, mut b]) = servers::<2>(&shared, |_| ()).await;
    let mut stays = Watching::quiet(&mut b, &["stays"]).await;
    let line = Line::of(&mut a, "stays").await;
    assert_eq!(stays.change().await, is("stays", Connected));
    for round in 0..3 {
        let gaps = Scraped::of(&servers[1]).await.get("roster_redis_message_gaps_total");
        // Those that listen do not hear the first of these for sure, and may miss the second.
        let cut: i64 = shared.redis.ask("CLIENT KILL TYPE pubsub");
        assert!(cut > 0);
        say(&mut a, &format!("cut{round}"), MessageType::Hello).await;
        at_least(&servers[1], "roster_redis_message_gaps_total", gaps + 1.0).await;
        until_shown(&mut b, &format!("cut{round}"), Connected, 0).await;

        shared.redis.freeze();
        say(&mut a, &format!("cut{round}"), MessageType::Goodbye).await;
        say(&mut a, &format!("frozen{round}"), MessageType::Hello).await;
        // Until that is given up.
        until(&servers[0], "roster_redis_up", 0.0).await;
        say(&mut a, &format!("later{round}"), MessageType::Hello).await;
        shared.redis.thaw();
        for (id, status) in [("cut", Disconnected), ("frozen", Connected), ("later", Connected)] {
            until_shown(&mut b, &format!("{id}{round}"), status, 0).await;
        }
    }
    // Who was there all the time was: a hang that is shorter than a lifetime ends nobody.
    say(&mut a, "stays", MessageType::Hello).await;
    assert_eq!(state(&mut b, "stays").await, (Connected, 1));
    drop(line);
    say(&mut a, "stays", MessageType::Goodbye).await;
    assert_eq!(stays.change().await, is("stays", Disconnected));
}

#[tokio::test]
async fn who_comes_to_another_server_during_a_drain_was_never_gone() {
    let shared = Shared::new();
    let ([first, _second, third], [mut a, mut b, mut c]) =
        servers::<3>(&shared, |config| config.presence_timeout = SHORT).await;
    let mut line = Line::of(&mut a, "by stream").await;
    say(&mut a, "by message", MessageType::Hello).await;
    for id in ["by stream", "by message"] {
        for notifications in [&mut b, &mut c] {
            let streams = i32::from(id == "by stream");
            until_shown(notifications, id, Connected, streams).await;
        }
    }
    let watched = ["by stream", "by message", "last"].map(str::to_owned).to_vec();
    let mut watch = Watching::start(&mut c, watched, "").await.unwrap().1;
    first.shutdown();
    assert_eq!(notice(line.next().await), NoticeKind::ShuttingDown);
    assert_eq!(line.error().await.reason, "SHUTTING_DOWN");
    drop((line, a));
    first.ended().await;
    let mut line = Line::of(&mut b, "by stream").await;
    // When its silence is noticed nothing changes.
    while Scraped::of(&third).await.get("roster_presence_nodes") != 1.0 {
        say(&mut b, "by message", MessageType::Heartbeat).await;
        line.exchange(MessageType::Heartbeat).await;
    }
    say(&mut b, "last", MessageType::Hello).await;
    assert_eq!(watch.change().await, is("last", Connected), "nothing was told before");
    assert_eq!(state(&mut c, "by stream").await, (Connected, 1));
    assert_eq!(state(&mut c, "by message").await, (Connected, 0));
}
