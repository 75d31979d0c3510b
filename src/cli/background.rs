//! Work of a server that no request waits for: a thread each, which ends with the server.

use crate::registry::{Error, Registry, Scrub};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long the scrub pauses between two rounds: what it may read in a second it reads in one go.
const SCRUB_PAUSE: Duration = Duration::from_secs(1);

/// A thread that is told to end, and waited for, when this is dropped.
pub struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start(name: &str, work: impl FnOnce(Receiver<()>) + Send + 'static) -> Self {
        let (stop, stopped) = channel();
        let thread = Builder::new().name(name.to_owned()).spawn(move || work(stopped));
        let thread = thread.inspect_err(|error| log::error!("no {name}: {error}")).ok();
        Self { stop: Some(stop), thread }
    }

    /// Ends idle uploads, collects, and unlinks files every now and then.
    pub fn housekeeping(registry: Arc<Registry>) -> Self {
        Self::start("housekeeping", move |stopped| {
            let mut busy = false;
            let interval = |busy: bool| {
                // The steps of a second are done, and there are more.
                let secs = if busy { 1 } else { registry.config().settings.housekeeping_secs };
                Duration::from_secs(secs)
            };
            while goes_on(&stopped, interval(busy)) {
                let outcome = registry.keep_house();
                busy = outcome.inspect_err(|error| report("housekeeping", error)).unwrap_or(false);
            }
        })
    }

    /// Reads stored files again, little by little.
    pub fn scrub(registry: Arc<Registry>) -> Self {
        Self::start("scrub", move |stopped| {
            let mut scrub = Scrub::default();
            while goes_on(&stopped, SCRUB_PAUSE) {
                registry.scrub(&mut scrub).inspect_err(|error| report("the scrub", error)).ok();
            }
            registry.note_scrub(&mut scrub).inspect_err(|error| report("the scrub", error)).ok();
        })
    }
}

/// Waits, and says whether there is another round.
fn goes_on(stopped: &Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
}

fn report(what: &str, error: &Error) {
    log::error!("{what} failed, it will be tried again: {error}");
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
