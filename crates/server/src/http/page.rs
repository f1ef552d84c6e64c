//! What all pages share: the frame, the headers, and how an error is told.

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{
        ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use http_body_util::Full;
use sha2::{Digest as _, Sha256};

use super::{
    Answer, probes,
    words::{Notice, Words},
};
use crate::{model::Language, ops::Error};

/// The one style sheet.
const STYLE: &str = include_str!("../../templates/page/style.css");

/// No script, no image, no frame, nothing from elsewhere: the style by its hash, and forms to ourselves.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    policy.parse().ok()
});

/// What the frame of every page needs.
pub(super) struct Frame<'a> {
    pub(super) words: &'static Words,
    pub(super) platform: &'a str,
    pub(super) style: &'static str,
}

impl<'a> Frame<'a> {
    pub(super) fn new(words: &'static Words, platform: &'a str) -> Self {
        Self { words, platform, style: STYLE }
    }
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "page/notice.html")]
struct NoticePage<'a> {
    frame: Frame<'a>,
    notice: &'static Notice,
}

/// The first language of the browser's that is ours.
pub(super) fn words<B>(request: &Request<B>) -> &'static Words {
    let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags = accepted.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    Words::of(tags.filter_map(Language::find).next().unwrap_or_default())
}

/// Says something, and nothing more.
pub(super) fn notice(status: StatusCode, words: &'static Words, platform: &str, notice: &'static Notice) -> Answer {
    html(status, &NoticePage { frame: Frame::new(words, platform), notice })
}

/// Tells of an error in a way that helps whoever reads it.
pub(super) fn error(error: &Error, words: &'static Words, platform: &str) -> Answer {
    match error {
        Error::TokenInvalid => notice(StatusCode::BAD_REQUEST, words, platform, &words.invalid_link),
        Error::RateLimited { retry_after } => {
            let mut answer = notice(StatusCode::TOO_MANY_REQUESTS, words, platform, &words.try_later);
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(retry_after.as_millis().div_ceil(1_000).max(1) as u64));
            answer
        }
        other => {
            tracing::error!(error = %other, "a page could not do what was asked");
            let mut answer = notice(StatusCode::SERVICE_UNAVAILABLE, words, platform, &words.try_later);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            answer
        }
    }
}

/// A page with the headers that all of them have.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Answer {
    let (Ok(text), Some(policy)) = (page.render(), &*POLICY) else {
        return probes::text(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be shown\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    // The address of the page has the token in it: it goes nowhere and stays nowhere.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}
