//! The limit on open files, which connections are.

use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A connection and the blob or upload that it moves.
const FILES_PER_CONNECTION: u64 = 2;

/// What the server has open by itself: the ledger, listeners, what its threads wait by, and room to spare.
const OWN_FILES: u64 = 256;

/// Takes as many as the system lets this process have. Many systems give 1,024 unless they are asked.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it does not go, what there is has to do; whether it does is said below.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        log::debug!("the limit on open files stays: {error}");
    }
}

/// Warns if `connections_max` does not fit.
pub fn check_limit(config: &Config) {
    let connections = config.settings.connections_max;
    let needed = connections.saturating_mul(FILES_PER_CONNECTION).saturating_add(OWN_FILES);
    let Some(limit) = getrlimit(Resource::Nofile).current.filter(|&limit| limit < needed) else { return };
    log::warn!(
        "connections_max is {connections}, which may need {needed} open files, and this process may have \
         {limit}: raise its limit (LimitNOFILE of systemd, `ulimit -n`), or lower connections_max"
    );
}
