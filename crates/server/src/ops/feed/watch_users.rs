//! Begins a watch of users: checks what is asked, and starts the task that serves it.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{
    place::{Known, Place, ResumeTokens, TOKEN_MAX_CHARS},
    watcher::{Shared, USERS_MAX, Watcher},
};
use crate::{
    model::{ActorKind, Permission, Timestamp, UserId, Violations, filter::Filter},
    ops::{Ctx, Error, Ops, Reason, users::check_query},
    store::StoredUser,
};

/// How long a watch may be silent.
const HEARTBEAT_SECONDS: std::ops::RangeInclusive<u64> = 1..=300;
/// The same if the request does not say.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// How long to wait for the store to have what a token tells of: it was there when the token was made, but the store
/// may be about to say so.
const TOKEN_AHEAD_MAX: Duration = Duration::from_secs(1);
/// When a client that found no room should try again.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Chunks between a watch's task and its client's connection. What is beyond waits in the store.
const CHUNKS_MAX: usize = 1;

/// A `WatchUsersRequest`.
#[derive(Clone, Debug, Default)]
pub struct WatchUsersInput {
    /// Where to start.
    pub start: WatchStart,
    /// AIP-160; blank for all users.
    pub filter: String,
    /// Seconds and nanoseconds.
    pub heartbeat_interval: Option<(i64, i32)>,
}

/// Where a watch starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WatchStart {
    /// With the next change.
    #[default]
    Now,
    /// After the event with this token.
    Resume(String),
    /// With all users.
    Snapshot,
}

/// An event, and where to start to get everything after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedItem {
    /// The token.
    pub resume_token: String,
    /// What happened.
    pub event: FeedEvent,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// A user changed.
    Change(Box<UserChange>),
    /// A user of the snapshot.
    SnapshotUser(StoredUser),
    /// The snapshot is whole.
    SnapshotComplete {
        /// How many users there were.
        user_count: u64,
    },
    /// Nothing happened for a while.
    Heartbeat {
        /// The server's time.
        sent_at: Timestamp,
    },
}

/// A change of a user, as a watch tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    /// What happened.
    pub kind: ChangeKind,
    /// Whom.
    pub user_id: UserId,
    /// The user right after it; `None` once the user is deleted.
    pub user: Option<StoredUser>,
    /// The names of the fields that changed, in an update or where the user left the filter.
    pub changed_fields: Vec<String>,
    /// Who: the kind.
    pub actor: ActorKind,
    /// Who: the id; empty where there is none.
    pub actor_id: String,
    /// When.
    pub at: Timestamp,
    /// The call.
    pub request_id: String,
}

/// What happened to a user, to a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The user came to be.
    Created,
    /// Fields changed, or the user matches the filter from now on.
    Updated,
    /// May no longer sign in.
    Deactivated,
    /// May sign in again.
    Reactivated,
    /// Gone for good.
    Deleted,
    /// The email address was verified.
    EmailVerified,
    /// The password was changed or reset.
    PasswordChanged,
    /// No longer matches the filter.
    LeftFilter,
}

/// A watch: events without end. Dropping it ends it.
#[derive(Debug)]
pub struct UserWatch {
    chunk: vec::IntoIter<FeedItem>,
    chunks: mpsc::Receiver<Vec<FeedItem>>,
    end: oneshot::Receiver<Error>,
}

impl UserWatch {
    /// The next event. After an error there is none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<FeedItem, Error>> {
        loop {
            if let Some(item) = self.chunk.next() {
                return Poll::Ready(Ok(item));
            }
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => self.chunk = chunk.into_iter(),
                None => {
                    let end = ready!(std::pin::Pin::new(&mut self.end).poll(cx));
                    return Poll::Ready(Err(end.unwrap_or_else(|_| Error::Internal("a watch's task ended".into()))));
                }
            }
        }
    }

    /// The same, to be awaited.
    ///
    /// # Errors
    /// Why the watch ends.
    pub async fn next(&mut self) -> Result<FeedItem, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

/// A request that was checked.
struct Checked {
    filter: Option<Filter>,
    tokens: ResumeTokens,
    heartbeat: Duration,
    start: Place,
}

impl Ops {
    /// Every change of users, in commit order. The watch's task runs on the runtime that this is called on.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Invalid`], [`Error::TooManyWatchers`], and `RESUME_TOKEN_EXPIRED` for a token of what
    /// is no longer there, or is not there any more.
    pub async fn watch_users(&self, ctx: &Ctx, input: &WatchUsersInput) -> Result<UserWatch, Error> {
        ctx.caller.check(Permission::UsersWatch)?;
        let Checked { filter, tokens, heartbeat, start } = self.check_watch(ctx, input).await?;
        self.await_position(start.position).await?;
        let full = || Error::TooManyWatchers { retry_after: FULL_RETRY_AFTER };
        let Some(awake) = self.feed.hub.enter(self.feed.options.watchers_max) else {
            self.feed.outcomes.refused.increment();
            return Err(full());
        };
        awake.reached.store(start.position, Ordering::Relaxed);

        let (out, chunks) = mpsc::channel(CHUNKS_MAX);
        let (ended, end) = oneshot::channel();
        let watcher = Watcher {
            shared: Shared {
                store: Arc::clone(&self.store),
                clock: Arc::clone(&self.clock),
                hub: Arc::clone(&self.feed.hub),
                catch_up: Arc::clone(&self.feed.catch_up),
                drain: self.drain.clone(),
            },
            progress: self.feed.hub.progress(),
            filter,
            tokens,
            private: ctx.caller.check(Permission::UsersReadPrivate).is_ok(),
            own: ctx.caller.user_id().cloned(),
            heartbeat,
            slow_after: self.feed.options.slow_after,
            greets: input.start == WatchStart::Now,
            resumes: matches!(input.start, WatchStart::Resume(_)),
            place: start,
            reached: Arc::clone(&awake.reached),
            page_max: USERS_MAX,
            quiet_since: Instant::now(),
            out,
        };
        let outcomes = Arc::clone(&self.feed.outcomes);
        tokio::spawn(async move {
            let _awake = awake;
            let told = watcher.run().await;
            outcomes.count(told.as_ref());
            if let Some(error) = told {
                // The client may have gone.
                let _ = ended.send(error);
            }
        });
        Ok(UserWatch { chunk: Vec::new().into_iter(), chunks, end })
    }

    async fn check_watch(&self, ctx: &Ctx, input: &WatchUsersInput) -> Result<Checked, Error> {
        let mut violations = Violations::new();
        let heartbeat = check_heartbeat(input.heartbeat_interval, &mut violations);
        let filter = violations.check("filter", Filter::parse(&input.filter));
        check_query(ctx, filter.as_ref().and_then(Option::as_ref), None)?;
        // A token is bound to the filter, so it can only be judged with it.
        let Some(filter) = filter else { return Err(violations.into()) };
        let tokens = ResumeTokens::new(&self.feed.tokens, filter.as_ref());
        let resumed = match &input.start {
            WatchStart::Now | WatchStart::Snapshot => None,
            WatchStart::Resume(token) => {
                violations.check("resume_token", tokens.open(token).ok_or_else(|| no_token(token)))
            }
        };
        violations.into_result()?;
        let known = if input.start == WatchStart::Snapshot { Known::Nobody } else { Known::All };
        let start = match resumed {
            Some(place) => place,
            None => Place { position: self.store.log_end().await?, known },
        };
        Ok(Checked { filter, tokens, heartbeat, start })
    }

    /// A database that was restored from an older copy has not come to where the token was made.
    async fn await_position(&self, position: i64) -> Result<(), Error> {
        let mut newest = self.store.newest_position();
        let reached = timeout(TOKEN_AHEAD_MAX, newest.wait_for(|newest| *newest >= position)).await;
        match reached {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Precondition(Reason::ResumeTokenExpired)),
        }
    }
}

fn no_token(token: &str) -> String {
    match token.chars().count() {
        0 => "is empty; leave it out to start from now".into(),
        length if length > TOKEN_MAX_CHARS => {
            format!("has {length} characters; a token of ours has at most {TOKEN_MAX_CHARS}")
        }
        _ => "is not one that this server gave for the same filter; start again with a snapshot".into(),
    }
}

fn check_heartbeat(interval: Option<(i64, i32)>, violations: &mut Violations) -> Duration {
    let Some((seconds, nanos)) = interval else { return HEARTBEAT_DEFAULT };
    let parsed = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000));
    let (least, most) =
        (Duration::from_secs(*HEARTBEAT_SECONDS.start()), Duration::from_secs(*HEARTBEAT_SECONDS.end()));
    let interval = parsed.map(|(seconds, nanos)| Duration::new(seconds, nanos));
    interval.filter(|interval| (least..=most).contains(interval)).unwrap_or_else(|| {
        let (least, most) = (least.as_secs(), most.as_secs());
        let came = format!("is {seconds} s and {nanos} ns; must be {least} to {most} s");
        violations.add("heartbeat_interval", came);
        HEARTBEAT_DEFAULT
    })
}
