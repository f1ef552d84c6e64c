//! One call: its deadline, its token, its attempts.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body};
use tower::ServiceExt as _;

use super::{
    Shared,
    endpoints::Picked,
    policy::{Verdict, judge, status_of},
};
use crate::{
    access::{self, RateClass},
    client::{GRPC_TIMEOUT, IDEMPOTENCY_KEY},
    on_call::OnCall,
};

/// With another server to turn to, an attempt gets no less than this.
const ATTEMPT_MIN: Duration = Duration::from_millis(200);

/// What kind of call it is.
struct Kind {
    /// The request is one message.
    is_unary_request: bool,
    /// Request and response are.
    is_unary: bool,
    /// It changes something.
    writes: bool,
}

impl Kind {
    /// A method that is not Roster's is taken for one that streams and writes: it is passed on as it is.
    fn of(path: &str) -> Self {
        let name = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let (Some(method), Some((service, name))) = (access::method(path), name) else {
            return Self { is_unary_request: false, is_unary: false, writes: true };
        };
        let is_unary = !access::streams(service, name);
        let is_unary_request = is_unary || access::streams_responses_alone(service, name);
        Self { is_unary_request, is_unary, writes: method.rate_class != RateClass::Read }
    }
}

/// Makes the call.
pub(super) async fn run(
    shared: Arc<Shared>,
    on_call: OnCall,
    mut request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let kind = Kind::of(request.uri().path());
    if kind.is_unary
        && kind.writes
        && shared.policy.attempts_max > 1
        && !request.headers().contains_key(IDEMPOTENCY_KEY)
    {
        let key = HeaderValue::try_from(new_idempotency_key()?).map_err(|error| Status::internal(error.to_string()))?;
        request.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    on_call.apply(request.headers_mut(), kind.is_unary).await?;
    let deadline = deadline_in(&request);
    if !kind.is_unary_request {
        return once(&shared, request, deadline).await;
    }
    let may_retry = !kind.writes || request.headers().contains_key(IDEMPOTENCY_KEY);
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let call = Call { shared: &shared, on_call: &on_call, parts, body, deadline, may_retry };
    call.attempt_all().await
}

/// A call whose request can be sent again.
struct Call<'a> {
    shared: &'a Shared,
    on_call: &'a OnCall,
    parts: http::request::Parts,
    body: Bytes,
    deadline: Option<Instant>,
    may_retry: bool,
}

impl Call<'_> {
    async fn attempt_all(mut self) -> Result<Response<Body>, Status> {
        let attempts_max = if self.may_retry { self.shared.policy.attempts_max.max(1) } else { 1 };
        let mut renewed = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let outcome = self.attempt(attempts_max - attempts).await;
            let status = match outcome {
                Ok(response) => match status_of(&response) {
                    // A refused token changed nothing, so the call may be made again with a new one.
                    Some(status) if !renewed && self.on_call.renew(&status, &mut self.parts.headers).await => {
                        renewed = true;
                        attempts -= 1;
                        continue;
                    }
                    Some(status) if judge(&status) != Verdict::Final => status,
                    status => {
                        // A server that hangs may say so itself in the end.
                        if status.is_none_or(|status| status.code() != Code::DeadlineExceeded) {
                            self.shared.budget.succeeded();
                        }
                        return Ok(response);
                    }
                },
                Err(status) => status,
            };
            let Verdict::Again { wait, .. } = judge(&status) else { return Err(status) };
            // Told first: every failure counts, the last one too.
            let affordable = self.shared.budget.failed();
            let Some(wait) = self.wait_before_next(attempts, wait).filter(|_| affordable && attempts < attempts_max)
            else {
                return Err(status);
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait; `None` if that is too long.
    fn wait_before_next(&self, attempts: u32, asked: Option<Duration>) -> Option<Duration> {
        let policy = &self.shared.policy;
        let wait = match asked {
            Some(asked) if asked > policy.backoff_max => return None,
            // Not all at the same moment.
            Some(asked) => asked + policy.backoff(1, chance()),
            None => policy.backoff(attempts, chance()),
        };
        self.deadline.is_none_or(|deadline| Instant::now() + wait < deadline).then_some(wait)
    }

    /// One attempt; `more` may follow.
    async fn attempt(&self, more: u32) -> Result<Response<Body>, Status> {
        let mut request = Request::from_parts(self.parts.clone(), Body::new(Full::new(self.body.clone())));
        let mut deadline = self.deadline;
        let mut is_partial = false;
        if let Some(whole) = self.deadline {
            let left = whole.saturating_duration_since(Instant::now());
            // A server that hangs is not to have the time of all.
            if more > 0 && self.shared.endpoints.len() > 1 {
                let share = (left / 2).max(ATTEMPT_MIN).min(left);
                is_partial = share < left;
                deadline = Some(Instant::now() + share);
            }
            request.headers_mut().insert(GRPC_TIMEOUT, timeout_header(left));
        }
        match once(self.shared, request, deadline).await {
            Err(status) if is_partial && status.code() == Code::DeadlineExceeded => {
                Err(Status::unavailable("the server did not answer in time"))
            }
            outcome => outcome,
        }
    }
}

/// Sends the request to one server.
async fn once(shared: &Shared, request: Request<Body>, deadline: Option<Instant>) -> Result<Response<Body>, Status> {
    let picked = shared.endpoints.pick(std::time::Instant::now()).map_err(|until| {
        let wait = until.saturating_duration_since(std::time::Instant::now());
        Status::unavailable(format!("no server answers; the next attempt is made in {} ms", wait.as_millis()))
    })?;
    let send = async {
        let mut channel = picked.channel();
        let ready = channel.ready().await.map_err(unreachable)?;
        tower::Service::call(ready, request).await.map_err(unreachable)
    };
    let outcome = match deadline {
        Some(deadline) => timeout_at(deadline, send)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the server did not answer before the deadline"))),
        None => send.await,
    };
    note(&picked, &outcome);
    outcome
}

/// Tells the breaker what came of an attempt.
fn note(picked: &Picked<'_>, outcome: &Result<Response<Body>, Status>) {
    let is_dead = |status: &Status| match judge(status) {
        Verdict::Again { is_alive, .. } => !is_alive,
        // Silence until the deadline may be the server's fault or the deadline's; in a row it is the server's.
        Verdict::Final => status.code() == Code::DeadlineExceeded,
    };
    match outcome {
        Ok(response) if status_of(response).is_some_and(|status| is_dead(&status)) => {
            picked.failed(std::time::Instant::now());
        }
        Ok(_) => picked.succeeded(),
        Err(status) if is_dead(status) => picked.failed(std::time::Instant::now()),
        Err(_) => {}
    }
}

/// A connection that could not be made, or broke.
fn unreachable(error: tonic::transport::Error) -> Status {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        // The server's own words, such as a GOAWAY, are further down.
        cause = source;
    }
    let mut status = Status::unavailable(format!("cannot reach the server: {cause}"));
    status.set_source(Arc::new(error));
    status
}

/// The whole request message. Its stub has limited it.
async fn read(body: Body) -> Result<Bytes, Status> {
    body.collect().await.map(http_body_util::Collected::to_bytes)
}

/// When the call is to have ended, by its `grpc-timeout`.
fn deadline_in(request: &Request<Body>) -> Option<Instant> {
    let text = request.headers().get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

/// At most eight digits, as the protocol has it.
fn timeout_header(left: Duration) -> HeaderValue {
    let (number, unit) = match (left.as_micros(), left.as_millis()) {
        (micros, _) if micros < 100_000_000 => (micros, 'u'),
        (_, millis) if millis < 100_000_000 => (millis, 'm'),
        _ => (u128::from(left.as_secs().min(99_999_999)), 'S'),
    };
    HeaderValue::from_str(&format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("1S"))
}

/// A key that no other call has.
pub(crate) fn new_idempotency_key() -> Result<String, Status> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Status::internal(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// From 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a chance needs no more digits")]
pub(crate) fn chance() -> f64 {
    // Without randomness all wait the same, which is no reason to fail.
    getrandom::u64().map_or(1.0, |number| (number >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_go_out_and_come_back() {
        for (timeout, text) in [
            (Duration::from_millis(1), "1000u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_secs(3_600), "3600000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
        ] {
            let header = timeout_header(timeout);
            assert_eq!(header, text);
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert(GRPC_TIMEOUT, header);
            let left = deadline_in(&request).unwrap() - Instant::now();
            assert!(left <= timeout && left + Duration::from_secs(1) > timeout, "{left:?}");
        }
    }

    #[test]
    fn what_may_be_tried_again_is_told_by_the_path() {
        let facts = |path| {
            let Kind { is_unary_request, is_unary, writes } = Kind::of(path);
            (is_unary_request, is_unary, writes)
        };
        assert_eq!(facts("/user.v1.UserService/GetUser"), (true, true, false));
        assert_eq!(facts("/user.v1.UserService/CreateUser"), (true, true, true));
        assert_eq!(facts("/user.v1.UserService/ExportUsers"), (true, false, false));
        assert_eq!(facts("/user.v1.UserService/ImportUsers"), (false, false, true));
        assert_eq!(facts("/some.other.Service/Method"), (false, false, true));
    }
}
