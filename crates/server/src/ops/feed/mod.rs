//! Who follows users: the use case `watch_users`, and what its watchers share.
//!
//! One task, the [hub](hub::Hub), reads new changes from the store, once for all, into a ring in memory. Every watch has
//! a task of its own on its connection's worker: it takes changes from the ring, or from the store as long as it is
//! behind the ring, decides which of them its client is told and as what, and hands them on in chunks.

mod entry;
mod hub;
mod place;
mod ring;
mod watch_users;
mod watcher;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use self::hub::Hub;
pub use self::watch_users::{ChangeKind, FeedEvent, FeedItem, UserChange, UserWatch, WatchStart, WatchUsersInput};
use crate::{
    metrics::{
        Counter, Page,
        names::{WATCH_LAG, WATCH_READS, WATCH_RING, WATCH_RING_BYTES, WATCHERS, WATCHERS_REFUSED, WATCHES_ENDED},
    },
    ops::{Error, Ops, Reason, page_token::PageTokens},
    store::Store,
};

/// Watchers that read from the store at the same time. It has few threads for long reads, and lists need them too.
const CATCH_UP_MAX: usize = 1;
/// Watchers at once, unless it is set.
const WATCHERS_MAX: usize = 20_000;
/// How long a client may read nothing while there are changes for it.
const SLOW_AFTER: Duration = Duration::from_secs(60);

/// Bounds of the feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedOptions {
    /// Watchers at once.
    pub watchers_max: usize,
    /// How long a client may read nothing while there are changes for it.
    pub slow_after: Duration,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self { watchers_max: WATCHERS_MAX, slow_after: SLOW_AFTER }
    }
}

/// What watching costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLoad {
    /// Watchers now.
    pub watchers: usize,
    /// Reads of the store for all watchers so far.
    pub reads: u64,
}

/// What watchers share.
pub(in crate::ops) struct Feed {
    hub: Arc<Hub>,
    catch_up: Arc<Semaphore>,
    tokens: PageTokens,
    pub(in crate::ops) options: FeedOptions,
    outcomes: Arc<Outcomes>,
}

/// How watches end, in numbers.
#[derive(Debug, Default)]
struct Outcomes {
    /// Never begun.
    refused: Counter,
    client: Counter,
    too_slow: Counter,
    shutting_down: Counter,
    other: Counter,
}

impl Outcomes {
    /// Takes in what a client is told at the end; nothing if it has gone.
    fn count(&self, told: Option<&Error>) {
        let counter = match told {
            None => &self.client,
            Some(Error::WatchEnded { reason: Reason::WatcherTooSlow, .. }) => &self.too_slow,
            Some(Error::WatchEnded { reason: Reason::ShuttingDown, .. }) => &self.shutting_down,
            Some(_) => &self.other,
        };
        counter.increment();
    }
}

/// Shares of the watchers, and as labels. The last is the one that is furthest behind.
const SHARES: [(usize, &str); 3] = [(50, "0.5"), (90, "0.9"), (100, "1")];

impl Feed {
    /// Starts the hub on the runtime that this is called on. It sleeps until somebody watches. `key` is for resume tokens.
    pub(in crate::ops) fn start(store: &Arc<dyn Store>, key: [u8; 32]) -> Self {
        Self {
            hub: Hub::start(Arc::clone(store)),
            catch_up: Arc::new(Semaphore::new(CATCH_UP_MAX)),
            tokens: PageTokens::new(key),
            options: FeedOptions::default(),
            outcomes: Arc::default(),
        }
    }

    /// Puts what watching costs on the page; the change log goes up to `newest`.
    pub(in crate::ops) fn report(&self, page: &mut Page, newest: i64) {
        let (watchers, reads) = self.hub.load();
        let Outcomes { refused, client, too_slow, shutting_down, other } = &*self.outcomes;
        page.value(&WATCHERS, &[], watchers as u64);
        page.value(&WATCHERS_REFUSED, &[], refused.get());
        let mut lags: Vec<_> = self.hub.places().iter().map(|place| newest.saturating_sub(*place).max(0)).collect();
        lags.sort_unstable();
        for (percent, label) in SHARES {
            let at = (lags.len() * percent).div_ceil(100).saturating_sub(1);
            page.value(&WATCH_LAG, &[label], lags.get(at).map_or(0, |lag| lag.unsigned_abs()));
        }
        for (reason, ended) in
            [("client", client), ("too_slow", too_slow), ("shutting_down", shutting_down), ("other", other)]
        {
            page.value(&WATCHES_ENDED, &[reason], ended.get());
        }
        page.value(&WATCH_READS, &[], reads);
        let (changes, bytes) = self.hub.ring_size();
        page.value(&WATCH_RING, &[], changes);
        page.value(&WATCH_RING_BYTES, &[], bytes);
    }
}

impl Ops {
    /// What watching costs.
    #[must_use]
    pub fn feed_load(&self) -> FeedLoad {
        let (watchers, reads) = self.feed.hub.load();
        FeedLoad { watchers, reads }
    }
}
