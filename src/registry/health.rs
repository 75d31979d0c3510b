//! Whether the registry can do its work, and what it cannot do.

use super::error::Error;
use super::{Registry, StoreError};
use crate::store::{DAMAGED_BLOBS, Read};
use std::time::Duration;

/// A commit that is older says little of the disk as it is now.
const RECENT: Duration = Duration::from_secs(5);

/// A number that changes with each commit that is made to see that one can be made.
const PROBES: &str = "probes";

/// What is wrong with a registry, in words.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why it cannot serve.
    pub failures: Vec<String>,
    /// Why it can only do a part of what it is for.
    pub degraded: Vec<String>,
    /// How long ago the last commit was.
    pub last_commit_age: Option<Duration>,
}

impl Health {
    /// It cannot serve, for one reason.
    #[must_use]
    pub fn failing(reason: impl Into<String>) -> Self {
        Self { failures: vec![reason.into()], ..Self::default() }
    }
}

impl Registry {
    /// Reads the ledger, makes a commit if there was none lately, and looks at the disk and at what is
    /// damaged.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = Health::default();
        match self.store.read(|rows| Ok::<_, Error>(rows.counter(DAMAGED_BLOBS)?)) {
            Ok(0) => {}
            Ok(count) => health.degraded.push(format!(
                "damaged blobs: {count}; they count as not there until they are pushed again; the log and \
                 `wharfinger verify` name them"
            )),
            Err(error) => health.failures.push(format!("the ledger cannot be read: {error}")),
        }
        if self.store.commits().age().is_none_or(|age| age > RECENT) {
            self.try_to_commit(&mut health);
        }
        match self.expect_room(0) {
            Ok(()) => {}
            Err(error @ Error::NoRoom { .. }) => {
                health.degraded.push(format!("pushes are refused, pulls go on: {error}"));
            }
            Err(error) => health.degraded.push(format!("how full the disk is cannot be found out: {error}")),
        }
        health.last_commit_age = self.store.commits().age();
        health
    }

    fn try_to_commit(&self, health: &mut Health) {
        match self.store.write(|tx| Ok(tx.add(PROBES, 1)?)) {
            Ok(()) => {}
            // Pulling goes on.
            Err(StoreError::Full) => health.degraded.push(StoreError::Full.to_string()),
            Err(error) => health.failures.push(format!("the ledger cannot be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use crate::store::Room;

    #[test]
    fn a_commit_is_made_if_there_was_none_lately() {
        let scene = Scene::new(|_| {});
        let commits = || scene.registry.store.commits().closures.count();
        let health = scene.registry.health();
        assert_eq!((&health.failures, &health.degraded), (&vec![], &vec![]));
        assert!(health.last_commit_age.is_some());
        let before = commits();
        assert!(before > 0);
        assert!(scene.registry.health().failures.is_empty());
        assert!(commits() <= before + 1);
    }

    #[test]
    fn a_full_disk_is_no_reason_to_stop_pulling() {
        let scene = Scene::new(|_| {});
        scene.registry.store.faults.set_room(Some(Room { free: 1, total: 1 << 40 }));
        let health = scene.registry.health();
        assert!(health.failures.is_empty(), "{health:?}");
        assert!(health.degraded[0].starts_with("pushes are refused"), "{health:?}");
    }

    #[test]
    fn a_ledger_that_cannot_be_used_is_a_failure() {
        let scene = Scene::new(|_| {});
        scene.registry.store.faults.break_ledger(true);
        let mut health = scene.registry.health();
        // It would not be tried: the start has just committed.
        scene.registry.try_to_commit(&mut health);
        let failures = health.failures.join("; ");
        assert!(failures.contains("the ledger cannot be read: "), "{health:?}");
        assert!(failures.contains("the ledger cannot be written: "), "{health:?}");
        scene.registry.store.faults.break_ledger(false);
        assert_eq!(scene.registry.health().failures, Vec::<String>::new());
    }
}
