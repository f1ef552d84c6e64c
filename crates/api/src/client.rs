//! The Rust client: a deadline on every call, limits on every message, and another try where that is safe.
//!
//! What a caller gets without doing anything:
//!
//! - calls that change nothing are tried again when a server cannot be reached or says so, by the rules of
//!   [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md); calls that change something get an
//!   [`IDEMPOTENCY_KEY`] and are then tried again too, without being done twice. Calls that stream requests are not;
//! - over several endpoints calls are spread by what each has to do; one that fails again and again is left alone for a
//!   while; one that says that it is about to stop gets no more;
//! - a [`Client::sign_in`] keeps its access token fresh.
//!
//! Dropping the future of a call ends the call; whatever it shares with others stays whole.

use std::{fmt, time::Duration};

use http::HeaderValue;
use tonic::{IntoRequest, Request, metadata::MetadataMap};

use crate::{
    Error,
    admin::v1::admin_service_client::AdminServiceClient,
    auth::v1::{SignInRequest, Tokens, auth_service_client::AuthServiceClient},
    notification::v1::notification_service_client::NotificationServiceClient,
    on_call::{Credential, OnCall},
    session::Session,
    user::v1::{WatchUsersRequest, user_service_client::UserServiceClient},
    watch::Watch,
};
pub use crate::{
    connect::{ClientBuilder, ConnectError},
    transport::{RetryPolicy, Transport},
};

/// The metadata that carries a deadline ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The metadata that carries a token.
pub(crate) const AUTHORIZATION: &str = "authorization";
/// The metadata that makes a call that changes something safe to make again.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The metadata that says how old what a call reads may be, in milliseconds.
pub const MAX_STALENESS_MS: &str = "x-max-staleness-ms";
/// The most that it may say.
pub const MAX_STALENESS_LONGEST: Duration = Duration::from_secs(3_600);
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
    transport: Transport,
    secrecy: Secrecy,
}

/// Whether secrets may be sent.
#[derive(Clone, Debug)]
pub(crate) struct Secrecy {
    /// Nobody on the way can read what is sent.
    pub(crate) keeps_secrets: bool,
    /// They are sent all the same.
    pub(crate) allow_plaintext: bool,
    /// The first endpoint that would not keep them.
    pub(crate) endpoint: String,
}

impl Secrecy {
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        if self.keeps_secrets || self.allow_plaintext {
            return Ok(());
        }
        Err(ConnectError::PlaintextToken { endpoint: self.endpoint.clone() })
    }
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The password would cross a network in plain text.
    #[error(transparent)]
    Plaintext(#[from] ConnectError),
}

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

    pub(crate) fn new(transport: Transport, secrecy: Secrecy) -> Self {
        Self { transport, secrecy }
    }

    /// Signs in, and gives a client that calls as this user: its access token is renewed by itself, by one call at a
    /// time, until the session ends.
    ///
    /// ```no_run
    /// # async fn example(client: roster_api::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let ada = client.sign_in("ada@example.com", "correct horse battery staple").await?;
    /// let sessions = ada.auth().list_sessions(roster_api::auth::v1::ListSessionsRequest::default()).await?;
    /// println!("{} sessions", sessions.into_inner().sessions.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SignInError`]: the server refused, or the password would cross a network in plain text.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Self, SignInError> {
        self.secrecy.check()?;
        let request = SignInRequest { login: login.to_owned(), password: password.to_owned(), ..Default::default() };
        let answer = self.auth().sign_in(request).await.map_err(Error::from)?.into_inner();
        Ok(self.with_session(answer.tokens.unwrap_or_default(), |_| ())?)
    }

    /// The same connections, calling with these tokens. `renewed` gets each new pair, to keep it where it outlives the
    /// process; the older refresh token is of no use any more then, and using it would end the session.
    ///
    /// # Errors
    /// [`ConnectError::PlaintextToken`]: the tokens would cross a network in plain text.
    pub fn with_session(
        &self,
        tokens: Tokens,
        renewed: impl Fn(&Tokens) + Send + Sync + 'static,
    ) -> Result<Self, ConnectError> {
        self.secrecy.check()?;
        let bare = self.transport.with(self.transport.on_call().with_credential(Credential::None));
        let session = Session::new(AuthServiceClient::new(bare), tokens, Box::new(renewed));
        Ok(self.with(self.transport.on_call().with_credential(Credential::Session(session))))
    }

    /// The same connections, calling with this `authorization`.
    ///
    /// # Errors
    /// [`ConnectError::PlaintextToken`]: it would cross a network in plain text.
    pub fn with_authorization(&self, mut authorization: HeaderValue) -> Result<Self, ConnectError> {
        self.secrecy.check()?;
        authorization.set_sensitive(true);
        Ok(self.with(self.transport.on_call().with_credential(Credential::Token(authorization))))
    }

    /// The same client, whose calls carry on the `x-request-id`, `traceparent` and `tracestate` of a call that they are
    /// made for, so that logs and traces of both services join up.
    #[must_use]
    pub fn passing_on(&self, incoming: &MetadataMap) -> Self {
        self.with(self.transport.on_call().passing_on(incoming))
    }

    fn with(&self, on_call: OnCall) -> Self {
        Self { transport: self.transport.with(on_call), secrecy: self.secrecy.clone() }
    }

    /// Whether nobody between here and the server can read what is sent: it is on this machine, or speaks TLS.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        self.secrecy.keeps_secrets
    }

    /// What the stub of any service is made with.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Sign-in, sessions and API keys.
    #[must_use]
    pub fn auth(&self) -> AuthServiceClient<Transport> {
        AuthServiceClient::new(self.transport())
    }

    /// Who is online; [`NotificationClient`](crate::NotificationClient) is easier to use.
    #[must_use]
    pub fn notifications(&self) -> NotificationServiceClient<Transport> {
        NotificationServiceClient::new(self.transport()).max_decoding_message_size(MESSAGE_MAX_BYTES)
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

impl Client {
    /// Follows users; see [`Watch`].
    #[must_use]
    pub fn watch(&self, request: WatchUsersRequest) -> Watch {
        Watch::new(self.users(), request)
    }
}

/// The request with a key of the caller's own. Each call that changes something has a random one anyway, which makes it safe
/// for this client to try it again; one that is kept beside the work makes it safe to do the work again, such as after a
/// restart: within 24 hours the call gets its first answer, and nothing is done twice.
///
/// A key has 1 to 128 visible ASCII characters, and each request needs its own; where nobody is signed in, one that
/// nobody guesses.
///
/// ```no_run
/// # async fn example(client: roster_api::Client, job: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use roster_api::{client::with_idempotency_key, user::v1::CreateUserRequest};
///
/// let ada = CreateUserRequest { email: "ada@example.com".into(), ..Default::default() };
/// let user = client.users().create_user(with_idempotency_key(ada, job)?).await?.into_inner();
/// println!("created {}, however often the job has run", user.id);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`InvalidKey`], without a call to the server.
pub fn with_idempotency_key<T>(request: impl IntoRequest<T>, key: &str) -> Result<Request<T>, InvalidKey> {
    let fits = (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = key.parse().ok().filter(|_| fits).ok_or(InvalidKey)?;
    let mut request = request.into_request();
    request.metadata_mut().insert(IDEMPOTENCY_KEY, value);
    Ok(request)
}

/// The request of a call that reads, whose answer may be this old: it shows at least all that was done so long before the
/// server began with it, and may miss what was done since, by this very caller too. The server may then answer from its
/// memory or from a replica. Whole milliseconds, an hour at most ([`MAX_STALENESS_LONGEST`]); what is longer is cut to that.
///
/// ```no_run
/// # async fn example(client: roster_api::Client) -> Result<(), tonic::Status> {
/// use std::time::Duration;
/// use roster_api::{client::with_max_staleness, user::v1::GetUserRequest};
///
/// let request = GetUserRequest { user_id: "ada".into() };
/// let user = client.users().get_user(with_max_staleness(request, Duration::from_secs(5))).await?.into_inner();
/// println!("{} a moment ago", user.name);
/// # Ok(())
/// # }
/// ```
pub fn with_max_staleness<T>(request: impl IntoRequest<T>, staleness: Duration) -> Request<T> {
    let mut request = request.into_request();
    // No more digits than those of an hour's milliseconds.
    let millis = u32::try_from(staleness.min(MAX_STALENESS_LONGEST).as_millis()).unwrap_or(u32::MAX);
    request.metadata_mut().insert(MAX_STALENESS_MS, millis.into());
    request
}

/// Characters of a key.
const IDEMPOTENCY_KEY_MAX: usize = 128;

/// A text that is no idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an idempotency key has 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters")
    }
}

impl std::error::Error for InvalidKey {}

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
    fn staleness_is_sent_in_milliseconds_of_which_there_are_as_many_as_may_be() {
        for (staleness, sent) in
            [(Duration::ZERO, "0"), (Duration::from_micros(2_500), "2"), (Duration::MAX, "3600000")]
        {
            assert_eq!(with_max_staleness((), staleness).metadata().get(MAX_STALENESS_MS).unwrap(), sent);
        }
    }

    #[test]
    fn keys_are_checked_before_they_are_sent() {
        let sent = with_idempotency_key((), "a-key").unwrap();
        assert_eq!(sent.metadata().get(IDEMPOTENCY_KEY).unwrap(), "a-key");
        for bad in ["", "a b", "a\n", "ü", &"k".repeat(129)] {
            assert_eq!(with_idempotency_key((), bad).unwrap_err(), InvalidKey, "{bad:?}");
        }
    }
}
