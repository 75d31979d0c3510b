//! SIGHUP: the configuration is read again, and what can change while the registry serves, changes.

use super::{config, htpasswd, open_files};
use crate::auth::Policy;
use crate::config::{Config, Inputs, Reload};
use crate::http::state::State;

/// Reads the configuration again. One that is refused changes nothing.
pub fn reload(inputs: &Inputs, state: &State) {
    match read(inputs, state) {
        Ok(changes) if changes.is_empty() => log::info!("reloaded: nothing has changed"),
        Ok(changes) => changes.iter().for_each(|change| log::info!("reloaded: {change}")),
        Err(words) => log::error!("not reloaded, the configuration before stays in force: {words}"),
    }
}

fn read(inputs: &Inputs, state: &State) -> Result<Vec<String>, String> {
    let running = state.registry.config();
    let read = config::load(inputs)?;
    let changes = read.changes_since(&running);
    let next: Config = read.reloaded_over(&running);
    // Judged by the address that is listened on, not by one that the file may name for the next start.
    let policy = Policy::of(&next)?;
    // An empty file by mistake would open a registry that was closed.
    if policy.is_unsaid() && !state.policy().is_unsaid() {
        return Err("nothing says any more who may do what; to open the registry to all on this machine, \
                    start it anew"
            .to_owned());
    }
    // The same file is looked at all the time, and what is wrong in it keeps no rule from being taken back.
    if next.htpasswd != running.htpasswd {
        state.login.set_htpasswd(htpasswd::open(&next)?);
    }
    state.set_policy(policy);
    open_files::check_limit(&next);
    state.registry.set_config(next);
    let told = changes.into_iter().map(|(key, before, after, reload)| match reload {
        Reload::Live => format!("{key} was {before} and is {after}"),
        Reload::Restart => format!("{key} stays {before} until the next start, then it is {after}"),
    });
    Ok(told.collect())
}
