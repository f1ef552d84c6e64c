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
        Page,
        names::{WATCH_READS, WATCHERS},
    },
    ops::{Ops, page_token::PageTokens},
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
}

impl Feed {
    /// Starts the hub on the runtime that this is called on. It sleeps until somebody watches. `key` is for resume tokens.
    pub(in crate::ops) fn start(store: &Arc<dyn Store>, key: [u8; 32]) -> Self {
        Self {
            hub: Hub::start(Arc::clone(store)),
            catch_up: Arc::new(Semaphore::new(CATCH_UP_MAX)),
            tokens: PageTokens::new(key),
            options: FeedOptions::default(),
        }
    }

    /// Puts what watching costs on the page.
    pub(in crate::ops) fn report(&self, page: &mut Page) {
        let (watchers, reads) = self.hub.load();
        page.value(&WATCHERS, &[], watchers as u64);
        page.value(&WATCH_READS, &[], reads);
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
