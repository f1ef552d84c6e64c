//! Whether the server takes a call on, or has too much to do; see [`overload`](crate::overload).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderMap, Response};
use roster_api::access::{LoadClass, Method};
use tokio::time::Instant;
use tonic::body::Body;

use super::status;
use crate::{
    ops::{Error, Ops, RequestId},
    overload::{Cause, Gate, Overload, Place},
    store::{self, Wait},
};

/// After how long those are to come back that a worker has refused: not all at once.
const RETRY_AFTER_MS: [u64; 8] = [200, 300, 400, 500, 600, 700, 800, 900];

/// One worker's way in.
pub struct Admission {
    overload: Arc<Overload>,
    gate: Arc<Gate>,
    /// The headers of a refusal for each of [`RETRY_AFTER_MS`]: made once, because there may be very many.
    refusals: Arc<[HeaderMap]>,
    next: AtomicUsize,
}

impl Admission {
    /// One that the workers' are made from. It lets nobody in itself, so its gate is not counted.
    #[must_use]
    pub fn new(overload: Arc<Overload>) -> Self {
        let headers = |ms| status::overloaded(Duration::from_millis(ms)).into_http::<Body>().into_parts().0.headers;
        let refusals = RETRY_AFTER_MS.into_iter().map(headers).collect();
        Self { gate: Arc::default(), overload, refusals, next: AtomicUsize::new(0) }
    }

    /// That of one more worker.
    pub(super) fn for_worker(&self) -> Self {
        let (overload, refusals) = (Arc::clone(&self.overload), Arc::clone(&self.refusals));
        Self { gate: overload.gate(), overload, refusals, next: AtomicUsize::new(0) }
    }

    /// A call that came at this time gets on.
    pub(super) fn gets_on(&self, came: std::time::Instant) {
        self.gate.gets_on(came);
    }

    /// Takes a call on, or says how it is refused.
    pub(super) fn admit(
        &self,
        method: &Method,
        ops: &Ops,
        deadline: Option<Instant>,
        request_id: &RequestId,
    ) -> Result<Place, Box<Response<Body>>> {
        let class = method.load_class;
        let place = self.gate.admit(class).map_err(|cause| {
            self.overload.refused(class, cause);
            Box::new(self.refusal())
        })?;
        let mut wait = Queue::of(class).map_or_else(Wait::default, |queue| queue.wait(ops, place.ahead()));
        wait.expected += self.gate.delay();
        // What is vital may be late.
        if wait.expected > Duration::ZERO && class != LoadClass::Vital {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            self.overload.check_wait(wait, left).map_err(|cause| {
                self.overload.refused(class, cause);
                Box::new(self.too_late(class, cause, wait, request_id))
            })?;
        }
        Ok(place)
    }

    fn refusal(&self) -> Response<Body> {
        let next = self.next.fetch_add(1, Relaxed) % self.refusals.len();
        let mut response = Response::new(Body::empty());
        response.headers_mut().clone_from(&self.refusals[next]);
        response
    }

    fn too_late(&self, class: LoadClass, cause: Cause, wait: Wait, request_id: &RequestId) -> Response<Body> {
        // What waits longer than a call may is to become less first, and a queue that has stood for long will stand for longer;
        // otherwise it is the deadline that was short.
        let retry_after = match cause {
            Cause::Queue => self.overload.retry_after(wait),
            Cause::Worker | Cause::Deadline => wait.expected / 2,
        };
        match class {
            LoadClass::Hash => status::of_error(&Error::HashingBusy { retry_after }, request_id.as_str()).into_http(),
            LoadClass::Write | LoadClass::Bulk => {
                status::of_error(&Error::QueueFull { retry_after }, request_id.as_str()).into_http()
            }
            LoadClass::Vital | LoadClass::Read | LoadClass::Stream => self.refusal(),
        }
    }
}

/// What calls of a class wait in.
#[derive(Clone, Copy)]
enum Queue {
    Store(store::Queue),
    Hash,
}

impl Queue {
    fn of(class: LoadClass) -> Option<Self> {
        match class {
            LoadClass::Write => Some(Self::Store(store::Queue::Writes)),
            LoadClass::Bulk => Some(Self::Store(store::Queue::Scans)),
            LoadClass::Hash => Some(Self::Hash),
            LoadClass::Vital | LoadClass::Read | LoadClass::Stream => None,
        }
    }

    fn wait(self, ops: &Ops, ahead: usize) -> Wait {
        match self {
            Self::Store(queue) => ops.store_wait(queue, ahead),
            // Whoever guesses too often or says the same twice needs none.
            Self::Hash => ops.hash_wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::ops::Reason;

    #[test]
    fn those_whom_a_worker_refuses_are_to_come_back_at_different_times() {
        let admission = Admission::new(Arc::new(Overload::new(Duration::from_secs(1)))).for_worker();
        let mut waits = Vec::new();
        for _ in RETRY_AFTER_MS {
            let refusal = admission.refusal();
            let status = Status::from_header_map(refusal.headers()).unwrap();
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(status::reason_in(refusal.headers()), Some(Reason::Overloaded));
            let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
            let pushback: u128 = refusal.headers()["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
            assert!(pushback >= wait.as_millis(), "{status:?}");
            waits.push(wait.as_millis());
        }
        assert_eq!(waits, RETRY_AFTER_MS.map(u128::from));
    }
}
