//! Who is to hear of changes. A watch keeps the ids of clients that have changed since it was read last, each once; what
//! became of them is looked up when it is read. So a slow reader costs a bounded list, and gets the latest state of
//! each client. When the list is full it is dropped, and the reader goes through the table for what has changed since.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    mem,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::{Client, Full, Presence, Tick};

/// Changed clients that a watch keeps: more than a watch of single clients can have.
const CHANGED_MAX: usize = 1_024;
/// Clients that all watches together may name; each watch counts as one more.
pub const WATCHED_MAX: usize = 100_000;
/// Clients that are taken from the table at a time.
const CHUNK: usize = 256;

/// Which clients a watch is about: all if it has neither ids nor a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These,
    pub ids: BTreeSet<Box<str>>,
    /// and those whose id starts with this.
    pub prefix: Option<Box<str>>,
}

impl Filter {
    fn matches(&self, id: &str) -> bool {
        match &self.prefix {
            Some(prefix) if id.starts_with(&**prefix) => true,
            None if self.ids.is_empty() => true,
            _ => self.ids.contains(id),
        }
    }

    /// Under which names changes that may match are told; `None` if they may have any.
    fn owners(&self) -> Option<BTreeSet<&str>> {
        let of_prefix = match self.prefix.as_deref() {
            Some(prefix) => Some(prefix.split_once('/')?.0),
            None if self.ids.is_empty() => return None,
            None => None,
        };
        Some(self.ids.iter().map(|id| owner(id)).chain(of_prefix).collect())
    }
}

/// The part of an id that is common to all devices of a user.
fn owner(id: &str) -> &str {
    id.split_once('/').map_or(id, |(owner, _)| owner)
}

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Ids that are watched, and watches.
    watched: AtomicUsize,
    register: RwLock<Register>,
}

#[derive(Debug, Default)]
struct Register {
    of_any: Vec<Arc<Shared>>,
    by_owner: HashMap<Box<str>, Vec<Arc<Shared>>>,
}

impl Register {
    /// The lists that a watch belongs to.
    fn change(&mut self, filter: &Filter, change: impl Fn(&mut Vec<Arc<Shared>>)) {
        let Some(owners) = filter.owners() else { return change(&mut self.of_any) };
        for owner in owners {
            let list = self.by_owner.entry(owner.into()).or_default();
            change(list);
            if list.is_empty() {
                self.by_owner.remove(owner);
            }
        }
    }
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        // A change is made under the lock of a shard, which a watch takes after it is counted here: if it is not seen here,
        // the watch sees the change.
        self.watched.load(Ordering::Relaxed) == 0
    }

    /// How many there are, with the ids that they name.
    pub(super) fn watched(&self) -> usize {
        self.watched.load(Ordering::Relaxed)
    }

    /// Tells of a change that was made.
    pub(super) fn publish(&self, id: &str, now: Tick) {
        if self.is_empty() {
            return;
        }
        let register = self.register.read().unwrap_or_else(PoisonError::into_inner);
        let of_owner = register.by_owner.get(owner(id)).into_iter().flatten();
        let mut shared_id: Option<Arc<str>> = None;
        for watch in register.of_any.iter().chain(of_owner).filter(|watch| watch.filter.matches(id)) {
            let id = shared_id.get_or_insert_with(|| id.into());
            watch.tell(id, now);
        }
    }
}

#[derive(Debug)]
struct Shared {
    filter: Filter,
    changed: Mutex<Changed>,
    bell: Notify,
}

/// What a watch has not been read for.
#[derive(Debug, Default)]
struct Changed {
    ids: HashSet<Arc<str>>,
    /// When the first of these changed.
    since: Tick,
    /// The list was full: everything since then has to be looked for.
    overflowed: bool,
}

impl Shared {
    fn tell(&self, id: &Arc<str>, now: Tick) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads may tell of their changes in another order than they made them.
        let is_first = changed.ids.is_empty() && !changed.overflowed;
        changed.since = if is_first { now } else { changed.since.min(now) };
        if changed.overflowed {
            return;
        }
        if changed.ids.len() < CHANGED_MAX {
            changed.ids.insert(Arc::clone(id));
        } else {
            changed.ids = HashSet::new();
            changed.overflowed = true;
        }
        drop(changed);
        self.bell.notify_one();
    }
}

/// The reader has been so slow that clients were forgotten whose changes it has not had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged;

/// What is to be read next.
#[derive(Debug)]
enum Part {
    /// The clients that the filter names.
    Ids(std::vec::IntoIter<Arc<str>>),
    /// The table after this id, if it changed then or later.
    Table { from: Arc<str>, included: bool, since: Tick },
}

/// A watch: what is known when it begins, and what changes. Ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    presence: Arc<Presence>,
    shared: Arc<Shared>,
    /// What is being read, the last first.
    parts: Vec<Part>,
    /// That is read for what has changed since then, which the list had no room for.
    catching_up: Option<Tick>,
}

/// Clients that a watch is about.
#[derive(Debug)]
pub enum Changes {
    /// As they are now; may be none, though there is more to read.
    Clients(Vec<Client>),
    /// There are no more for now.
    UpToDate,
}

impl Presence {
    /// Watches the clients that match.
    ///
    /// # Errors
    /// Too many are watched.
    pub fn watch(self: &Arc<Self>, filter: Filter) -> Result<Watch, Full> {
        let watched = &self.watches.watched;
        let cost = 1 + filter.ids.len();
        watched
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
                all.checked_add(cost).filter(|all| *all <= WATCHED_MAX)
            })
            .map_err(|_| Full)?;
        let shared = Arc::new(Shared { filter, changed: Mutex::default(), bell: Notify::new() });
        let mut register = self.watches.register.write().unwrap_or_else(PoisonError::into_inner);
        register.change(&shared.filter, |list| list.push(Arc::clone(&shared)));
        drop(register);
        let parts = shared.parts(Tick(0));
        Ok(Watch { presence: Arc::clone(self), shared, parts, catching_up: None })
    }
}

impl Shared {
    /// All that has to be looked at for what has changed since.
    fn parts(&self, since: Tick) -> Vec<Part> {
        let filter = &self.filter;
        let mut parts = Vec::new();
        if filter.prefix.is_some() || filter.ids.is_empty() {
            let from = filter.prefix.as_deref().unwrap_or_default().into();
            parts.push(Part::Table { from, included: true, since });
        }
        if !filter.ids.is_empty() {
            let below = |id: &str| filter.prefix.as_deref().is_some_and(|prefix| id.starts_with(prefix));
            let ids: Vec<_> = filter.ids.iter().filter(|id| !below(id)).map(|id| (&**id).into()).collect();
            parts.push(Part::Ids(ids.into_iter()));
        }
        parts
    }
}

impl Watch {
    /// The next clients, some hundreds at most; never waits. Some may be told twice, but none not at all.
    ///
    /// # Errors
    /// The reader was too slow.
    pub fn read(&mut self) -> Result<Changes, Lagged> {
        if let Some(part) = self.parts.pop() {
            let clients = self.read_part(part);
            // Who was forgotten before the walk came to them was not found.
            if self.parts.is_empty() {
                self.catching_up.take().map_or(Ok(()), |since| self.check_memory(since))?;
            }
            return Ok(Changes::Clients(clients));
        }
        let changed = mem::take(&mut *self.shared.changed.lock().unwrap_or_else(PoisonError::into_inner));
        if changed.overflowed {
            self.check_memory(changed.since)?;
            self.catching_up = Some(changed.since);
            self.parts = self.shared.parts(changed.since);
            return Ok(Changes::Clients(Vec::new()));
        }
        if changed.ids.is_empty() {
            return Ok(Changes::UpToDate);
        }
        Ok(Changes::Clients(changed.ids.into_iter().map(|id| self.state_of(id)).collect()))
    }

    /// Whether nobody was forgotten who has changed since then.
    fn check_memory(&self, since: Tick) -> Result<(), Lagged> {
        let forgotten = Tick(self.presence.forgotten.load(Ordering::Relaxed));
        if forgotten >= since { Err(Lagged) } else { Ok(()) }
    }

    /// Whether all that was known at the start has been read.
    #[must_use]
    pub fn has_told_all(&self) -> bool {
        self.parts.is_empty()
    }

    /// Waits until there may be more to read.
    pub async fn changed(&self) {
        self.shared.bell.notified().await;
    }

    fn read_part(&mut self, part: Part) -> Vec<Client> {
        match part {
            Part::Ids(mut ids) => {
                let clients: Vec<_> = ids.by_ref().take(CHUNK).filter_map(|id| self.presence.get(&id)).collect();
                if ids.len() > 0 {
                    self.parts.push(Part::Ids(ids));
                }
                clients
            }
            Part::Table { from, included, since } => {
                let page = self.presence.page(&from, included, CHUNK);
                let prefix = self.shared.filter.prefix.as_deref().unwrap_or_default();
                let last = page.last().map(|client| Arc::clone(&client.id));
                if let Some(from) = last.filter(|last| page.len() == CHUNK && last.starts_with(prefix)) {
                    self.parts.push(Part::Table { from, included: false, since });
                }
                let told = |client: &Client| client.id.starts_with(prefix) && client.changed_at >= since;
                page.into_iter().filter(told).collect()
            }
        }
    }

    /// A client that has changed; one that was forgotten meanwhile had gone before.
    fn state_of(&self, id: Arc<str>) -> Client {
        let gone =
            || Client { id: Arc::clone(&id), connected: false, streams: 0, last_seen: None, changed_at: Tick(0) };
        self.presence.get(&id).unwrap_or_else(gone)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watches = &self.presence.watches;
        let mut register = watches.register.write().unwrap_or_else(PoisonError::into_inner);
        register.change(&self.shared.filter, |list| list.retain(|other| !Arc::ptr_eq(other, &self.shared)));
        drop(register);
        watches.watched.fetch_sub(1 + self.shared.filter.ids.len(), Ordering::Relaxed);
    }
}
