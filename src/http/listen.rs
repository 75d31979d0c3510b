//! Listeners and connections: the one place where sockets become a served application.
//!
//! Connections are served over an IO type of our own. It only counts bytes so far; it is where limits on
//! connections and idle bodies and the sending of files belong, since actix-web's own server takes no other
//! type.

use super::app::{Audience, State, expect, serve};
use super::metrics::Requests;
use crate::config::Settings;
use actix_http::body::BoxBody;
use actix_http::{HttpService, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::Data;
use actix_web::{App, HttpResponse, web};
use futures::future::ready;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connections that the kernel keeps waiting for us, or as many as `net.core.somaxconn` allows.
const BACKLOG: i32 = 1024;

/// A client's connection.
struct Connection {
    stream: TcpStream,
    requests: Arc<Requests>,
}

impl Connection {
    /// Counts what was written.
    fn sent(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &outcome {
            self.requests.sent.add(*bytes as u64);
        }
        outcome
    }
}

impl AsyncRead for Connection {
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

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(outcome)
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
        self.sent(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The answer to a client that waited for leave to send its body, and does not get it.
#[derive(Debug)]
struct Refused(HttpResponse);

impl From<Refused> for Response<BoxBody> {
    fn from(refused: Refused) -> Self {
        refused.0.into()
    }
}

/// How often and how many times a silent client is probed before its connection counts as lost.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 6;

/// Sets what every connection has. What the kernel does not take, it does without.
fn prepare(stream: &TcpStream, probe_after: Duration) {
    // Answers are written whole; waiting for more would only delay their last part.
    drop(stream.set_nodelay(true));
    // A client that lost its power or its route would hold its upload for good: nobody else could go on with
    // it.
    let keepalive =
        TcpKeepalive::new().with_time(probe_after).with_interval(PROBE_INTERVAL).with_retries(PROBES);
    drop(SockRef::from(stream).set_tcp_keepalive(&keepalive));
}

/// Takes the address, or says who cannot have it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // It listens already, with the standard library's backlog of 128; a second time only sets another.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Starts to serve the registry to an audience. The server runs until it is stopped through its handle;
/// signals are the caller's.
pub fn start(
    listener: TcpListener,
    state: Data<State>,
    audience: Audience,
    settings: &Settings,
) -> io::Result<Server> {
    let seconds = Duration::from_secs;
    let (head_read, keep_alive) = (seconds(settings.head_read_secs), seconds(settings.keep_alive_secs));
    let probe_after = seconds(settings.tcp_probe_after_secs);
    let mut builder = ServerBuilder::new()
        .disable_signals()
        .shutdown_timeout(settings.shutdown_grace_secs)
        .worker_max_blocking_threads(count(settings.blocking_threads_max));
    if audience == Audience::Watchers {
        builder = builder.workers(1);
    } else if settings.http_workers > 0 {
        builder = builder.workers(count(settings.http_workers));
    }
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("registry", listener, move || {
        let app =
            App::new().app_data(state.clone()).app_data(Data::new(audience)).default_service(web::to(serve));
        let (stopping, expecting) = (stopping.clone(), state.clone());
        let requests = Arc::clone(&state.requests);
        let service = HttpService::build()
            .expect(fn_service(move |request: actix_http::Request| {
                let outcome = expect(&expecting, &request).map(|()| request);
                async move { outcome.map_err(Refused) }
            }))
            .keep_alive(keep_alive)
            .client_request_timeout(head_read)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            prepare(&stream, probe_after);
            let connection = Connection { stream, requests: Arc::clone(&requests) };
            ready(Ok::<_, actix_http::error::DispatchError>((connection, peer)))
        })
        .and_then(service)
    })?;
    Ok(server.run())
}

fn count(setting: u64) -> usize {
    usize::try_from(setting).expect("a number of threads is far below 2^32")
}
