//! What each of several servers says of itself: `grpc.health.v1.Health/Watch`, so that one that is about to stop gets no
//! more calls before it refuses them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use http::uri::PathAndQuery;
use tonic::{Request, Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use super::Endpoints;

const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// `SERVING` of `grpc.health.v1.HealthCheckResponse.ServingStatus`.
const SERVING: i32 = 1;
/// How long to wait after a watch has ended.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// `grpc.health.v1.HealthCheckRequest` about the whole server.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct HealthCheckRequest {}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Watches every server until nobody calls them any more. One alone gets all calls whatever it says.
pub(crate) fn watch_health(endpoints: &Arc<Endpoints>) {
    if endpoints.len() > 1 {
        for index in 0..endpoints.len() {
            tokio::spawn(follow(Arc::downgrade(endpoints), index));
        }
    }
}

async fn follow(endpoints: Weak<Endpoints>, index: usize) {
    while let Some(all) = endpoints.upgrade() {
        let channel = all.get(index).channel.clone();
        drop(all);
        if let Ok(mut answers) = watch(channel).await {
            while let Ok(Some(answer)) = answers.message().await {
                let Some(all) = endpoints.upgrade() else { return };
                all.get(index).set_serving(answer.status == SERVING);
            }
        }
        let Some(all) = endpoints.upgrade() else { return };
        // Nothing is known: calls find out, and the breaker remembers.
        all.get(index).set_serving(true);
        drop(all);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn watch(channel: Channel) -> Result<Streaming<HealthCheckResponse>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static(WATCH);
    Ok(grpc.server_streaming(Request::new(HealthCheckRequest {}), path, codec).await?.into_inner())
}
