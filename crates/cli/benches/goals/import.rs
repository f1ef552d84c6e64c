//! Imports against the least that they could be: the same rows, with the same columns and indexes, written by rusqlite in
//! one transaction.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use roster_api::{
    Client,
    user::v1::{CreateUserRequest, HealthCheckRequest, ImportOptions, ImportRow},
};
use rusqlite::{Connection, params};

use crate::{
    goals::Setting,
    process::{CallLog, Server},
    report::{Floor, Row, median, rate},
    users::{Person, person},
};

/// Bytes of a user's message, about.
pub const MESSAGE_BYTES: usize = 120;
const INSERT_USER: &str = "INSERT INTO users
    (id, email, email_key, username, username_key, name, name_key, role, status, age, phone, locale, attributes,
     email_verified, created_at, updated_at, revision, search_text, message)
    VALUES (?1, ?2, ?2, '', NULL, ?3, ?3, 1, 1, NULL, '', '', '{}', 0, ?4, ?4, 1, ?5, ?6)";
const INSERT_CHANGE: &str = "INSERT INTO changes
    (at, actor, action, user_id, user_pk, revision, request_id, fields, before, after, remote_address, by_another)
    VALUES (?1, 'developer', 'created', ?2, ?3, 1, '0123456789abcdef0123456789abcdef', '[]', NULL, ?4, '127.0.0.1', 0)";

/// Rows a second, and the memory that the server takes for it.
pub fn throughput(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let count = setting.import_users;
    let mut peaks = Vec::new();
    let mut round = 0;
    let (measured, limit, ratio) = setting.compare(
        || {
            round += 1;
            let path = setting.database(&format!("import-{round}.db"));
            let server = Server::roster(&path, CallLog::Off, &[])?;
            let elapsed = import(&server, count)?;
            peaks.push(server.peak_bytes()? as f64 / 1e6);
            drop(server);
            remove(&path);
            Ok(count as f64 / elapsed.as_secs_f64())
        },
        || {
            let path = setting.database("import-limit.db");
            // The schema is Roster's own: it is there when the first call is answered.
            let server = Server::roster(&path, CallLog::Off, &[])?;
            answer(&server)?;
            drop(server);
            let elapsed = bulk_insert(&path, count)?;
            remove(&path);
            Ok(count as f64 / elapsed.as_secs_f64())
        },
    )?;
    let peak = median(peaks);
    Ok(vec![
        Row {
            goal: 10,
            what: format!("ImportUsers, {count} users, against a raw bulk insert of users and log"),
            measured: rate(measured, "users/s"),
            limit: rate(limit, "users/s"),
            figure: ratio,
            floor: Floor::AtLeast(0.6),
        },
        Row {
            goal: 10,
            what: "the same, most memory of the server, in MB".into(),
            measured: format!("{peak:.0} MB"),
            limit: String::new(),
            figure: peak,
            floor: Floor::AtMost(256.0),
        },
    ])
}

/// Waits for the first answer.
pub fn answer(server: &Server) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(&server.addr.to_string()).await?;
        client.users().health_check(HealthCheckRequest::default()).await?;
        Ok(())
    })
}

/// Through the client, which reads every verdict.
pub fn import(server: &Server, count: usize) -> anyhow::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(&server.addr.to_string()).await?;
        let rows = (0..count as u64).map(|number| {
            let Person { name, email } = person(number);
            let user = Some(CreateUserRequest { name, email, ..Default::default() });
            ImportRow { number: number as i64 + 1, user, ..Default::default() }
        });
        let begun = Instant::now();
        let mut import = client.import(ImportOptions::default(), tokio_stream::iter(rows)).await?;
        while import.next().await?.is_some() {}
        let elapsed = begun.elapsed();
        let created = import.summary().map_or(0, |summary| summary.created_count);
        ensure!(created == count as i64, "{created} of {count} users were created");
        Ok(elapsed)
    })
}

fn bulk_insert(path: &Path, count: usize) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    let begun = Instant::now();
    let transaction = connection.transaction()?;
    {
        let mut user = transaction.prepare(INSERT_USER)?;
        let mut change = transaction.prepare(INSERT_CHANGE)?;
        let message = [b'x'; MESSAGE_BYTES];
        for number in 0..count as u64 {
            let Person { name, email } = person(number);
            // In the order of their making, as UUIDs of version 7 are.
            let id = (u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_be_bytes();
            let time = 1_790_000_000_000_000_i64 + number as i64;
            let search = format!("{name}\n{email}");
            user.execute(params![id, email, name, time, search, message])?;
            let pk = transaction.last_insert_rowid();
            change.execute(params![time, id, pk, message])?;
        }
    }
    transaction.commit()?;
    // Into the file itself, as Roster does beside it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(begun.elapsed())
}

/// A file of some hundred megabytes, and what is beside it.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-search", "-search-wal", "-search-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // It is only room.
        let _ = fs::remove_file(name);
    }
}
