//! Which service answers which path.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body as HttpBody;
use roster_api::server::{
    admin::v1::admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN_V1},
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

use super::{access, admin_v1::AdminV1, health::HealthService, intake::Intake, status, user_v1::UserV1};
use crate::ops::{Ctx, Ops, Reason};

/// The services of ours that are served, as health and reflection name them.
pub const SERVED: &[&str] = &[USER_V1, ADMIN_V1];

/// All services. One of ours is made for each call around the call's context, so no handler can
/// run without one; it costs an allocation.
pub struct Services {
    ops: Arc<Ops>,
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
        Ok(Self { ops, max_message_bytes, standard, health, intake: Intake::new() })
    }

    /// Tells `grpc.health.v1.Health` whether to send calls here.
    pub fn set_serving(&self, serving: bool) {
        self.health.set_serving(serving);
    }

    /// The use cases.
    pub fn ops(&self) -> &Arc<Ops> {
        &self.ops
    }

    /// Answers a call that was let through.
    pub(super) fn call<B>(&self, ctx: Ctx, request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = bytes::Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let patient = access::is_long_lived(request.uri().path());
        let request = request.map(|body| self.intake.meter(body, patient));
        match request.uri().path().split('/').nth(1) {
            Some(USER_V1) => ResponseFuture(self.user_v1(ctx, &request).call(request)),
            Some(ADMIN_V1) => ResponseFuture(self.admin_v1(ctx, &request).call(request)),
            Some(service) if service.starts_with("grpc.") => {
                ResponseFuture(Box::pin(self.standard.clone().call(request)))
            }
            // In the protos, but not served: see the reason's text.
            _ => {
                let message = "this server does not serve this method yet";
                let response = status::of_reason(Reason::MethodNotImplemented, message).into_http();
                ResponseFuture(Box::pin(std::future::ready(Ok(response))))
            }
        }
    }

    fn user_v1<B>(&self, ctx: Ctx, request: &Request<B>) -> UserServiceServer<UserV1> {
        let server = UserServiceServer::new(UserV1::new(Arc::clone(&self.ops), ctx))
            .max_decoding_message_size(self.max_message_bytes)
            .max_encoding_message_size(self.max_message_bytes)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd);
        // Every Python client says that it could read gzip; only who compresses wants it.
        if is_compressed(request) { server.send_compressed(Zstd).send_compressed(Gzip) } else { server }
    }

    fn admin_v1<B>(&self, ctx: Ctx, request: &Request<B>) -> AdminServiceServer<AdminV1> {
        let server = AdminServiceServer::new(AdminV1::new(Arc::clone(&self.ops), ctx))
            .max_decoding_message_size(self.max_message_bytes)
            .max_encoding_message_size(self.max_message_bytes)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd);
        if is_compressed(request) { server.send_compressed(Zstd).send_compressed(Gzip) } else { server }
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
    request.headers().get("grpc-encoding").is_some_and(|encoding| encoding != "identity")
}

/// A response to come.
pub(super) struct ResponseFuture(BoxFuture<Response<Body>, Infallible>);

impl Future for ResponseFuture {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        self.0.as_mut().poll(cx).map(|Ok(response)| response)
    }
}
