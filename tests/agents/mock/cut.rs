//! Connections the server can end without an answer, as a failing network does.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Ends the connection a request came on.
#[derive(Clone, Debug)]
pub struct Scissors(CancellationToken);

impl Scissors {
    /// Ends the connection: the peer sees it reset.
    pub fn cut(&self) {
        self.0.cancel();
    }
}

/// Accepts connections that can be cut.
pub struct CuttableListener(pub TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = Scissors;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, _)) = self.0.accept().await {
                let token = CancellationToken::new();
                let waiting = Box::pin(token.clone().cancelled_owned());
                return (CuttableStream { stream, waiting }, Scissors(token));
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Scissors(CancellationToken::new()))
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A connection that can be cut.
pub struct CuttableStream {
    stream: TcpStream,
    waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl CuttableStream {
    /// Fails once the connection is cut.
    fn whole(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.waiting.as_mut().poll(context).is_pending() {
            return Ok(());
        }
        // Polling what is done would panic.
        self.waiting = Box::pin(std::future::ready(()));
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.whole(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.whole(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
