//! Work of a server that no request waits for: a thread each, which ends with the server.

use crate::http::tls::Tls;
use crate::registry::{Error, Registry, Scrub};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long the scrub pauses between two rounds: what it may read in a second it reads in one go.
const SCRUB_PAUSE: Duration = Duration::from_secs(1);

/// How long it takes until renewed files of a certificate are seen, and as long again until they are read.
const CERTIFICATE_PAUSE: Duration = Duration::from_secs(1);

/// A thread that is told to end, and waited for, when this is dropped.
pub struct Background {
    /// A word wakes it, the end of the sender ends it.
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start(name: &str, work: impl FnOnce(Receiver<()>) + Send + 'static) -> Self {
        let (wake, woken) = channel();
        let thread = Builder::new().name(name.to_owned()).spawn(move || work(woken));
        let thread = thread.inspect_err(|error| log::error!("no {name}: {error}")).ok();
        Self { wake: Some(wake), thread }
    }

    /// Begins a round at once: a reload may have changed how long it waits, and what it does.
    pub fn wake(&self) {
        // Where there is no thread, nobody listens.
        self.wake.as_ref().and_then(|wake| wake.send(()).ok());
    }

    /// Ends idle uploads, collects, and unlinks files every now and then.
    pub fn housekeeping(registry: Arc<Registry>) -> Self {
        Self::start("housekeeping", move |woken| {
            let mut busy = false;
            let interval = |busy: bool| {
                // The steps of a second are done, and there are more.
                let secs = if busy { 1 } else { registry.config().settings.housekeeping_secs };
                Duration::from_secs(secs)
            };
            while goes_on(&woken, interval(busy)) {
                let outcome = registry.keep_house();
                busy = outcome.inspect_err(|error| report("housekeeping", error)).unwrap_or(false);
            }
            let written = registry.write_token_uses();
            written.inspect_err(|error| report("noting when tokens were used", error)).ok();
        })
    }

    /// Takes up a renewed certificate, and warns of one that is about to end.
    pub fn certificate(registry: Arc<Registry>, tls: Arc<Tls>) -> Self {
        Self::start("certificate", move |woken| {
            loop {
                tls.warn(registry.config().settings.certificate_warn_days);
                match woken.recv_timeout(CERTIFICATE_PAUSE) {
                    Ok(()) => tls.look(true),
                    Err(RecvTimeoutError::Timeout) => tls.look(false),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
    }

    /// Reads stored files again, little by little.
    pub fn scrub(registry: Arc<Registry>) -> Self {
        Self::start("scrub", move |woken| {
            let mut scrub = Scrub::default();
            while goes_on(&woken, SCRUB_PAUSE) {
                registry.scrub(&mut scrub).inspect_err(|error| report("the scrub", error)).ok();
            }
            registry.note_scrub(&mut scrub).inspect_err(|error| report("the scrub", error)).ok();
        })
    }
}

/// Waits, and says whether there is another round.
fn goes_on(woken: &Receiver<()>, pause: Duration) -> bool {
    woken.recv_timeout(pause) != Err(RecvTimeoutError::Disconnected)
}

fn report(what: &str, error: &Error) {
    log::error!("{what} failed, it will be tried again: {error}");
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
