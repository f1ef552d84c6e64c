//! A user's session: an access token that is renewed before it ends.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use tokio::sync::Mutex;
use tonic::Status;

use crate::{
    auth::v1::{RefreshTokenRequest, Tokens, auth_service_client::AuthServiceClient},
    client::{Transport, with_idempotency_key},
    transport::new_idempotency_key,
};

/// A token that ends sooner is renewed before the call.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// Gets each new pair of tokens.
type Renewed = Box<dyn Fn(&Tokens) + Send + Sync>;

/// See the [module](self). Prints without its tokens.
pub(crate) struct Session {
    /// Held while they are renewed: a refresh token that two calls used would end the session.
    tokens: Mutex<Current>,
    auth: AuthServiceClient<Transport>,
    renewed: Renewed,
}

/// The tokens of now.
struct Current {
    tokens: Tokens,
    /// The idempotency key of the call that renews them. It stays with the refresh token until that is spent: if the answer
    /// was lost, the next call gets it again, and is not taken for a thief's.
    key: String,
}

impl Session {
    /// `auth` calls as nobody.
    pub(crate) fn new(auth: AuthServiceClient<Transport>, tokens: Tokens, renewed: Renewed) -> Arc<Self> {
        Arc::new(Self { tokens: Mutex::new(Current { tokens, key: String::new() }), auth, renewed })
    }

    /// What a call is made with, renewed if it is about to end.
    ///
    /// # Errors
    /// It has ended and could not be renewed.
    pub(crate) async fn authorization(self: &Arc<Self>) -> Result<HeaderValue, Status> {
        let current = self.tokens.lock().await;
        let left = left_of(&current.tokens);
        if left > RENEW_BEFORE {
            return bearer(&current.tokens);
        }
        drop(current);
        match self.renew(|tokens| left_of(tokens) > RENEW_BEFORE).await {
            // What is still good will do for this call.
            Err(_) if left > Duration::ZERO => bearer(&self.tokens.lock().await.tokens),
            outcome => outcome,
        }
    }

    /// Another token than the one that was refused; `None` if there is none to be had.
    pub(crate) async fn renewed_after(self: &Arc<Self>, refused: &HeaderValue) -> Option<HeaderValue> {
        let refused = refused.clone();
        self.renew(move |tokens| bearer(tokens).is_ok_and(|token| token != refused)).await.ok()
    }

    /// Renews the tokens unless another call just did. On a task of its own: a caller that gives up half-way must not
    /// lose the new refresh token, for the old one is spent.
    async fn renew(
        self: &Arc<Self>,
        is_done: impl Fn(&Tokens) -> bool + Send + 'static,
    ) -> Result<HeaderValue, Status> {
        let session = Arc::clone(self);
        let task = async move {
            let mut current = session.tokens.lock().await;
            if !is_done(&current.tokens) {
                if current.key.is_empty() {
                    current.key = new_idempotency_key()?;
                }
                let request = RefreshTokenRequest { refresh_token: current.tokens.refresh_token.clone() };
                let request =
                    with_idempotency_key(request, &current.key).map_err(|error| Status::internal(error.to_string()))?;
                let answer = session.auth.clone().refresh_token(request).await?.into_inner();
                let tokens = answer.tokens.ok_or_else(|| Status::internal("the server sent no tokens"))?;
                (session.renewed)(&tokens);
                *current = Current { tokens, key: String::new() };
            }
            bearer(&current.tokens)
        };
        tokio::spawn(task).await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// How long the access token is still good, by this machine's clock.
fn left_of(tokens: &Tokens) -> Duration {
    let ends = tokens.access_token_expires_at.map_or(0, |at| at.seconds);
    let ends = UNIX_EPOCH + Duration::from_secs(u64::try_from(ends).unwrap_or(0));
    ends.duration_since(SystemTime::now()).unwrap_or_default()
}

fn bearer(tokens: &Tokens) -> Result<HeaderValue, Status> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", tokens.access_token))
        .map_err(|_| Status::internal("the server sent a token that is none"))?;
    value.set_sensitive(true);
    Ok(value)
}
