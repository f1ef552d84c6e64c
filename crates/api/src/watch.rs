//! Follows users across connections and servers that end: a watch that goes on by itself from its last token.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    mem,
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    Error,
    client::Transport,
    user::v1::{
        WatchUsersRequest, WatchUsersResponse, user_service_client::UserServiceClient, watch_users_request::Start,
    },
};

/// How long to wait before the first further attempt. Each after it waits twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long the server is silent at most if the request does not say.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// Heartbeats that may fail to come before the connection is given up.
const BEATS_MISSED_MAX: u32 = 3;
/// How long a server may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A watch of users that mends itself.
///
/// When the connection breaks, the server stops or falls silent, it waits a little longer each time (with jitter, and as
/// long as the server asks for) and goes on after the last event that it has given. So no change is lost or comes twice
/// as long as this value lives; to go on after that, keep the token of each event with what was done for it, best in one
/// transaction, and start the next watch from there.
///
/// ```no_run
/// use roster_api::{
///     Client,
///     user::v1::{WatchUsersRequest, watch_users_request::Start, watch_users_response::Event},
/// };
///
/// # async fn example(kept: Option<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("http://127.0.0.1:50051").await?;
/// // Everybody first, and then what changes; or where an earlier run was.
/// let start = kept.map_or(Start::Snapshot(true), Start::ResumeToken);
/// let mut watch = client.watch(WatchUsersRequest { start: Some(start), ..Default::default() });
/// loop {
///     let told = watch.next().await?;
///     match told.event {
///         Some(Event::SnapshotUser(user)) => println!("there is {}", user.email),
///         Some(Event::Change(change)) => println!("{} {}", change.kind().as_str_name(), change.user_id),
///         // Others, and such as later versions bring.
///         _ => {}
///     }
///     println!("keep {}", told.resume_token);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Watch {
    users: UserServiceClient<Transport>,
    course: Course,
    authorization: Option<MetadataValue<Ascii>>,
    stream: Option<Streaming<WatchUsersResponse>>,
    /// When to try again.
    not_before: Option<Instant>,
    /// When the server last said something.
    heard: Instant,
}

/// Where a watch is, and how hard it was to get on.
#[derive(Debug)]
struct Course {
    /// With the latest token, once there is one.
    request: WatchUsersRequest,
    /// Attempts since the last event.
    attempts: u32,
    /// The present call was let in.
    has_begun: bool,
}

/// What a watch is about; see [`Watch::step`].
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the common one")]
pub enum Step {
    /// It was told something.
    Told(WatchUsersResponse),
    /// It was cut, and tries again after this time.
    Cut(Error, Duration),
}

impl Watch {
    /// A watch by these stubs. Nothing is sent before the first event is asked for.
    #[must_use]
    pub fn new(users: UserServiceClient<Transport>, request: WatchUsersRequest) -> Self {
        let course = Course { request, attempts: 0, has_begun: false };
        Self { users, course, authorization: None, stream: None, not_before: None, heard: Instant::now() }
    }

    /// Calls with this `authorization` from the next attempt on, such as a new access token after the last one's end.
    pub fn authorize(&mut self, authorization: Option<MetadataValue<Ascii>>) {
        self.authorization = authorization;
    }

    /// The token of the last event, or that the watch was started with.
    #[must_use]
    pub fn resume_token(&self) -> Option<&str> {
        self.course.token()
    }

    /// The next event, heartbeats included. Can be cancelled without loss.
    ///
    /// # Errors
    /// What trying again does not mend, such as `RESUME_TOKEN_EXPIRED` or credentials that are not valid any more. A watch
    /// ends with the access token that it was opened with: a session's is renewed and the watch goes on, but what
    /// [`Watch::authorize`] was given is not. The watch can be asked again, and goes on where it was.
    pub async fn next(&mut self) -> Result<WatchUsersResponse, Error> {
        loop {
            if let Step::Told(told) = self.step().await? {
                return Ok(told);
            }
        }
    }

    /// The same, and hears of cuts too.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub async fn step(&mut self) -> Result<Step, Error> {
        if let Some(at) = self.not_before {
            sleep_until(at).await;
            self.not_before = None;
        }
        match self.receive().await {
            Ok(told) => {
                self.course.told(&told.resume_token);
                Ok(Step::Told(told))
            }
            Err(status) => {
                self.stream = None;
                let (error, wait) = self.course.cut(status, self.authorization.is_none())?;
                self.not_before = Some(Instant::now() + wait);
                Ok(Step::Cut(error, wait))
            }
        }
    }

    async fn receive(&mut self) -> Result<WatchUsersResponse, Status> {
        let late = |what: &str| Status::unavailable(format!("the server {what}"));
        if self.stream.is_none() {
            let mut request = Request::new(self.course.request.clone());
            if let Some(authorization) = &self.authorization {
                request.metadata_mut().insert("authorization", authorization.clone());
            }
            let begun = timeout_at(Instant::now() + BEGIN_TIMEOUT, self.users.watch_users(request)).await;
            self.stream = Some(begun.map_err(|_| late("does not answer"))??.into_inner());
            self.course.has_begun = true;
            self.heard = Instant::now();
        }
        let Some(stream) = &mut self.stream else { return Err(late("does not answer")) };
        let silent = self.heard + heartbeat(&self.course.request) * (BEATS_MISSED_MAX + 1);
        let told = timeout_at(silent, stream.message()).await.map_err(|_| late("is silent"))??;
        self.heard = Instant::now();
        told.ok_or_else(|| late("ended the watch"))
    }
}

impl Course {
    fn token(&self) -> Option<&str> {
        match &self.request.start {
            Some(Start::ResumeToken(token)) => Some(token),
            _ => None,
        }
    }

    fn told(&mut self, token: &str) {
        self.attempts = 0;
        self.request.start = Some(Start::ResumeToken(token.to_owned()));
    }

    /// How long to wait before the next attempt; an error that it would not mend. If the client has `own_credentials`, the
    /// next attempt has another token than the one that ended under a watch.
    fn cut(&mut self, status: Status, own_credentials: bool) -> Result<(Error, Duration), Error> {
        let error = Error::from(status);
        if let Some(token) = error.metadata("resume_token") {
            self.request.start = Some(Start::ResumeToken(token.to_owned()));
        }
        let may_renew = mem::take(&mut self.has_begun) && own_credentials;
        let renews = may_renew && error.reason() == Some("CREDENTIALS_INVALID");
        if !is_passing(&error) && !renews {
            return Err(error);
        }
        let wait = backoff(self.attempts, jitter()).max(error.retry_after().unwrap_or_default());
        self.attempts = self.attempts.saturating_add(1);
        Ok((error, wait))
    }
}

/// Whether trying again may help.
fn is_passing(error: &Error) -> bool {
    match (error.reason(), error.code()) {
        (_, Code::Unavailable | Code::ResourceExhausted) => true,
        // Of a connection that broke, or of a proxy.
        (None, Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded) => true,
        _ => false,
    }
}

fn heartbeat(request: &WatchUsersRequest) -> Duration {
    let asked = request.heartbeat_interval.as_ref().and_then(|interval| u64::try_from(interval.seconds).ok());
    // Longer ones are refused, and a part of a second does not matter here.
    asked.map_or(HEARTBEAT_DEFAULT, |seconds| Duration::from_secs(seconds.clamp(1, 300)))
}

/// How long to wait after so many attempts; `jitter` is 0 to 1.
fn backoff(attempts: u32, jitter: f64) -> Duration {
    let whole = BACKOFF_MIN.saturating_mul(1 << attempts.min(16)).min(BACKOFF_MAX);
    whole.mul_f64(0.5 + jitter / 2.0)
}

/// 0 to 1, so that clients that were cut at once do not come back at once.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_differ() {
        let (least, most) = (|n| backoff(n, 0.0), |n| backoff(n, 1.0));
        assert_eq!((least(0), most(0)), (BACKOFF_MIN / 2, BACKOFF_MIN));
        assert_eq!(most(3), BACKOFF_MIN * 8);
        for attempts in [9, 100, u32::MAX] {
            assert_eq!((least(attempts), most(attempts)), (BACKOFF_MAX / 2, BACKOFF_MAX));
        }
        assert!((0..1_000).all(|_| (0.0..=1.0).contains(&jitter())));
        assert_ne!((jitter(), jitter()), (jitter(), jitter()));
    }

    #[test]
    fn what_passes_is_tried_again_from_the_token_and_what_does_not_is_told() {
        let mut watch = Course { request: WatchUsersRequest::default(), attempts: 0, has_begun: false };
        let reason = |code, reason: &str, token: &str| {
            let metadata = HashMap::from([("resume_token".to_owned(), token.to_owned())]);
            Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "roster", metadata))
        };
        for (status, token) in [
            (reason(Code::Unavailable, "SHUTTING_DOWN", "~1"), "~1"),
            (reason(Code::ResourceExhausted, "WATCHER_TOO_SLOW", "~2"), "~2"),
            (Status::unknown("h2 protocol error"), "~2"),
        ] {
            watch.cut(status, true).unwrap();
            assert_eq!(watch.token(), Some(token));
        }
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(77)));
        let asked = Status::with_error_details(Code::Unavailable, "later", details);
        assert_eq!(watch.cut(asked, true).unwrap().1, Duration::from_secs(77));
        for status in [
            reason(Code::OutOfRange, "RESUME_TOKEN_EXPIRED", "~3"),
            reason(Code::Unauthenticated, "CREDENTIALS_INVALID", "~3"),
            reason(Code::Internal, "INTERNAL", "~3"),
            Status::unimplemented("an older server"),
        ] {
            assert!(watch.cut(status, true).is_err());
        }
        // An access token ends under a watch; the next one is refused at once, or is the caller's own to renew.
        let ended = || reason(Code::Unauthenticated, "CREDENTIALS_INVALID", "~4");
        watch.has_begun = true;
        assert!(watch.cut(ended(), true).is_ok());
        assert!(watch.cut(ended(), true).is_err());
        watch.has_begun = true;
        assert!(watch.cut(ended(), false).is_err());
    }
}
