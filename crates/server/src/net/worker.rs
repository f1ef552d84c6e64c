//! One worker: a thread, its single-threaded runtime, and the connections that live on it.

use std::{future::Future, io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    DrainSignal, Peer,
    accept::{Accepted, Seat},
    connection::{self, Terms},
    load::Load,
    single_threaded,
};

/// A running worker, as its owner sees it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) load: Arc<Load>,
    queue: mpsc::UnboundedSender<Accepted>,
    end: oneshot::Receiver<()>,
}

impl Worker {
    pub(super) fn seat(&self) -> Seat {
        Seat { load: Arc::clone(&self.load), queue: self.queue.clone() }
    }

    /// Takes no more connections; the answer comes when the thread has dropped everything.
    pub(super) fn close(self) -> oneshot::Receiver<()> {
        // The accept loop holds the only other sender, and drops it when the drain begins.
        drop(self.queue);
        self.end
    }
}

/// Starts a worker thread named `worker-INDEX`.
pub(super) fn start<H, Fut, B>(index: usize, terms: Arc<Terms>, drain: DrainSignal, handler: H) -> io::Result<Worker>
where
    H: Fn(Arc<Peer>, Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (queue, accepted) = mpsc::unbounded_channel();
    let (ended, end) = oneshot::channel();
    let load = Arc::<Load>::default();
    let runtime = single_threaded()?;
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        runtime.block_on(run(accepted, &terms, &drain, &handler));
        // Drops the calls that outlived their connections, before the end is told.
        runtime.shutdown_background();
        let _ = ended.send(());
    })?;
    Ok(Worker { load, queue, end })
}

/// Serves connections until the queue is closed and the last has ended.
async fn run<H, Fut, B>(
    mut queue: mpsc::UnboundedReceiver<Accepted>,
    terms: &Arc<Terms>,
    drain: &DrainSignal,
    handler: &H,
) where
    H: Fn(Arc<Peer>, Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let mut open = true;
    loop {
        tokio::select! {
            accepted = queue.recv(), if open => match accepted {
                Some(accepted) => {
                    let (terms, drain) = (Arc::clone(terms), drain.clone());
                    connections.spawn(connection::serve(accepted, terms, drain, handler.clone()));
                }
                None => open = false,
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection's task ended by a fault");
                }
            }
            else => return,
        }
    }
}
