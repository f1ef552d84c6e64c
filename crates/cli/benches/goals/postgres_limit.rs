//! The limit of PostgreSQL: tokio-postgres with nothing around it, in the tables that Roster has made.

use std::{
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use tokio::{
    runtime,
    task::{JoinSet, LocalSet},
};
use tokio_postgres::{
    Client, NoTls, Statement, Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use crate::{
    import::MESSAGE_BYTES,
    users::{Person, Random, person},
};

/// Threads that ask, as many as a load of calls has.
const THREADS: usize = 2;
const READ: &str = "SELECT message FROM users WHERE id = $1";
/// A transaction of itself, in one round trip.
const CREATE: &str = "WITH added AS (
        INSERT INTO users (id, email, email_key, username, username_key, name, name_key, role, status, age, phone, locale,
                           attributes, email_verified, created_at, updated_at, revision, search_text, message)
        VALUES ($1, $2, $2, '', NULL, $3, $3, 1, 1, NULL, '', '', '{}', FALSE, $4, $4, 1, $5, $6)
    ) INSERT INTO changes (at, actor, action, user_id, revision, request_id, fields, before, after, remote_address, target,
                           reason, by_another)
      VALUES ($4, 'developer', 'created', $1, 1, '0123456789abcdef0123456789abcdef', '[]', NULL, $6, '127.0.0.1', '', '',
              FALSE)";
const COPY_USERS: &str = "COPY users (id, email, email_key, username, name, name_key, role, status, phone, locale,
    attributes, email_verified, created_at, updated_at, revision, search_text, message) FROM STDIN BINARY";
const USER_TYPES: [Type; 17] = [
    Type::BYTEA,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT2,
    Type::INT2,
    Type::TEXT,
    Type::TEXT,
    Type::BYTEA,
    Type::BOOL,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::BYTEA,
];
/// As PostgreSQL takes JSONB: its version, and the text.
const NO_ATTRIBUTES: &[u8] = b"\x01{}";
const COPY_CHANGES: &str = "COPY changes (at, user_id, revision, after, by_another, actor, action, request_id, fields,
    remote_address, target, reason) FROM STDIN BINARY";
const CHANGE_TYPES: [Type; 12] = [
    Type::INT8,
    Type::BYTEA,
    Type::INT8,
    Type::BYTEA,
    Type::BOOL,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];
const MESSAGE: &[u8] = &[b'x'; MESSAGE_BYTES];

/// What is done again and again.
#[derive(Clone)]
pub enum Work {
    /// A user is read, one of these ids, drawn at random.
    Read(Arc<Vec<Vec<u8>>>),
    /// A user and its row of the log are added by a commit of their own; the number of the next.
    Create(Arc<AtomicU64>),
}

impl Work {
    fn sql(&self) -> &'static str {
        match self {
            Self::Read(_) => READ,
            Self::Create(_) => CREATE,
        }
    }

    async fn once(&self, client: &Client, statement: &Statement, random: &mut Random) -> anyhow::Result<()> {
        match self {
            Self::Read(ids) => {
                let id = ids.get(random.below(ids.len().max(1))).context("there are no users")?;
                client.query_one(statement, &[id]).await?;
            }
            Self::Create(next) => {
                let Added { id, person: Person { name, email }, time, search } = Added::of(next.fetch_add(1, Relaxed));
                client.execute(statement, &[&id, &email, &name, &time, &search, &MESSAGE]).await?;
            }
        }
        Ok(())
    }

    /// Does it until the time is up, with so many under way on each of so many connections: how often a second.
    pub fn rate(&self, url: &str, in_flight: (usize, usize), duration: Duration) -> anyhow::Result<f64> {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (work, url) = (self.clone(), url.to_owned());
                thread::spawn(move || {
                    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(LocalSet::new().run_until(work.on_this_thread(&url, thread, in_flight, duration)))
                })
            })
            .collect();
        let rates = threads.into_iter().map(|thread| -> anyhow::Result<f64> {
            thread.join().map_err(|_| anyhow!("a thread that asks PostgreSQL panicked"))?
        });
        rates.sum()
    }

    async fn on_this_thread(
        self,
        url: &str,
        thread: usize,
        (connections, streams): (usize, usize),
        duration: Duration,
    ) -> anyhow::Result<f64> {
        let mut prepared = Vec::new();
        for connection in (thread..connections).step_by(THREADS) {
            let client = connect(url).await?;
            let statement = client.prepare(self.sql()).await?;
            prepared.push((connection, Rc::new(client), statement));
        }
        let begun = Instant::now();
        let mut loops = JoinSet::new();
        for (connection, client, statement) in prepared {
            for stream in 0..streams {
                let (work, client, statement) = (self.clone(), Rc::clone(&client), statement.clone());
                let mut random = Random::new((connection * streams + stream) as u64);
                loops.spawn_local(async move {
                    let mut count = 0_u64;
                    while begun.elapsed() < duration {
                        work.once(&client, &statement, &mut random).await?;
                        count += 1;
                    }
                    anyhow::Ok(count)
                });
            }
        }
        let mut count = 0;
        while let Some(done) = loops.join_next().await {
            count += done??;
        }
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }
}

/// A user as the tables have it.
struct Added {
    id: Vec<u8>,
    person: Person,
    time: i64,
    search: String,
}

impl Added {
    /// The user with this number. Ids are in the order of their making, as UUIDs of version 7 are.
    fn of(number: u64) -> Self {
        let person = person(number);
        let uuid = (u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_be_bytes();
        let (id, search) = ([b"u".as_slice(), &uuid].concat(), format!("{}\n{}", person.name, person.email));
        Self { id, person, time: 1_790_000_000_000_000 + number as i64, search }
    }
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("the throwaway PostgreSQL")?;
    tokio::spawn(connection);
    Ok(client)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The ids of all users, as they are kept.
pub fn ids(url: &str) -> anyhow::Result<Arc<Vec<Vec<u8>>>> {
    block_on(async {
        let rows = connect(url).await?.query("SELECT id FROM users", &[]).await?;
        Ok(Arc::new(rows.iter().map(|row| row.get(0)).collect()))
    })
}

/// Runs statements.
pub fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    block_on(async { Ok(connect(url).await?.batch_execute(sql).await?) })
}

/// Adds so many users and their rows of the log, by COPY in one transaction.
pub fn copy(url: &str, count: usize) -> anyhow::Result<Duration> {
    block_on(async {
        let mut client = connect(url).await?;
        let begun = Instant::now();
        let transaction = client.transaction().await?;
        copy_users(&transaction, count as u64).await?;
        copy_changes(&transaction, count as u64).await?;
        transaction.commit().await?;
        Ok(begun.elapsed())
    })
}

async fn copy_users(transaction: &Transaction<'_>, count: u64) -> anyhow::Result<()> {
    let sink = transaction.copy_in(COPY_USERS).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &USER_TYPES));
    for number in 0..count {
        let Added { id, person: Person { name, email }, time, search } = Added::of(number);
        let keys: [&(dyn ToSql + Sync); 6] = [&id, &email, &email, &"", &name, &name];
        let rest: [&(dyn ToSql + Sync); 11] =
            [&1_i16, &1_i16, &"", &"", &NO_ATTRIBUTES, &false, &time, &time, &1_i64, &search, &MESSAGE];
        writer.as_mut().write(&[keys.as_slice(), &rest].concat()).await?;
    }
    ensure!(writer.finish().await? == count, "not all users were copied");
    Ok(())
}

async fn copy_changes(transaction: &Transaction<'_>, count: u64) -> anyhow::Result<()> {
    let sink = transaction.copy_in(COPY_CHANGES).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &CHANGE_TYPES));
    for number in 0..count {
        let Added { id, time, .. } = Added::of(number);
        let of_user: [&(dyn ToSql + Sync); 5] = [&time, &id, &1_i64, &MESSAGE, &false];
        let texts: [&(dyn ToSql + Sync); 7] =
            [&"developer", &"created", &"0123456789abcdef0123456789abcdef", &"[]", &"127.0.0.1", &"", &""];
        writer.as_mut().write(&[of_user.as_slice(), &texts].concat()).await?;
    }
    ensure!(writer.finish().await? == count, "not all changes were copied");
    Ok(())
}
