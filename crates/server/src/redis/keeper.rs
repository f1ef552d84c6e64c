//! The task that keeps the connection, and the breaker that stands before it.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use redis::RedisError;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    Channel, OpenError, Purpose,
    error::text,
    listener::{Rooms, Subscription},
    stats::{Outcome, Stats},
    wire::{Carried, Connector, Wire, ask},
};

/// How often a connection is looked at that nobody complains of.
const PING_EVERY: Duration = Duration::from_secs(1);
/// A connection that has not answered a ping by then is given up.
const PING_MAX: Duration = Duration::from_secs(1);
/// The pause after a ping that was answered too late for calls.
const SLOW_PAUSE: Duration = Duration::from_millis(200);
/// The pause between two attempts to connect: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// For how long further refusals of commands are no news, and for how long health tells of one.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(60);
const REFUSALS_REMEMBERED: Duration = Duration::from_secs(10);

/// How the connection is.
#[derive(Clone, Debug)]
pub enum State {
    /// It is being made for the first time.
    Connecting,
    /// It works; how long the last ping took.
    Up(Duration),
    /// It answers, and too slowly for calls to wait for it.
    Slow(Duration),
    /// It does not work.
    Away(OpenError),
}

/// What tasks and callers share.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) stats: Stats,
    pub(super) state: watch::Sender<State>,
    pub(super) rooms: Rooms,
    /// `None` while the breaker is open.
    link: RwLock<Option<Link>>,
    /// Somebody has opened the breaker.
    suspect: Notify,
    started: Instant,
    /// When a refusal was last told and last met, in nanoseconds after `started`; 0 for never.
    refusal_told: AtomicU64,
    refusal_met: AtomicU64,
}

/// A connection that may be used.
#[derive(Clone)]
pub(super) struct Link {
    /// Tells it from those before and after it.
    pub(super) number: u64,
    pub(super) wire: Wire,
}

impl Shared {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            stats: Stats::default(),
            state: watch::Sender::new(State::Connecting),
            rooms: Rooms::default(),
            link: RwLock::default(),
            suspect: Notify::new(),
            started: Instant::now(),
            refusal_told: AtomicU64::new(0),
            refusal_met: AtomicU64::new(0),
        }
    }

    /// The connection, unless the breaker is open.
    pub(super) fn link(&self) -> Option<Link> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the breaker is closed, so that commands go through.
    pub(super) fn is_closed(&self) -> bool {
        self.link.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Opens the breaker, if this connection is the one behind it.
    pub(super) fn trip(&self, number: u64) {
        let mut link = self.link.write().unwrap_or_else(PoisonError::into_inner);
        if link.take_if(|link| link.number == number).is_some() {
            self.stats.breaker_opened.increment();
            self.suspect.notify_one();
        }
    }

    fn let_through(&self, connection: &Link) {
        let mut link = self.link.write().unwrap_or_else(PoisonError::into_inner);
        if link.is_none() {
            *link = Some(connection.clone());
        }
    }

    /// Lets nothing through until there is another connection.
    pub(super) fn give_up(&self) {
        self.link.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn ended(&self, purpose: Purpose, took: Duration, outcome: Outcome) {
        self.stats.ended(purpose, outcome, took);
    }

    /// Notes that Redis has refused a command, and has it logged now and then.
    pub(super) fn refused(&self, purpose: Purpose, error: &RedisError) {
        let now = nanos(self.started.elapsed());
        self.refusal_met.store(now, Relaxed);
        let told = self.refusal_told.load(Relaxed);
        let is_news = told == 0 || now.saturating_sub(told) >= nanos(REFUSALS_TOLD_EVERY);
        if is_news && self.refusal_told.compare_exchange(told, now, Relaxed, Relaxed).is_ok() {
            tracing::warn!(purpose = ?purpose, error = %text(error), "Redis refuses a command");
        }
    }

    /// Whether it has refused one lately.
    pub(super) fn refuses(&self) -> bool {
        let met = self.refusal_met.load(Relaxed);
        met != 0 && nanos(self.started.elapsed()).saturating_sub(met) < nanos(REFUSALS_REMEMBERED)
    }

    pub(super) fn channel_name(&self, channel: Channel) -> String {
        format!("{}:{}", self.connector.options.prefix, channel.name())
    }

    pub(super) fn subscribe(&self, channel: Channel) -> Subscription {
        self.rooms.enter(channel)
    }
}

fn nanos(duration: Duration) -> u64 {
    // At least 1: 0 says never.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Keeps the connection.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// Connections that were made.
    made: u64,
    /// Attempts in a row that have failed.
    failed: u32,
    /// When it was last told that Redis is away, if it still is.
    away_since: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, made: 0, failed: 0, away_since: None }
    }

    /// Goes on for ever. Tells `first` how the first attempt went: `None` for well.
    pub(super) async fn run(mut self, first: mpsc::Sender<Option<OpenError>>) {
        let mut first = Some(first);
        loop {
            let outcome = self.shared.connector.connect().await;
            // A start that fails says why itself; one that has waited too long hears nothing any more.
            let is_told = first.take().is_some_and(|first| first.send(outcome.as_ref().err().cloned()).is_ok())
                && outcome.as_ref().is_err_and(OpenError::is_lasting);
            let error = match outcome {
                Ok(connection) => {
                    self.shared.stats.connected.increment();
                    self.failed = 0;
                    self.keep(connection).await
                }
                Err(error) => {
                    self.shared.stats.not_connected.increment();
                    error
                }
            };
            self.shared.give_up();
            self.tell_away(error, is_told);
            sleep(pause(self.failed)).await;
            self.failed = self.failed.saturating_add(1);
        }
    }

    /// Looks after a connection until it is of no use any more; why it is not.
    async fn keep(&mut self, connection: Carried) -> OpenError {
        let Carried { wire, mut carrier } = connection;
        self.made += 1;
        let link = Link { number: self.made, wire };
        let server = self.shared.connector.server();
        let lost = |detail: &str| OpenError::Unreachable { server: server.clone(), detail: detail.into() };
        loop {
            let began = Instant::now();
            let mut wire = link.wire.clone();
            let looked = async {
                ask::<redis::Value>(&mut wire, &redis::cmd("PING"), &server).await?;
                let took = began.elapsed();
                self.shared.connector.try_out(&mut wire).await.map(|()| took)
            };
            match timeout(PING_MAX, looked).await {
                Ok(Ok(took)) => self.answered(&link, took).await,
                Ok(Err(error)) => return error,
                Err(_) => return lost("it does not answer in time"),
            }
            let broken = async {
                match &mut carrier {
                    Some(carrier) => carrier.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep(PING_EVERY) => {}
                () = self.shared.suspect.notified() => {}
                () = broken => return lost("the connection has ended"),
            }
        }
    }

    /// A ping was answered, in time for calls or not.
    async fn answered(&mut self, link: &Link, took: Duration) {
        self.shared.stats.pinged(took);
        if took > self.shared.connector.options.wait_max {
            self.shared.trip(link.number);
            self.shared.state.send_replace(State::Slow(took));
            sleep(SLOW_PAUSE).await;
            return;
        }
        self.shared.let_through(link);
        self.shared.state.send_replace(State::Up(took));
        if let Some(since) = self.away_since.take() {
            tracing::info!(server = %self.shared.connector.server(), away = ?since.elapsed(), "Redis is in reach again");
        }
    }

    fn tell_away(&mut self, error: OpenError, is_told: bool) {
        if self.away_since.is_none() && !is_told {
            self.away_since = Some(Instant::now());
            tracing::warn!(%error, mend = error.mend(), "Redis is out of reach: each server limits by itself");
        }
        self.shared.state.send_replace(State::Away(error));
    }
}

/// Twice as long each time, and never the same for two servers.
fn pause(failed: u32) -> Duration {
    let longest = PAUSE_FIRST.saturating_mul(1_u32.checked_shl(failed).unwrap_or(u32::MAX)).min(PAUSE_MAX);
    let mut chance = [0; 2];
    // Without chance they may meet, and that is all.
    let _ = getrandom::fill(&mut chance);
    longest / 2 + (longest / 2).mul_f64(f64::from(u16::from_ne_bytes(chance)) / f64::from(u16::MAX))
}
