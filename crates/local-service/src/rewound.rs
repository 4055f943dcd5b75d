//! A stream of which something has been read already, as it was before that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives what was read before once more, then what follows.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    before: BytesMut,
    stream: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(before: BytesMut, stream: S) -> Self {
        Self { before, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let taken = self.before.len().min(into.remaining());
        into.put_slice(&self.before[..taken]);
        self.before.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first_and_what_is_written_goes_through() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b" there").await.unwrap();
        let mut stream = Rewound::new(BytesMut::from("hello"), server);
        let mut start = [0; 3];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"hel");
        let mut rest = [0; 8];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"lo there");
        stream.write_all(b"back").await.unwrap();
        let mut back = [0; 4];
        client.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"back");
    }
}
