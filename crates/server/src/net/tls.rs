//! TLS on a connection: the handshake, and a clear end for who speaks plain text where TLS is spoken.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{complaint::Complaint, preface::PREFACE};

/// The first byte of every TLS connection: a record of the type handshake.
const TLS_HANDSHAKE: u8 = 22;
/// What a client that speaks plain HTTP/2 is told: an empty SETTINGS, which must come first, and a GOAWAY with the
/// error INADEQUATE_SECURITY and a text that most clients show.
const PLAIN_HTTP2_ANSWER: &[u8] =
    b"\0\0\0\x04\0\0\0\0\0\0\0\x27\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS: use https";
/// What any other client that speaks no TLS is told.
const PLAIN_HTTP1_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 38\r\nconnection: close\r\n\r\nthis port speaks TLS: use https://...\n";

/// What a client that speaks plain text may go on to send before its connection is reset.
const MAX_UNREAD_BYTES: u64 = 64 * 1024;

/// The TLS of a listener. What it is configured with can change while connections come; those that are open stay.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: RwLock<Arc<ServerConfig>>,
    failures: Complaint,
}

impl Acceptor {
    /// One that shakes hands as `config` says.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(Inner { config: RwLock::new(config), failures: Complaint::default() }))
    }

    /// From now on, handshakes go by `config`.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Shakes hands. To be bounded in time by the caller.
    ///
    /// # Errors
    /// The client spoke no TLS, was refused, or went away.
    pub(super) async fn accept(&self, stream: TcpStream, addr: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0; PREFACE.len()];
        let peeked = stream.peek(&mut first).await?;
        let first = first.get(..peeked).unwrap_or_default();
        if first.first().is_some_and(|byte| *byte != TLS_HANDSHAKE) {
            return Err(refuse_plain(stream, first).await);
        }
        let config = Arc::clone(&*self.0.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await.inspect_err(|error| {
            // Who only looks whether the port is open is no failure.
            if error.kind() != io::ErrorKind::UnexpectedEof
                && let Some(times) = self.0.failures.due()
            {
                tracing::warn!(%addr, %error, times, "TLS handshake failed");
            }
        })
    }
}

/// Tells a client in its own protocol that it is wrong here.
async fn refuse_plain(mut stream: TcpStream, first: &[u8]) -> io::Error {
    let answer = if PREFACE.starts_with(first) { PLAIN_HTTP2_ANSWER } else { PLAIN_HTTP1_ANSWER };
    // Errors say that it has gone, and then there is nobody to tell.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    // A close with unread bytes would be a reset, which could overtake the answer.
    let _ = tokio::io::copy(&mut stream.take(MAX_UNREAD_BYTES), &mut tokio::io::sink()).await;
    io::Error::new(io::ErrorKind::InvalidData, "plain text where TLS is spoken")
}
