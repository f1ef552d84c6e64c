//! Goal 14: what a client costs that is online, and what the older notification service promised.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::ensure;
use bytes::Bytes;
use roster_api::{
    compat::notification as old,
    notification::v1::{MessageType, SendMessageRequest},
};

use crate::{
    goals::{GET, Setting, without_errors},
    load::{Load, Requests, any_of},
    process::{CallLog, Server},
    raw_tonic::Mode,
    report::{Floor, Row, median, rate, time},
    users,
};

const SEND: &str = "/notification.v1.NotificationService/SendMessage";
const OLD_SEND: &str = "/NotificationService/SendMessage";

/// Nobody is to fall silent during a measurement.
const PATIENCE: [(&str, &str); 1] = [("ROSTER_PRESENCE_TIMEOUT_MS", "3600000")];
/// The first clients are not counted: with them come connections and buffers.
const FIRST: u64 = 1_000;
/// Connecting the clients takes no longer.
const FILL_TIMEOUT: Duration = Duration::from_secs(600);
/// Clients at once, and clients in memory, of which the older service's page tells.
const OLD_AT_ONCE: usize = 20;
const OLD_CLIENTS: u64 = 1_000;

/// A message of the client with this number, whose id is as long as a user's.
fn message(number: u64, message_type: MessageType) -> Bytes {
    users::frame(&SendMessageRequest { client_id: client_id(number), message_type: message_type.into() })
}

fn client_id(number: u64) -> String {
    format!("01980000-0000-7000-8000-{number:012x}")
}

/// Connects these clients.
fn fill(server: &Server, path: &'static str, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    let next = AtomicU64::new(numbers.start);
    let requests: Requests = Arc::new(move |_| {
        let number = next.fetch_add(1, Relaxed);
        // Their ids do not come in order.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
        (number < numbers.end).then(|| message(mixed, MessageType::Hello))
    });
    let load = Load { addr: server.addr, path, requests, connections: 4, streams: 64, duration: FILL_TIMEOUT };
    without_errors(load.run()?).map(|_| ())
}

/// Goal 14.
pub fn online(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let clients = setting.search_users as u64;
    ensure!(clients > FIRST, "too few clients to tell what one takes");
    let server = Server::roster(&setting.database("presence.db"), CallLog::Off, &PATIENCE)?;
    eprintln!("  connecting {clients} clients");
    fill(&server, SEND, 0..FIRST)?;
    let before = server.resident_bytes()?;
    fill(&server, SEND, FIRST..clients)?;
    let bytes = server.resident_bytes()?.saturating_sub(before) as f64 / (clients - FIRST) as f64;
    let size = Row {
        goal: 14,
        what: format!("bytes of a client among {clients}"),
        measured: format!("{bytes:.0} B"),
        limit: String::new(),
        figure: bytes,
        floor: Floor::AtMost(128.0),
    };

    let tonic = Server::raw_tonic(Mode::Routes)?;
    let heartbeats: Requests = Arc::new(move |random| {
        let number = random.below(clients as usize) as u64;
        Some(message(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16, MessageType::Heartbeat))
    });
    let get = any_of(vec![users::get("01980000-0000-7000-8000-000000000000")]);
    let (measured, limit, ratio) = setting.compare(
        || Ok(setting.sample(&server, SEND, &heartbeats, (4, 64))?.calls_per_cpu()),
        || Ok(setting.sample(&tonic, GET, &get, (4, 64))?.calls_per_cpu()),
    )?;
    let speed = Row {
        goal: 14,
        what: "a heartbeat of any of them, against raw tonic".into(),
        measured: rate(measured, "r/CPU-s"),
        limit: rate(limit, "r/CPU-s"),
        figure: ratio,
        floor: Floor::AtLeast(0.75),
    };
    let [latency, memory] = older(setting)?;
    Ok(vec![size, speed, latency, memory])
}

/// What the page of the older service says of itself.
fn older(setting: &Setting) -> anyhow::Result<[Row; 2]> {
    let server = Server::roster(&setting.database("presence-older.db"), CallLog::Off, &PATIENCE)?;
    fill(&server, OLD_SEND, 0..OLD_CLIENTS)?;
    let megabytes = server.resident_bytes()? as f64 / 1e6;
    let requests: Requests = Arc::new(|random| {
        let message_type = [old::MessageType::Hello, old::MessageType::Goodbye][random.below(2)];
        let client_id = client_id(random.below(OLD_CLIENTS as usize) as u64);
        Some(users::frame(&old::SendMessageRequest { client_id, message_type: message_type.into() }))
    });
    let mut means = Vec::new();
    for _ in 0..setting.rounds {
        means.push(setting.sample(&server, OLD_SEND, &requests, (OLD_AT_ONCE, 1))?.mean_latency());
    }
    let mean = median(means);
    Ok([
        Row {
            goal: 14,
            what: format!("the older service: mean of a message, {OLD_AT_ONCE} clients at once, in ms"),
            measured: time(mean),
            limit: String::new(),
            figure: mean * 1e3,
            floor: Floor::AtMost(10.0),
        },
        Row {
            goal: 14,
            what: format!("the same: all memory with {OLD_CLIENTS} clients, in MB"),
            measured: format!("{megabytes:.1} MB"),
            limit: String::new(),
            figure: megabytes,
            floor: Floor::AtMost(50.0),
        },
    ])
}
