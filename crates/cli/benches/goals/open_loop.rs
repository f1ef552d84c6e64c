//! An open-loop load on bare `h2`: calls begin when they are due, whatever the server does, and each has a deadline.

use std::{
    net::SocketAddr,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use bytes::Bytes;
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use http::Request;
use tokio::{
    sync::mpsc,
    task::{JoinSet, LocalSet},
};

use crate::{
    load::{LATENCY_RANGE, Requests, connect, status_of_call},
    users::Random,
};

/// Threads that send.
const THREADS: usize = 2;
/// gRPC's statuses that say that the server has too much to do.
const SHED: [u16; 2] = [8, 14];

/// What to send, and how often.
#[derive(Clone)]
pub struct OpenLoad {
    pub addr: SocketAddr,
    pub path: &'static str,
    pub requests: Requests,
    pub connections: usize,
    /// Calls a second.
    pub rate: f64,
    /// Of each call, from when it is due.
    pub deadline: Duration,
    /// What is counted comes after this.
    pub warm_up: Duration,
    pub duration: Duration,
}

/// What became of the calls.
pub struct Outcome {
    /// Those that were done by their deadline, by the nanoseconds from when they were due.
    pub done: Histogram<u64>,
    /// Those that were refused.
    pub shed: u64,
    /// Those that were not done by their deadline.
    pub late: u64,
    /// Those that ended with any other status.
    pub failed: u64,
}

enum End {
    Done(Duration),
    Shed,
    Late,
    Failed,
}

impl Outcome {
    fn new() -> anyhow::Result<Self> {
        let done = Histogram::new_with_bounds(LATENCY_RANGE.0, LATENCY_RANGE.1, 2)?;
        Ok(Self { done, shed: 0, late: 0, failed: 0 })
    }

    fn count(&mut self, end: &End) {
        match end {
            End::Done(took) => self.done.saturating_record(took.as_nanos() as u64),
            End::Shed => self.shed += 1,
            End::Late => self.late += 1,
            End::Failed => self.failed += 1,
        }
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.shed += other.shed;
        self.late += other.late;
        self.failed += other.failed;
        Ok(self.done.add(&other.done)?)
    }
}

impl OpenLoad {
    /// Sends until the time is up.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let load = self.clone();
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    LocalSet::new().block_on(&runtime, load.run_on_this_thread(number))
                })
            })
            .collect();
        let mut total = Outcome::new()?;
        for thread in threads {
            total.add(&thread.join().map_err(|_| anyhow!("a load thread panicked"))??)?;
        }
        Ok(total)
    }

    async fn run_on_this_thread(self, number: usize) -> anyhow::Result<Outcome> {
        let mut clients = Vec::new();
        for _ in 0..self.connections.div_ceil(THREADS) {
            clients.push(connect(self.addr).await?);
        }
        let request = Request::post(format!("http://{}{}", self.addr, self.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", format!("{}m", self.deadline.as_millis()))
            .body(())?;
        let (load, begin) = (Rc::new(self), Instant::now());
        let counted_from = begin + load.warm_up;
        let mut due = load.pace(number, begin)?;
        let (mut random, mut calls, mut outcome) = (Random::new(number as u64), JoinSet::new(), Outcome::new()?);
        loop {
            tokio::select! {
                // What has come is counted first, or this thread would itself be what it measures.
                biased;
                Some(ended) = calls.join_next() => {
                    let (since, end): (Instant, End) = ended?;
                    if since >= counted_from {
                        outcome.count(&end);
                    }
                }
                since = due.recv() => {
                    let Some(since) = since else { break };
                    let Some(message) = (load.requests)(&mut random) else { break };
                    let client = clients[random.below(clients.len())].clone();
                    let call = call(client, request.clone(), message, since, load.deadline);
                    calls.spawn_local(async move { (since, call.await) });
                }
            }
        }
        while let Some(ended) = calls.join_next().await {
            let (since, end) = ended?;
            if since >= counted_from {
                outcome.count(&end);
            }
        }
        Ok(outcome)
    }

    /// The moments at which this thread's calls are due, told when they come.
    fn pace(&self, number: usize, begin: Instant) -> anyhow::Result<mpsc::UnboundedReceiver<Instant>> {
        let (told, due) = mpsc::unbounded_channel();
        let (rate, end) = (self.rate, begin + self.warm_up + self.duration);
        thread::Builder::new().name("pace".into()).spawn(move || {
            for turn in (number..).step_by(THREADS) {
                let due = begin + Duration::from_secs_f64(turn as f64 / rate);
                if due >= end {
                    return;
                }
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if told.send(due).is_err() {
                    return;
                }
            }
        })?;
        Ok(due)
    }
}

/// One call to its end, or to its deadline.
async fn call(
    client: SendRequest<Bytes>,
    request: Request<()>,
    message: Bytes,
    since: Instant,
    deadline: Duration,
) -> End {
    let by = tokio::time::Instant::from_std(since + deadline);
    match tokio::time::timeout_at(by, status_of_call(client, request, message)).await {
        Ok(Ok(0)) => End::Done(since.elapsed()),
        Ok(Ok(4)) | Err(_) => End::Late,
        Ok(Ok(status)) if SHED.contains(&status) => End::Shed,
        Ok(_) => End::Failed,
    }
}
