//! Who is online, over the wire: messages, streams, watches, and what clients do that go wrong.

mod connect;
mod helper;
mod messages;
mod nodes;
mod older;
mod rights;
mod watch;

use std::time::Duration;

use prost_types::Timestamp;
use roster_api::{
    client::Transport,
    notification::v1::{
        ClientPresence, ClientStatus, ConnectRequest, ConnectResponse, GetClientStatusRequest, MessageType, NoticeKind,
        SendMessageRequest, SendMessageResponse, WatchClientStatusRequest, WatchClientStatusResponse,
        connect_response::Message, notification_service_client::NotificationServiceClient,
        watch_client_status_response::Event,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{Problem, Server};

type Notifications = NotificationServiceClient<Transport>;

/// Paths of the methods start with it.
const NOTIFICATIONS: &str = "/notification.v1.NotificationService";
/// Silence that tests wait for. Whoever must not fall silent says something much sooner.
const SOON: Duration = Duration::from_millis(300);

async fn notifications(server: &Server) -> Notifications {
    roster_api::Client::connect(&server.addr().to_string()).await.unwrap().notifications()
}

fn message(client_id: &str, message_type: MessageType) -> SendMessageRequest {
    SendMessageRequest { client_id: client_id.into(), message_type: message_type.into() }
}

async fn say(notifications: &mut Notifications, client_id: &str, what: MessageType) -> SendMessageResponse {
    notifications.send_message(message(client_id, what)).await.unwrap().into_inner()
}

/// What is known of one client.
async fn known(notifications: &mut Notifications, client_id: &str) -> Option<ClientPresence> {
    let request = GetClientStatusRequest { client_id: client_id.into(), ..Default::default() };
    let mut answer = notifications.get_client_status(request).await.unwrap().into_inner();
    assert!(answer.clients.len() <= 1 && answer.next_page_token.is_empty());
    answer.clients.pop()
}

/// Status and streams of a client that is known.
async fn state(notifications: &mut Notifications, client_id: &str) -> (ClientStatus, i32) {
    let client = known(notifications, client_id).await.unwrap();
    (client.status(), client.connection_count)
}

/// A stream of Connect.
struct Line {
    say: Option<mpsc::Sender<ConnectRequest>>,
    hear: Streaming<ConnectResponse>,
}

impl Line {
    /// Opens one with this as its first message.
    async fn open(notifications: &mut Notifications, first: ConnectRequest) -> Self {
        Self::open_as(notifications, first, None).await
    }

    /// The same as the holder of a token.
    async fn open_as(notifications: &mut Notifications, first: ConnectRequest, token: Option<&str>) -> Self {
        let (say, said) = mpsc::channel(8);
        say.send(first).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(said));
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let hear = notifications.connect(request).await.unwrap().into_inner();
        Self { say: Some(say), hear }
    }

    /// Opens one for a client, which is welcome.
    async fn of(notifications: &mut Notifications, client_id: &str) -> Self {
        let mut line = Self::open(notifications, hello(client_id)).await;
        assert!(matches!(line.next().await, Message::Welcome(_)));
        line
    }

    async fn say(&self, message_type: MessageType) {
        let request = ConnectRequest { client_id: String::new(), message_type: message_type.into() };
        self.say.as_ref().unwrap().send(request).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        self.hear.message().await.unwrap().unwrap().message.unwrap()
    }

    /// Says something and hears that it was taken.
    async fn exchange(&mut self, message_type: MessageType) {
        self.say(message_type).await;
        let Message::Acknowledgement(taken) = self.next().await else { panic!("no acknowledgement") };
        assert!(taken.message_type() == message_type && taken.sent_at.is_some());
    }

    /// What ends the stream next, after nothing else.
    async fn error(&mut self) -> Problem {
        Problem::in_trailers(&self.hear.message().await.unwrap_err())
    }
}

fn hello(client_id: &str) -> ConnectRequest {
    ConnectRequest { client_id: client_id.into(), message_type: MessageType::Hello.into() }
}

fn notice(message: Message) -> NoticeKind {
    let Message::Notice(notice) = message else { panic!("{message:?}") };
    assert!(!notice.message.is_empty() && notice.sent_at.is_some());
    notice.kind()
}

/// A watch after its present state.
struct Watching(Streaming<WatchClientStatusResponse>);

impl Watching {
    /// Watches these, of which nobody is known.
    async fn quiet(notifications: &mut Notifications, client_ids: &[&str]) -> Self {
        let client_ids = client_ids.iter().map(|id| (*id).to_owned()).collect();
        let (present, watching) = Self::start(notifications, client_ids, "").await.unwrap();
        assert_eq!(present, []);
        watching
    }

    /// The present state, and the watch.
    async fn start(
        notifications: &mut Notifications,
        client_ids: Vec<String>,
        prefix: &str,
    ) -> Result<(Vec<ClientPresence>, Self), Status> {
        let request = WatchClientStatusRequest { client_ids, client_id_prefix: prefix.into() };
        let mut watching = Self(notifications.watch_client_status(request).await?.into_inner());
        let mut present = Vec::new();
        loop {
            match watching.event().await? {
                Event::Client(client) => present.push(client),
                Event::PresentStateComplete(complete) => {
                    assert_eq!(usize::try_from(complete.client_count), Ok(present.len()));
                    return Ok((present, watching));
                }
                Event::Heartbeat(_) => panic!("a heartbeat in between"),
            }
        }
    }

    async fn event(&mut self) -> Result<Event, Status> {
        Ok(self.0.message().await?.unwrap().event.unwrap())
    }

    /// The next client whose status changes.
    async fn change(&mut self) -> (String, ClientStatus) {
        let Event::Client(client) = self.event().await.unwrap() else { panic!("no client") };
        (client.client_id.clone(), client.status())
    }
}

/// A whole second that is not far from now.
fn is_recent(time: &Option<Timestamp>) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed();
    time.is_some_and(|time| time.nanos == 0 && (now - 60..=now + 1).contains(&time.seconds))
}
