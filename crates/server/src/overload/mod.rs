//! What is refused when there is more to do than can be done, so that the rest is served as before.
//!
//! # What can be too much, and what tells
//!
//! Calls wait in four places, and each tells in a way of its own that it is behind:
//!
//! | where | who waits there | signal |
//! | --- | --- | --- |
//! | a worker's run queue | all calls | time from a call's headers to the first step of its future |
//! | the writer's queue | [`LoadClass::Write`] | what waits, over what a batch takes and how long |
//! | the queue for long reads | [`LoadClass::Bulk`] | what waits, times what such a read takes |
//! | the hashing pool's queue | [`LoadClass::Hash`] | what waits, times what a hash takes |
//!
//! A limit on all calls by the time they take would mix these up: a slow disk would make it refuse reads that never
//! touch the disk. Nor can calls that are under way be counted to see that the processor is busy: a read from memory is
//! done in one step, so all that are "under way" wait for their first; and a call whose client is slow to send its message
//! is under way and costs nothing. So there are two rules.
//!
//! **Each worker has a `Gate`**: a limit on the calls that wait for their first step. A runtime a thread means a queue a
//! thread, so the limit is the worker's, and no line of memory is shared. It adapts: if for a tenth of a second no call
//! got on within `gate::DELAY_MAX`, a queue is standing and not passing, and the limit falls in proportion; if calls get on
//! and half of the limit is used, it grows by an eighth. Classes have shares of it, so that of a standing queue sign-ins and
//! bulk reads are refused first, then new streams, then writes, then reads, and last what is vital: health, and
//! tokens that are renewed or taken away. An eighth of the limit is each class's own, whatever the others take: reads that
//! never end would otherwise shut out all writes for as long. Who calls is found out before any of this, from memory; where
//! memory does not know, the look at the credential is what the call waits for first, and it is let in before it.
//!
//! **Each queue of ours has a `Backlog`**, and a call that would wait in it longer than its deadline
//! leaves, or than `queue_wait_max_ms`, is refused before its message is read. By Little's law that is a limit on what waits
//! that follows the speed of the disk and the dearness of a hash at once, without probing. The bounds by number stay
//! behind it. A crowd may wait so long; a queue that has not become short for so long is no crowd but more than can be
//! done, and then six turns, or a tenth of a second if that is longer, are the most that anybody waits in it ([`Wait`]): those that are let in are served about as
//! before, and nothing is gained by a longer queue. A crowd that comes in one read is let in before the first of it has got anywhere, so those on their way
//! are counted too; not so for hashes, of which many a call turns out to need none: there the pool looks again.
//!
//! A refusal has `RetryInfo` and `grpc-retry-pushback-ms`. It is `UNAVAILABLE` (OVERLOADED) where a worker is behind,
//! because another server may not be, and `RESOURCE_EXHAUSTED` (QUEUE_FULL, HASHING_BUSY) where a queue is.
//!
//! A call leaves the gate with its first step, so who watches for a day takes nothing of the limit. The number of streams has
//! bounds of its own (`watchers_max`, `presence_clients_max`).
//!
//! # Attacks on this design
//!
//! - **Slow disk.** Batches grow with the time that a sync takes, and the estimate with them: a disk that takes 20 ms
//!   serves 512 writes in each, and what waits less than the bound waits. The workers are not behind, so reads from memory
//!   go on. A point read that misses the cache runs on the worker: a disk that is slow to read shows as delay, and the
//!   worker sheds, which is true.
//! - **Slow hash queue.** Only its own estimate grows. Sign-ins wait a bounded time; hash threads have the lowest priority, so a
//!   worker that is busy makes them stand still, which the estimate sees.
//! - **Ten times the reads.** To refuse a read costs about half of serving it, so refusing many would cost what it is
//!   to save. What bounds them first is HTTP/2: a connection has `max_streams_per_connection` calls under way, and a client
//!   with more waits. The gate takes over when there are many connections, at a delay that no client would call fast.
//! - **Ten times the sign-ins.** Those that cannot be hashed in time are refused by the headers, which costs a few
//!   microseconds each.
//! - **A stuck writer.** The queue stands still, so the estimate grows with the clock, and after `queue_wait_max_ms` writes
//!   are refused at once. With the first batch that ends they are taken again: no probe, no window.
//! - **One long job.** An average that says "too long" and lets nobody in would never be measured again. So nobody is
//!   refused where nobody waits.
//! - **Idle start.** The limit begins at `gate::LIMIT_FIRST`, and a burst is not a standing queue: some call of it gets on at
//!   once.
//! - **A noisy neighbour** who takes the processor makes the same delay as load, and the same is right: less is taken on.
//! - **Somebody floods the vital methods.** They have twice the limit, no more, and rates by address (`limits`).
//! - **Calls that begin and never go on,** such as headers without a message. They have had their first step and hold
//!   nothing here; `rpc/intake.rs` ends them.
//! - **A flood of made-up credentials.** They are let in like any other call before anything is looked at, or shed, and
//!   a look takes no longer than the call's deadline.
//! - **A stall.** Its delay counts for a tenth of a second at most, and no longer than its crowd: or the few that wait would
//!   be enough to refuse all others, nobody would get on in a crowd, and the delay would never be measured again. The limit
//!   falls only after several measurements without a pause in what waits: a worker so slow that it is seldom measured is measured all
//!   the same.
//! - **A limit that has fallen and finds too few calls to grow.** It refuses nobody then, grows as soon as half of it is used,
//!   and is halfway back to the first with each second without a crowd.

mod gate;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use roster_api::access::LoadClass;

pub(crate) use gate::{Gate, Place};

use crate::{
    backlog::Wait,
    metrics::{
        Counter, Page,
        names::{ADMISSION_DELAY, ADMISSION_LIMIT, ADMISSION_REFUSED, ADMISSION_WAITING},
    },
};

/// Classes of methods by their numbers.
const CLASSES: [(LoadClass, &str); gate::CLASSES] = [
    (LoadClass::Vital, "vital"),
    (LoadClass::Read, "read"),
    (LoadClass::Write, "write"),
    (LoadClass::Stream, "stream"),
    (LoadClass::Bulk, "bulk"),
    (LoadClass::Hash, "hash"),
];

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The worker is behind.
    Worker,
    /// The queue is too long.
    Queue,
    /// The call would not be done in time.
    Deadline,
}

/// Causes by their numbers.
const CAUSES: [(Cause, &str); 3] = [(Cause::Worker, "worker"), (Cause::Queue, "queue"), (Cause::Deadline, "deadline")];

/// The gates of all workers, and what they refused.
#[derive(Debug)]
pub struct Overload {
    queue_wait_max: Duration,
    gates: Mutex<Vec<Arc<Gate>>>,
    refused: [[Counter; CAUSES.len()]; CLASSES.len()],
}

impl Overload {
    /// Nobody is to wait longer in a queue than `queue_wait_max`.
    #[must_use]
    pub fn new(queue_wait_max: Duration) -> Self {
        Self { queue_wait_max, gates: Mutex::default(), refused: Default::default() }
    }

    /// The gate of one more worker.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        let gate = Arc::<Gate>::default();
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gate));
        gate
    }

    /// Whether a call that would wait so long is not to: it has so much time left, or as much as it likes.
    ///
    /// Where more comes than can be done, the queue is always as long as it may be. So the wait is taken to be a quarter
    /// longer than it seems: or about half of those that were let in would just miss their deadline.
    pub(crate) fn check_wait(&self, wait: Wait, left: Option<Duration>) -> Result<(), Cause> {
        match left {
            Some(left) if wait.expected + wait.expected / 4 > left => Err(Cause::Deadline),
            _ if wait.is_too_long(self.queue_wait_max) => Err(Cause::Queue),
            _ => Ok(()),
        }
    }

    /// When to come again to a queue that is too long.
    pub(crate) fn retry_after(&self, wait: Wait) -> Duration {
        wait.expected.max(wait.standing.min(self.queue_wait_max))
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, class: LoadClass, cause: Cause) {
        self.refused[class as usize][cause as usize].increment();
    }

    /// Puts all of it on the page.
    pub fn report(&self, page: &mut Page) {
        let (mut limit, mut waiting, mut delay) = (0, 0, Duration::ZERO);
        for gate in self.gates.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            limit += gate.limit();
            waiting += gate.waiting();
            delay = delay.max(gate.delay());
        }
        page.value(&ADMISSION_LIMIT, &[], limit);
        page.value(&ADMISSION_WAITING, &[], waiting);
        page.value(&ADMISSION_DELAY, &[], delay.as_secs_f64());
        for (class, name) in CLASSES {
            for (cause, told) in CAUSES {
                page.value(&ADMISSION_REFUSED, &[name, told], self.refused[class as usize][cause as usize].get());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_causes_have_their_numbers() {
        assert!(CLASSES.iter().enumerate().all(|(number, (class, _))| *class as usize == number));
        assert!(CAUSES.iter().enumerate().all(|(number, (cause, _))| *cause as usize == number));
    }

    #[test]
    fn who_would_wait_too_long_or_past_the_deadline_does_not_begin() {
        const MS: Duration = Duration::from_millis(1);
        let overload = Overload::new(1_000 * MS);
        let check = |wait: u32, left: Option<Duration>| {
            overload.check_wait(Wait { expected: wait * MS, ..Wait::default() }, left)
        };
        assert_eq!(check(1_000, None), Ok(()));
        assert_eq!(check(1_001, None), Err(Cause::Queue));
        assert_eq!(check(1_001, Some(5_000 * MS)), Err(Cause::Queue));
        assert_eq!(check(40, Some(50 * MS)), Ok(()));
        assert_eq!(check(41, Some(50 * MS)), Err(Cause::Deadline));
        let standing = Wait { expected: 110 * MS, standing: 1_500 * MS, ..Wait::default() };
        assert_eq!(overload.check_wait(standing, None), Err(Cause::Queue));
        assert_eq!(overload.retry_after(standing), 1_000 * MS);
    }
}
