//! Messages of the audit log.

use roster_api::user::v1 as api;

use crate::{
    model::{ActorKind, AuditEvent, AuditOutcome},
    ops::{AuditPage, ListAuditEventsInput},
    rpc::time::timestamp,
};

impl From<api::ListAuditEventsRequest> for ListAuditEventsInput {
    fn from(request: api::ListAuditEventsRequest) -> Self {
        Self {
            filter: request.filter,
            order_by: request.order_by,
            page_size: request.page_size,
            page_token: request.page_token,
        }
    }
}

pub(super) fn page_message(page: AuditPage) -> api::ListAuditEventsResponse {
    api::ListAuditEventsResponse {
        events: page.events.into_iter().map(event_message).collect(),
        next_page_token: page.next_page_token.unwrap_or_default(),
    }
}

fn event_message(event: AuditEvent) -> api::AuditEvent {
    api::AuditEvent {
        // As wide as the largest, so that ids grow as text too.
        id: format!("{:019}", event.position),
        occurred_at: Some(timestamp(event.at)),
        action: event.action.audit_name().into_owned(),
        outcome: match event.outcome() {
            AuditOutcome::Done => api::AuditOutcome::Done.into(),
            AuditOutcome::Refused => api::AuditOutcome::Refused.into(),
        },
        actor: Some(actor(event.actor, event.actor_id)),
        user_id: event.user_id.map(|id| id.to_text()).unwrap_or_default(),
        target: event.target,
        remote_address: event.remote_address,
        request_id: event.request_id,
        reason: event.reason,
        changed_fields: event.fields,
    }
}

pub(super) fn actor(of_kind: ActorKind, id: String) -> api::Actor {
    api::Actor { kind: kind(of_kind).into(), id }
}

fn kind(kind: ActorKind) -> api::ActorKind {
    match kind {
        ActorKind::Anonymous => api::ActorKind::Anonymous,
        ActorKind::Developer => api::ActorKind::Developer,
        ActorKind::User => api::ActorKind::User,
        ActorKind::ApiKey => api::ActorKind::ApiKey,
        ActorKind::Service => api::ActorKind::Service,
        ActorKind::System => api::ActorKind::System,
    }
}
