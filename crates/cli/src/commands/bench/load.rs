//! Who calls, and when: threads with connections of their own, in a closed or an open loop.
//!
//! In an open loop calls are due at moments that do not depend on the server, and the time of a call counts from then. A
//! loop that counted from when it got round to calling would leave out the very calls that a slow server made wait
//! ("coordinated omission").

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use roster_api::{RetryPolicy, client::Transport, user::v1::user_service_client::UserServiceClient};
use tokio::{
    runtime,
    sync::{Semaphore, mpsc},
    task::{JoinSet, LocalSet},
};

use super::{
    tally::Tally,
    work::{Random, Work},
};
use crate::{
    client::Connection,
    error::{CliError, Failure},
    exit::Exit,
};

/// Calls that are due and may wait for their turn, for each thread.
const DUE_MAX: usize = 1 << 16;
/// Who was refused does not call again at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// When calls begin.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// When the one before has ended.
    Closed,
    /// So many a second.
    Open(u32),
}

/// How much of it.
#[derive(Clone, Debug)]
pub struct Load {
    pub connection: Connection,
    pub connections: usize,
    pub concurrency: usize,
    pub pace: Pace,
    pub warm_up: Duration,
    pub duration: Duration,
    pub threads: usize,
}

/// A measurement under way.
pub struct Running {
    threads: Vec<JoinHandle<Result<Tally, Failure>>>,
    ended: Arc<AtomicU64>,
}

/// The part of a thread.
struct Share {
    load: Load,
    /// The number of this thread, and how many there are.
    thread: (usize, usize),
    work: Arc<Work>,
    ended: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// When what begins is counted, and when nothing begins any more.
#[derive(Clone, Copy)]
struct Span {
    from: Instant,
    to: Instant,
}

/// What the callers of a thread share.
struct Desk {
    share: Share,
    span: Span,
    tally: RefCell<Tally>,
}

impl Load {
    /// Starts the threads.
    pub fn start(self, work: Arc<Work>, stop: Arc<AtomicBool>) -> std::io::Result<Running> {
        let ended = Arc::new(AtomicU64::new(0));
        let count = self.threads.min(self.connections).min(self.concurrency).max(1);
        let threads = (0..count)
            .map(|number| {
                let (work, ended, stop) = (Arc::clone(&work), Arc::clone(&ended), Arc::clone(&stop));
                let share = Share { load: self.clone(), thread: (number, count), work, ended, stop };
                thread::Builder::new().name(format!("bench-{number}")).spawn(move || share.run())
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Running { threads, ended })
    }
}

impl Running {
    /// Calls that have ended so far.
    pub fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Whether all have ended.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// What came of it.
    pub fn join(self) -> Result<Tally, Failure> {
        let mut total = Tally::new().map_err(internal)?;
        for thread in self.threads {
            let tally = thread.join().map_err(|_| internal("a thread panicked"))??;
            total.add(&tally);
        }
        Ok(total)
    }
}

impl Share {
    /// The life of a thread.
    fn run(self) -> Result<Tally, Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.calls())
    }

    async fn calls(self) -> Result<Tally, Failure> {
        let (number, count) = self.thread;
        let mut users = Vec::new();
        for _ in (number..self.load.connections).step_by(count) {
            let client = self.load.connection.connect_with(RetryPolicy::never()).await?;
            users.push(client.users());
        }
        let callers = self.of(self.load.concurrency);
        let (pace, begun) = (self.load.pace, Instant::now());
        let from = begun + self.load.warm_up;
        let span = Span { from, to: from + self.load.duration };
        let duration = self.load.duration;
        let desk = Rc::new(Desk { share: self, span, tally: RefCell::new(Tally::new().map_err(internal)?) });
        match pace {
            Pace::Closed => closed_loop(&desk, &users, callers).await,
            Pace::Open(rate) => open_loop(&desk, &users, callers, rate).await?,
        }
        let mut tally = desk.tally.borrow().clone();
        tally.elapsed = duration;
        Ok(tally)
    }

    /// This thread's part of so many.
    fn of(&self, all: usize) -> usize {
        let (number, count) = self.thread;
        all / count + usize::from(number < all % count)
    }
}

impl Desk {
    fn is_over(&self) -> bool {
        Instant::now() >= self.span.to || self.share.stop.load(Relaxed)
    }

    /// Makes one call, whose time counts from `since`; whether it went well.
    async fn call(&self, users: &mut UserServiceClient<Transport>, random: &mut Random, since: Instant) -> bool {
        let kind = self.share.work.draw(random);
        let ended = self.share.work.call(kind, users, random).await;
        let (took, is_well) = (since.elapsed(), ended.is_ok());
        if since >= self.span.from {
            self.tally.borrow_mut().count(kind, since, took, ended);
        }
        self.share.ended.fetch_add(1, Relaxed);
        is_well
    }

    fn random(&self, number: usize) -> Random {
        Random::new((number * self.share.thread.1 + self.share.thread.0) as u64)
    }
}

/// Callers who wait for their answer.
async fn closed_loop(desk: &Rc<Desk>, users: &[UserServiceClient<Transport>], callers: usize) {
    let mut all = JoinSet::new();
    for number in 0..callers {
        let (desk, mut users, mut random) = (Rc::clone(desk), users[number % users.len()].clone(), desk.random(number));
        all.spawn_local(async move {
            while !desk.is_over() {
                if !desk.call(&mut users, &mut random, Instant::now()).await {
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        });
    }
    all.join_all().await;
}

/// Calls that begin when they are due, if no more than `callers` are under way.
async fn open_loop(
    desk: &Rc<Desk>,
    users: &[UserServiceClient<Transport>],
    callers: usize,
    rate: u32,
) -> Result<(), Failure> {
    let (due, mut calls) = mpsc::channel(DUE_MAX);
    let pacer = Pacer { due, rate, thread: desk.share.thread, span: desk.span, warm_up: desk.share.load.warm_up };
    let stop = Arc::clone(&desk.share.stop);
    // A thread sleeps to some fifty microseconds, a timer of the runtime to a millisecond.
    let pacer = thread::Builder::new().name("bench-pace".into()).spawn(move || pacer.run(&stop))?;
    let room = Rc::new(Semaphore::new(callers));
    let mut all = JoinSet::new();
    let mut unsent = 0;
    let mut random = desk.random(0);
    while let Some(since) = calls.recv().await {
        let room = Rc::clone(&room);
        // Nobody closes it.
        if room.acquire().await.map(tokio::sync::SemaphorePermit::forget).is_err() || desk.is_over() {
            unsent += u64::from(since >= desk.span.from);
            room.add_permits(1);
            continue;
        }
        let (desk, mut users) = (Rc::clone(desk), users[random.below(users.len())].clone());
        let mut random = Random::new(random.below(1 << 31) as u64);
        all.spawn_local(async move {
            desk.call(&mut users, &mut random, since).await;
            room.add_permits(1);
        });
        // Those that are over give their memory back.
        while all.try_join_next().is_some() {}
    }
    all.join_all().await;
    desk.tally.borrow_mut().unsent = unsent + pacer.join().map_err(|_| internal("the pacer panicked"))?;
    Ok(())
}

/// Says when calls are due.
struct Pacer {
    due: mpsc::Sender<Instant>,
    rate: u32,
    thread: (usize, usize),
    span: Span,
    warm_up: Duration,
}

impl Pacer {
    /// To the end; how many of those that count found no room to wait in.
    fn run(self, stop: &AtomicBool) -> u64 {
        let (number, count) = self.thread;
        let begin = self.span.from - self.warm_up;
        let mut unsent = 0;
        for turn in (number as u64..).step_by(count) {
            let due = begin + Duration::from_nanos(turn.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)));
            if due >= self.span.to || stop.load(Relaxed) {
                break;
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match self.due.try_send(due) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => unsent += u64::from(due >= self.span.from),
                Err(mpsc::error::TrySendError::Closed(_)) => break,
            }
        }
        unsent
    }
}

fn internal(error: impl std::fmt::Display) -> Failure {
    CliError::new(Exit::Internal, format!("the measurement broke off: {error}")).into()
}
