//! Which protocol a connection speaks, told by its first bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The whole preface came.
    Http2,
    /// Something that the preface does not begin with: HTTP/1.1, or nonsense that its parser will refuse.
    Http1,
}

/// Reads until the protocol is certain, and gives the stream back with those bytes still to be read.
///
/// # Errors
/// `UnexpectedEof` if the client closed before that, and errors of the stream.
pub(super) async fn sniff<I: AsyncRead + Unpin>(mut io: I) -> io::Result<(Protocol, Replay<I>)> {
    let mut bytes = [0; PREFACE.len()];
    let mut len = 0;
    loop {
        let Some(room) = bytes.get_mut(len..).filter(|room| !room.is_empty()) else {
            return Ok((Protocol::Http2, Replay { bytes, at: 0, len, io }));
        };
        let read = io.read(room).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        len += read;
        if bytes.iter().zip(PREFACE).take(len).any(|(came, expected)| came != expected) {
            return Ok((Protocol::Http1, Replay { bytes, at: 0, len, io }));
        }
    }
}

/// A stream that gives bytes that were read from it once more, then goes on.
#[derive(Debug)]
pub(super) struct Replay<I> {
    bytes: [u8; PREFACE.len()],
    at: usize,
    len: usize,
    io: I,
}

impl<I: AsyncRead + Unpin> AsyncRead for Replay<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at == self.len {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let end = self.len.min(self.at + buffer.remaining());
        buffer.put_slice(self.bytes.get(self.at..end).unwrap_or_default());
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Replay<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A stream that gives one piece a read.
    struct Pieces(VecDeque<Vec<u8>>);

    fn pieces(pieces: &[&[u8]]) -> Pieces {
        Pieces(pieces.iter().map(|piece| piece.to_vec()).collect())
    }

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop_front() {
                let rest = piece.split_off(piece.len().min(buffer.remaining()));
                buffer.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn tells_the_protocol_however_the_bytes_are_cut_and_loses_none() {
        let h2 = [PREFACE.as_slice(), b"settings and more"].concat();
        let h1 = b"PRINT / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
        for (bytes, expected) in [(h2, Protocol::Http2), (h1, Protocol::Http1)] {
            for cut in 1..bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                let (protocol, mut replay) = sniff(pieces(&[head, tail])).await.unwrap();
                let mut replayed = Vec::new();
                replay.read_to_end(&mut replayed).await.unwrap();
                assert_eq!((protocol, &replayed), (expected, &bytes), "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_closes_within_the_preface_is_an_error() {
        let error = sniff(pieces(&[b"PRI * HT"])).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
