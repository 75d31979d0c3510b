//! A client's connection: what is counted of it, and when it is given up.
//!
//! actix-http watches the time of a connection's first head alone, and of its rest between two requests. A
//! client that takes nothing of its answer, or sends a later head byte by byte, is met here; one whose body
//! does not come in [`super::body`], which then hangs up here.

use super::limits::{Entry, Limit};
use super::metrics::Requests;
use super::outlet::{Outlet, Sink, Written};
use crate::registry::OpenBlob;
use futures::task::AtomicWaker;
use rustix::net::SendFlags;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

/// A time that ends, which is moved often and rarely reached.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the time has come; if not, the task is woken no later than then.
    fn is_over(&mut self, end: Instant, context: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if sleep.deadline() > end {
            sleep.as_mut().reset(end);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= end {
                return true;
            }
            // It was moved on since.
            sleep.as_mut().reset(end);
        }
        false
    }
}

/// The connection as the kernel has it: bytes of TLS, or what is said itself.
pub struct Socket {
    stream: TcpStream,
    requests: Arc<Requests>,
    entry: Arc<Entry>,
    write_stall: Duration,
    /// Since when the kernel takes nothing any more.
    stalled: Option<Instant>,
    timer: Timer,
}

impl Socket {
    /// Takes a connection that was let in. It is given up when nothing that is written to it is taken for as
    /// long as `write_stall`.
    pub fn new(stream: TcpStream, requests: Arc<Requests>, entry: Arc<Entry>, write_stall: Duration) -> Self {
        Self { stream, requests, entry, write_stall, stalled: None, timer: Timer::default() }
    }

    /// Writes bytes that the kernel may keep back until the next ones come: these do at once.
    fn poll_more(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        self.poll_taken(context, |stream| Ok(rustix::net::send(stream, bytes, flags)?))
    }

    /// Has the kernel take something as soon as it takes anything.
    fn poll_taken(
        &mut self,
        context: &mut Context<'_>,
        give: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let outcome = loop {
            match self.stream.poll_write_ready(context) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            match self.stream.try_io(Interest::WRITABLE, || give(&self.stream)) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                outcome => break Poll::Ready(outcome),
            }
        };
        self.sent(outcome, context)
    }

    /// Counts what was written, and watches for how long nothing could be.
    fn sent(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                self.stalled = None;
                self.requests.sent.add(bytes as u64);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let end = *self.stalled.get_or_insert_with(Instant::now) + self.write_stall;
                if self.timer.is_over(end, context) {
                    self.entry.limits().note(Limit::WriteStall);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        outcome
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.requests.received.add((buffer.filled().len() - before) as u64);
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What the handler of a request has of the connection that it came over.
#[derive(Default)]
pub struct Line {
    hung_up: AtomicBool,
    /// Requests whose handlers run.
    busy: AtomicU32,
    waker: AtomicWaker,
}

impl Line {
    /// Nothing more is read. What is being answered is still sent.
    pub fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// A handler runs until what is handed back is dropped.
    #[must_use]
    pub fn handle(self: &Arc<Self>) -> Handling {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Handling(Arc::clone(self))
    }
}

/// A handler that runs.
pub struct Handling(Arc<Line>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection as HTTP has it.
pub struct Connection {
    stream: Stream,
    line: Arc<Line>,
    outlet: Outlet,
    entry: Arc<Entry>,
    /// For how long it may be without a request.
    quiet_max: Duration,
    /// When it last did something for a request.
    active: Instant,
    timer: Timer,
}

/// With or without TLS.
pub enum Stream {
    /// Without.
    Plain(Socket),
    /// With, after its handshake.
    Tls(Box<TlsStream<Socket>>),
}

impl Connection {
    /// A connection whose handshake, if any, is done. It ends when it is without a request for `quiet_max`.
    pub fn new(stream: Stream, entry: Arc<Entry>, quiet_max: Duration) -> Self {
        let (line, active) = (Arc::default(), Instant::now());
        let outlet = Outlet::default();
        Self { stream, line, outlet, entry, quiet_max, active, timer: Timer::default() }
    }

    /// Where the bodies of its answers have files sent.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    /// What the handlers of its requests have of it.
    #[must_use]
    pub fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }

    /// Whether there has been no request for too long. If not, this is asked again by then.
    fn is_quiet(&mut self, context: &mut Context<'_>) -> bool {
        // Who takes nothing of a file has another limit.
        if self.line.busy.load(Ordering::Relaxed) > 0 || self.outlet.is_sending() {
            self.active = Instant::now();
        }
        self.timer.is_over(self.active + self.quiet_max, context)
    }

    fn written(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.active = Instant::now();
            // Nothing else wakes the task when nothing more comes.
            self.is_quiet(context);
        }
        outcome
    }
}

/// Does the same with either kind of stream.
macro_rules! either {
    ($stream:expr, $call:ident $arguments:tt) => {
        match $stream {
            Stream::Plain(stream) => Pin::new(stream).$call $arguments,
            Stream::Tls(stream) => Pin::new(stream.as_mut()).$call $arguments,
        }
    };
}

impl Sink for Stream {
    fn poll_file(
        &mut self,
        context: &mut Context<'_>,
        blob: &OpenBlob,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(socket) => {
                socket.poll_taken(context, |stream| blob.send_at(stream.as_fd(), offset, count))
            }
            Self::Tls(_) => Poll::Ready(Err(ErrorKind::Unsupported.into())),
        }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(context, bytes))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.waker.register(context.waker());
        if self.line.hung_up.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let outcome = either!(&mut self.stream, poll_read(context, buffer));
        if outcome.is_pending() && self.is_quiet(context) {
            self.line.hung_up.store(true, Ordering::Release);
            self.entry.limits().note(Limit::KeepAlive);
            return Poll::Ready(Ok(()));
        }
        outcome
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = match (self.outlet.admit(bytes)?, &mut self.stream) {
            (Written::Head, Stream::Plain(socket)) => socket.poll_more(context, bytes),
            (_, stream) => either!(stream, poll_write(context, bytes)),
        };
        self.written(outcome, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { outlet, stream, .. } = &mut *self;
        ready!(outlet.poll(stream, context))?;
        either!(stream, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.stream, poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // actix-http does not write so. Whoever does has the first of them written.
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| &**slice))
    }
}
