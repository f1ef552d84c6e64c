//! The limit: what tonic gives when a call does nothing but answer from memory.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    task::{Context, Poll},
};

use clap::ValueEnum;
use prost_types::Timestamp;
use roster_api::{
    codec::ServerCodec,
    user::v1::{GetUserRequest, ListUsersRequest, Role, User, UserStatus},
};
use roster_server::net::{self, DrainSwitch, NetOptions};
use tonic::{
    Request, Response, Status,
    codegen::{Body, BoxFuture, BoxStream, Service, StdError},
    server::{Grpc, NamedService, ServerStreamingService, UnaryService},
    service::Routes,
};

/// How the stub is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Behind tonic's router, on Roster's own runtime and connections: what every goal is measured against.
    Routes,
    /// The same without the router.
    Stub,
    /// tonic's own server on tokio's own runtime, as its examples have it.
    Stock,
}

impl Mode {
    /// What the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Stub => "stub",
            Self::Stock => "stock",
        }
    }
}

/// Serves until the process is killed.
pub fn serve(mode: Mode, addr: SocketAddr) -> anyhow::Result<()> {
    let service = Memory(Arc::new(user()));
    let _net = match mode {
        Mode::Stock => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            return Ok(runtime.block_on(tonic::transport::Server::builder().add_service(service).serve(addr))?);
        }
        Mode::Routes => {
            let routes = Routes::new(service).prepare();
            let handler = move |_, request| {
                let response = routes.clone().call(request);
                async move { response.await.unwrap_or_else(|never| match never {}) }
            };
            net::serve(TcpListener::bind(addr)?, NetOptions::default(), DrainSwitch::new(), || handler.clone())?
        }
        Mode::Stub => {
            let handler = move |_, request| {
                let response = Service::call(&mut service.clone(), request);
                async move { response.await.unwrap_or_else(|never| match never {}) }
            };
            net::serve(TcpListener::bind(addr)?, NetOptions::default(), DrainSwitch::new(), || handler.clone())?
        }
    };
    loop {
        std::thread::park();
    }
}

/// A user of 117 bytes on the wire, an ordinary one.
fn user() -> User {
    let time = Some(Timestamp { seconds: 1_790_000_000, nanos: 123_456_000 });
    User {
        id: "01980000-0000-7000-8000-000000000000".into(),
        email: "marten.korvin.123456@example.com".into(),
        name: "Marten Korvin".into(),
        status: UserStatus::Active.into(),
        role: Role::User.into(),
        created_at: time,
        updated_at: time,
        ..User::default()
    }
}

/// The service without a store, as tonic's generator writes one: it answers with messages, which the codec encodes.
/// Roster's own stubs answer with users that are encoded already, and so are no limit for it.
#[derive(Clone)]
struct Memory(Arc<User>);

impl NamedService for Memory {
    const NAME: &'static str = "user.v1.UserService";
}

impl<B> Service<http::Request<B>> for Memory
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = self.clone();
        match request.uri().path() {
            "/user.v1.UserService/GetUser" => {
                Box::pin(async move { Ok(Grpc::new(ServerCodec::default()).unary(method, request).await) })
            }
            "/user.v1.UserService/ListUsers" => {
                Box::pin(async move { Ok(Grpc::new(ServerCodec::default()).server_streaming(method, request).await) })
            }
            _ => Box::pin(std::future::ready(Ok(Status::unimplemented("not measured").into_http()))),
        }
    }
}

impl UnaryService<GetUserRequest> for Memory {
    type Response = User;
    type Future = BoxFuture<Response<User>, Status>;

    fn call(&mut self, request: Request<GetUserRequest>) -> Self::Future {
        let user = Arc::clone(&self.0);
        Box::pin(async move { Ok(Response::new(User { id: request.into_inner().user_id, ..User::clone(&user) })) })
    }
}

impl ServerStreamingService<ListUsersRequest> for Memory {
    type Response = User;
    type ResponseStream = BoxStream<User>;
    type Future = BoxFuture<Response<BoxStream<User>>, Status>;

    fn call(&mut self, request: Request<ListUsersRequest>) -> Self::Future {
        let user = Arc::clone(&self.0);
        let users = (0..request.into_inner().page_size).map(move |_| Ok(User::clone(&user)));
        Box::pin(async move { Ok(Response::new(Box::pin(tokio_stream::iter(users)) as BoxStream<User>)) })
    }
}
