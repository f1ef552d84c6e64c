//! `grpc.health.v1.Health`: whether to send calls here.

use std::pin::Pin;

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::{services::SERVED, status};
use crate::ops::Reason;

/// The service. All of Roster's services live and die together, so there is one state.
#[derive(Clone, Debug)]
pub(super) struct HealthService(watch::Sender<bool>);

impl HealthService {
    /// Not serving yet.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Tells whoever asks or watches, if it is news.
    pub(super) fn set_serving(&self, serving: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, serving) != serving);
    }
}

/// Whether there is such a service; `""` is all of them.
fn is_known(service: &str) -> bool {
    service.is_empty() || SERVED.contains(&service)
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

fn serving(serving: bool) -> HealthCheckResponse {
    response(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(status::of_reason(Reason::NameUnknown, "there is no such service here"));
        }
        Ok(Response::new(serving(*self.0.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if is_known(&request.get_ref().service) {
            let states = WatchStream::new(self.0.subscribe());
            return Ok(Response::new(Box::pin(states.map(|state| Ok(serving(state))))));
        }
        // The protocol wants an answer that stays open: the service might come to be.
        let unknown = tokio_stream::once(Ok(response(ServingStatus::ServiceUnknown)));
        Ok(Response::new(Box::pin(unknown.chain(tokio_stream::pending()))))
    }
}
