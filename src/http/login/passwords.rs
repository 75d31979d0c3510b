//! Checking passwords without letting that hold up anything else.
//!
//! A check takes tens of milliseconds of a processor by design, so the checks have threads of their own, few
//! and of low priority, and a queue with an end. What was found right is remembered for a short time, under a
//! keyed hash of the password and of the stored hash it fits: a password that was changed is another entry.

use crate::config::Settings;
use crate::random;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How much the threads give way to others: to the requests, and not so much that on a machine with other
/// work nobody can log in.
const NICENESS: i32 = 5;

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Too many wait already: it was not looked at.
    Busy,
}

type Check = Box<dyn FnOnce() -> bool + Send>;

struct Job {
    check: Check,
    reply: oneshot::Sender<bool>,
}

/// For how long it is remembered that a password is wrong.
const WRONG: Duration = Duration::from_secs(60);

/// What was found out, by keyed hash, each with when that is forgotten.
#[derive(Default)]
struct Memory(Mutex<HashMap<[u8; 32], Instant>>);

impl Memory {
    fn has(&self, entry: &[u8; 32], now: Instant) -> bool {
        self.entries().get(entry).is_some_and(|&until| now < until)
    }

    /// Moves the end of an entry that is still there. Whether it is.
    fn prolong(&self, entry: &[u8; 32], now: Instant, life: Duration) -> bool {
        let mut entries = self.entries();
        let Some(until) = entries.get_mut(entry).filter(|until| now < **until) else { return false };
        *until = now + life;
        true
    }

    /// Where there are `max` already, somebody is checked once more.
    fn add(&self, entry: [u8; 32], now: Instant, life: Duration, max: u64) {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut entries = self.entries();
        if entries.len() >= max {
            entries.retain(|_, &mut until| now < until);
        }
        if entries.len() < max {
            entries.insert(entry, now + life);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        // Every change is one operation: a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads that check passwords, and what they found.
pub struct Passwords {
    queue: SyncSender<Job>,
    /// Of the keyed hashes.
    key: [u8; 32],
    right: Memory,
    /// Clients try one that is wrong again and again, which is no guessing.
    wrong: Memory,
}

impl Passwords {
    /// Starts the threads.
    pub fn start(settings: &Settings) -> std::io::Result<Self> {
        let count = |setting: u64| usize::try_from(setting).expect("a number of checks is far below 2^32");
        let (queue, jobs) = sync_channel(count(settings.password_queue_max));
        let threads = match count(settings.password_threads) {
            0 => std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1)),
            threads => threads,
        };
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new().name("password".into()).spawn(move || work(&jobs))?;
        }
        let key = random::bytes();
        Ok(Self { queue, key, right: Memory::default(), wrong: Memory::default() })
    }

    /// Whether it was found out a short time ago that the password fits the stored hash. Who goes on using it
    /// is not checked in between.
    pub fn is_remembered(&self, stored: &str, password: &str, settings: &Settings) -> bool {
        let life = Duration::from_secs(settings.password_cache_secs);
        self.right.prolong(&self.entry(stored, password), Instant::now(), life)
    }

    /// Remembers that the password fits the stored hash.
    pub fn remember(&self, stored: &str, password: &str, settings: &Settings) {
        let (entry, life) = (self.entry(stored, password), Duration::from_secs(settings.password_cache_secs));
        self.right.add(entry, Instant::now(), life, settings.password_cache_max);
    }

    /// Whether it was found out a short time ago that the password does not fit the stored hash of that name;
    /// also of a name that nobody has.
    pub fn is_known_wrong(&self, stored: Option<&str>, name: &str, password: &str) -> bool {
        self.wrong.has(&self.wrong_entry(stored, name, password), Instant::now())
    }

    /// Remembers that the password does not fit.
    pub fn remember_wrong(&self, stored: Option<&str>, name: &str, password: &str, settings: &Settings) {
        let entry = self.wrong_entry(stored, name, password);
        self.wrong.add(entry, Instant::now(), WRONG, settings.password_cache_max);
    }

    /// Checks, when a thread is free for it.
    pub async fn check(&self, check: impl FnOnce() -> bool + Send + 'static) -> Verdict {
        let (reply, answer) = oneshot::channel();
        match self.queue.try_send(Job { check: Box::new(check), reply }) {
            Ok(()) => match answer.await {
                Ok(true) => Verdict::Right,
                // A check that panicked found nothing right.
                Ok(false) | Err(_) => Verdict::Wrong,
            },
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Verdict::Busy,
        }
    }

    /// The key is before all else and never told, so nobody can say what an entry would be.
    fn entry(&self, stored: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update((stored.len() as u64).to_be_bytes());
        hash.update(stored);
        hash.update(password);
        hash.finalize().into()
    }

    fn wrong_entry(&self, stored: Option<&str>, name: &str, password: &str) -> [u8; 32] {
        self.entry(&format!("{}\0{name}", stored.unwrap_or_default()), password)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // For the calling thread alone, as Linux has it. Where it is not allowed, it is done without.
    rustix::process::setpriority_process(None, NICENESS).ok();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { check, reply }) = job else { return };
        // Whoever asked may have gone: then nothing needs to be found out.
        if reply.is_closed() {
            continue;
        }
        let right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        reply.send(right.unwrap_or(false)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(future)
    }

    /// A look at a future that cannot be ready yet.
    fn begin(future: std::pin::Pin<&mut impl Future<Output = Verdict>>) {
        assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    fn passwords(queue: u64) -> Passwords {
        let settings = Settings { password_threads: 1, password_queue_max: queue, ..Settings::default() };
        Passwords::start(&settings).unwrap()
    }

    #[test]
    fn a_check_is_answered_and_a_panic_is_no_yes() {
        let passwords = passwords(1);
        assert_eq!(block_on(passwords.check(|| true)), Verdict::Right);
        assert_eq!(block_on(passwords.check(|| false)), Verdict::Wrong);
        assert_eq!(block_on(passwords.check(|| panic!("of a test"))), Verdict::Wrong);
        assert_eq!(block_on(passwords.check(|| true)), Verdict::Right);
    }

    #[test]
    fn the_queue_has_an_end() {
        let passwords = passwords(1);
        let (go, wait) = channel::<()>();
        let (began, begins) = channel::<()>();
        let slow = passwords.check(move || {
            began.send(()).unwrap();
            wait.recv().is_ok()
        });
        let mut slow = pin!(slow);
        begin(slow.as_mut());
        begins.recv().unwrap();
        let mut second = pin!(passwords.check(|| true));
        begin(second.as_mut());
        assert_eq!(block_on(passwords.check(|| true)), Verdict::Busy);
        go.send(()).unwrap();
        assert_eq!(block_on(slow), Verdict::Right);
        assert_eq!(block_on(second), Verdict::Right);
    }

    #[test]
    fn only_what_fits_together_is_remembered() {
        let passwords = passwords(1);
        let settings = Settings::default();
        passwords.remember("$hash", "right", &settings);
        assert!(passwords.is_remembered("$hash", "right", &settings));
        assert!(!passwords.is_remembered("$hash", "wrong", &settings));
        assert!(!passwords.is_remembered("$other", "right", &settings), "the password was changed");
        assert!(!passwords.is_remembered("$hashr", "ight", &settings));
        passwords.remember("$short", "right", &Settings { password_cache_secs: 0, ..Settings::default() });
        assert!(!passwords.is_remembered("$short", "right", &settings));
        passwords.remember_wrong(None, "nobody", "wrong", &settings);
        assert!(passwords.is_known_wrong(None, "nobody", "wrong"));
        assert!(
            !passwords.is_known_wrong(None, "nobody", "other")
                && !passwords.is_known_wrong(None, "a", "wrong")
        );
        assert!(!passwords.is_known_wrong(Some("$hash"), "nobody", "wrong"), "now there is one");
        let full = Settings { password_cache_max: 1, ..Settings::default() };
        passwords.remember("$more", "right", &full);
        assert!(!passwords.is_remembered("$more", "right", &settings));
    }
}
