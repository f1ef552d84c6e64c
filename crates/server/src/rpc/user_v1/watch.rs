//! The stream of `WatchUsers`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use roster_api::{
    server::user::v1::{UserChange, WatchUsersResponse, watch_users_response::Event},
    user::v1 as api,
};
use tokio_stream::Stream;
use tonic::Status;

use super::audit::actor;
use crate::{
    ops::{self, ChangeKind, FeedEvent, FeedItem, RequestId, UserWatch, WatchStart, WatchUsersInput},
    rpc::{status, time::timestamp},
};

impl From<api::WatchUsersRequest> for WatchUsersInput {
    fn from(request: api::WatchUsersRequest) -> Self {
        Self {
            start: match request.start {
                Some(api::watch_users_request::Start::ResumeToken(token)) => WatchStart::Resume(token),
                Some(api::watch_users_request::Start::Snapshot(true)) => WatchStart::Snapshot,
                Some(api::watch_users_request::Start::Snapshot(false)) | None => WatchStart::Now,
            },
            filter: request.filter,
            heartbeat_interval: request.heartbeat_interval.map(|interval| (interval.seconds, interval.nanos)),
        }
    }
}

/// See the [module](self).
pub(super) struct WatchStream {
    watch: UserWatch,
    request_id: RequestId,
    ended: bool,
}

impl WatchStream {
    pub(super) fn new(watch: UserWatch, request_id: RequestId) -> Self {
        Self { watch, request_id, ended: false }
    }
}

impl Stream for WatchStream {
    type Item = Result<WatchUsersResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.watch.poll_next(cx)) {
            Ok(item) => Ok(response(item)),
            Err(error) => {
                self.ended = true;
                Err(status::of_error(&error, self.request_id.as_str()))
            }
        }))
    }
}

fn response(item: FeedItem) -> WatchUsersResponse {
    let event = match item.event {
        FeedEvent::Change(change) => Event::Change(change_message(*change)),
        FeedEvent::SnapshotUser(user) => Event::SnapshotUser(user.into_message()),
        FeedEvent::SnapshotComplete { user_count } => {
            Event::SnapshotComplete(api::SnapshotComplete { user_count: i64::try_from(user_count).unwrap_or(i64::MAX) })
        }
        FeedEvent::Heartbeat { sent_at } => Event::Heartbeat(api::Heartbeat { sent_at: Some(timestamp(sent_at)) }),
    };
    WatchUsersResponse { resume_token: item.resume_token, event: Some(event) }
}

fn change_message(change: ops::UserChange) -> UserChange {
    UserChange {
        kind: kind(change.kind).into(),
        user_id: change.user_id.to_text(),
        user: change.user.map(|user| user.into_message()),
        changed_fields: change.changed_fields,
        actor: Some(actor(change.actor, change.actor_id)),
        changed_at: Some(timestamp(change.at)),
        request_id: change.request_id,
    }
}

fn kind(kind: ChangeKind) -> api::ChangeKind {
    match kind {
        ChangeKind::Created => api::ChangeKind::Created,
        ChangeKind::Updated => api::ChangeKind::Updated,
        ChangeKind::Deactivated => api::ChangeKind::Deactivated,
        ChangeKind::Reactivated => api::ChangeKind::Reactivated,
        ChangeKind::Deleted => api::ChangeKind::Deleted,
        ChangeKind::EmailVerified => api::ChangeKind::EmailVerified,
        ChangeKind::PasswordChanged => api::ChangeKind::PasswordChanged,
        ChangeKind::LeftFilter => api::ChangeKind::LeftFilter,
    }
}
