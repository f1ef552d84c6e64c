//! Which service answers which path.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, Request, Response};
use http_body::Body as HttpBody;
use roster_api::server::{
    admin::v1::admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN_V1},
    auth::v1::auth_service_server::{AuthServiceServer, SERVICE_NAME as AUTH_V1},
    compat::notification::notification_service_server::{
        NotificationServiceServer as CompatNotificationServer, SERVICE_NAME as COMPAT_NOTIFICATION,
    },
    compat::user::user_service_server::{SERVICE_NAME as COMPAT_USER, UserServiceServer as CompatUserServer},
    notification::v1::notification_service_server::{NotificationServiceServer, SERVICE_NAME as NOTIFICATION_V1},
    user::v1::user_service_server::{SERVICE_NAME as USER_V1, UserServiceServer},
};
use tonic::{
    body::Body,
    codec::CompressionEncoding::{Gzip, Zstd},
    codegen::BoxFuture,
    service::Routes,
};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error as ReflectionError};
use tower::Service as _;

use super::{
    access,
    admin_v1::AdminV1,
    auth_v1::AuthV1,
    compat_notification::CompatNotification,
    compat_user::{CompatUser, add_trailers},
    health::HealthService,
    idempotency::CallKey,
    intake::Intake,
    leftover,
    notification_v1::NotificationV1,
    own::Own,
    status,
    user_v1::UserV1,
};
use crate::{
    ops::{Ctx, Ops, Reason},
    trace::{Span, Traced as _},
};

/// How the caller has compressed its messages
/// ([gRPC compression](https://github.com/grpc/grpc/blob/master/doc/compression.md)).
pub(super) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The services of ours that are served, as health and reflection name them.
pub const SERVED: &[&str] = &[USER_V1, AUTH_V1, ADMIN_V1, NOTIFICATION_V1, COMPAT_USER, COMPAT_NOTIFICATION];

/// Has a service of ours answer a request. The generated servers have these methods each by itself, and no trait.
macro_rules! answer {
    ($server:expr, $limit:expr, $request:expr) => {{
        let server = $server
            .max_decoding_message_size($limit)
            .max_encoding_message_size($limit)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd);
        // Every Python client says that it could read gzip; only who compresses wants it.
        let mut server =
            if is_compressed(&$request) { server.send_compressed(Zstd).send_compressed(Gzip) } else { server };
        ResponseFuture(server.call($request))
    }};
}

/// All services. One of ours is made for each call around the call's context, so no handler can
/// run without one; it costs an allocation.
pub struct Services {
    ops: Own<Ops>,
    max_message_bytes: usize,
    /// Health and reflection: small, standard, and not worth a way of their own.
    standard: Routes,
    health: HealthService,
    intake: Intake,
}

impl Services {
    /// Wires the services.
    ///
    /// # Errors
    /// The descriptors that were built in cannot be read.
    pub fn new(ops: Arc<Ops>, max_message_bytes: usize) -> Result<Self, ReflectionError> {
        let health = HealthService::new();
        let health_server = HealthServer::new(health.clone());
        let standard = Routes::new(health_server.accept_compressed(Gzip).accept_compressed(Zstd))
            .add_service(reflection().build_v1()?.accept_compressed(Gzip).accept_compressed(Zstd))
            // Python's reflection client knows no other.
            .add_service(reflection().build_v1alpha()?.accept_compressed(Gzip).accept_compressed(Zstd))
            .prepare();
        Ok(Self { ops: Own::new(ops), max_message_bytes, standard, health, intake: Intake::new() })
    }

    /// The same services for one more worker.
    pub(super) fn for_worker(&self) -> Self {
        Self {
            ops: self.ops.for_worker(),
            max_message_bytes: self.max_message_bytes,
            standard: self.standard.clone(),
            health: self.health.clone(),
            intake: self.intake.for_worker(),
        }
    }

    /// Tells `grpc.health.v1.Health` whether to send calls here.
    pub fn set_serving(&self, serving: bool) {
        self.health.set_serving(serving);
    }

    /// The use cases.
    pub fn ops(&self) -> &Arc<Ops> {
        &self.ops
    }

    /// Answers a call that was let through, for its span if that is in the request's extensions.
    pub(super) fn call<B>(&self, ctx: Ctx, key: Option<CallKey>, mut request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let span = request.extensions_mut().remove::<Span>();
        let path = request.uri().path();
        let upload = access::upload(path);
        let request = request.map(|body| self.intake.meter(body, upload));
        let limit = upload.message_max().map_or(self.max_message_bytes, |max| max.min(self.max_message_bytes));
        let ops = self.ops.clone();
        let response = match request.uri().path().split('/').nth(1) {
            Some(USER_V1) => answer!(UserServiceServer::new(UserV1::new(ops, ctx, key)), limit, request),
            Some(AUTH_V1) => answer!(AuthServiceServer::new(AuthV1::new(ops, ctx, key)), limit, request),
            Some(ADMIN_V1) => answer!(AdminServiceServer::new(AdminV1::new(ops, ctx, key)), limit, request),
            Some(NOTIFICATION_V1) => {
                answer!(NotificationServiceServer::new(NotificationV1::new(ops, ctx)), limit, request)
            }
            Some(COMPAT_NOTIFICATION) => {
                answer!(CompatNotificationServer::new(CompatNotification::new(ops, ctx)), limit, request)
            }
            Some(COMPAT_USER) => {
                let response = answer!(CompatUserServer::new(CompatUser::new(ops, ctx, key)), limit, request);
                ResponseFuture(Box::pin(async { Ok(add_trailers(response.await)) }))
            }
            Some(service) if service.starts_with("grpc.") => {
                ResponseFuture(Box::pin(self.standard.clone().call(request)))
            }
            // In the protos, but not served: see the reason's text.
            _ => {
                leftover::take_in(request.into_body());
                let message = "this server does not serve this method yet";
                let response = status::of_reason(Reason::MethodNotImplemented, message).into_http();
                ResponseFuture(Box::pin(std::future::ready(Ok(response))))
            }
        };
        if span.is_none() { response } else { ResponseFuture(Box::pin(response.0.in_span(span))) }
    }
}

fn reflection() -> Builder<'static> {
    let names =
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
    names.iter().chain(SERVED).fold(
        Builder::configure()
            .register_encoded_file_descriptor_set(roster_api::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Each version describes both: left to itself it knows itself alone, and yet lists the other.
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET),
        |builder, name| builder.with_service_name(*name),
    )
}

fn is_compressed<B>(request: &Request<B>) -> bool {
    request.headers().get(ENCODING).is_some_and(|encoding| encoding != "identity")
}

/// A response to come.
pub(super) struct ResponseFuture(BoxFuture<Response<Body>, Infallible>);

impl ResponseFuture {
    /// One that is more than a service's.
    pub(super) fn of(response: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self(Box::pin(async { Ok(response.await) }))
    }
}

impl Future for ResponseFuture {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        self.0.as_mut().poll(cx).map(|Ok(response)| response)
    }
}
