//! `/metrics`, for Prometheus.

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::Full;

use super::Answer;
use crate::metrics::Page;

/// The page's path.
pub(super) const PATH: &str = "/metrics";

/// Asks all parts for their numbers.
pub(super) fn page(report: &dyn Fn(&mut Page)) -> Answer {
    let mut page = Page::default();
    report(&mut page);
    let mut response = Response::new(Full::new(Bytes::from(page.into_text())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Page::CONTENT_TYPE));
    response
}
