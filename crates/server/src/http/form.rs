//! What a browser sends: the query of a link, and the fields of a form.

use std::time::Duration;

use http::{HeaderValue, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;
use url::form_urlencoded;

/// Bytes of a form. The longest password, percent-encoded, is less than half of it.
const FORM_MAX_BYTES: usize = 8 * 1024;
/// How long a form may take to come in.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the form that a browser posts.
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self, StatusCode> {
        let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if !kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let body = Limited::new(request.into_body(), FORM_MAX_BYTES).collect();
        let body = timeout(FORM_TIMEOUT, body).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
        // Cut off by the client or too long: the client that is still there sent too much.
        let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }

    /// Takes the first field of this name; empty if there is none.
    pub(super) fn take(&mut self, name: &str) -> String {
        let field = self.0.iter_mut().find(|(field, _)| field == name);
        field.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }
}

/// The `token` in the query of a link; empty if there is none.
pub(super) fn token_in_query<B>(request: &Request<B>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let mut fields = form_urlencoded::parse(query.as_bytes());
    fields.find(|(name, _)| name == "token").map(|(_, value)| value.into_owned()).unwrap_or_default()
}
