//! `wharfinger serve`.

use super::background::Background;
use super::reload::reload;
use super::{DataArguments, config, control, htpasswd, open_files, open_store, reachable, wrong_use};
use crate::auth::{Action, Policy, Principal};
use crate::config::{Challenge, Config, Inputs, Source};
use crate::http::listen;
use crate::http::login::Login;
use crate::http::state::{Audience, State};
use crate::http::tls::Tls;
use crate::random;
use crate::registry::{DataDir, Registry, SystemClock};
use actix_web::rt::{System, SystemRunner};
use actix_web::web::Data;
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

const LISTEN_HELP: &str =
    "Where to listen; port 0 takes any free one [default: 127.0.0.1:5000] [env: WHARFINGER_LISTEN]";
const ANONYMOUS_HELP: &str = "What everybody may do, without credentials: a list of pull, create, push and \
                              delete [env: WHARFINGER_ANONYMOUS]";

const ACCEPT_LOSS_HELP: &str = "Start though the ledger's journal breaks off and goes on later: what is \
                                between is lost. Only where a start asks for it";

/// How long the end waits for uploads that it broke off to be made durable: a sync and a commit each.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    #[arg(long, value_name = "ADDR", help = LISTEN_HELP)]
    listen: Option<String>,
    #[arg(long, value_name = "ACTIONS", help = ANONYMOUS_HELP)]
    anonymous: Option<String>,
    #[arg(long, help = ACCEPT_LOSS_HELP)]
    accept_loss: bool,
}

impl Arguments {
    fn inputs(&self) -> Inputs {
        self.data.config.inputs(&[
            ("data", "--data", &self.data.data),
            ("listen", "--listen", &self.listen),
            ("anonymous", "--anonymous", &self.anonymous),
        ])
    }
}

/// All that serving needs, made before anything is served.
struct Prepared {
    listener: TcpListener,
    watched: Option<TcpListener>,
    registry: Arc<Registry>,
    policy: Policy,
    login: Login,
    tls: Option<Arc<Tls>>,
    config: Arc<Config>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let system = System::new();
    // What comes before there is somebody to answer it waits for that.
    let hang_up = system.block_on(async { survive_file_limit().and_then(|()| signal(SignalKind::hangup())) });
    let hang_up = match hang_up {
        Ok(hang_up) => hang_up,
        Err(error) => {
            return wrong_use(&format!("the signals SIGXFSZ and SIGHUP cannot be handled: {error}"));
        }
    };
    let inputs = arguments.inputs();
    match prepare(&inputs, arguments.accept_loss) {
        Ok(prepared) => serve(&system, prepared, &inputs, hang_up),
        Err(message) => wrong_use(&message),
    }
}

/// A write beyond the process's limit on the size of a file (`ulimit -f`) ends the process by SIGXFSZ, unless
/// somebody listens for that: then the write fails like one on a full disk, and its request is refused.
fn survive_file_limit() -> std::io::Result<()> {
    // Once there was a listener, the signal's default action does not come back.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

fn prepare(inputs: &Inputs, accepts_loss: bool) -> Result<Prepared, String> {
    let config = config::load(inputs)?;
    let policy = Policy::of(&config)?;
    let users = htpasswd::open(&config)?;
    let tls = load_tls(&config)?;
    open_files::raise_limit();
    open_files::check_limit(&config);
    // The address first: a start that cannot have it leaves nothing on the disk.
    let bind = |key, address| listen::bind(address).map_err(|e| listen_refusal(&config, key, address, &e));
    let listener = bind("listen", config.listen)?;
    let watched = config.metrics_listen.map(|address| bind("metrics_listen", address)).transpose()?;
    let store = open_store(&config, accepts_loss).map_err(|error| error.to_string())?;
    for words in store.dir().warnings().unwrap_or_default() {
        log::warn!("{words}");
    }
    let registry = Registry::new(store, Arc::new(SystemClock), config);
    let found = registry.recover().map_err(|error| format!("the start failed: {error}"))?;
    log::info!("the data directory is in order ({found})");
    if let Some(users) = &users {
        htpasswd::warn_of_names_in_both(users.path(), &users.get(), &registry.accounts());
    }
    let config = registry.config();
    warn_of_access(&config, &policy, &registry);
    let login = Login::start(&config.settings, users)?;
    let (registry, tls) = (Arc::new(registry), tls.map(Arc::new));
    Ok(Prepared { listener, watched, registry, policy, login, tls, config })
}

/// The certificate and its key, where the configuration names them.
pub fn load_tls(config: &Config) -> Result<Option<Tls>, String> {
    let tls = config.tls.clone().map(Tls::load).transpose();
    tls.map_err(|error| format!("TLS cannot be spoken (tls_certificate, tls_key): {error}"))
}

/// Says what is allowed and yet is probably not meant.
fn warn_of_access(config: &Config, policy: &Policy, registry: &Registry) {
    if policy.is_unsaid() && registry.accounts().has_users() {
        log::warn!(
            "there are users, and nothing says who may do what: everybody on this machine may do everything; \
             say it with [[access]] rules"
        );
    }
    if config.challenge == Challenge::Basic && policy.names_users() && policy.anonymous_may_anything() {
        log::warn!(
            "challenge=basic: docker pulls nothing without an account, though rules allow it to everybody; \
             with challenge=bearer it does"
        );
    }
}

fn listen_refusal(config: &Config, key: &str, address: SocketAddr, error: &std::io::Error) -> String {
    // A registry that runs on this directory most likely has the address, too; it is the better word.
    let in_use = DataDir::in_use(&config.data).filter(|_| error.kind() == ErrorKind::AddrInUse);
    if let Some(refusal) = in_use {
        return refusal.to_string();
    }
    let place = match config.source(key) {
        Source::Variable(name) => name,
        Source::File { path, line } => format!("`{key}` in {}:{line}", path.display()),
        Source::Default | Source::Argument(_) => "--listen".to_owned(),
    };
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port by",
        ErrorKind::PermissionDenied => "this user may not take that port: choose one above 1023 by",
        ErrorKind::AddrNotAvailable => "this machine has no such address: choose one of its own by",
        _ => "choose another address by",
    };
    format!("cannot listen on {address}: {error}; {advice} {place}")
}

fn serve(system: &SystemRunner, prepared: Prepared, inputs: &Inputs, mut hang_up: Signals) -> ExitCode {
    let Prepared { listener, watched, registry, policy, login, tls, config } = prepared;
    let control = control::serve(&registry)
        .inspect_err(|error| {
            log::warn!("no control.sock, so commands cannot talk to this server: {error}");
        })
        .ok();
    let housekeeping = Background::housekeeping(Arc::clone(&registry));
    let scrub = Background::scrub(Arc::clone(&registry));
    let certificate = tls.clone().map(|tls| Background::certificate(Arc::clone(&registry), tls));
    let address = listener.local_addr().unwrap_or(config.listen);
    let mut greeting = greeting(address, &config, &policy);
    if let Some(address) = watched.as_ref().and_then(|listener| listener.local_addr().ok()) {
        greeting = format!("{greeting}its numbers are at http://{address}/metrics\n");
    }
    let state = State::new(Arc::clone(&registry), policy, login, random::number());
    let state = Data::new(state.with_tls(tls));
    let outcome = system.block_on(async {
        // Before a word is printed: whoever reads it may stop us at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let start = |listener, audience| listen::start(listener, state.clone(), audience, &config.settings);
        let server = start(listener, Audience::Clients)?;
        let watched = watched.map(|listener| start(listener, Audience::Watchers)).transpose()?;
        let watched = watched.map(|server| (server.handle(), actix_web::rt::spawn(server)));
        greet(&greeting);
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => {
                    reload(inputs, &state);
                    housekeeping.wake();
                    certificate.as_ref().inspect(|certificate| certificate.wake());
                }
            }
        }
        state.stop();
        log::info!("stopping: running requests have {} s to end", config.settings.shutdown_grace_secs);
        handle.stop(true).await;
        let ended = running.await.map_err(std::io::Error::other);
        // To the last they are told that it stops.
        if let Some((handle, running)) = watched {
            handle.stop(false).await;
            drop(running.await);
        }
        ended?
    });
    registry.stop();
    drop((housekeeping, scrub, certificate));
    drop(control);
    if !registry.wait_for_uploads(LEAVE_LIMIT) {
        log::warn!(
            "stopping with uploads whose last bytes are not durable; they go on where they were before"
        );
    }
    // Threads of requests that were broken off may have it still.
    registry.close();
    match outcome {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => wrong_use(&format!("the server cannot run: {error}")),
    }
}

/// The repository that the greeting offers to push.
const SAMPLE: &str = "busybox";

/// Where everything is, and what can be tried at once.
fn greeting(address: SocketAddr, config: &Config, policy: &Policy) -> String {
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let host = config.public_url.as_ref().map(|url| url.host().to_owned());
    let (data, host) = (data.display(), host.unwrap_or_else(|| reachable(address).to_string()));
    let who = Principal::Anonymous;
    // A push asks first for what is there already.
    let may_push = [Action::Pull, Action::Push].iter().all(|&action| policy.allows(&who, action, SAMPLE));
    let commands = if may_push {
        format!("docker pull {SAMPLE}\n  docker tag {SAMPLE} {host}/{SAMPLE}\n  docker push {host}/{SAMPLE}")
    } else if !policy.may_see(&who).is_nothing() {
        format!("docker pull {host}/REPOSITORY:TAG")
    } else {
        format!("docker login {host}")
    };
    format!("wharfinger listens on {scheme}://{address}\nthe data is in {data}\ntry it:\n  {commands}\n")
}

fn greet(words: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to serve.
    drop(out.write_all(words.as_bytes()));
    drop(out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_greeting_offers_can_be_done() {
        let greet_by = |address: &str, variable: &str, value: &str| {
            let variables = vec![(variable.to_owned(), value.into())];
            let config = Inputs { variables, ..Inputs::default() }.load().unwrap();
            greeting(address.parse().unwrap(), &config, &Policy::of(&config).unwrap())
        };
        let greet = |address: &str, rights: &str| greet_by(address, "WHARFINGER_ANONYMOUS", rights);
        let words = greet("0.0.0.0:5020", "pull,push");
        assert!(words.contains("listens on http://0.0.0.0:5020\n"), "{words}");
        assert!(
            words.contains("docker pull busybox\n  docker tag busybox 127.0.0.1:5020/busybox\n"),
            "{words}"
        );
        assert!(words.contains("docker push 127.0.0.1:5020/busybox\n"), "{words}");
        let say = |key, value: &str| (key, "-", value.to_owned());
        let arguments = vec![
            say("tls_certificate", "a"),
            say("tls_key", "b"),
            say("public_url", "https://registry.example"),
        ];
        let config = Inputs { arguments, ..Inputs::default() }.load().unwrap();
        let words = greeting("0.0.0.0:443".parse().unwrap(), &config, &Policy::everything());
        assert!(words.contains("listens on https://0.0.0.0:443\n"), "{words}");
        assert!(words.contains("docker push registry.example/busybox\n"), "{words}");
        let words = greet("[::]:5020", "pull");
        assert!(words.contains("docker pull [::1]:5020/") && !words.contains("push"), "{words}");
        for rights in ["push", "delete"] {
            let words = greet("[::]:5020", rights);
            assert!(words.contains("docker login [::1]:5020\n") && !words.contains("pull"), "{words}");
        }
        let by_rules = |rules: &str| greet_by("127.0.0.1:5020", "WHARFINGER_ACCESS", rules);
        let words = by_rules("[{who=[\"users\"], repos=[\"**\"], can=[\"push\"]}]");
        assert!(words.contains("docker login 127.0.0.1:5020\n") && !words.contains("push"), "{words}");
        let words = by_rules("[{who=[\"anonymous\"], repos=[\"public/**\"], can=[\"pull\", \"push\"]}]");
        assert!(words.contains("docker pull 127.0.0.1:5020/") && !words.contains("push"), "{words}");
    }
}
