//! What became of the calls of all clients, and how calls are made until that is known.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use roster_api::{Error, client::with_idempotency_key};
use tonic::{Code, Request, Response, Status};

/// A client that cannot call is to say so, and not to wait for ever.
const OUTAGE_MAX: Duration = Duration::from_secs(60);
/// How long a client waits that has failed in spite of all its retries.
const PAUSE: Duration = Duration::from_millis(50);
/// How often those who wait for calls look whether they came.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A call that has failed, in spite of the client's own retries.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "they are for who reads why the test failed")]
pub struct Failure {
    pub at: Instant,
    pub client: String,
    pub took: Duration,
    pub error: String,
}

/// The calls of all clients.
#[derive(Default)]
pub struct Calls {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    succeeded: u64,
    slowest: Duration,
    failures: Vec<Failure>,
    /// When each client's last call that went well began, and when it ended.
    last: HashMap<String, (Instant, Instant)>,
}

impl Calls {
    fn note<T>(&self, client: &str, began: Instant, outcome: &Result<T, Error>) {
        let (now, mut seen) = (Instant::now(), self.seen.lock().unwrap());
        let took = now - began;
        match outcome {
            Err(error) if is_passing(error) => {
                let error = format!("{:?}: {error}", error.code());
                seen.failures.push(Failure { at: now, client: client.to_owned(), took, error });
            }
            _ => {
                seen.succeeded += 1;
                seen.slowest = seen.slowest.max(took);
                seen.last.insert(client.to_owned(), (began, now));
            }
        }
    }

    /// Makes a call that changes something until it is known what became of it: again and again, with one idempotency
    /// key, as every client may. Gives what the server has said.
    pub async fn surely<M: Clone, T>(
        &self,
        client: &str,
        key: &str,
        message: M,
        mut call: impl AsyncFnMut(Request<M>) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let since = Instant::now();
        loop {
            let began = Instant::now();
            let answer = call(with_idempotency_key(Request::new(message.clone()), key).unwrap()).await;
            let answer = answer.map(Response::into_inner).map_err(Error::from);
            self.note(client, began, &answer);
            match answer {
                Err(error) if is_passing(&error) => assert!(since.elapsed() < OUTAGE_MAX, "{client}: {error}"),
                answer => return answer,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until each of these clients has made a call that went well and began after this time; gives how long that
    /// took the last of them.
    pub async fn until_all_go_well(&self, clients: &[String], since: Instant) -> Duration {
        let is_well = |seen: &Seen, client: &String| seen.last.get(client).is_some_and(|(began, _)| *began >= since);
        // By the first call of each: a client may have made more by the time of the look.
        let mut first: HashMap<&String, Duration> = HashMap::new();
        while first.len() < clients.len() {
            assert!(since.elapsed() < OUTAGE_MAX, "after {OUTAGE_MAX:?} only {:?} can call", first.keys());
            {
                let seen = self.seen.lock().unwrap();
                for client in clients.iter().filter(|client| is_well(&seen, client)) {
                    let took = seen.last[client].1.duration_since(since);
                    first.entry(client).or_insert(took);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        first.into_values().max().unwrap_or_default()
    }

    /// The calls that have failed since then.
    pub fn failed_since(&self, since: Instant) -> Vec<Failure> {
        self.seen.lock().unwrap().failures.iter().filter(|failure| failure.at >= since).cloned().collect()
    }

    /// How many went well, and how long the slowest of them took.
    pub fn went_well(&self) -> (u64, Duration) {
        let seen = self.seen.lock().unwrap();
        (seen.succeeded, seen.slowest)
    }
}

/// Whether the call may do better later. Whatever else a server says in this test is what it stands by.
pub fn is_passing(error: &Error) -> bool {
    match error.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => true,
        // Of a connection that broke, and not of a server.
        Code::Unknown | Code::Internal | Code::Cancelled => error.reason().is_none(),
        _ => false,
    }
}
