//! A real server on a free port, real clients, and errors taken apart.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZero,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use prost::Message;
use roster_api::{
    Client, RetryPolicy,
    auth::v1::auth_service_client::AuthServiceClient,
    client::Transport,
    user::v1::{CreateUserRequest, ListUsersRequest, User, user_service_client::UserServiceClient},
};
use roster_server::{
    app::{self, Running},
    auth::{AttemptLimits, Authenticator, Hasher, HasherOptions, TokenOptions},
    config::{Config, DatabaseUrl},
    mail::Mailer,
    model::Clock,
    net::DrainReport,
    ops::{Ops, SessionOptions},
    store::{
        Store,
        sqlite::{Location, SqliteOptions, SqliteStore},
    },
};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status, Streaming, metadata::MetadataMap, transport::Channel};
use tonic_types::StatusExt as _;

use crate::postgres::Database;

/// Writes that may wait for a store that a test opens itself.
const STORE_QUEUE: usize = 100_000;

/// Where a server keeps everything: a folder, with its users in a file there or in a PostgreSQL database.
pub struct Home {
    folder: TempDir,
    postgres: Option<Database>,
}

impl From<TempDir> for Home {
    fn from(folder: TempDir) -> Self {
        Self { folder, postgres: ON_POSTGRES.get().then(Database::new) }
    }
}

impl Home {
    /// The store of a server that has ended or is yet to start.
    pub fn store(&self) -> Arc<dyn Store> {
        match &self.postgres {
            Some(database) => Arc::new(database.open()),
            None => Arc::new(store_in(self)),
        }
    }
}

impl Deref for Home {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.folder
    }
}

thread_local! {
    /// Whether the servers that this thread starts keep their users in PostgreSQL.
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test whose servers keep their users in PostgreSQL.
pub fn on_postgres(test: fn()) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            ON_POSTGRES.set(false);
        }
    }
    // The thread may run another test after this one, whichever way this one ends.
    let _reset = Reset;
    ON_POSTGRES.set(true);
    test();
}

/// A server with a home of its own.
pub struct Server {
    running: Running,
    home: Home,
}

impl Server {
    /// One where every caller is an administrator.
    pub fn dev() -> Self {
        Self::start(|_| ())
    }

    /// One with other settings than these.
    pub fn start(set: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), set)
    }

    /// One over a home that may hold users already.
    pub fn start_in(home: impl Into<Home>, set: impl FnOnce(&mut Config)) -> Self {
        let home = home.into();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            grpc_addr: any_port,
            http_addr: Some(any_port),
            database_url: match &home.postgres {
                Some(database) => database.url().parse().unwrap(),
                None => DatabaseUrl::Sqlite(database_in(&home)),
            },
            workers: 2,
            hash_threads: 1,
            // What a test asks for at once is done, however slow the machine is.
            queue_wait_max: Duration::from_secs(600),
            ..Config::defaults(true)
        };
        set(&mut config);
        // Starting blocks, which the thread of a test's runtime must not.
        let running = std::thread::spawn(|| app::start(config)).join().unwrap().unwrap();
        Self { running, home }
    }

    /// Where gRPC is served.
    pub fn addr(&self) -> SocketAddr {
        self.running.grpc_addr()
    }

    /// Where HTTP is served.
    pub fn http_addr(&self) -> SocketAddr {
        self.running.http_addr().unwrap()
    }

    /// What a GET of this path on the HTTP port gives, headers included.
    pub async fn http_get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http_addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: roster\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A client of sign-in and API keys.
    pub async fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel().await)
    }

    /// A client that says what the server said, and never tries again by itself.
    pub async fn client(&self) -> Client {
        let builder = Client::builder().endpoint(self.addr().to_string()).retry(RetryPolicy::never());
        builder.connect().await.unwrap()
    }

    /// A client of the users, on a connection of its own.
    pub async fn users(&self) -> UserServiceClient<Transport> {
        self.client().await.users()
    }

    /// A connection for stubs of other services.
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.addr())).unwrap().connect().await.unwrap()
    }

    /// A bare connection.
    pub async fn wire(&self) -> Wire {
        Wire::over(TcpStream::connect(self.addr()).await.unwrap()).await
    }

    /// Where the database is.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// The file with its users.
    pub fn database(&self) -> PathBuf {
        database_in(&self.home)
    }

    /// The database of a server that keeps its users in PostgreSQL.
    pub fn postgres(&self) -> &Database {
        self.home.postgres.as_ref().unwrap()
    }

    /// What a query for one number gives, asked of the database beside the server.
    pub fn number(&self, sql: &str) -> i64 {
        match &self.home.postgres {
            Some(database) => database.number(sql),
            None => {
                let connection = Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY);
                connection.unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
            }
        }
    }

    /// Begins the drain.
    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    /// Waits for the end of a drain; gives back the home with the users.
    pub async fn ended(self) -> (DrainReport, Home) {
        let Self { running, home } = self;
        let report = tokio::task::spawn_blocking(move || running.wait().unwrap()).await.unwrap();
        (report, home)
    }

    /// Drains to the end.
    pub async fn stop(self) -> (DrainReport, Home) {
        self.shutdown();
        self.ended().await
    }
}

/// The database file in a folder.
pub fn database_in(folder: &TempDir) -> PathBuf {
    folder.path().join("roster.db")
}

/// The store in a folder whose server has ended or is yet to start.
pub fn store_in(folder: &TempDir) -> SqliteStore {
    let location = Location::File(database_in(folder));
    let options = SqliteOptions { location, cache_bytes: 0, write_queue_max: STORE_QUEUE, reader_threads: 1 };
    SqliteStore::open(options).unwrap()
}

/// Use cases over a store, without a server around them, for what no clock of a server would wait for.
pub async fn ops_over(store: Arc<dyn Store>, clock: Arc<dyn Clock>, mailer: Arc<Mailer>) -> Ops {
    let hasher = Hasher::new(HasherOptions::default()).unwrap();
    let lifetime = Duration::from_mins(10);
    let tokens = TokenOptions { issuer: "roster".into(), audience: "roster".into(), lifetime };
    let authenticator = Authenticator::new(Arc::clone(&store), Arc::clone(&clock), tokens, 100).await.unwrap();
    let many = NonZero::new(100).unwrap();
    let sessions = SessionOptions { idle: lifetime, attempts: AttemptLimits { per_account: many, per_address: many } };
    Ops::new(store, hasher, clock, Arc::new(authenticator), mailer, sessions).await.unwrap()
}

/// A request for a user with an email and nothing else.
pub fn with_email(email: &str) -> CreateUserRequest {
    CreateUserRequest { email: email.into(), ..Default::default() }
}

/// Creates users with these local parts of an address, one after the other.
pub async fn create_all(users: &mut UserServiceClient<Transport>, names: &[&str]) -> Vec<User> {
    let mut created = Vec::new();
    for name in names {
        let request = CreateUserRequest { name: (*name).into(), ..with_email(&format!("{name}@example.com")) };
        created.push(users.create_user(request).await.unwrap().into_inner());
    }
    created
}

/// One page of a list: its users, and where the next begins.
pub async fn list(
    users: &mut UserServiceClient<Transport>,
    request: ListUsersRequest,
) -> Result<(Vec<User>, Option<String>), Status> {
    let (all, trailers) = drain(users.list_users(request).await?.into_inner()).await?;
    let token = trailers.get("next-page-token").map(|token| token.to_str().unwrap().to_owned());
    Ok((all, token))
}

/// Everything that the first page of the largest size shows.
pub async fn everything(users: &mut UserServiceClient<Transport>) -> Vec<User> {
    let (all, next) = list(users, ListUsersRequest { page_size: 1_000, ..Default::default() }).await.unwrap();
    assert_eq!(next, None);
    all
}

async fn drain(mut stream: Streaming<User>) -> Result<(Vec<User>, MetadataMap), Status> {
    let mut all = Vec::new();
    while let Some(user) = stream.message().await? {
        all.push(user);
    }
    Ok((all, stream.trailers().await?.unwrap_or_default()))
}

/// An error with all its details.
#[derive(Debug)]
pub struct Problem {
    pub code: Code,
    pub reason: String,
    pub message: String,
    /// Of the `ErrorInfo`.
    pub metadata: BTreeMap<String, String>,
    /// Field and description of each violation, in order.
    pub violations: Vec<(String, String)>,
    /// Type and name.
    pub resource: Option<(String, String)>,
    pub retry_after: Option<Duration>,
    /// The id in `RequestInfo`.
    pub told_id: Option<String>,
    /// The id in the metadata.
    pub request_id: String,
}

impl Problem {
    /// Takes an error apart. Every error has an `ErrorInfo` of ours and names its call.
    pub fn of(status: &Status) -> Self {
        let problem = Self::in_trailers(status);
        assert!(!problem.request_id.is_empty(), "no x-request-id: {status:?}");
        problem
    }

    /// The same of a stream that had begun: the call was named in the headers.
    pub fn in_trailers(status: &Status) -> Self {
        let details = status.check_error_details().unwrap();
        let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "roster", "{status:?}");
        assert!(!status.message().is_empty(), "{status:?}");
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let request_id = status.metadata().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            metadata: info.metadata.clone().into_iter().collect(),
            violations: violations.into_iter().map(|v| (v.field, v.description)).collect(),
            resource: details.resource_info().map(|r| (r.resource_type.clone(), r.resource_name.clone())),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            told_id: details.request_info().map(|info| info.request_id.clone()),
            request_id: request_id.unwrap_or_default(),
        }
    }

    /// Code and reason.
    pub fn kind(&self) -> (Code, &str) {
        (self.code, &self.reason)
    }

    /// The fields of the violations.
    pub fn fields(&self) -> Vec<&str> {
        self.violations.iter().map(|(field, _)| field.as_str()).collect()
    }
}

/// The error of a call that must fail.
pub fn problem<T: std::fmt::Debug>(result: Result<T, Status>) -> Problem {
    Problem::of(&result.unwrap_err())
}

/// What came back on the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    /// The status of gRPC, wherever it came.
    pub fn status(&self) -> Status {
        Status::from_header_map(&self.trailers)
            .or_else(|| Status::from_header_map(&self.headers))
            .unwrap_or_else(|| panic!("no status: {self:?}"))
    }

    /// The message of a unary call that must succeed.
    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status().code(), Code::Ok, "{self:?}");
        assert_eq!(self.body[0], 0, "compressed");
        M::decode(&self.body[5..]).unwrap()
    }
}

/// A gRPC request around these bytes of a message.
pub fn grpc(path: &str, message: &[u8]) -> Request<Bytes> {
    let request = Request::post(format!("http://roster{path}")).header(CONTENT_TYPE, "application/grpc");
    request.header("te", "trailers").body(framed(0, message)).unwrap()
}

/// The request with a token or key of its caller.
pub fn as_bearer(mut request: Request<Bytes>, token: &str) -> Request<Bytes> {
    request.headers_mut().append(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    request
}

/// The message with a token or key of its caller.
pub fn signed_in<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// A length-prefixed message: flags, length, bytes.
pub fn framed(flags: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(flags);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// A bare HTTP/2 connection, for what no stub sends.
pub struct Wire(SendRequest<Bytes>);

impl Wire {
    /// Over a stream of any kind.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    /// What begins a call, when it may; an error once the connection takes no more.
    pub async fn client(&self) -> Result<SendRequest<Bytes>, h2::Error> {
        self.0.clone().ready().await
    }

    /// Sends a request as it is, and reads the answer to its end.
    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        let (head, body) = request.into_parts();
        let mut client = self.client().await.unwrap();
        let (response, mut upload) = client.send_request(Request::from_parts(head, ()), false).unwrap();
        upload.send_data(body, true).unwrap();
        let (head, mut download) = response.await.unwrap().into_parts();
        let mut body = BytesMut::new();
        while let Some(chunk) = download.data().await {
            let chunk = chunk.unwrap();
            download.flow_control().release_capacity(chunk.len()).unwrap();
            body.put_slice(&chunk);
        }
        let trailers = download.trailers().await.unwrap().unwrap_or_default();
        Answer { status: head.status, headers: head.headers, body: body.freeze(), trailers }
    }

    /// The same as the holder of a token or key.
    pub async fn call_as(&self, token: &str, path: &str, message: &[u8]) -> Answer {
        self.send(as_bearer(grpc(path, message), token)).await
    }

    /// Calls a method with the bytes of a message.
    pub async fn call(&self, path: &str, message: &[u8]) -> Answer {
        self.send(grpc(path, message)).await
    }
}
