//! The Rust client: one connection, with a deadline on every call and limits on every message.

use std::time::Duration;

use tonic::{
    GrpcMethod, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

pub use crate::connect::{ClientBuilder, ConnectError};
use crate::{
    access, admin::v1::admin_service_client::AdminServiceClient, auth::v1::auth_service_client::AuthServiceClient,
    user::v1::user_service_client::UserServiceClient,
};

/// The metadata that carries a deadline ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The metadata that carries a token.
const AUTHORIZATION: &str = "authorization";
/// How long to try to connect, the TLS handshake included.
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
    on_call: OnCall,
    keeps_secrets: bool,
}

/// The connection with [`OnCall`] on it.
pub type Transport = InterceptedService<Channel, OnCall>;

impl Client {
    /// Connects to `https://HOST[:PORT]`, to `http://HOST:PORT` or `HOST:PORT` in plain text, or to `unix:PATH`.
    /// [`Client::builder`] has all that can be chosen.
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
        Self::builder().endpoint(endpoint).connect().await
    }

    /// A client with a CA, a certificate or a token of its own.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = roster_api::Client::builder()
    ///     .endpoint("https://roster.example.com")
    ///     .ca(std::fs::read("ca.pem")?)
    ///     .token(std::env::var("ROSTER_TOKEN")?)
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn new(channel: Channel, authorization: Option<MetadataValue<Ascii>>, keeps_secrets: bool) -> Self {
        Self { channel, on_call: OnCall { authorization }, keeps_secrets }
    }

    /// Whether nobody between here and the server can read what is sent: it is on this machine, or speaks TLS.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        self.keeps_secrets
    }

    /// What the stub of any service is made with.
    #[must_use]
    pub fn transport(&self) -> Transport {
        InterceptedService::new(self.channel.clone(), self.on_call.clone())
    }

    /// Sign-in, sessions and API keys.
    #[must_use]
    pub fn auth(&self) -> AuthServiceClient<Transport> {
        AuthServiceClient::new(self.transport())
    }

    /// What operators do to a server.
    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport())
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
        UserServiceClient::new(self.transport())
            .max_decoding_message_size(MESSAGE_MAX_BYTES)
            .max_encoding_message_size(MESSAGE_MAX_BYTES)
    }
}

/// What is put on every call: [`DEFAULT_DEADLINE`], if it has no deadline and does not stream, as `grpc-timeout`, so
/// that the server stops working on it too; and the client's token, if the call has none of its own.
#[derive(Clone, Debug)]
pub struct OnCall {
    /// Prints redacted, as sensitive metadata does.
    authorization: Option<MetadataValue<Ascii>>,
}

impl Interceptor for OnCall {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let streams = request
            .extensions()
            .get::<GrpcMethod<'static>>()
            .is_some_and(|method| access::streams(method.service(), method.method()));
        if !streams && !request.metadata().contains_key(GRPC_TIMEOUT) {
            request.set_timeout(DEFAULT_DEADLINE);
        }
        if let Some(authorization) = &self.authorization
            && !request.metadata().contains_key(AUTHORIZATION)
        {
            request.metadata_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let sent = OnCall { authorization: None }.call(request).unwrap();
            sent.metadata().get(GRPC_TIMEOUT).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(deadline("GetUser", None).as_deref(), Some("10000000u"));
        assert_eq!(deadline("GetUser", Some(Duration::from_millis(5))).as_deref(), Some("5000000n"));
        assert_eq!(deadline("WatchUsers", None), None);
    }
    #[test]
    fn a_token_is_on_every_call_but_those_with_their_own_and_never_printed() {
        let mut authorization: MetadataValue<Ascii> = "Bearer s3cret".parse().unwrap();
        authorization.set_sensitive(true);
        let mut on_call = OnCall { authorization: Some(authorization) };
        let sent = on_call.call(Request::new(())).unwrap();
        assert_eq!(sent.metadata().get(AUTHORIZATION).unwrap(), "Bearer s3cret");
        let mut own = Request::new(());
        own.metadata_mut().insert(AUTHORIZATION, "Bearer other".parse().unwrap());
        assert_eq!(on_call.call(own).unwrap().metadata().get(AUTHORIZATION).unwrap(), "Bearer other");
        assert!(!format!("{on_call:?} {sent:?}").contains("s3cret"));
    }
}
