//! The Rust client: one connection, with a deadline on every call and limits on every message.

use std::time::Duration;

use tonic::{
    GrpcMethod, Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Uri},
};

use crate::{access, user::v1::user_service_client::UserServiceClient};

/// The metadata that carries a deadline ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// How long to try to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The deadline of a call that has none of its own. Calls that stream have none by default.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes that a message may have in either direction; the server's limit too.
pub const MESSAGE_MAX_BYTES: usize = 50 * 1024 * 1024;

/// The trailing metadata in which `ListUsers` says where the next page starts; absent after the last.
pub const NEXT_PAGE_TOKEN: &str = "next-page-token";

/// A connection to a server. Cheap to clone; clones share the connection, which mends itself when it breaks.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

/// The connection with [`Deadline`] on it.
pub type Transport = InterceptedService<Channel, Deadline>;

impl Client {
    /// Connects in plain text to `http://HOST:PORT` or to `HOST:PORT`.
    ///
    /// ```no_run
    /// use roster_api::{Client, Error, user::v1::GetUserRequest};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::connect("http://127.0.0.1:50051").await?;
    /// let request = GetUserRequest { user_id: "ada".into() };
    /// match client.users().get_user(request).await.map_err(Error::from) {
    ///     Ok(user) => println!("{}", user.into_inner().email),
    ///     Err(error) if error.reason() == Some("USER_NOT_FOUND") => println!("nobody has this id"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConnectError`], which names the endpoint: it is not one, or nobody answers there within [`CONNECT_TIMEOUT`].
    pub async fn connect(endpoint: &str) -> Result<Self, ConnectError> {
        let uri = parse_endpoint(endpoint)
            .map_err(|problem| ConnectError::Endpoint { endpoint: endpoint.to_owned(), problem })?;
        let channel = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .connect()
            .await
            .map_err(|source| ConnectError::Unreachable { endpoint: endpoint.to_owned(), source })?;
        Ok(Self { channel })
    }

    /// The users.
    ///
    /// A request may have a deadline of its own:
    ///
    /// ```no_run
    /// # async fn example(client: roster_api::Client) -> Result<(), tonic::Status> {
    /// use std::time::Duration;
    /// use roster_api::user::v1::SearchUsersRequest;
    ///
    /// let mut request = tonic::Request::new(SearchUsersRequest { query: "ada".into(), ..Default::default() });
    /// request.set_timeout(Duration::from_secs(1));
    /// let page = client.users().search_users(request).await?.into_inner();
    /// println!("{} of {}", page.users.len(), page.total_size);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn users(&self) -> UserServiceClient<Transport> {
        UserServiceClient::with_interceptor(self.channel.clone(), Deadline)
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }
}

/// Why a connection did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text names no server.
    #[error("{endpoint:?} is no endpoint: {problem}; give http://HOST:PORT or HOST:PORT, such as localhost:50051")]
    Endpoint {
        /// The text that came.
        endpoint: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nobody answers there.
    #[error("cannot reach a server at {endpoint}: {}", root_cause(.source))]
    Unreachable {
        /// The endpoint that was tried.
        endpoint: String,
        /// What the transport says.
        source: tonic::transport::Error,
    },
}

/// The innermost cause, such as "Connection refused": the outer ones only say "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Parses `http://HOST[:PORT]` or `HOST:PORT`.
fn parse_endpoint(text: &str) -> Result<Uri, &'static str> {
    let bare = !text.contains("://");
    let url = if bare { format!("http://{text}") } else { text.to_owned() };
    let uri: Uri = url.parse().map_err(|_| "it cannot be parsed")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("TLS is not supported yet"),
        _ => return Err("its scheme is not http"),
    }
    let Some(authority) = uri.authority() else { return Err("it has no host") };
    if uri.host().is_none_or(str::is_empty) {
        return Err("it has no host");
    }
    if authority.as_str().contains('@') {
        return Err("it has a user name or a password");
    }
    if bare && uri.port_u16().is_none() {
        return Err("it has no port");
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err("it has a path or a query");
    }
    Ok(uri)
}

/// Gives [`DEFAULT_DEADLINE`] to every call that has none and does not stream, as `grpc-timeout`, so that the server
/// stops working on it too.
#[derive(Clone, Copy, Debug)]
pub struct Deadline;

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let streams = request
            .extensions()
            .get::<GrpcMethod<'static>>()
            .is_some_and(|method| access::streams(method.service(), method.method()));
        if !streams && !request.metadata().contains_key(GRPC_TIMEOUT) {
            request.set_timeout(DEFAULT_DEADLINE);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_or_bare_addresses() {
        for (text, url) in [
            ("localhost:50051", "http://localhost:50051/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://roster.example", "http://roster.example/"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        ] {
            assert_eq!(parse_endpoint(text).unwrap().to_string(), url);
        }
        for (text, problem) in [
            ("", "it cannot be parsed"),
            ("localhost", "it has no port"),
            ("localhost:99999", "it has no port"),
            (":50051", "it has no host"),
            ("https://localhost:50051", "TLS is not supported yet"),
            ("ftp://localhost:1", "its scheme is not http"),
            ("http://ada:secret@localhost:1", "it has a user name or a password"),
            ("localhost:50051/users", "it has a path or a query"),
        ] {
            assert_eq!(parse_endpoint(text), Err(problem), "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_does_not_answer_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Client::connect(&endpoint).await.expect_err("nobody listens").to_string();
        assert!(error.starts_with(&format!("cannot reach a server at {endpoint}: ")), "{error}");
        assert!(error.contains("refused"), "{error}");
    }

    #[test]
    fn calls_get_a_deadline_unless_they_have_one_or_stream() {
        let deadline = |method: &'static str, own: Option<Duration>| {
            let mut request = Request::new(());
            request.extensions_mut().insert(GrpcMethod::new("user.v1.UserService", method));
            if let Some(own) = own {
                request.set_timeout(own);
            }
            let sent = Deadline.call(request).unwrap();
            sent.metadata().get(GRPC_TIMEOUT).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(deadline("GetUser", None).as_deref(), Some("10000000u"));
        assert_eq!(deadline("GetUser", Some(Duration::from_millis(5))).as_deref(), Some("5000000n"));
        assert_eq!(deadline("WatchUsers", None), None);
    }
}
