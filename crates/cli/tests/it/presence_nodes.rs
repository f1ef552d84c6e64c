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
    async fn of(stub: &mut NotificationServiceClient<Transport>, id: &str) -> Self {
        let request = WatchClientStatusRequest { client_ids: vec![id.to_owned()], ..Default::default() };
        Self(stub.watch_client_status(request).await.unwrap().into_inner())
    }

    /// The next status that is told.
    async fn next(&mut self) -> ClientStatus {
        loop {
            let event = self.0.message().await.unwrap().unwrap().event.unwrap();
            if let Event::Client(client) = event {
                return client.status();
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
    let (mut lost, mut saved) = (Watching::of(&mut stub, "lost").await, Watching::of(&mut stub, "saved").await);
    for id in ["lost", "saved"] {
        on_killed.send_hello(id).await.unwrap();
    }
    assert_eq!((lost.next().await, saved.next().await), (ClientStatus::Connected, ClientStatus::Connected));
    let began = Instant::now();
    killed.kill();
    // One of them comes to the other server, as heartbeats do that are dealt out.
    let on_witness = NotificationClient::connect(&witness.grpc).await.unwrap();
    let stays = on_witness.stay("saved").await.unwrap();
    assert_eq!(lost.next().await, ClientStatus::Disconnected);
    let took = began.elapsed();
    assert!(took <= TIMEOUT, "{took:?}");
    // It was there all the time: what is told of it next is its goodbye.
    drop(stays);
    assert_eq!(saved.next().await, ClientStatus::Disconnected);
    assert!(began.elapsed() > took);
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
    let mut watch = Watching::of(&mut at_witness, "here").await;
    let mut other = Watching::of(&mut at_frozen, "there").await;
    let mut fresh = Watching::of(&mut at_frozen, "fresh").await;
    let _here = on_frozen.stay("here").await.unwrap();
    let there = on_witness.stay("there").await.unwrap();
    assert_eq!((watch.next().await, other.next().await), (ClientStatus::Connected, ClientStatus::Connected));
    kill_process(frozen.pid(), Signal::STOP).unwrap();
    assert_eq!(watch.next().await, ClientStatus::Disconnected, "nobody vouches for it");
    there.leave().await;
    let _fresh = on_witness.stay("fresh").await.unwrap();
    kill_process(frozen.pid(), Signal::CONT).unwrap();
    assert_eq!(watch.next().await, ClientStatus::Connected);
    assert_eq!(other.next().await, ClientStatus::Disconnected);
    assert_eq!(fresh.next().await, ClientStatus::Connected);
}
