//! Read replicas: standbys of the primary that lists and searches of callers may be read from who can do with what was true
//! a while ago.
//!
//! Before anything is read from a replica it is asked, in the snapshot that is then read, for the row that the log of the
//! primary had at its end at a time within what the caller allows: see [`marks`]. So what counts is not what is said
//! about a replica, nor how it fared a moment ago, but what it has. Whatever goes wrong on it, the primary is asked instead.

mod marks;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

pub(super) use self::marks::{Mark, Marks};
use super::{
    connect::Connector,
    database::Database,
    error::Aftermath,
    row::column,
    tx::{Tx, View},
    value::params,
};
use crate::{
    metrics::{Counter, Page, names::STORE_REPLICA},
    model::Staleness,
    store::StoreError,
};

/// How long it may take until it is known whether a replica has what is wanted, a new connection to it included.
const CHECK_MAX: Duration = Duration::from_millis(500);
/// How long a read may take there.
const READ_MAX: Duration = Duration::from_secs(15);
/// For how long a replica that lacks a mark is not asked for that one again, nor for later ones.
const LACKS_FOR: Duration = Duration::from_millis(50);
/// How long it is left alone after it could not be used, until it is tried by nobody's call.
const PAUSE: Duration = Duration::from_secs(1);

/// All of them, maybe none.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    all: Vec<Arc<Replica>>,
    marks: Marks,
    /// Whose turn it is to be asked first.
    next: AtomicUsize,
    counts: Counts,
}

/// What came of reads that a replica would have done for.
#[derive(Debug, Default)]
struct Counts {
    used: Counter,
    behind: Counter,
    failed: Counter,
}

/// One host.
struct Replica {
    server: String,
    database: Arc<Database>,
    /// It could not be used, and a task looks whether it can.
    is_down: AtomicBool,
    /// A position that it did not have, and when.
    lacks: Mutex<Option<(i64, Instant)>>,
}

/// What can be read from a replica; maybe from several, one after the other.
pub(super) trait Read: Send + Sync {
    /// What it gives.
    type Output: Send;

    /// Reads it in a transaction that sees all at one moment.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

/// What came of asking a replica.
enum Asked<T> {
    Has(T),
    /// It has not come that far, or another way.
    Behind,
    /// Others use all its connections.
    Busy,
    /// It cannot be used.
    Failed(String),
    /// It can, but not for this.
    Unfit,
}

impl Replicas {
    /// Makes no connection yet. Each host has `connections_max`.
    pub(super) fn new(connectors: Vec<(String, Connector)>, connections_max: usize) -> Result<Self, String> {
        let replica = |(server, connector)| {
            // Nobody waits for a replica, but for what is there already.
            let database = Database::new(connector, (connections_max, 1), Arc::default())?;
            let (is_down, lacks) = (AtomicBool::new(false), Mutex::new(None));
            Ok(Arc::new(Replica { server, database, is_down, lacks }))
        };
        Ok(Self { all: connectors.into_iter().map(replica).collect::<Result<_, String>>()?, ..Self::default() })
    }

    /// What is known of the primary, if anybody wants to know it.
    pub(super) fn marks(&self) -> Option<&Marks> {
        (!self.all.is_empty()).then_some(&self.marks)
    }

    /// Reads from a replica that has everything that was done `staleness` ago. `None` if there is none, or nothing comes of
    /// it: then the primary is to be asked.
    pub(super) async fn read<R: Read>(&self, staleness: Staleness, read: R) -> Option<R::Output> {
        if staleness.is_none() || self.all.is_empty() {
            return None;
        }
        let mark = Instant::now().checked_sub(staleness.duration()).and_then(|since| self.marks.since(since));
        let Some(mark) = mark else {
            self.counts.behind.increment();
            return None;
        };
        let (first, count) = (self.next.fetch_add(1, Ordering::Relaxed), self.all.len());
        let mut is_behind = false;
        for replica in (0..count).map(|place| &self.all[first.wrapping_add(place) % count]) {
            if replica.is_down.load(Ordering::Relaxed) {
                continue;
            }
            if replica.is_known_to_lack(mark.position) {
                is_behind = true;
                continue;
            }
            match replica.ask(&mark, &read).await {
                Asked::Has(output) => {
                    self.counts.used.increment();
                    return Some(output);
                }
                Asked::Behind => {
                    replica.note_lack(mark.position);
                    is_behind = true;
                }
                Asked::Busy => {}
                Asked::Unfit => break,
                Asked::Failed(error) => {
                    replica.give_up(&error);
                    break;
                }
            }
        }
        if is_behind {
            self.counts.behind.increment()
        } else {
            self.counts.failed.increment()
        }
        None
    }

    /// Puts what came of them on the page.
    pub(super) fn report(&self, page: &mut Page) {
        page.value(&STORE_REPLICA, &["used"], self.counts.used.get());
        page.value(&STORE_REPLICA, &["behind"], self.counts.behind.get());
        page.value(&STORE_REPLICA, &["failed"], self.counts.failed.get());
    }

    /// Lets no more reads in.
    pub(super) fn close(&self) {
        self.all.iter().for_each(|replica| replica.database.close());
    }
}

impl Replica {
    async fn ask<R: Read>(&self, mark: &Mark, read: &R) -> Asked<R::Output> {
        // One that was promoted has the row too, and goes its own way from there.
        const ROW: &str = "SELECT concat_ws(' ', c.seq, c.at, c.request_id)
             FROM positions p JOIN changes c ON c.seq = p.seq WHERE p.position = $1 AND pg_is_in_recovery()";
        let check = async {
            // Its first statement takes the snapshot that all see.
            let mut tx = Tx::new(&self.database, View::Snapshot).await?;
            let row = tx.row(ROW, params![mark.position]).await?;
            Ok::<_, StoreError>((tx, row.map(|row| column::<String>(&row, 0)).transpose()?))
        };
        let (mut tx, row) = match timeout(CHECK_MAX, check).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(StoreError::Busy)) => return Asked::Busy,
            Ok(Err(error)) => return Asked::Failed(error.to_string()),
            Err(_) if self.database.is_exhausted() => return Asked::Busy,
            Err(_) => return Asked::Failed("it does not answer in time".into()),
        };
        if row.is_none_or(|row| *row != *mark.row) {
            tx.finish();
            return Asked::Behind;
        }
        match timeout(READ_MAX, read.run(&mut tx)).await {
            Ok(Ok(output)) => {
                tx.finish();
                Asked::Has(output)
            }
            Ok(Err(error)) if tx.aftermath() == Aftermath::RetryElsewhere => Asked::Failed(error.to_string()),
            // It may have been in the way of what the standby replays; the primary says what else may be wrong with it.
            Ok(Err(_)) => Asked::Unfit,
            Err(_) => Asked::Failed("it does not answer in time".into()),
        }
    }

    fn is_known_to_lack(&self, position: i64) -> bool {
        let lacks = *self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
        lacks.is_some_and(|(lacked, when)| lacked <= position && when.elapsed() < LACKS_FOR)
    }

    fn note_lack(&self, position: i64) {
        *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = Some((position, Instant::now()));
    }

    /// Leaves it alone until a task has found that it can be used again.
    fn give_up(self: &Arc<Self>, error: &str) {
        if self.is_down.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(server = %self.server, %error, "a read replica cannot be used");
        let replica = Arc::downgrade(self);
        self.database.connector().runtime().spawn(async move {
            loop {
                sleep(PAUSE).await;
                let Some(replica) = replica.upgrade() else { return };
                // On a connection that is made anew if it has to be.
                if replica.database.point("SELECT 1", params![]).await.is_ok() {
                    replica.is_down.store(false, Ordering::Relaxed);
                    tracing::info!(server = %replica.server, "a read replica can be used again");
                    return;
                }
            }
        });
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("server", &self.server).finish_non_exhaustive()
    }
}
