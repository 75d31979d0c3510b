//! `wharfinger serve`.

use super::{DataArgument, open_store, wrong_use};
use crate::auth::Access;
use crate::config::Settings;
use crate::http::app::State;
use crate::http::listen;
use crate::registry::{Error, Registry, SystemClock};
use actix_web::rt::{System, SystemRunner};
use actix_web::web::Data;
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5000", env = "WHARFINGER_LISTEN")]
    listen: SocketAddr,
    /// What callers without credentials may do: a list of pull, push and delete
    #[arg(long, value_name = "ACTIONS", env = "WHARFINGER_ANONYMOUS")]
    anonymous: Option<String>,
}

pub fn run(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let system = System::new();
    if let Err(error) = system.block_on(async { survive_file_limit() }) {
        return wrong_use(&format!("the signal SIGXFSZ cannot be handled: {error}"));
    }
    match prepare(arguments, settings) {
        Ok((listener, registry, access)) => serve(&system, listener, registry, access, arguments, settings),
        Err(message) => wrong_use(&message),
    }
}

/// A write beyond the process's limit on the size of a file (`ulimit -f`) ends the process by SIGXFSZ, unless
/// somebody listens for that: then the write fails like one on a full disk, and its request is refused.
fn survive_file_limit() -> std::io::Result<()> {
    // Once there was a listener, the signal's default action does not come back.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

fn prepare(
    arguments: &Arguments,
    settings: &Settings,
) -> Result<(TcpListener, Arc<Registry>, Access), String> {
    let access = access(arguments)?;
    // The directory first: whoever runs there already most likely has the port, too.
    let store = open_store(&arguments.data.data, true, settings).map_err(|error| error.to_string())?;
    let listener =
        listen::bind(arguments.listen).map_err(|error| listen_refusal(arguments.listen, &error))?;
    let registry = Registry::new(store, Arc::new(SystemClock), settings.clone());
    let found = registry.recover().map_err(|error| format!("the start failed: {error}"))?;
    log::info!("the data directory is in order: {found:?}");
    Ok((listener, Arc::new(registry), access))
}

/// Who may do what: everybody everything, but only where no other machine can call.
fn access(arguments: &Arguments) -> Result<Access, String> {
    match &arguments.anonymous {
        Some(list) => Access::parse(list).map_err(|error| format!("--anonymous: {error}")),
        None if arguments.listen.ip().is_loopback() => Ok(Access::everything()),
        None => Err(format!(
            "listening on {} would open the registry to others, and nothing says what they may do. \
             Say it with --anonymous pull,push,delete (or fewer), with WHARFINGER_ANONYMOUS, or with \
             an [[access]] rule with users; or listen on 127.0.0.1",
            arguments.listen
        )),
    }
}

fn listen_refusal(address: SocketAddr, error: &std::io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there: stop it, or choose another port with --listen"
        }
        ErrorKind::PermissionDenied => {
            "this user may not take that port: choose one above 1023 with --listen"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose one of its own with --listen"
        }
        _ => "choose another address with --listen",
    };
    format!("cannot listen on {address}: {error}; {advice}")
}

fn serve(
    system: &SystemRunner,
    listener: TcpListener,
    registry: Arc<Registry>,
    access: Access,
    arguments: &Arguments,
    settings: &Settings,
) -> ExitCode {
    let housekeeping = Housekeeping::start(Arc::clone(&registry), settings.housekeeping_secs);
    let address = listener.local_addr().unwrap_or(arguments.listen);
    let state = Data::new(State::new(registry, access, random()));
    let outcome = system.block_on(async {
        // Before a word is printed: whoever reads it may stop us at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let server = listen::start(listener, state, settings)?;
        greet(address, arguments);
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        log::info!("stopping: running requests have {} s to end", settings.shutdown_grace_secs);
        handle.stop(true).await;
        running.await.map_err(std::io::Error::other)?
    });
    drop(housekeeping);
    match outcome {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => wrong_use(&format!("the server cannot run: {error}")),
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the kernel's random source does not fail once it is up");
    u64::from_be_bytes(bytes)
}

/// Says where everything is, and what to try.
fn greet(address: SocketAddr, arguments: &Arguments) {
    let data = std::path::absolute(&arguments.data.data).unwrap_or_else(|_| arguments.data.data.clone());
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to serve.
    drop(writeln!(
        out,
        "wharfinger listens on http://{address}\nthe data is in {}\ntry it:\n  docker tag busybox \
         {address}/busybox\n  docker push {address}/busybox",
        data.display()
    ));
    drop(out.flush());
}

/// A thread that ends idle uploads and unlinks files every now and then.
struct Housekeeping {
    stop: Option<Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Housekeeping {
    fn start(registry: Arc<Registry>, interval_secs: u64) -> Self {
        let (stop, stopped) = channel();
        let interval = Duration::from_secs(interval_secs);
        let work = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = registry.keep_house() {
                    report(&error);
                }
            }
        };
        let thread = std::thread::Builder::new().name("housekeeping".into()).spawn(work);
        let thread = thread.inspect_err(|error| log::error!("no housekeeping: {error}")).ok();
        Self { stop: Some(stop), thread }
    }
}

fn report(error: &Error) {
    log::error!("housekeeping failed, it will be tried again: {error}");
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
