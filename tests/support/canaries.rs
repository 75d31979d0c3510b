//! Secrets that the tests hand to servers. No server may leave one of them in its log, on its standard output
//! or in its data directory: each is searched for them at its end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use super::files;

/// A text that is shorter may stand anywhere by chance, or as a word.
const LENGTH_MIN: usize = 12;

/// How much of a file that clients filled is searched. The ledger and whatever else there is are read whole.
const OF_A_BLOB: usize = 64 << 10;

/// All of this process, in the order in which they came.
static CANARIES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Remembers a secret: a password, a robot's secret, a token, or the header that has one of them.
pub fn add(secret: &str) {
    if secret.len() >= LENGTH_MIN {
        CANARIES.lock().expect("nothing panics while it is held").push(secret.to_owned());
    }
}

/// How many there are so far. A server cannot have been told any that came before it.
pub fn count() -> usize {
    CANARIES.lock().expect("nothing panics while it is held").len()
}

/// Those that came behind the first `before`.
fn since(before: usize) -> BTreeSet<String> {
    CANARIES.lock().expect("nothing panics while it is held")[before..].iter().cloned().collect()
}

/// Asserts that none of the canaries that came behind the first `before` is in a text.
#[track_caller]
pub fn assert_none_in(what: &str, text: &str, before: usize) {
    let found = since(before).into_iter().find(|canary| text.contains(canary.as_str()));
    assert!(found.is_none(), "a secret is in {what}: {found:?}");
}

/// The same of every file of a data directory.
#[track_caller]
pub fn assert_none_under(data: &Path, before: usize) {
    let canaries = since(before);
    if canaries.is_empty() {
        return;
    }
    for path in files::files_under(data) {
        let Ok(mut content) = std::fs::read(&path) else { continue };
        if !path.starts_with(data.join("ledger")) {
            content.truncate(OF_A_BLOB);
        }
        let text = String::from_utf8_lossy(&content);
        let found = canaries.iter().find(|canary| text.contains(canary.as_str()));
        assert!(found.is_none(), "a secret is in {}: {found:?}", path.display());
    }
}
