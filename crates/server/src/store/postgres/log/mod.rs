//! The change log, followed: its rows get their positions, whoever waits for them hears of it, and what other servers
//! have ended ends here.

mod ended;
mod follower;
mod readers;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use self::follower::Follower;
pub(super) use self::readers::Readers;
use super::connect::Connector;
use crate::store::{LiveGrants, StoreError, Trust};

/// Gives positions to what is committed, and says how far the log goes then. To be sent as a simple query: see the
/// schema.
pub(super) const NUMBER: &str = "SELECT number_changes()";
/// The same, relying on nothing that was numbered before.
const NUMBER_ALL: &str = "SELECT number_changes(TRUE)";

/// How long grants are good for after it was last heard what others have ended.
pub(super) const TRUSTED_FOR: Duration = Duration::from_millis(500);

/// The way to the task that follows the log.
#[derive(Debug)]
pub(super) struct Log {
    newest: watch::Receiver<i64>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    /// Starts the task, once it has followed the log to its end for the first time. To be called on the store's runtime.
    pub(super) async fn start(
        connector: &Connector,
        (live, trust): (&Arc<LiveGrants>, &Arc<Trust>),
        readers: Readers,
    ) -> Result<Self, StoreError> {
        let (newest, seen) = watch::channel(0);
        let (stop, stopping) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let (live, trust) = (Arc::clone(live), Arc::clone(trust));
        let mut follower = Follower::new(connector.clone(), (live, trust), readers, newest, Arc::clone(&wake));
        follower.begin().await?;
        let task = connector.runtime().spawn(follower.run(stopping));
        Ok(Self { newest: seen, wake, stop, task: Mutex::new(Some(task)) })
    }

    /// See [`FeedStore::newest_position`](crate::store::FeedStore::newest_position).
    pub(super) fn newest_position(&self) -> watch::Receiver<i64> {
        self.newest.clone()
    }

    /// To call after every commit that may have logged something.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// What [`Log::wake`] wakes, for who commits without a store at hand.
    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Follows the log to its end a last time, and ends the task.
    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Only a panic could fail this.
            let _ = task.await;
        }
    }
}
