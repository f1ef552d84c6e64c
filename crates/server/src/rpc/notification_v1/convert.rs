//! Messages about presence to inputs of the use cases, and back.

use std::time::Duration;

use roster_api::notification::v1 as api;

use crate::{
    ops::{
        ClientPage, ClientPresence, ConnectInput, ConnectOutput, GetClientStatusInput, NoticeKind, SendMessageInput,
        SendMessageOutput, Vocabulary, WatchClientsInput, WatchEvent,
    },
    presence::Said,
    rpc::time::timestamp,
};

pub(super) fn taken(output: SendMessageOutput) -> api::SendMessageResponse {
    api::SendMessageResponse { success: true, message: output.message, status: status(output.connected).into() }
}

pub(super) fn page(page: ClientPage) -> api::GetClientStatusResponse {
    api::GetClientStatusResponse {
        client_statuses: page.clients.iter().map(|one| (one.id.as_ref().to_owned(), word(one).to_owned())).collect(),
        clients: page.clients.into_iter().map(client).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}

/// The status in a word, as the map of the older proto has it.
pub(in crate::rpc) fn word(client: &ClientPresence) -> &'static str {
    if client.connected { "connected" } else { "disconnected" }
}

fn status(connected: bool) -> api::ClientStatus {
    if connected { api::ClientStatus::Connected } else { api::ClientStatus::Disconnected }
}

fn client(client: ClientPresence) -> api::ClientPresence {
    api::ClientPresence {
        status: status(client.connected).into(),
        connection_count: client.streams.into(),
        last_seen_at: client.last_seen.map(timestamp),
        client_id: client.id.as_ref().to_owned(),
    }
}

pub(super) fn connect_response(output: ConnectOutput) -> api::ConnectResponse {
    use api::connect_response::Message;
    let message = match output {
        ConnectOutput::Welcome { heartbeat_interval, presence_timeout } => Message::Welcome(api::Welcome {
            heartbeat_interval: Some(duration(heartbeat_interval)),
            presence_timeout: Some(duration(presence_timeout)),
        }),
        ConnectOutput::Acknowledged { said, at } => Message::Acknowledgement(api::Acknowledgement {
            message_type: message_type(said).into(),
            sent_at: Some(timestamp(at)),
        }),
        ConnectOutput::Notice { kind, at } => {
            let (kind, message) = match kind {
                NoticeKind::HeartbeatOverdue => {
                    (api::NoticeKind::HeartbeatOverdue, "no heartbeat came; without one you will soon count as gone")
                }
                NoticeKind::SessionEnded => (api::NoticeKind::SessionEnded, "your session has ended; sign in again"),
                NoticeKind::ShuttingDown => (api::NoticeKind::ShuttingDown, "the server is stopping; connect again"),
            };
            Message::Notice(api::Notice { kind: kind.into(), message: message.into(), sent_at: Some(timestamp(at)) })
        }
    };
    api::ConnectResponse { message: Some(message) }
}

pub(super) fn watch_response(event: WatchEvent) -> api::WatchClientStatusResponse {
    use api::watch_client_status_response::Event;
    let event = match event {
        WatchEvent::Client(one) => Event::Client(client(one)),
        WatchEvent::PresentStateComplete(clients) => Event::PresentStateComplete(api::PresentStateComplete {
            client_count: i64::try_from(clients).unwrap_or(i64::MAX),
        }),
        WatchEvent::Heartbeat(at) => Event::Heartbeat(api::PresenceHeartbeat { sent_at: Some(timestamp(at)) }),
    };
    api::WatchClientStatusResponse { event: Some(event) }
}

fn message_type(said: Said) -> api::MessageType {
    match said {
        Said::Hello => api::MessageType::Hello,
        Said::Goodbye => api::MessageType::Goodbye,
        Said::Ping => api::MessageType::Ping,
        Said::Heartbeat => api::MessageType::Heartbeat,
    }
}

/// Of at most an hour, in milliseconds, so all of it fits.
fn duration(span: Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: span.as_secs() as i64, nanos: span.subsec_nanos() as i32 }
}

impl From<api::SendMessageRequest> for SendMessageInput {
    fn from(request: api::SendMessageRequest) -> Self {
        Self { client_id: request.client_id, message_type: request.message_type, vocabulary: Vocabulary::Full }
    }
}

impl From<api::GetClientStatusRequest> for GetClientStatusInput {
    fn from(request: api::GetClientStatusRequest) -> Self {
        Self { client_id: request.client_id, page_size: request.page_size, page_token: request.page_token }
    }
}

impl From<api::ConnectRequest> for ConnectInput {
    fn from(request: api::ConnectRequest) -> Self {
        Self { client_id: request.client_id, message_type: request.message_type }
    }
}

impl From<api::WatchClientStatusRequest> for WatchClientsInput {
    fn from(request: api::WatchClientStatusRequest) -> Self {
        Self { client_ids: request.client_ids, client_id_prefix: request.client_id_prefix }
    }
}
