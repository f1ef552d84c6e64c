//! Reads of users by id that come faster than answers: those that wait for one share the next query.
//!
//! Of all that a point read costs, little is the read: a message there and one back, for each of which threads of two
//! processes are woken. A query for many costs about as much. The first few have a query each, at once; whoever comes while
//! they are under way waits for the first of them to end, and goes with all who wait then. Nobody waits for company, and a
//! query begins after all who share it have asked, so each sees what was committed before that. The price: whoever waits
//! takes up to two round trips rather than one, which shows where the database is far away.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_postgres::Row;

use super::{
    database::{Database, this_thread},
    line::{HELD_UP, Line},
    row::{column, id_bytes},
    value::{Value, params},
};
use crate::{
    model::UserId,
    store::{StoreError, StoredUser},
};

/// Queries of a lane that are under way at once: while the server works on one, another's answer is taken in.
const FLIGHTS: usize = 2;
/// Users in one query.
const BATCH_MAX: usize = 256;
/// Who finds so many waiting in a lane has a query for itself.
const WAITING_MAX: usize = 16 * BATCH_MAX;
/// As many as threads that serve calls on all but the largest machines; where there are more, some share one.
const LANES: usize = 64;

const ONE: &str = "SELECT message FROM users WHERE id = $1";
const MANY: &str = "SELECT id, message FROM users WHERE id = ANY($1)";

/// What a read gives.
type Found = Result<Option<StoredUser>, StoreError>;

/// All reads of users by id. Those of a thread are in a lane of their own, with their queries: no other is woken for them.
#[derive(Debug)]
pub(super) struct Finds {
    lanes: [Arc<Lane>; LANES],
}

struct Lane {
    database: Arc<Database>,
    /// Queries, and who waits for one of them to end.
    line: Mutex<Line<Waiting>>,
}

struct Waiting {
    id: UserId,
    answer: oneshot::Sender<Found>,
}

/// How a read is to be done.
enum Turn {
    /// By itself, before what comes with it is dropped.
    Alone(Option<Flight>),
    /// With others, as soon as there is a query for them.
    Shared(oneshot::Receiver<Found>),
}

/// A query that is under way. Those who have come meanwhile have the next when it is dropped.
struct Flight(Arc<Lane>);

impl Finds {
    pub(super) fn new(database: &Arc<Database>) -> Self {
        let lane = || Arc::new(Lane { database: Arc::clone(database), line: Mutex::default() });
        Self { lanes: std::array::from_fn(|_| lane()) }
    }

    /// Reads a user.
    pub(super) async fn find(&self, id: &UserId) -> Found {
        let lane = &self.lanes[this_thread() % LANES];
        let mut answer = match lane.turn(id) {
            Turn::Alone(_flight) => return lane.read_one(id).await,
            Turn::Shared(answer) => answer,
        };
        let answered = match timeout(HELD_UP, &mut answer).await {
            Ok(answered) => answered,
            Err(_) => {
                lane.get_past();
                answer.await
            }
        };
        match answered {
            Ok(found) => found,
            // Its query has gone with the runtime of whoever began it.
            Err(_) => lane.read_one(id).await,
        }
    }
}

impl Lane {
    fn turn(self: &Arc<Self>, id: &UserId) -> Turn {
        let mut line = self.line();
        if line.begin(FLIGHTS) {
            return Turn::Alone(Some(Flight(Arc::clone(self))));
        }
        if line.len() >= WAITING_MAX {
            return Turn::Alone(None);
        }
        let (answer, answered) = oneshot::channel();
        line.join(Waiting { id: id.clone(), answer });
        Turn::Shared(answered)
    }

    /// Has those who wait go now if they have waited for long.
    fn get_past(self: &Arc<Self>) {
        let mut line = self.line();
        let flight = (line.is_held_up() && line.begin(usize::MAX)).then(|| Flight(Arc::clone(self)));
        drop(line);
        drop(flight);
    }

    fn line(&self) -> MutexGuard<'_, Line<Waiting>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_one(&self, id: &UserId) -> Found {
        let row = self.database.point(ONE, params![id]).await?;
        row.map(|row| column(&row, 0)).transpose()
    }

    /// Reads all of them, and tells each, unless all have gone.
    async fn read_many(&self, batch: Vec<Waiting>) {
        let ids = batch.iter().map(|waiting| Some(id_bytes(&waiting.id).into())).collect();
        let rows = tokio::select! {
            biased;
            rows = self.database.rows(MANY, vec![Value::ByteStrings(ids)]) => rows,
            () = until_gone(&batch) => return,
        };
        let found = rows.and_then(|rows| rows.iter().map(found).collect::<Result<HashMap<UserId, StoredUser>, _>>());
        for Waiting { id, answer } in batch {
            // Who has gone needs no answer.
            let _ = answer.send(found.as_ref().map(|found| found.get(&id).cloned()).map_err(StoreError::clone));
        }
    }
}

/// A row of [`MANY`].
fn found(row: &Row) -> Result<(UserId, StoredUser), StoreError> {
    Ok((column(row, 0)?, column(row, 1)?))
}

/// Until nobody waits for an answer any more.
async fn until_gone(batch: &[Waiting]) {
    while !batch.iter().all(|waiting| waiting.answer.is_closed()) {
        sleep(HELD_UP).await;
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("waiting", &self.line().len()).finish_non_exhaustive()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let batch = self.0.line().next(BATCH_MAX, |waiting| waiting.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let next = Self(Arc::clone(&self.0));
        let runtime = Handle::try_current().unwrap_or_else(|_| self.0.database.connector().runtime().clone());
        runtime.spawn(async move { next.0.read_many(batch).await });
    }
}
