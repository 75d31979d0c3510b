//! Listeners and connections: the one place where sockets become a served application.
//!
//! Connections are served over an IO type of our own ([`super::connection`]): actix-web's own server takes no
//! other, and has no limits but on heads and on idle connections.

use super::app::{expect, serve};
use super::connection::{Connection, Socket, Stream};
use super::limits::{Entry, Gate, Limit};
use super::state::{Audience, State};
use crate::config::Settings;
use actix_http::body::BoxBody;
use actix_http::{HttpService, Response};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::Data;
use actix_web::{App, HttpResponse, web};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections that the kernel keeps waiting for us, or as many as `net.core.somaxconn` allows.
const BACKLOG: i32 = 1024;
/// Connections that a worker takes before it leaves those that come to wait: never, since they are counted
/// here.
const WORKER_CONNECTIONS_MAX: usize = usize::MAX;

/// The answer to a client that waited for leave to send its body, and does not get it.
#[derive(Debug)]
struct Refused(HttpResponse);

impl From<Refused> for Response<BoxBody> {
    fn from(refused: Refused) -> Self {
        refused.0.into()
    }
}

/// From how few unsent bytes on the kernel takes more.
const UNSENT_BYTES: u32 = 64 * 1024;

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
    // With less waiting in the kernel it says sooner that a slow client has taken some.
    drop(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES));
}

/// Takes the address, or says who cannot have it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // It listens already, with the standard library's backlog of 128; a second time only sets another.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What connections of a listener are made with.
#[derive(Clone)]
struct Entrance {
    state: Data<State>,
    gate: Arc<Gate>,
    tls: Option<TlsAcceptor>,
    stopping: GracefulShutdownSignal,
}

impl Entrance {
    /// Makes a connection of what was accepted; none if it is refused, or fails before its first request.
    async fn open(self, stream: TcpStream) -> Option<(Connection, Option<SocketAddr>)> {
        let peer = stream.peer_addr().ok();
        let config = self.state.registry.config();
        let settings = &config.settings;
        // What is passed on by a proxy has another client each time.
        let client = peer.map(|peer| peer.ip()).filter(|&address| !config.trusted_proxies.has(address));
        let (max, client_max) = (settings.connections_max, settings.connections_per_address_max);
        let entry = Arc::new(self.gate.enter(client, max, client_max)?);
        let seconds = Duration::from_secs;
        prepare(&stream, seconds(settings.tcp_probe_after_secs));
        let write_stall = seconds(settings.write_stall_secs);
        let requests = Arc::clone(&self.state.requests);
        let socket = Socket::new(stream, requests, Arc::clone(&entry), write_stall);
        // Not before actix-http would: a second more than the pause between two requests and a whole head.
        let quiet = seconds(settings.keep_alive_secs + settings.head_read_secs + 1).max(write_stall);
        let stream = match &self.tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                let limit = seconds(settings.tls_handshake_secs);
                Stream::Tls(Box::new(self.shake_hands(tls, socket, &entry, limit).await?))
            }
        };
        Some((Connection::new(stream, entry, quiet), peer))
    }

    async fn shake_hands(
        &self,
        tls: &TlsAcceptor,
        socket: Socket,
        entry: &Entry,
        limit: Duration,
    ) -> Option<TlsStream<Socket>> {
        let stopping = self.stopping.clone();
        let outcome = tokio::select! {
            // The end of the server does not wait for those who have asked for nothing.
            () = stopping.notified() => return None,
            outcome = timeout(limit, tls.accept(socket)) => outcome,
        };
        match outcome {
            Ok(Ok(stream)) => return Some(stream),
            // Whoever speaks plain HTTP here, or does not like the certificate. It is no fault of ours.
            Ok(Err(error)) => {
                entry.limits().handshakes_failed.add(1);
                log::debug!("a handshake of TLS failed: {error}");
            }
            Err(_) => entry.limits().note(Limit::Handshake),
        }
        None
    }
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
    let mut builder = ServerBuilder::new()
        .disable_signals()
        .shutdown_timeout(settings.shutdown_grace_secs)
        .max_concurrent_connections(WORKER_CONNECTIONS_MAX)
        .worker_max_blocking_threads(count(settings.blocking_threads_max));
    if audience == Audience::Watchers {
        builder = builder.workers(1);
    } else if settings.http_workers > 0 {
        builder = builder.workers(count(settings.http_workers));
    }
    let entrance = Entrance {
        gate: Arc::new(Gate::new(Arc::clone(&state.limits))),
        tls: state.tls.as_ref().filter(|_| audience == Audience::Clients).map(|tls| tls.acceptor()),
        stopping: builder.graceful_shutdown_signal(),
        state,
    };
    let server = builder.listen("registry", listener, move || {
        let entrance = entrance.clone();
        let app = App::new()
            .app_data(entrance.state.clone())
            .app_data(Data::new(audience))
            .default_service(web::to(serve));
        let (stopping, expecting) = (entrance.stopping.clone(), entrance.state.clone());
        let service = HttpService::build()
            .expect(fn_service(move |request: actix_http::Request| {
                let state = expecting.clone();
                async move { expect(state, audience, &request).await.map(|()| request).map_err(Refused) }
            }))
            .keep_alive(keep_alive)
            .client_request_timeout(head_read)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.line());
                data.insert(connection.outlet());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let opening = entrance.clone().open(stream);
            async move { opening.await.ok_or(actix_http::error::DispatchError::SlowRequestTimeout) }
        })
        .and_then(service)
    })?;
    Ok(server.run())
}

fn count(setting: u64) -> usize {
    usize::try_from(setting).expect("a number of threads is far below 2^32")
}
