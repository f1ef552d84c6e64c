//! Reads of users by id that come faster than answers: those that wait for one share the next query.
//!
//! Of all that a point read costs, little is the read: a message there and one back, for each of which two processes and
//! two threads are woken. A query for many costs about as much. The first few have a query each, at once; whoever comes
//! while they are under way waits for the first of them to end, and goes with all who wait then. Nobody waits for company,
//! and a query begins after all who share it have asked, so each sees what was committed before that.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};
use tokio_postgres::Row;

use super::{
    database::{Database, SHARED, this_thread},
    row::{column, id_bytes},
    value::{Value, params},
};
use crate::{
    model::UserId,
    store::{StoreError, StoredUser},
};

/// Queries of a lane that are under way at once: while the server works on one, another's answer is taken in.
const FLIGHTS: usize = 2;
/// Whoever has waited so long waits for one that is held up, perhaps by a connection that broke. Then there is one more.
const HELD_UP: Duration = Duration::from_millis(100);
/// Users in one query.
const BATCH_MAX: usize = 256;

const ONE: &str = "SELECT message FROM users WHERE id = $1";
const MANY: &str = "SELECT id, message FROM users WHERE id = ANY($1)";

/// What a read gives.
type Found = Result<Option<StoredUser>, StoreError>;

/// All reads of users by id. Those of a thread are in one lane, as are its queries: nobody is woken on another.
#[derive(Debug)]
pub(super) struct Finds {
    lanes: [Arc<Lane>; SHARED],
}

struct Lane {
    database: Arc<Database>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Queries.
    under_way: usize,
    /// Who waits for one of them to end.
    queue: VecDeque<Waiting>,
}

struct Waiting {
    id: UserId,
    answer: oneshot::Sender<Found>,
}

/// A query that is under way. Those who have come meanwhile have the next when it is dropped.
struct Flight(Arc<Lane>);

impl Finds {
    pub(super) fn new(database: &Arc<Database>) -> Self {
        let lane = || Arc::new(Lane { database: Arc::clone(database), state: Mutex::default() });
        Self { lanes: std::array::from_fn(|_| lane()) }
    }

    /// Reads a user.
    pub(super) async fn find(&self, id: &UserId) -> Found {
        let lane = &self.lanes[this_thread() % SHARED];
        let answer = match lane.turn(id) {
            Ok(_flight) => return lane.read_one(id).await,
            Err(mut answer) => match timeout(HELD_UP, &mut answer).await {
                Ok(answered) => answered,
                Err(_) => {
                    lane.begin_another();
                    answer.await
                }
            },
        };
        match answer {
            Ok(found) => found,
            // Its query has gone with the runtime of whoever began it.
            Err(_) => lane.read_one(id).await,
        }
    }
}

impl Lane {
    /// A query of one's own, or what another will give.
    fn turn(self: &Arc<Self>, id: &UserId) -> Result<Flight, oneshot::Receiver<Found>> {
        let mut state = self.state();
        if state.under_way < FLIGHTS {
            state.under_way += 1;
            return Ok(Flight(Arc::clone(self)));
        }
        let (answer, answered) = oneshot::channel();
        state.queue.push_back(Waiting { id: id.clone(), answer });
        Err(answered)
    }

    /// One more than there may be, for those who wait.
    fn begin_another(self: &Arc<Self>) {
        self.state().under_way += 1;
        drop(Flight(Arc::clone(self)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose turn it is, without whoever has gone; none if the query was the last, or one too many.
    fn next(&self) -> Vec<Waiting> {
        let (mut state, mut batch) = (self.state(), Vec::new());
        while batch.len() < BATCH_MAX
            && let Some(waiting) = state.queue.pop_front()
        {
            if !waiting.answer.is_closed() {
                batch.push(waiting);
            }
        }
        state.under_way -= usize::from(batch.is_empty());
        batch
    }

    async fn read_one(&self, id: &UserId) -> Found {
        let row = self.database.point(ONE, params![id]).await?;
        row.map(|row| column(&row, 0)).transpose()
    }

    /// Reads all of them, and tells each.
    async fn read_many(&self, batch: Vec<Waiting>) {
        let ids = batch.iter().map(|waiting| Some(id_bytes(&waiting.id).into())).collect();
        match self.database.rows(MANY, vec![Value::ByteStrings(ids)]).await {
            Ok(rows) => {
                let rows: HashMap<UserId, &Row> =
                    rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row))).collect();
                for Waiting { id, answer } in batch {
                    // Who has gone needs no answer.
                    let _ = answer.send(rows.get(&id).map(|row| column(row, 1)).transpose());
                }
            }
            Err(error) => batch.into_iter().for_each(|waiting| drop(waiting.answer.send(Err(error.clone())))),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("waiting", &self.state().queue.len()).finish_non_exhaustive()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let batch = self.0.next();
        if batch.is_empty() {
            return;
        }
        let next = Self(Arc::clone(&self.0));
        let runtime = Handle::try_current().unwrap_or_else(|_| self.0.database.connector().runtime().clone());
        runtime.spawn(async move { next.0.read_many(batch).await });
    }
}
