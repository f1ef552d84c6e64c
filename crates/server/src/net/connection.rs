//! One connection: preface, HTTP/2 or HTTP/1.1, and its end.

use std::{future::Future, io, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{
    Acceptor, DrainSignal, NetOptions, Peer,
    accept::{Accepted, Socket},
    certificate_name::name_in,
    load::{CountedResponse, Ending},
    preface::{Protocol, Replay, sniff},
    stream::Io,
};

/// Bytes of a request's headers, names and values with their overhead, that are read. To more than that the protocol
/// answers by itself, with 431 and no status of gRPC; so it is far above what a call may have, which is for `rpc` to say.
const MAX_HTTP2_HEADER_BYTES: u32 = 64 * 1024;
/// The same in HTTP/1.1, which gRPC-Web alone speaks.
const MAX_HTTP1_HEADER_BYTES: usize = 16 * 1024;
/// Streams that a client's faulty frames may make us reset before the connection is closed ("MadeYouReset",
/// CVE-2025-8671): each costs us a request and the client a frame.
const MAX_LOCAL_ERROR_RESETS: usize = 100;
/// Streams that a client may reset before we have even looked at them ("Rapid Reset", CVE-2023-44487).
const MAX_PENDING_ACCEPT_RESETS: usize = 20;
/// Bytes that a client may send on one stream, and on the connection, before we have read them. On a local network
/// the 64 KiB of the standard cost an upload a quarter of its speed and 4 MiB gain nothing; over 50 ms, these give
/// 20 MB/s. A client that stalls its own upload holds this much of our memory.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one frame. Uploads of megabytes are a quarter faster than with the standard's 16 KiB.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// Bytes of one response that wait in memory for a client that does not read. Streams are as fast with 32 KiB as
/// with 1 MiB.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// What every connection of a server is served with.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) options: NetOptions,
    /// For connections from the network; `None` is plain text.
    pub(super) tls: Option<Acceptor>,
}

/// Serves one connection to its end.
pub(super) async fn serve<H, Fut, B>(accepted: Accepted, terms: Arc<Terms>, drain: DrainSignal, handler: H)
where
    H: Fn(Arc<Peer>, Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Accepted { socket, open } = accepted;
    let (load, options) = (&open.0, &terms.options);
    let greeted = tokio::select! {
        biased;
        greeted = tokio::time::timeout(options.preface_timeout, greet(socket, terms.tls.as_ref())) => greeted,
        // Nothing has been asked, so nothing is lost.
        () = drain.draining() => return load.ended(Ending::Drained),
    };
    let Ok(Ok((peer, protocol, stream))) = greeted else { return };

    let requests = Arc::clone(load);
    let service = service_fn(move |request| {
        let in_flight = requests.request();
        CountedResponse::new(handler(Arc::clone(&peer), request), in_flight)
    });
    let io = TokioIo::new(stream);
    let ending = match protocol {
        Protocol::Http2 => {
            let connection = http2_builder(options).serve_connection(io, service);
            drive(connection, http2::Connection::graceful_shutdown, &drain).await
        }
        Protocol::Http1 => {
            let connection = http1_builder(options).serve_connection(io, service);
            drive(connection, http1::Connection::graceful_shutdown, &drain).await
        }
    };
    load.ended(ending);
}

/// From a socket to who is at its other end and what they speak.
async fn greet(socket: Socket, tls: Option<&Acceptor>) -> io::Result<(Arc<Peer>, Protocol, Replay<Io>)> {
    let (peer, io) = match socket {
        Socket::Operator(stream) => (Peer::Operator, Io::Unix(tokio::net::UnixStream::from_std(stream)?)),
        Socket::Tcp(stream, addr) => {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            match tls {
                None => (Peer::Remote { addr, certificate: None }, Io::Tcp(stream)),
                Some(tls) => {
                    // Boxed: a handshake needs room that a plain connection should not carry along.
                    let stream = Box::pin(tls.accept(stream, addr)).await?;
                    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let certificate = shown.and_then(|certificate| name_in(certificate)).map(Arc::from);
                    (Peer::Remote { addr, certificate }, Io::Tls(Box::new(stream)))
                }
            }
        }
    };
    let (protocol, stream) = sniff(io).await?;
    Ok((Arc::new(peer), protocol, stream))
}

/// Polls a connection to its end, through the phases of a drain.
async fn drive<C>(connection: C, begin_shutdown: fn(Pin<&mut C>), drain: &DrainSignal) -> Ending
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            return Ending::ByItself;
        }
        () = drain.draining() => {}
    }
    begin_shutdown(connection.as_mut());
    tokio::select! {
        biased;
        _ = connection => Ending::Drained,
        () = drain.cut() => Ending::Cut,
    }
}

fn http2_builder(options: &NetOptions) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_local_error_reset_streams(MAX_LOCAL_ERROR_RESETS)
        .max_pending_accept_reset_streams(MAX_PENDING_ACCEPT_RESETS)
        .max_header_list_size(MAX_HTTP2_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(options.keep_alive_interval)
        .keep_alive_timeout(options.keep_alive_timeout)
        // gRPC has no use for it.
        .auto_date_header(false);
    builder
}

fn http1_builder(options: &NetOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_header_size(MAX_HTTP1_HEADER_BYTES);
    builder
}
