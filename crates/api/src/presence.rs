//! Who is online: [`NotificationClient`] says it message by message, and [`Presence`] keeps a client online as long as it
//! lives.
//!
//! ```no_run
//! use roster_api::NotificationClient;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = NotificationClient::connect("localhost:50051").await?;
//! client.send_hello("user_123").await?;
//! println!("{:?}", client.get_client_status(Some("user_123")).await?); // {"user_123": Connected}
//! client.send_goodbye("user_123").await?;
//! println!("{:?}", client.get_client_status(None).await?); // {"user_123": Disconnected}
//! client.disconnect();
//! # Ok(())
//! # }
//! ```

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::{
    Client, ConnectError, Error,
    client::Transport,
    notification::v1::{
        ClientStatus, ConnectRequest, ConnectResponse, GetClientStatusRequest, MessageType, SendMessageRequest,
        Welcome, connect_response::Message, notification_service_client::NotificationServiceClient,
    },
    transport::chance,
};

/// Clients on a page of a list that is read to its end.
const PAGE_SIZE: i32 = 10_000;
/// Messages of a stream that wait to be sent. One heartbeat that waits is as good as two.
const WAITING_MAX: usize = 2;
/// A heartbeat this often if the server does not say how often.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// Intervals after which a client counts as gone if the server does not say when.
const HEARTBEATS_MISSED_MAX: u32 = 3;
/// How long a goodbye may take before the connection is let go without an answer.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// About how long before a lost stream is opened again for the first time. Each further failure doubles it, up to the
/// interval of heartbeats: who waited longer would count as gone when the server has long been back, and to ask as often as
/// that costs it no more than the heartbeats did.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// Says who comes and goes, and asks who is there. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct NotificationClient {
    stub: NotificationServiceClient<Transport>,
}

impl NotificationClient {
    /// Connects; see [`Client::connect`] for what an endpoint is.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        Ok(Self::over(&Client::connect(endpoint).await?))
    }

    /// Over a connection that there is, with its token.
    #[must_use]
    pub fn over(client: &Client) -> Self {
        Self { stub: client.notifications() }
    }

    /// Says that a client has come. It is connected until it goes, or nothing is heard of it for the server's
    /// `presence_timeout`: [`Self::stay`] sees to that.
    ///
    /// # Errors
    /// The id is none, the caller may not speak for it, there are too many clients, or the call failed.
    pub async fn send_hello(&self, client_id: &str) -> Result<(), Error> {
        self.say(client_id, MessageType::Hello).await.map(|_| ())
    }

    /// Says that a client has gone.
    ///
    /// # Errors
    /// The id is none, the caller may not speak for it, or the call failed.
    pub async fn send_goodbye(&self, client_id: &str) -> Result<(), Error> {
        self.say(client_id, MessageType::Goodbye).await.map(|_| ())
    }

    /// Says that a client is still there; connects it if it was not.
    ///
    /// # Errors
    /// As [`Self::send_hello`].
    pub async fn send_heartbeat(&self, client_id: &str) -> Result<(), Error> {
        self.say(client_id, MessageType::Heartbeat).await.map(|_| ())
    }

    /// The status of one client, or of all that are known, page by page. Who is not known is not in it.
    ///
    /// # Errors
    /// The id is none, the caller may not look, or a call failed.
    pub async fn get_client_status(&self, client_id: Option<&str>) -> Result<BTreeMap<String, ClientStatus>, Error> {
        let mut statuses = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let client_id = client_id.unwrap_or_default().to_owned();
            let page_size = if client_id.is_empty() { PAGE_SIZE } else { 0 };
            let request = GetClientStatusRequest { client_id, page_size, page_token };
            let page = self.stub.clone().get_client_status(request).await?.into_inner();
            statuses.extend(page.clients.into_iter().map(|client| {
                let status = client.status();
                (client.client_id, status)
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(statuses);
            }
        }
    }

    /// Keeps a client connected until the [`Presence`] is dropped: by a stream with heartbeats, which is opened again
    /// when it breaks. Returns when the client is connected.
    ///
    /// ```no_run
    /// use roster_api::NotificationClient;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = NotificationClient::connect("localhost:50051").await?;
    /// let presence = client.stay("user_123/phone").await?;
    /// // … as long as the program likes …
    /// presence.leave().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::send_hello`].
    pub async fn stay(&self, client_id: &str) -> Result<Presence, Error> {
        let mut line = Line::open(self.stub.clone(), client_id).await?;
        let (stop, stopped) = oneshot::channel();
        let (stub, client_id) = (self.stub.clone(), client_id.to_owned());
        let task = tokio::spawn(async move {
            let mut stopped = stopped;
            loop {
                match line.keep(&mut stopped).await {
                    ControlFlow::Break(()) => return None,
                    ControlFlow::Continue(Some(error)) if is_final(&error) => return Some(error),
                    ControlFlow::Continue(_) => {}
                }
                line = match reopen(&stub, &client_id, line.pace, &mut stopped).await {
                    Ok(Some(line)) => line,
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                };
            }
        });
        Ok(Presence { stop: Some(stop), task: Some(task) })
    }

    /// Lets the connection go, once everything else that uses it has too.
    pub fn disconnect(self) {}

    async fn say(&self, client_id: &str, message_type: MessageType) -> Result<ClientStatus, Error> {
        let request = SendMessageRequest { client_id: client_id.to_owned(), message_type: message_type.into() };
        Ok(self.stub.clone().send_message(request).await?.into_inner().status())
    }
}

/// A client that is kept connected. Says goodbye in the background when it is dropped; [`Self::leave`] waits for it.
#[derive(Debug)]
pub struct Presence {
    stop: Option<oneshot::Sender<()>>,
    /// `None` once it has ended.
    task: Option<JoinHandle<Option<Error>>>,
}

impl Presence {
    /// Says goodbye and waits until the server has heard it, or a second.
    pub async fn leave(mut self) {
        self.stop = None;
        if let Some(task) = self.task.take() {
            // An error says that the task is gone, and the connection with it.
            let _ = task.await;
        }
    }

    /// Waits until the server does not take the client any more, such as when the caller's session has ended; gives why,
    /// once.
    /// Breaks of the connection and restarts are mended without a word.
    pub async fn refused(&mut self) -> Option<Error> {
        let ended = self.task.as_mut()?.await;
        self.task = None;
        ended.ok().flatten()
    }
}

/// A stream on which a client is connected.
struct Line {
    say: mpsc::Sender<ConnectRequest>,
    hear: Streaming<ConnectResponse>,
    pace: Pace,
}

/// Longer than any server means, and short enough to reckon with.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the server says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    heartbeat_interval: Duration,
    /// Who is silent for so long is gone. The server answers every heartbeat, so that holds for it too.
    timeout: Duration,
}

impl Pace {
    fn of(welcome: &Welcome) -> Self {
        let said = |duration: &Option<prost_types::Duration>| {
            let duration = duration.as_ref().and_then(|duration| Duration::try_from(*duration).ok());
            duration.filter(|duration| !duration.is_zero()).map(|duration| duration.min(LONGEST))
        };
        let heartbeat_interval = said(&welcome.heartbeat_interval).unwrap_or(HEARTBEAT_INTERVAL);
        let timeout = said(&welcome.presence_timeout).unwrap_or(heartbeat_interval * HEARTBEATS_MISSED_MAX);
        Self { heartbeat_interval, timeout }
    }

    /// How long to wait after so many attempts to open a stream again; `chance` is 0 to 1.
    fn wait(self, attempts: u32, chance: f64) -> Duration {
        let whole = RETRY_FIRST.saturating_mul(1 << attempts.min(16)).min(self.heartbeat_interval);
        whole.mul_f64(0.5 + chance / 2.0)
    }
}

impl Line {
    async fn open(mut stub: NotificationServiceClient<Transport>, client_id: &str) -> Result<Self, Error> {
        let (say, said) = mpsc::channel(WAITING_MAX);
        // There is room in a new channel.
        let _ =
            say.try_send(ConnectRequest { client_id: client_id.to_owned(), message_type: MessageType::Hello.into() });
        let mut hear = stub.connect(ReceiverStream::new(said)).await?.into_inner();
        loop {
            let Some(first) = hear.message().await? else {
                return Err(tonic::Status::unavailable("the server ended the stream before it began").into());
            };
            if let Some(Message::Welcome(welcome)) = first.message {
                return Ok(Self { say, hear, pace: Pace::of(&welcome) });
            }
        }
    }

    /// Sends heartbeats until it is to stop, or the stream ends, or the server is as silent as no client may be: what hangs
    /// keeps its connections open, and its clients are gone for all others.
    async fn keep(&mut self, stopped: &mut oneshot::Receiver<()>) -> ControlFlow<(), Option<Error>> {
        let mut heartbeats = interval(self.pace.heartbeat_interval);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heard = Instant::now();
        loop {
            tokio::select! {
                // Whether it was told or dropped.
                _ = &mut *stopped => {
                    // An answer late is an answer that nobody misses.
                    let _ = timeout(GOODBYE_TIMEOUT, self.say_goodbye()).await;
                    return ControlFlow::Break(());
                }
                _ = heartbeats.tick() => self.send(MessageType::Heartbeat),
                heard = self.hear.message() => match heard {
                    Ok(Some(_)) => last_heard = Instant::now(),
                    Ok(None) => return ControlFlow::Continue(None),
                    Err(status) => return ControlFlow::Continue(Some(status.into())),
                },
                () = sleep_until(last_heard + self.pace.timeout) => return ControlFlow::Continue(None),
            }
        }
    }

    /// Has it sent if nothing like it waits already.
    fn send(&self, message_type: MessageType) {
        let request = ConnectRequest { client_id: String::new(), message_type: message_type.into() };
        let _ = self.say.try_send(request);
    }

    async fn say_goodbye(&mut self) {
        let request = ConnectRequest { client_id: String::new(), message_type: MessageType::Goodbye.into() };
        if self.say.send(request).await.is_ok() {
            while let Ok(Some(_)) = self.hear.message().await {}
        }
    }
}

/// Opens the stream again, however long that takes; `None` if it is to stop.
async fn reopen(
    stub: &NotificationServiceClient<Transport>,
    client_id: &str,
    pace: Pace,
    stopped: &mut oneshot::Receiver<()>,
) -> Result<Option<Line>, Error> {
    let mut attempts: u32 = 0;
    loop {
        tokio::select! {
            _ = &mut *stopped => return Ok(None),
            () = sleep(pace.wait(attempts, chance())) => {}
        }
        attempts = attempts.saturating_add(1);
        let opened = tokio::select! {
            _ = &mut *stopped => return Ok(None),
            opened = timeout(pace.timeout, Line::open(stub.clone(), client_id)) => opened,
        };
        match opened {
            Ok(Err(error)) if is_final(&error) => return Err(error),
            // One that hangs is left alone for another, if there is one.
            Ok(Err(_)) | Err(_) => {}
            Ok(Ok(line)) => return Ok(Some(line)),
        }
    }
}

/// Whether trying again cannot help.
fn is_final(error: &Error) -> bool {
    matches!(error.code(), Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_stream_is_opened_again_as_often_as_a_heartbeat_would_come() {
        let duration = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let told = Pace::of(&Welcome { heartbeat_interval: duration(1), presence_timeout: duration(5) });
        assert_eq!(told, Pace { heartbeat_interval: Duration::from_secs(1), timeout: Duration::from_secs(5) });
        assert_eq!(told.wait(0, 1.0), RETRY_FIRST);
        assert_eq!(told.wait(0, 0.0), RETRY_FIRST / 2);
        assert_eq!(told.wait(3, 1.0), RETRY_FIRST * 8);
        for attempts in [4, 16, u32::MAX] {
            assert_eq!(told.wait(attempts, 1.0), told.heartbeat_interval);
        }
        let untold = Pace::of(&Welcome { heartbeat_interval: None, presence_timeout: duration(0) });
        assert_eq!(untold, Pace { heartbeat_interval: HEARTBEAT_INTERVAL, timeout: HEARTBEAT_INTERVAL * 3 });
    }
}
