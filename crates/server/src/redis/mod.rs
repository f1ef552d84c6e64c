//! Redis: what servers share beside their store, and can do without.
//!
//! Nothing here knows of users. Whoever asks Redis for something gets an answer or hears [`Away`], and never waits
//! longer than [`RedisOptions::wait_max`]: after an answer that did not come in time a breaker is open, and nobody waits
//! at all until Redis has answered a ping in time again. One task keeps the connection, another listens to messages;
//! both live on a thread of their own, so that connections outlast the threads of those who call.
//!
//! [`Redis::run`] is for calls that wait, [`Redis::work`] and [`Redis::batch`] for tasks that do not hold up any,
//! [`Redis::publish`] and [`Redis::subscribe`] for messages.

mod error;
mod keeper;
mod listener;
mod options;
mod stats;
mod wire;

use std::{
    future::Future,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::{
    runtime::{self, Handle},
    sync::watch,
    time::timeout,
};

pub use self::{
    error::{Away, OpenError},
    keeper::State,
    listener::{Channel, Heard, Subscription},
    options::{RedisOptions, RedisUrl},
};
pub use redis::{Script, ScriptInvocation};

use self::{
    keeper::{Keeper, Shared},
    listener::Listener,
    stats::Outcome,
    wire::{Connector, Wire},
};
use crate::metrics::Page;

/// How long a start waits to see how the connection goes.
const START_MAX: Duration = Duration::from_secs(2);
/// How long a task waits for an answer that no call waits for.
const WORK_MAX: Duration = Duration::from_secs(1);

/// What a command is for: a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The limit of a call that waits for it.
    Limit,
    /// A round of the limits that nobody waits for.
    LimitRound,
    /// Guesses at passwords.
    Guess,
    /// Who is online.
    Presence,
    /// A message to the other servers.
    Message,
}

impl Purpose {
    /// All of them with their names.
    pub(crate) const ALL: [(Self, &str); 5] = [
        (Self::Limit, "limit"),
        (Self::LimitRound, "limit_round"),
        (Self::Guess, "guess"),
        (Self::Presence, "presence"),
        (Self::Message, "message"),
    ];
}

/// The way to Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    runtime: Handle,
    thread: Arc<Thread>,
}

/// The thread of the connections. It ends with the last who may ask.
struct Thread {
    stop: watch::Sender<bool>,
}

impl Redis {
    /// Starts to connect, and waits a moment to see how that goes; must not be called from a future. A server that cannot
    /// be reached or is not ready is no reason to stop: it is tried again for ever.
    ///
    /// # Errors
    /// [`OpenError`]s that stay until somebody mends them, as text too if no thread can be started.
    pub fn start(options: RedisOptions) -> Result<Self, OpenError> {
        let server = options.url.server();
        let no_thread =
            |error: std::io::Error| OpenError::NotReady { server: server.clone(), detail: error.to_string() };
        let shared = Arc::new(Shared::new(Connector::new(options)?));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(&no_thread)?;
        let handle = runtime.handle().clone();
        let (stop, mut stopping) = watch::channel(false);
        let (keeper, listener) = (Keeper::new(Arc::clone(&shared)), Listener::new(Arc::clone(&shared)));
        let (tell, told) = std::sync::mpsc::channel();
        let carry = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = keeper.run(tell) => {}
                    () = listener.run() => {}
                    // An error says that nobody holds us any more.
                    _ = stopping.wait_for(|stop| *stop) => {}
                }
            });
        };
        thread::Builder::new().name("redis".into()).spawn(carry).map_err(&no_thread)?;
        let thread = Arc::new(Thread { stop });
        let redis = Self { shared, runtime: handle, thread };
        match told.recv_timeout(START_MAX) {
            Ok(Some(error)) if error.is_lasting() => {
                redis.give_up();
                Err(error)
            }
            _ => Ok(redis),
        }
    }

    /// Has a script run for a call that waits for it.
    ///
    /// # Errors
    /// [`Away`]. The script may have run all the same, or run later.
    pub async fn run<T>(&self, purpose: Purpose, script: ScriptInvocation<'static>) -> Result<T, Away>
    where
        T: FromRedisValue + Send + 'static,
    {
        let max = self.shared.connector.options.wait_max;
        self.ask(purpose, max, async move |mut wire| script.invoke_async(&mut wire).await).await
    }

    /// The same for a task that holds up nobody, and so may wait longer.
    ///
    /// # Errors
    /// [`Away`]. The script may have run all the same, or run later.
    pub async fn work<T>(&self, purpose: Purpose, script: ScriptInvocation<'static>) -> Result<T, Away>
    where
        T: FromRedisValue + Send + 'static,
    {
        self.ask(purpose, WORK_MAX, async move |mut wire| script.invoke_async(&mut wire).await).await
    }

    /// Has commands run one after the other, in one flight, for a task that holds up nobody; their answers in the same
    /// order. It is no transaction. In a cluster all keys must have one hash tag.
    ///
    /// # Errors
    /// [`Away`], also if Redis refused one of them. Others may have run all the same.
    pub async fn batch(&self, purpose: Purpose, commands: Pipeline) -> Result<Vec<Value>, Away> {
        self.ask(purpose, WORK_MAX, async move |mut wire| commands.query_async(&mut wire).await).await
    }

    /// Says something to all that [subscribe](Self::subscribe), this server included.
    ///
    /// # Errors
    /// [`Away`]. It may have been said all the same.
    pub async fn publish(&self, channel: Channel, message: Vec<u8>) -> Result<(), Away> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.shared.channel_name(channel)).arg(message);
        self.ask(Purpose::Message, WORK_MAX, async move |mut wire| command.query_async::<()>(&mut wire).await).await?;
        self.said(channel, 1);
        Ok(())
    }

    /// Counts messages that a script has said.
    pub fn said(&self, channel: Channel, messages: u64) {
        self.shared.stats.said(channel, messages);
    }

    /// What is said on a channel from now on.
    #[must_use]
    pub fn subscribe(&self, channel: Channel) -> Subscription {
        self.shared.subscribe(channel)
    }

    /// Whether a connection listens, so that messages are heard.
    #[must_use]
    pub fn hears(&self) -> watch::Receiver<bool> {
        self.shared.rooms.is_listening()
    }

    /// A key or a channel of ours: the prefix, and `rest` after a colon. In a cluster the keys of one script must
    /// share what is in their first braces.
    #[must_use]
    pub fn key(&self, rest: impl std::fmt::Display) -> String {
        format!("{}:{rest}", self.shared.connector.options.prefix)
    }

    /// What a channel is called in Redis, for scripts that say something.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> String {
        self.shared.channel_name(channel)
    }

    /// How the connection is, and is to be.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Whether it is asked at all: nobody would get an answer while its breaker is open.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.shared.is_closed()
    }

    /// Whether it has refused a command lately.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.shared.refuses()
    }

    /// Puts what is asked of it in numbers on the page.
    pub fn report(&self, page: &mut Page) {
        self.shared.stats.report(page, self.shared.is_closed());
    }

    /// Gives up the connections, and asks for nothing any more.
    pub fn give_up(&self) {
        self.thread.stop.send_replace(true);
        self.shared.give_up();
    }

    /// Does something on the thread of the connections. Once begun it is ended, whether or not somebody waits for it.
    async fn ask<T, F>(&self, purpose: Purpose, max: Duration, work: impl FnOnce(Wire) -> F) -> Result<T, Away>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send + 'static,
    {
        let Some(link) = self.shared.link() else {
            self.shared.stats.skipped(purpose);
            return Err(Away);
        };
        let (shared, work) = (Arc::clone(&self.shared), work(link.wire));
        let began = Instant::now();
        let task = self.runtime.spawn(async move {
            let answer = timeout(max, work).await;
            shared.ended(purpose, began.elapsed(), outcome(&answer));
            match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_of_server(&error) => shared.refused(purpose, &error),
                Ok(Err(_)) | Err(_) => shared.trip(link.number),
            }
            Err(Away)
        });
        // The other thread may be busy.
        match timeout(max, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Away),
            Err(_) => {
                self.shared.trip(link.number);
                Err(Away)
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn outcome<T, E>(answer: &Result<RedisResult<T>, E>) -> Outcome {
    match answer {
        Ok(Ok(_)) => Outcome::Done,
        Ok(Err(error)) if is_of_server(error) => Outcome::Refused,
        Ok(Err(_)) => Outcome::Lost,
        Err(_) => Outcome::Late,
    }
}

/// Whether Redis itself has said no, and the connection is as good as before.
fn is_of_server(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType)
}

/// What `roster doctor` finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The server's version, if it tells.
    pub version: Option<String>,
    /// How long it took to answer a ping.
    pub ping: Duration,
}

/// Looks whether Redis can be used as these options have it.
///
/// # Errors
/// Why it cannot be.
pub async fn inspect(options: RedisOptions) -> Result<Inspected, OpenError> {
    let connector = Connector::new(options)?;
    let mut connection = connector.connect().await?;
    let began = Instant::now();
    wire::ask::<Value>(&mut connection.wire, &redis::cmd("PING"), &connector.server()).await?;
    let ping = began.elapsed();
    // Not every user may ask for it, and a cluster answers for each node.
    let info: Option<String> = redis::cmd("INFO").arg("server").query_async(&mut connection.wire).await.ok();
    let version = info.and_then(|info| Some(info.split_once("redis_version:")?.1.lines().next()?.trim().to_owned()));
    Ok(Inspected { version, ping })
}
