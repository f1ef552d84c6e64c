//! The limit: what tonic gives when a call does nothing but answer from memory.

use std::{net::SocketAddr, sync::Arc};

use clap::ValueEnum;
use prost_types::Timestamp;
use roster_api::{
    server::user::v1::user_service_server::{UserService, UserServiceServer},
    user::v1::{GetUserRequest, ListUsersRequest, Role, User, UserStatus},
};
use roster_server::net::{self, DrainSwitch, NetOptions};
use tonic::{
    Request, Response, Status,
    codegen::{BoxStream, Service as _},
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
    let service = UserServiceServer::new(Memory(user()));
    let _net = match mode {
        Mode::Stock => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            return Ok(runtime.block_on(tonic::transport::Server::builder().add_service(service).serve(addr))?);
        }
        Mode::Routes => {
            let routes = Routes::new(service).prepare();
            net::serve(
                std::net::TcpListener::bind(addr)?,
                NetOptions::default(),
                DrainSwitch::new(),
                move |_, request| {
                    let response = routes.clone().call(request);
                    async move { response.await.unwrap_or_else(|never| match never {}) }
                },
            )?
        }
        Mode::Stub => net::serve(
            std::net::TcpListener::bind(addr)?,
            NetOptions::default(),
            DrainSwitch::new(),
            move |_, request| {
                let response = service.clone().call(request);
                async move { response.await.unwrap_or_else(|never| match never {}) }
            },
        )?,
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

/// The service without a store.
struct Memory(User);

#[tonic::async_trait]
impl UserService for Memory {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(User { id: request.into_inner().user_id, ..self.0.clone() }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<BoxStream<User>>, Status> {
        let user = Arc::new(self.0.clone());
        let users = (0..request.into_inner().page_size).map(move |_| Ok(User::clone(&user)));
        Ok(Response::new(Box::pin(tokio_stream::iter(users))))
    }
}
