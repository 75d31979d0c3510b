//! The htpasswd file at the start.

use crate::auth::htpasswd::Htpasswd;
use crate::config::{Config, WatchedFile};
use crate::registry::Book;
use std::path::Path;

/// How many names one line of the log has.
const NAMES_SHOWN: usize = 10;

/// Opens the configured file, if there is one; the refusal is in words for the one who started the command.
pub fn open(config: &Config) -> Result<Option<WatchedFile<Htpasswd>>, String> {
    let refused = |error| format!("{}: htpasswd={error}", config.source("htpasswd"));
    config.htpasswd.as_deref().map(|path| open_file(path).map_err(refused)).transpose()
}

fn open_file(path: &Path) -> Result<WatchedFile<Htpasswd>, String> {
    let parse = |content: &[u8]| Htpasswd::parse(content).map_err(|error| error.to_string());
    WatchedFile::open(path, parse).map_err(|error| error.to_string())
}

/// Says which names the ledger has, too: who set a password in the file would wonder.
pub fn warn_of_names_in_both(path: &Path, users: &Htpasswd, book: &Book) {
    let mut both: Vec<_> = users.names().filter(|name| book.user(name).is_some()).collect();
    if both.is_empty() {
        return;
    }
    both.sort_unstable();
    let shown = both.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = if both.len() > NAMES_SHOWN { ", ..." } else { "" };
    log::warn!(
        "{} users of {} are in the ledger, too, and their passwords there count: {shown}{more}; remove them \
         from one of the two (`wharfinger user rm NAME`)",
        both.len(),
        path.display()
    );
}
