//! The task of one watch: from the ring or the store to its client.
//!
//! It takes the next changes only when its client has taken those before, so a client that does not read costs one
//! chunk of memory, and what comes meanwhile waits in the store. Its [`Place`] moves on with what it has handed over.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    entry::Entry,
    hub::Hub,
    place::{Known, Place, ResumeTokens},
    ring::Piece,
    watch_users::{FeedEvent, FeedItem, UserChange},
};
use crate::{
    model::{ActorKind, Clock, UserId, filter::Filter},
    net::DrainSignal,
    ops::{Error, Reason},
    store::{Store, StoreError, StoredUser, UsersAt},
};

/// Changes in one chunk.
const CHANGES_MAX: u32 = 64;
/// Users of a snapshot in one chunk. To make undone what has changed since costs the same for a small page.
pub(super) const USERS_MAX: u32 = 128;
/// Bytes of users in one chunk, but for the last of them.
const CHUNK_MAX_BYTES: usize = 64 * 1024;
/// Bytes that an event takes beside its user.
const FRAME_BYTES: usize = 256;
/// How long to wait for a thread that reads, if too many wait already.
const BUSY_RETRY_AFTER: Duration = Duration::from_millis(100);

/// What it shares with others.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hub: Arc<Hub>,
    pub(super) catch_up: Arc<Semaphore>,
    pub(super) drain: Option<DrainSignal>,
}

/// See the [module](self).
pub(super) struct Watcher {
    pub(super) shared: Shared,
    /// How far the ring goes.
    pub(super) progress: watch::Receiver<i64>,
    pub(super) filter: Option<Filter>,
    pub(super) tokens: ResumeTokens,
    /// Its client may read the private fields of all users.
    pub(super) private: bool,
    /// Its client, if that is a user, who may read their own.
    pub(super) own: Option<UserId>,
    pub(super) heartbeat: Duration,
    pub(super) slow_after: Duration,
    pub(super) place: Place,
    /// The position of the place, for who counts how far watchers are behind.
    pub(super) reached: Arc<AtomicI64>,
    /// It says first where it starts: who hears nothing before the connection breaks would have no token.
    pub(super) greets: bool,
    /// It goes on from a token: the ring cannot tell whether what that tells of was lost with a server.
    pub(super) resumes: bool,
    /// How many of what it reads fill a chunk, as far as it has seen.
    pub(super) page_max: u32,
    /// When it last said something.
    pub(super) quiet_since: Instant,
    pub(super) out: mpsc::Sender<Vec<FeedItem>>,
}

/// Room for a chunk.
type Room = mpsc::OwnedPermit<Vec<FeedItem>>;

/// Why a watch ends.
enum End {
    /// Its client has gone.
    Gone,
    /// Its client is told.
    Told(Error),
}

impl<E: Into<Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Told(error.into())
    }
}

impl Watcher {
    /// Watches to the end, and gives what its client is to be told then.
    pub(super) async fn run(mut self) -> Option<Error> {
        match self.watch().await {
            Err(End::Told(error)) => Some(error),
            Err(End::Gone) => None,
        }
    }

    async fn watch(&mut self) -> Result<Infallible, End> {
        if self.greets {
            let greeting = self.beat();
            let room = self.room().await?;
            self.send(room, vec![greeting]).await;
        }
        if self.resumes {
            let (store, position) = (Arc::clone(&self.shared.store), self.place.position);
            self.read(|| store.list_changes(position, 1)).await?;
        }
        if self.place.known != Known::All {
            self.take_snapshot().await?;
        }
        self.follow(i64::MAX).await?;
        // No position is greater.
        Err(End::Gone)
    }

    /// Sends all users as they are at one moment. Of those that an earlier watch has sent, it sends what happened to
    /// them between that watch's moment and this one.
    async fn take_snapshot(&mut self) -> Result<(), End> {
        let (store, filter) = (Arc::clone(&self.shared.store), self.filter.clone());
        let moment = self.read(|| store.moment(filter.clone())).await?;
        let mut after = None;
        if let Known::Upto(id) = &self.place.known {
            after = Some(id.clone());
            self.follow(moment.position).await?;
        }
        self.place.position = moment.position;
        loop {
            drop(self.room().await?);
            let (position, filter) = (moment.position, self.filter.clone());
            let limit = self.page_max.min(USERS_MAX);
            let query = UsersAt { position, filter, after: after.take(), limit };
            let page = self.read(|| store.users_at(query.clone())).await?;
            // A beat may have taken it during the read.
            let room = self.room().await?;
            after = page.next_after;
            let (mut chunk, mut bytes) = (Vec::with_capacity(page.users.len() + 1), 0);
            for stored in page.users {
                if bytes >= CHUNK_MAX_BYTES {
                    // The rest is read again when the client has taken these.
                    if let Known::Upto(last) = &self.place.known {
                        after = Some(last.clone());
                    }
                    break;
                }
                let user = stored.user()?;
                self.place.known = Known::Upto(user.id.clone());
                let seen = self.private || self.own.as_ref() == Some(&user.id);
                let shown = if seen { stored } else { StoredUser::of(&user.without_private()) };
                bytes += FRAME_BYTES + shown.as_bytes().len();
                chunk.push(self.item(FeedEvent::SnapshotUser(shown)));
            }
            self.learn(bytes);
            self.place.known = after.clone().map_or(Known::All, Known::Upto);
            if after.is_none() {
                chunk.push(self.item(FeedEvent::SnapshotComplete { user_count: moment.user_count }));
            }
            self.send(room, chunk).await;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends changes up to a position as they come.
    async fn follow(&mut self, until: i64) -> Result<(), End> {
        while self.place.position < until {
            let mut room = self.room().await?;
            let (entries, upto) = match self.shared.hub.after(self.place.position, CHANGES_MAX as usize) {
                Piece::Changes(entries, upto) => (entries, upto),
                Piece::Behind => {
                    drop(room);
                    let read = self.read_changes().await?;
                    // A beat may have taken it during the read.
                    room = self.room().await?;
                    read
                }
                Piece::Nothing => {
                    drop(room);
                    self.await_changes().await?;
                    continue;
                }
            };
            let (mut chunk, mut bytes, mut reached) = (Vec::with_capacity(entries.len()), 0, upto.min(until));
            for entry in entries.iter().take_while(|entry| entry.change.position <= until) {
                if bytes >= CHUNK_MAX_BYTES {
                    // The rest is taken when the client has taken these.
                    reached = self.place.position;
                    break;
                }
                self.place.position = entry.change.position;
                if let Some(change) = self.told(entry)? {
                    bytes += FRAME_BYTES + change.user.as_ref().map_or(0, |user| user.as_bytes().len());
                    chunk.push(self.item(FeedEvent::Change(Box::new(change))));
                }
            }
            self.learn(bytes);
            self.place.position = reached;
            self.send(room, chunk).await;
        }
        Ok(())
    }

    /// Reads less at a time of what is large.
    fn learn(&mut self, bytes: usize) {
        self.page_max = match bytes >= CHUNK_MAX_BYTES {
            true => (self.page_max / 2).max(1),
            false => (self.page_max * 2).min(USERS_MAX),
        };
    }

    /// The next changes that the ring does not have any more.
    async fn read_changes(&mut self) -> Result<(Vec<Arc<Entry>>, i64), End> {
        let (store, position) = (Arc::clone(&self.shared.store), self.place.position);
        let limit = self.page_max.min(CHANGES_MAX);
        let page = self.read(|| store.list_changes(position, limit)).await?;
        Ok((page.changes.into_iter().map(|change| Arc::new(Entry::new(change))).collect(), page.upto))
    }

    /// What the client is told of a change.
    fn told(&self, entry: &Entry) -> Result<Option<UserChange>, StoreError> {
        let change = &entry.change;
        if let Known::Upto(last) = &self.place.known
            && change.user_id > *last
        {
            // The snapshot comes to this user yet.
            return Ok(None);
        }
        let Some(kind) = entry.kind_for(self.filter.as_ref())? else { return Ok(None) };
        let (actor, actor_id) = ActorKind::split(&change.actor)
            .ok_or_else(|| StoreError::Corrupt(format!("the change {} has no actor", change.position)))?;
        Ok(Some(UserChange {
            kind,
            user_id: change.user_id.clone(),
            user: entry.user(self.private || self.own.as_ref() == Some(&change.user_id))?,
            changed_fields: entry.changed_fields(kind),
            actor,
            actor_id: actor_id.to_owned(),
            at: change.at,
            request_id: change.request_id.clone(),
        }))
    }

    fn beat(&self) -> FeedItem {
        self.item(FeedEvent::Heartbeat { sent_at: self.shared.clock.now() })
    }

    fn item(&self, event: FeedEvent) -> FeedItem {
        FeedItem { resume_token: self.tokens.seal(&self.place), event }
    }

    /// Hands a chunk on, if there is anything in it. Lets others run in any case.
    async fn send(&mut self, room: Room, chunk: Vec<FeedItem>) {
        if chunk.is_empty() {
            drop(room);
        } else {
            // If the client has gone, the next look for room finds that.
            drop(room.send(chunk));
            self.quiet_since = Instant::now();
        }
        self.reached.store(self.place.position, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    /// Waits until the client has taken what was sent. What is told must be in the [`Place`] only once there is room for
    /// it, so that a watch that ends here goes on with it. No beat has room while this is held.
    async fn room(&mut self) -> Result<Room, End> {
        loop {
            tokio::select! {
                biased;
                () = draining(self.shared.drain.as_ref()) => return Err(self.ended(Reason::ShuttingDown)),
                room = self.out.clone().reserve_owned() => return room.map_err(|_| End::Gone),
                () = sleep(self.slow_after) => {}
            }
            if *self.progress.borrow() > self.place.position || self.place.known != Known::All {
                return Err(self.ended(Reason::WatcherTooSlow));
            }
        }
    }

    /// Waits until the ring goes further.
    async fn await_changes(&mut self) -> Result<(), End> {
        let (mut progress, position) = (self.progress.clone(), self.place.position);
        self.meanwhile(async move { progress.wait_for(|upto| *upto > position).await.map(drop) })
            .await?
            .map_err(|_| self.ended(Reason::ShuttingDown))
    }

    /// Reads from the store, when it is this watcher's turn.
    async fn read<T, F>(&mut self, read: impl Fn() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let (catch_up, hub) = (Arc::clone(&self.shared.catch_up), Arc::clone(&self.shared.hub));
        let turn = async {
            loop {
                // It is never closed.
                let turn = catch_up.acquire().await;
                hub.count_read();
                match read().await {
                    Err(StoreError::Busy) => {
                        // Others need not wait for this sleep.
                        drop(turn);
                        sleep(BUSY_RETRY_AFTER).await;
                    }
                    result => return result,
                }
            }
        };
        Ok(self.meanwhile(turn).await??)
    }

    /// Waits for something, and is alive meanwhile: it beats, and ends with its client or its server.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = draining(self.shared.drain.as_ref()) => return Err(self.ended(Reason::ShuttingDown)),
                done = work.as_mut() => return Ok(done),
                () = self.out.closed() => return Err(End::Gone),
                () = sleep_until(self.quiet_since + self.heartbeat) => {
                    self.quiet_since = Instant::now();
                    // A client that has not taken what was sent before needs no sign of life.
                    let _ = self.out.try_send(vec![self.beat()]);
                }
            }
        }
    }

    fn ended(&self, reason: Reason) -> End {
        End::Told(Error::WatchEnded { reason, resume_token: self.tokens.seal(&self.place) })
    }
}

/// Ends when the server begins to drain.
async fn draining(drain: Option<&DrainSignal>) {
    match drain {
        Some(drain) => drain.draining().await,
        None => std::future::pending().await,
    }
}
