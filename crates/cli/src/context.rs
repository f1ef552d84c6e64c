//! What a command that calls a server works with. The demo hands over its own, and so can tests.

use std::{
    env,
    io::{self, BufRead, BufReader, IsTerminal as _, Write as _, stderr, stdin},
    time::Duration,
};

use http::HeaderValue;
use roster_api::{
    Client, NotificationClient,
    admin::v1::admin_service_client::AdminServiceClient,
    auth::v1::{RefreshTokenRequest, auth_service_client::AuthServiceClient},
    client::{Transport, with_max_staleness},
    notification::v1::notification_service_client::NotificationServiceClient,
    user::v1::user_service_client::UserServiceClient,
};
use tokio::sync::oneshot;
use tonic::{
    Code, Request,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    args::Global,
    credentials::{Credentials, Store},
    error::{CliError, Failure},
    exit::Exit,
    output::{Output, Style},
    stop::Stop,
};

/// A token or an API key to call with; empty counts as not set. No flag takes it: other users see the flags of a
/// process.
const TOKEN_VARIABLE: &str = "ROSTER_TOKEN";
/// Bytes that a token has at most, by far.
const TOKEN_MAX_BYTES: usize = 8 * 1024;
/// An access token that ends sooner, in seconds, is renewed before the call.
const RENEW_BEFORE: i64 = 30;

/// A server to call, a place to print to, and someone to ask.
pub struct Context {
    /// The server, as the flags name it.
    pub server: String,
    /// Its users.
    pub users: UserServiceClient<Transport>,
    /// Its sign-in, sessions and API keys.
    pub auth: AuthServiceClient<Transport>,
    /// Who is online there.
    pub notifications: NotificationServiceClient<Transport>,
    /// The connection to it.
    client: Client,
    /// Its operators' service.
    pub admin: AdminServiceClient<Transport>,
    /// `authorization` of each call.
    authorization: Option<MetadataValue<Ascii>>,
    /// Whether nobody on the way to the server can read what is sent.
    keeps_secrets: bool,
    /// Whether secrets go there all the same.
    allow_plaintext: bool,
    /// What each call may take.
    pub timeout: Duration,
    /// How old what a call reads may be; `None` leaves that to the server.
    pub max_staleness: Option<Duration>,
    /// Where results go.
    pub out: Output,
    /// How errors look that do not end the command.
    pub stderr: Style,
    /// Where passwords and answers come from.
    pub input: Box<dyn BufRead + Send>,
    /// Whether a person can be asked.
    pub interactive: bool,
    /// What ends a command that would go on for ever, if not signals.
    pub stop: Option<oneshot::Receiver<()>>,
}

impl Context {
    /// Connects as the flags say, as nobody yet, to print to stdout.
    pub async fn connect(global: &Global) -> Result<Self, Failure> {
        let client = global.connection.connect().await?;
        Ok(Self {
            timeout: Duration::from_secs(global.timeout.into()),
            max_staleness: global.max_staleness.map(|millis| Duration::from_millis(millis.into())),
            stderr: Style::for_stderr(global.color),
            input: Box::new(BufReader::new(stdin())),
            interactive: stdin().is_terminal(),
            allow_plaintext: global.connection.allow_plaintext,
            ..Self::new(&global.connection.server, &client, Output::stdout(global))
        })
    }

    /// Over a connection, as nobody, without anyone to ask.
    pub fn new(server: &str, client: &Client, out: Output) -> Self {
        Self {
            server: server.to_owned(),
            users: client.users(),
            auth: client.auth(),
            notifications: client.notifications(),
            client: client.clone(),
            admin: client.admin(),
            authorization: None,
            keeps_secrets: client.keeps_secrets(),
            allow_plaintext: false,
            timeout: Duration::from_secs(30),
            max_staleness: None,
            stderr: out.style,
            out,
            input: Box::new(std::io::empty()),
            interactive: false,
            stop: None,
        }
    }

    /// Another over the same connection, as nobody too.
    pub fn beside(&self, out: Output) -> Self {
        Self { timeout: self.timeout, max_staleness: self.max_staleness, ..Self::new(&self.server, &self.client, out) }
    }

    /// What ends a command that would go on for ever.
    pub fn stop(&mut self) -> io::Result<Stop> {
        self.stop.take().map_or_else(Stop::on_signals, |told| Ok(Stop::Demo(told)))
    }

    /// Calls with what `ROSTER_TOKEN` holds from now on, or as whoever is signed in to the server, if anyone is.
    pub async fn identify(&mut self) -> Result<(), Failure> {
        // A call for a new token is refused if it shows one that has ended.
        self.authorization = None;
        let token = match env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.is_empty() => Some(token),
            _ => self.token_of_session().await?,
        };
        if token.is_some() {
            self.check_secrecy("the token")?;
        }
        self.authorization = token.map(|token| bearer(&token)).transpose()?;
        Ok(())
    }

    /// Refuses to send a secret that everybody on the way could read.
    pub fn check_secrecy(&self, what: &str) -> Result<(), CliError> {
        if self.keeps_secrets || self.allow_plaintext {
            return Ok(());
        }
        let message = format!("{what} is not sent to {}: everybody on the way could read it", self.server);
        Err(CliError::new(Exit::Usage, message).hint("call it with https://, or allow it with --allow-plaintext"))
    }

    /// The access token of the session on the server, renewed if it is about to end.
    async fn token_of_session(&mut self) -> Result<Option<String>, Failure> {
        if !Store::exists() {
            return Ok(None);
        }
        let mut store = Store::open()?;
        let Some(credentials) = store.find(&self.server).cloned() else { return Ok(None) };
        if let Some(token) = credentials.access_token(now(), RENEW_BEFORE) {
            return Ok(Some(token.to_owned()));
        }
        self.check_secrecy("the token")?;
        let request = self.request(RefreshTokenRequest { refresh_token: credentials.refresh_token().to_owned() });
        let tokens = match self.auth.refresh_token(request).await {
            Ok(response) => response.into_inner().tokens.unwrap_or_default(),
            Err(status) if status.code() == Code::Unauthenticated => {
                store.forget(&self.server)?;
                return Err(CliError::new(Exit::Refused, "your session on this server has ended")
                    .hint("sign in again with `roster login`")
                    .into());
            }
            Err(status) => return Err(status.into()),
        };
        let renewed = Credentials::new(credentials.user_id, credentials.session_id, tokens);
        let token = renewed.access_token(i64::MIN, 0).map(str::to_owned);
        store.put(&self.server, renewed)?;
        Ok(token)
    }

    /// What each call by the caller that was [identified](Self::identify) has as its `authorization`.
    pub fn authorization(&self) -> Option<MetadataValue<Ascii>> {
        self.authorization.clone()
    }

    /// `message` as a request with its deadline, by the caller that was [identified](Self::identify).
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.endless_request(message);
        request.set_timeout(self.timeout);
        match self.max_staleness {
            Some(staleness) => with_max_staleness(request, staleness),
            None => request,
        }
    }

    /// The same for a stream, which has no deadline.
    pub fn endless_request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    /// The beginning of an answer whose whole has no deadline, within the time of a call.
    pub async fn in_time<T>(&self, beginning: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.timeout, beginning).await.map_err(|_| {
            CliError::new(Exit::TryAgain, "the server did not answer before the deadline")
                .hint("try again, or allow more time with --timeout SECONDS")
                .into()
        })
    }

    /// What keeps clients online, by the same caller.
    pub fn presence(&self) -> Result<NotificationClient, CliError> {
        let Some(authorization) = &self.authorization else { return Ok(NotificationClient::over(&self.client)) };
        let unusable = |error: &dyn std::fmt::Display| CliError::new(Exit::Usage, error.to_string());
        let authorization = HeaderValue::from_bytes(authorization.as_encoded_bytes()).map_err(|e| unusable(&e))?;
        let client = self.client.with_authorization(authorization).map_err(|e| unusable(&e))?;
        Ok(NotificationClient::over(&client))
    }

    /// Whether a person says that `what` is to be deleted; refused with `hint` where there is none to ask.
    pub fn confirm_deletion(&mut self, what: &str, hint: &str) -> Result<bool, Failure> {
        if !self.interactive {
            let refused = CliError::new(Exit::Usage, "deleting is for good, and there is no terminal to ask on");
            return Err(refused.hint(hint).into());
        }
        write!(stderr(), "Delete {what} for good? [y/N] ")?;
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, CliError> {
    if token.len() > TOKEN_MAX_BYTES {
        let message = format!("{TOKEN_VARIABLE} has {} bytes; no token has more than {TOKEN_MAX_BYTES}", token.len());
        return Err(CliError::new(Exit::Usage, message).hint("set it to an access token or an API key"));
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| {
        CliError::new(Exit::Usage, format!("{TOKEN_VARIABLE} holds characters that no token has"))
            .hint("set it to an access token or an API key, without quotes and line feeds")
    })?;
    // Keeps it out of debug output.
    value.set_sensitive(true);
    Ok(value)
}

/// Seconds since the epoch.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
