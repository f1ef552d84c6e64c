//! What is put on every call: a deadline, a token, and what ties it to the call that it is made for.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::{
    Error,
    client::{AUTHORIZATION, GRPC_TIMEOUT},
    error::REQUEST_ID,
    session::Session,
};

/// Metadata that a call takes over from the one that it is made for.
const PASSED_ON: [&str; 3] = [REQUEST_ID, "traceparent", "tracestate"];

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct OnCall {
    /// Of a call that has none of its own and does not stream.
    pub(crate) deadline: Duration,
    pub(crate) credential: Credential,
    pub(crate) passed_on: Arc<[(HeaderName, HeaderValue)]>,
}

/// Who calls, unless a call says so itself.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    None,
    /// Prints redacted, as sensitive metadata does.
    Token(HeaderValue),
    Session(Arc<Session>),
}

impl OnCall {
    pub(crate) fn with_credential(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    pub(crate) fn passing_on(&self, incoming: &MetadataMap) -> Self {
        let find = |name| {
            let value = incoming.get(name)?.to_str().ok()?;
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        Self { passed_on: PASSED_ON.into_iter().filter_map(find).collect(), ..self.clone() }
    }

    /// Puts all of it on a call that has none of its own.
    ///
    /// # Errors
    /// The session's token could not be renewed.
    pub(crate) async fn apply(&self, headers: &mut HeaderMap, is_unary: bool) -> Result<(), Status> {
        if is_unary && !headers.contains_key(GRPC_TIMEOUT) {
            let millis = self.deadline.as_millis().min(99_999_999);
            let text = format!("{millis}m");
            headers.insert(GRPC_TIMEOUT, HeaderValue::try_from(text).map_err(|e| Status::internal(e.to_string()))?);
        }
        for (name, value) in self.passed_on.iter().filter(|(name, _)| !headers.contains_key(name)).collect::<Vec<_>>() {
            headers.insert(name, value.clone());
        }
        if headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        match &self.credential {
            Credential::None => {}
            Credential::Token(token) => drop(headers.insert(AUTHORIZATION, token.clone())),
            Credential::Session(session) => drop(headers.insert(AUTHORIZATION, session.authorization().await?)),
        }
        Ok(())
    }

    /// Whether the call was refused for a token of the session, and has a new one now.
    pub(crate) async fn renew(&self, status: &Status, headers: &mut HeaderMap) -> bool {
        let Credential::Session(session) = &self.credential else { return false };
        if status.code() != Code::Unauthenticated || Error::from(status.clone()).reason() != Some("CREDENTIALS_INVALID")
        {
            return false;
        }
        let Some(refused) = headers.get(AUTHORIZATION) else { return false };
        match session.renewed_after(refused).await {
            Some(renewed) => {
                headers.insert(AUTHORIZATION, renewed);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_call(credential: Credential) -> OnCall {
        OnCall { deadline: Duration::from_secs(10), credential, passed_on: Arc::default() }
    }

    #[tokio::test]
    async fn calls_get_a_deadline_unless_they_have_one_or_stream() {
        let deadline = async |is_unary, own: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(own) = own {
                headers.insert(GRPC_TIMEOUT, HeaderValue::from_static(own));
            }
            on_call(Credential::None).apply(&mut headers, is_unary).await.unwrap();
            headers.get(GRPC_TIMEOUT).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(deadline(true, None).await.as_deref(), Some("10000m"));
        assert_eq!(deadline(true, Some("5S")).await.as_deref(), Some("5S"));
        assert_eq!(deadline(false, None).await, None);
    }

    #[tokio::test]
    async fn a_token_is_on_every_call_but_those_with_their_own_and_never_printed() {
        let mut token = HeaderValue::from_static("Bearer s3cret");
        token.set_sensitive(true);
        let on_call = on_call(Credential::Token(token));
        let mut headers = HeaderMap::new();
        on_call.apply(&mut headers, true).await.unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer s3cret");
        assert!(!format!("{on_call:?} {headers:?}").contains("s3cret"));
        let mut own = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer other"))]);
        on_call.apply(&mut own, true).await.unwrap();
        assert_eq!(own[AUTHORIZATION], "Bearer other");
    }

    #[tokio::test]
    async fn what_ties_calls_together_is_passed_on() {
        let mut incoming = MetadataMap::new();
        incoming.insert("x-request-id", "outer-1".parse().unwrap());
        incoming.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap());
        incoming.insert("cookie", "private".parse().unwrap());
        let mut headers = HeaderMap::new();
        on_call(Credential::None).passing_on(&incoming).apply(&mut headers, false).await.unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-request-id"], "outer-1");
    }
}
