//! Trailing metadata beside a single answer, for which the generated services have no place.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

/// What a handler leaves in the extensions of its response.
#[derive(Clone, Debug)]
pub(super) struct Trailers(pub(super) HeaderMap);

/// Puts what a handler has left into the response's trailers.
pub(in crate::rpc) fn add_trailers(mut response: Response<Body>) -> Response<Body> {
    match response.extensions_mut().remove::<Trailers>() {
        Some(Trailers(extra)) => response.map(|inner| Body::new(WithTrailers { inner, extra })),
        None => response,
    }
}

struct WithTrailers {
    inner: Body,
    extra: HeaderMap,
}

impl HttpBody for WithTrailers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            trailers.extend(std::mem::take(&mut self.extra));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
