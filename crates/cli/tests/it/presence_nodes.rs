//! Servers that share who is online, as processes that are killed and frozen.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use roster_api::{
    Client, NotificationClient,
    client::Transport,
    notification::v1::{
        ClientStatus, WatchClientStatusRequest, WatchClientStatusResponse,
        notification_service_client::NotificationServiceClient, watch_client_status_response::Event,
    },
};
use rustix::process::{Signal, kill_process};
use tonic::Streaming;

use crate::{
    redis_server::RedisServer,
    server::{Server, serve},
};

/// A client that is silent for this long is gone.
const TIMEOUT: Duration = Duration::from_secs(6);

/// A server in memory, which shares nothing but who is online.
fn server(redis: &RedisServer) -> Server {
    let folder = std::env::temp_dir();
    let mut command: Command = serve(&folder);
    command.args(["--database-url", "sqlite::memory:", "--redis-url", redis.url().as_str()]);
    command.env("ROSTER_PRESENCE_TIMEOUT_MS", TIMEOUT.as_millis().to_string());
    Server::start(&mut command)
}

struct Watching(Streaming<WatchClientStatusResponse>);

impl Watching {
    async fn of(stub: &mut NotificationServiceClient<Transport>, ids: &[&str]) -> Self {
        let client_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let request = WatchClientStatusRequest { client_ids, ..Default::default() };
        Self(stub.watch_client_status(request).await.unwrap().into_inner())
    }

    /// The next client that is told of, and whether it is there.
    async fn next(&mut self) -> (String, bool) {
        loop {
            let event = self.0.message().await.unwrap().unwrap().event.unwrap();
            if let Event::Client(client) = event {
                let is_there = client.status() == ClientStatus::Connected;
                return (client.client_id, is_there);
            }
        }
    }
}

#[tokio::test]
async fn who_was_on_a_server_that_is_killed_is_gone_in_time() {
    let redis = RedisServer::start();
    let (killed, witness) = (server(&redis), server(&redis));
    let on_killed = NotificationClient::connect(&killed.grpc).await.unwrap();
    let mut stub = Client::connect(&witness.grpc).await.unwrap().notifications();
    let mut watch = Watching::of(&mut stub, &["lost", "saved", "last"]).await;
    for id in ["lost", "saved"] {
        on_killed.send_hello(id).await.unwrap();
        assert_eq!(watch.next().await, (id.to_owned(), true));
    }
    let began = Instant::now();
    killed.kill();
    // One of them comes to the other server, as heartbeats do that are dealt out.
    let on_witness = NotificationClient::connect(&witness.grpc).await.unwrap();
    let _saved = on_witness.stay("saved").await.unwrap();
    assert_eq!(watch.next().await, ("lost".to_owned(), false));
    let took = began.elapsed();
    assert!(took <= TIMEOUT, "{took:?}");
    // The other was there all the time.
    on_witness.send_hello("last").await.unwrap();
    assert_eq!(watch.next().await, ("last".to_owned(), true));
}

#[tokio::test]
async fn a_server_that_was_frozen_is_right_again_when_it_wakes() {
    let redis = RedisServer::start();
    let (frozen, witness) = (server(&redis), server(&redis));
    let clients = [&frozen, &witness].map(|server| server.grpc.clone());
    let [on_frozen, on_witness] = [
        NotificationClient::connect(&clients[0]).await.unwrap(),
        NotificationClient::connect(&clients[1]).await.unwrap(),
    ];
    let mut at_witness = Client::connect(&witness.grpc).await.unwrap().notifications();
    let mut at_frozen = Client::connect(&frozen.grpc).await.unwrap().notifications();
    let mut watch = Watching::of(&mut at_witness, &["here"]).await;
    let mut other = Watching::of(&mut at_frozen, &["there", "fresh"]).await;
    let is = |id: &str, is_there| (id.to_owned(), is_there);
    let _here = on_frozen.stay("here").await.unwrap();
    let there = on_witness.stay("there").await.unwrap();
    assert_eq!((watch.next().await, other.next().await), (is("here", true), is("there", true)));
    kill_process(frozen.pid(), Signal::STOP).unwrap();
    assert_eq!(watch.next().await, is("here", false), "nobody vouches for it");
    there.leave().await;
    let _fresh = on_witness.stay("fresh").await.unwrap();
    kill_process(frozen.pid(), Signal::CONT).unwrap();
    assert_eq!(watch.next().await, is("here", true));
    let mut told = [other.next().await, other.next().await];
    told.sort();
    assert_eq!(told, [is("fresh", true), is("there", false)]);
}

#[tokio::test]
async fn who_is_on_a_server_that_hangs_goes_to_another() {
    let redis = RedisServer::start();
    let (frozen, witness) = (server(&redis), server(&redis));
    let of_both = Client::builder().endpoint(&frozen.grpc).endpoint(&witness.grpc).connect().await.unwrap();
    let of_both = NotificationClient::over(&of_both);
    let mut stub = Client::connect(&witness.grpc).await.unwrap().notifications();
    let mut watch = Watching::of(&mut stub, &["one", "other"]).await;
    // One is on each.
    let _one = of_both.stay("one").await.unwrap();
    let _other = of_both.stay("other").await.unwrap();
    let mut came = [watch.next().await, watch.next().await];
    came.sort();
    assert_eq!(came, ["one", "other"].map(|id| (id.to_owned(), true)));
    kill_process(frozen.pid(), Signal::STOP).unwrap();
    let (id, is_there) = watch.next().await;
    assert!(!is_there, "nobody vouches for {id}");
    assert_eq!(watch.next().await, (id, true));
}
