//! A few threads of low priority that work off a short queue of jobs, each with a piece of memory
//! that jobs hand on to each other.

use std::{
    collections::VecDeque,
    io,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use argon2::Block;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::HashError;
use crate::{
    backlog::{Backlog, Wait},
    metrics::{
        Counter, Histogram, LATENCIES, Page,
        names::{HASH_CAPACITY, HASH_DURATION, HASH_QUEUE, HASH_REFUSED, HASH_WAIT},
    },
    priority, trace,
};

/// The lowest scheduling priority. A thread that wants the core for anything else gets it.
const NICE: i32 = 19;

/// How long an idle thread keeps its memory: long enough to serve a steady trickle of sign-ins
/// without asking the system for 19 MiB each time, short enough to leave nothing at rest.
const MEMORY_LINGER: Duration = Duration::from_secs(1);

/// What a job is taken to last before one has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// Does its work; gives how its caller is told, or `None` if nobody waits any more.
type Job = Box<dyn FnOnce(&mut Memory) -> Option<Tell> + Send>;

/// Tells a caller. The work is counted before that, so that who was told finds it in the numbers.
type Tell = Box<dyn FnOnce() + Send>;

/// The threads and their queue. They stop when the pool is dropped.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    capacity: usize,
    /// How long a job may have to wait.
    wait_max: Duration,
    /// Blocks that a thread keeps from one job to the next.
    keep_blocks: usize,
    backlog: Backlog,
    waits: Histogram,
    durations: Histogram,
    refused: Counter,
}

#[derive(Default)]
struct State {
    /// Since when it waits, and what is to be done.
    queue: VecDeque<(Instant, Job)>,
    stopping: bool,
}

impl Pool {
    /// Starts the threads, named `hash-0` and up. So many jobs may wait, and each no longer than that.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn start(
        threads: NonZero<usize>,
        (capacity, wait_max): (NonZero<usize>, Duration),
        keep_blocks: usize,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity: capacity.get(),
            wait_max,
            keep_blocks,
            backlog: Backlog::new(threads.get()),
            waits: Histogram::new(&LATENCIES),
            durations: Histogram::new(&LATENCIES),
            refused: Counter::default(),
        });
        shared.backlog.took(FIRST_GUESS);
        // Dropped on an error, the pool stops those that did start.
        let mut pool = Self { shared, threads: Vec::with_capacity(threads.get()) };
        for index in 0..threads.get() {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(format!("hash-{index}")).spawn(move || shared.work())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Runs `work` on a thread of the pool. If the caller drops the future before its turn comes,
    /// the work is not done.
    ///
    /// # Errors
    /// [`HashError::Busy`] if the queue is full, [`HashError::Failed`] if the work panicked, and its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, answer) = oneshot::channel();
        let traced = trace::current().map(|span| (span, Instant::now()));
        let job: Job = Box::new(move |memory: &mut Memory| {
            if reply.is_closed() {
                return None;
            }
            let started = Instant::now();
            let done = work(memory);
            if let Some((span, since)) = traced {
                span.record("wait", since, started);
                span.record("run", started, Instant::now());
            }
            // The caller may have gone in the meantime; then nobody misses the answer.
            Some(Box::new(move || drop(reply.send(done))))
        });
        self.push(job)?;
        answer.await.unwrap_or_else(|_| Err(HashError::Failed("the hash thread panicked".to_owned())))
    }

    /// How long a job that joins now will wait; see [`Backlog::wait`].
    pub(super) fn wait(&self) -> Wait {
        self.shared.backlog.wait(0)
    }

    /// Puts the queue and what came of it on the page.
    pub(super) fn report(&self, page: &mut Page) {
        page.value(&HASH_QUEUE, &[], self.shared.lock().queue.len());
        page.value(&HASH_CAPACITY, &[], self.shared.capacity);
        page.histogram(&HASH_WAIT, &[], &self.shared.waits);
        page.histogram(&HASH_DURATION, &[], &self.shared.durations);
        page.value(&HASH_REFUSED, &[], self.shared.refused.get());
    }

    fn push(&self, job: Job) -> Result<(), HashError> {
        let mut state = self.shared.lock();
        if state.queue.len() >= self.shared.capacity || self.shared.backlog.wait(0).is_too_long(self.shared.wait_max) {
            self.shared.refused.increment();
            return Err(HashError::Busy { retry_after: self.shared.backlog.empty_in() });
        }
        state.queue.push_back((Instant::now(), job));
        self.shared.backlog.joined();
        // Unlocked first: a thread of low priority that woke up holding on to us would make us wait.
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // Jobs cannot bring a thread down, so there is no panic to pass on.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The life of a thread.
    fn work(&self) {
        priority::lower(NICE);
        let mut memory = Memory::default();
        while let Some((since, job)) = self.next(&mut memory) {
            let started = Instant::now();
            self.waits.observe(started.duration_since(since));
            // A job that panics must not take the thread with it: with the last one, nobody could sign in.
            // What it leaves in the memory is overwritten by the next.
            let tell = catch_unwind(AssertUnwindSafe(|| job(&mut memory))).unwrap_or(None);
            if let Some(tell) = tell {
                self.measured(started.elapsed());
                tell();
            }
            if memory.len() > self.keep_blocks {
                memory.free();
            }
        }
    }

    /// Waits for a job; `None` when the pool stops. Frees the memory if none comes for a while.
    fn next(&self, memory: &mut Memory) -> Option<(Instant, Job)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                self.backlog.left(1);
                return Some(job);
            }
            if memory.len() == 0 {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.wake.wait_timeout(state, MEMORY_LINGER).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if waited.1.timed_out() && state.queue.is_empty() {
                // Wiping takes milliseconds, in which nobody should wait for the lock.
                drop(state);
                memory.free();
                state = self.lock();
            }
        }
    }

    fn measured(&self, lasted: Duration) {
        self.durations.observe(lasted);
        self.backlog.took(lasted);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock can leave the queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The blocks that Argon2 works in, wiped when they are freed.
#[derive(Default)]
pub(super) struct Memory(Zeroizing<Vec<Block>>);

impl Memory {
    /// This many blocks of 1 KiB, holding whatever the last job left.
    ///
    /// # Errors
    /// The system has no more memory.
    pub(super) fn blocks(&mut self, count: usize) -> Result<&mut [Block], HashError> {
        if self.0.len() < count {
            // Freed before more is taken, or there would be both for a moment.
            self.free();
            let room = self.0.try_reserve_exact(count);
            room.map_err(|_| HashError::Failed(format!("no {count} KiB of memory for it")))?;
            self.0.resize(count, Block::new());
        }
        Ok(&mut self.0[..count])
    }

    fn free(&mut self) {
        self.0 = Zeroizing::default();
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn pool(threads: usize, capacity: usize) -> Pool {
        let bounds = (NonZero::new(capacity).unwrap(), Duration::from_secs(3_600));
        Pool::start(NonZero::new(threads).unwrap(), bounds, 64).unwrap()
    }

    /// Keeps a thread busy; returns once it is, with what lets it go.
    fn occupy(pool: &Pool) -> mpsc::Sender<()> {
        let (go, wait) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let job = move |_: &mut Memory| {
            started.send(()).unwrap();
            wait.recv().ok().map(|()| Box::new(|| ()) as Tell)
        };
        pool.push(Box::new(job)).unwrap();
        is_started.recv().unwrap();
        go
    }

    /// The nineteenth field of a thread's `stat` (proc(5)). The name before the third is in parentheses and may hold spaces.
    #[cfg(target_os = "linux")]
    fn niceness(thread: &str) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19 - 3).unwrap().to_owned()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threads_are_named_and_have_the_lowest_priority() {
        let before = niceness("thread-self");
        // Two jobs that wait for each other, so that both threads are seen.
        let pool = pool(2, 2);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let look = || {
            let barrier = Arc::clone(&barrier);
            pool.run(move |_| {
                barrier.wait();
                Ok((rustix::thread::gettid(), thread::current().name().map(str::to_owned)))
            })
        };
        let (one, two) = tokio::join!(look(), look());
        assert_eq!(niceness("thread-self"), before, "the caller keeps its own");
        let mut names = Vec::new();
        for (id, name) in [one.unwrap(), two.unwrap()] {
            assert_eq!(niceness(&format!("self/task/{id}")), "19");
            names.extend(name);
        }
        names.sort();
        assert_eq!(names, ["hash-0", "hash-1"]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_loses_nothing() {
        let pool = Arc::new(pool(1, 8));
        let go = occupy(&pool);
        let mut jobs = tokio::task::JoinSet::new();
        for number in 0..200 {
            let pool = Arc::clone(&pool);
            jobs.spawn(async move { pool.run(move |_| Ok(number)).await });
        }
        // The first eight wait in the queue; the others are refused, while nothing moves.
        let (mut done, mut refused) = (Vec::new(), 0);
        while refused < 192 {
            match jobs.join_next().await.unwrap().unwrap() {
                Err(HashError::Busy { retry_after }) => {
                    assert_eq!(retry_after, FIRST_GUESS * 9);
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        go.send(()).unwrap();
        while let Some(job) = jobs.join_next().await {
            done.push(job.unwrap().unwrap());
        }
        done.sort();
        assert_eq!(done, Vec::from_iter(0..8));
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_refused_however_much_room_there_is() {
        let bounds = (NonZero::new(1_000).unwrap(), FIRST_GUESS * 1_000);
        let pool = Pool::start(NonZero::<usize>::MIN, bounds, 64).unwrap();
        let go = occupy(&pool);
        let mut waiting: Vec<_> = (0..999).map(|number| Box::pin(pool.run(move |_| Ok(number)))).collect();
        for job in &mut waiting {
            assert!(job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        // Those before it, the one under way, and its own turn.
        assert!(matches!(pool.run(|_| Ok(999)).await, Err(HashError::Busy { .. })));
        go.send(()).unwrap();
        for (number, job) in waiting.into_iter().enumerate() {
            assert_eq!(job.await, Ok(number));
        }
    }

    #[tokio::test]
    async fn a_job_whose_caller_is_gone_is_skipped() {
        let pool = pool(1, 8);
        let go = occupy(&pool);
        let (ran, has_run) = mpsc::channel();
        {
            let mut gone = pin!(pool.run(move |_| ran.send(()).map_err(|error| HashError::Failed(error.to_string()))));
            let queued = gone.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(queued, Poll::Pending));
        }
        go.send(()).unwrap();
        assert_eq!(pool.run(|_| Ok("next")).await, Ok("next"));
        assert_eq!(has_run.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn a_panic_costs_one_job_and_no_thread() {
        let pool = pool(1, 2);
        let failed = pool.run::<()>(|_| panic!("on purpose")).await;
        assert!(matches!(failed, Err(HashError::Failed(_))), "{failed:?}");
        assert_eq!(pool.run(|_| Ok(1)).await, Ok(1));
    }

    #[test]
    fn threads_end_with_the_pool() {
        let pool = pool(3, 4);
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert!(shared.upgrade().is_none());
    }

    #[tokio::test]
    async fn memory_is_handed_on_unless_it_is_too_much() {
        // All wait before the first one starts, so that the thread is never idle and keeps what it has.
        let pool = pool(1, 8);
        let go = occupy(&pool);
        let take = |count| pool.run(move |memory| Ok((memory.len(), memory.blocks(count)?.len(), memory.len())));
        let taken = tokio::join!(take(8), take(64), take(16), take(65), take(8), async { go.send(()) });
        assert_eq!(taken.0, Ok((0, 8, 8)));
        assert_eq!(taken.1, Ok((8, 64, 64)));
        assert_eq!(taken.2, Ok((64, 16, 64)));
        assert_eq!(taken.3, Ok((64, 65, 65)), "more than is kept");
        assert_eq!(taken.4, Ok((0, 8, 8)));
    }

    #[test]
    fn no_memory_is_an_error() {
        let refused = Memory::default().blocks(usize::MAX / 2048).map(drop);
        assert!(matches!(refused, Err(HashError::Failed(_))), "{refused:?}");
    }
}
