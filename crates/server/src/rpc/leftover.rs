//! What still comes in of a request that is answered already.
//!
//! A caller who is refused by the headers alone has mostly sent the message before the refusal arrives. A stream whose
//! body nobody reads is reset, each frame that comes late counts as the client's fault, and a connection with too many
//! of those is closed, with all other calls on it. So the rest is taken in for a while and thrown away.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

/// Bytes of it that are taken in: as many as a client sends at once if it knows nothing of us.
const BYTES_MAX: usize = 64 * 1024;
/// How long it is waited for. Until then the stream counts as one of its connection.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Takes it in, on the side: the answer does not wait.
pub(super) fn take_in<B>(body: B)
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Send,
{
    if !body.is_end_stream() {
        // An error says that the time is up.
        drop(tokio::spawn(async { drop(timeout(TIME_MAX, read(body)).await) }));
    }
}

async fn read<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
