//! The way of refusals into the audit log: a bounded queue and a task that empties it, so that no caller waits for it.
//!
//! What finds the queue full is not written. It is counted, and the log says how many there were.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    metrics::{Counter, Page, names::AUDIT_LOST},
    model::{Action, Actor, ChangeMeta, Clock, PermissionSet},
    ops::{Reason, RequestId},
    store::{NewEvent, Store},
};

/// Refusals that may wait.
const QUEUE_MAX: usize = 4_096;
/// Refusals in one commit. More would keep other writes waiting.
const BATCH_MAX: usize = 256;
/// How long refusals gather before they are written: many share a commit, and a storm of them leaves room for others.
const GATHER: Duration = Duration::from_millis(50);

/// What somebody called, by its path.
#[derive(Clone, Copy, Debug)]
pub enum Called {
    /// A method of gRPC.
    Method(&'static str),
    /// A page of the HTTP port.
    Page(&'static str),
}

/// A call that was refused.
#[derive(Clone, Debug)]
pub struct RefusedCall {
    /// What was called.
    pub called: Called,
    /// Who called.
    pub actor: Actor,
    /// Which call.
    pub request_id: RequestId,
    /// From where; `None` if that is this machine's operator.
    pub remote: Option<IpAddr>,
    /// Why.
    pub reason: Reason,
}

/// The sending end of the queue.
pub(in crate::ops) struct AuditTrail {
    queue: mpsc::Sender<Note>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Refusals that were not written since the start.
    lost_ever: Counter,
    /// Refusals that were not written since the log last said so.
    lost: AtomicU64,
    /// Somebody waits for the end of the queue.
    hurry: AtomicBool,
}

enum Note {
    Refused(NewEvent),
    /// All before it is written when this is answered.
    Flush(oneshot::Sender<()>),
}

impl AuditTrail {
    /// Starts the task on the runtime that this is called on.
    pub(in crate::ops) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let (queue, notes) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::<Shared>::default();
        tokio::spawn(Task { store, shared: Arc::clone(&shared) }.run(notes));
        Self { queue, clock, shared }
    }

    /// Has it written soon, if there is room.
    pub(in crate::ops) fn note(&self, refused: RefusedCall) {
        let meta = ChangeMeta {
            at: self.clock.now(),
            actor: refused.actor,
            held: PermissionSet::NONE,
            request_id: refused.request_id.to_string(),
            remote_address: refused.remote.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
            validate_only: false,
            idempotency: None,
        };
        let event = NewEvent {
            action: Action::CallRefused,
            user_id: None,
            target: match refused.called {
                Called::Method(path) => format!("methods{path}"),
                Called::Page(path) => format!("pages{path}"),
            },
            reason: refused.reason.name(),
            meta,
        };
        if self.queue.try_send(Note::Refused(event)).is_err() {
            self.lose();
        }
    }

    /// Counts a refusal that is not to be written.
    pub(in crate::ops) fn lose(&self) {
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts what is missing on the page.
    pub(in crate::ops) fn report(&self, page: &mut Page) {
        page.value(&AUDIT_LOST, &[], self.shared.lost_ever.get() + self.shared.lost.load(Ordering::Relaxed));
    }

    /// Waits until everything noted so far is written.
    pub(in crate::ops) async fn flush(&self) {
        self.shared.hurry.store(true, Ordering::Relaxed);
        let (done, written) = oneshot::channel();
        // The task ends only with its runtime, and then nobody is left to wait.
        if self.queue.send(Note::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }
}

struct Task {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

impl Task {
    /// Writes what is noted, until the sending end is dropped.
    async fn run(self, mut notes: mpsc::Receiver<Note>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while notes.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let (mut events, mut waiting) = (Vec::with_capacity(batch.len()), Vec::new());
            for note in batch.drain(..) {
                match note {
                    Note::Refused(event) => events.push(event),
                    Note::Flush(done) => waiting.push(done),
                }
            }
            self.write(events).await;
            for done in waiting {
                self.shared.hurry.store(false, Ordering::Relaxed);
                // Whoever waited may have given up.
                let _ = done.send(());
            }
            if !self.shared.hurry.load(Ordering::Relaxed) {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    async fn write(&self, events: Vec<NewEvent>) {
        let count = events.len() as u64;
        if count > 0
            && let Err(error) = self.store.append_events(events).await
        {
            tracing::error!(%error, "refused calls could not be written to the audit log");
            self.shared.lost.fetch_add(count, Ordering::Relaxed);
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.shared.lost_ever.add(lost);
            tracing::warn!(lost, "refused calls are missing in the audit log: there were too many");
        }
    }
}
