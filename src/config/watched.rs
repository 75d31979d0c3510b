//! Files that take effect when they change, without a restart and without a signal.
//!
//! Whoever asks for the content costs one stat. The file is read again when its times, size or inode are not
//! those of the last reading: so it may be replaced by a rename, through a symbolic link (as Kubernetes does
//! it), or be written in place.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The largest file that is read.
const WATCHED_FILE_MAX_BYTES: u64 = 1024 * 1024;

/// A file that was changed less long before it was read may be changed again without another time: some file
/// systems count in steps of two seconds. Once so much has passed it is read once more.
const SETTLE: Duration = Duration::from_secs(2);

/// Why a file is not what it has to be, in words for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct WatchedFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// What tells one content of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    /// Whether another change from now on would show.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now_secs = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let changed_secs = u64::try_from(self.changed.0.max(self.modified.0)).unwrap_or_default();
        now_secs > changed_secs.saturating_add(SETTLE.as_secs())
    }
}

/// What is known of the file since it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Its stamp when it was read, and whether it was settled then.
    Read(Stamp, bool),
    /// It could not be read, for this reason. That is tried again each time.
    Unread(String),
}

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

/// A file, and what its last good content means.
pub struct WatchedFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    state: RwLock<(Seen, Arc<T>)>,
    /// Held by whoever reads it again.
    reading: Mutex<()>,
}

impl<T> WatchedFile<T> {
    /// Reads a file for the first time, and says what is wrong with it. The words of `parse` are shown and
    /// logged: they must hold no secret of the content.
    pub fn open(
        path: &Path,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, WatchedFileError> {
        let refuse = |reason| WatchedFileError { path: path.to_path_buf(), reason };
        let (stamp, content) = read(path).map_err(refuse)?;
        let value = content.and_then(|content| parse(&content)).map_err(refuse)?;
        let seen = Seen::Read(stamp, stamp.is_settled(SystemTime::now()));
        let state = RwLock::new((seen, Arc::new(value)));
        Ok(Self { path: path.to_path_buf(), parse: Box::new(parse), state, reading: Mutex::new(()) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file means now. Where it is gone, cannot be read or is wrong: what it meant before, and the
    /// log says so once.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.get_at(SystemTime::now())
    }

    fn get_at(&self, now: SystemTime) -> Arc<T> {
        let (seen, value) = self.state();
        if self.is_current(&seen, now) {
            return value;
        }
        let _reading = self.hold_reading();
        let (seen, value) = self.state();
        // Somebody else may have read it meanwhile.
        if self.is_current(&seen, now) {
            return value;
        }
        self.read_again(&seen, value, now)
    }

    fn is_current(&self, seen: &Seen, now: SystemTime) -> bool {
        match (seen, fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata))) {
            (Seen::Read(read, settled), Ok(stamp)) => *read == stamp && (*settled || !stamp.is_settled(now)),
            _ => false,
        }
    }

    fn read_again(&self, seen: &Seen, before: Arc<T>, now: SystemTime) -> Arc<T> {
        let path = self.path.display();
        let (next, value) = match read(&self.path) {
            Err(reason) => {
                let next = Seen::Unread(reason);
                if next != *seen
                    && let Seen::Unread(reason) = &next
                {
                    log::error!("{path}: {reason}; what it said before stays in force");
                }
                (next, before)
            }
            Ok((stamp, content)) => {
                let is_another = !matches!(seen, Seen::Read(read, _) if *read == stamp);
                let value = content.and_then(|content| (self.parse)(&content));
                match &value {
                    Ok(_) if is_another => log::info!("{path} was read again"),
                    Err(reason) if is_another => {
                        log::error!("{path}: {reason}; what it said before stays in force");
                    }
                    _ => {}
                }
                (Seen::Read(stamp, stamp.is_settled(now)), value.map_or(before, Arc::new))
            }
        };
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = (next, Arc::clone(&value));
        value
    }

    fn state(&self) -> (Seen, Arc<T>) {
        // Setting it is one assignment: a panic cannot leave it half done.
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold_reading(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> std::fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WatchedFile({})", self.path.display())
    }
}

/// Reads a file: the stamp that it had before, and its content, or why that is not looked at.
fn read(path: &Path) -> Result<(Stamp, Result<Vec<u8>, String>), String> {
    let words = |error: std::io::Error| format!("it cannot be read: {error}");
    // Before it is opened: that would wait for ever for the other end of a pipe.
    let metadata = fs::metadata(path).map_err(words)?;
    if !metadata.is_file() {
        return Ok((Stamp::of(&metadata), Err("it is no file".to_owned())));
    }
    let file = File::open(path).map_err(words)?;
    // What is written meanwhile gives it another one.
    let stamp = Stamp::of(&file.metadata().map_err(words)?);
    let mut content = Vec::new();
    file.take(WATCHED_FILE_MAX_BYTES + 1).read_to_end(&mut content).map_err(words)?;
    if content.len() as u64 > WATCHED_FILE_MAX_BYTES {
        let reason = format!("it has more than {WATCHED_FILE_MAX_BYTES} bytes: is it the right file?");
        return Ok((stamp, Err(reason)));
    }
    Ok((stamp, Ok(content)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::TempDir;

    /// A file that means its text, and how often it was parsed. `bad` is no meaning.
    struct Scene {
        home: TempDir,
        parsed: Arc<AtomicUsize>,
    }

    impl Scene {
        fn new(content: &str) -> (Self, Result<WatchedFile<String>, WatchedFileError>) {
            let scene = Self { home: tempfile::tempdir().unwrap(), parsed: Arc::default() };
            scene.replace(content);
            let parsed = Arc::clone(&scene.parsed);
            let file = WatchedFile::open(&scene.path(), move |content| {
                parsed.fetch_add(1, Ordering::Relaxed);
                let text = String::from_utf8_lossy(content).into_owned();
                if text == "bad" { Err("line 1: it is bad".to_owned()) } else { Ok(text) }
            });
            (scene, file)
        }

        fn path(&self) -> PathBuf {
            self.home.path().join("file")
        }

        fn replace(&self, content: &str) {
            let new = self.home.path().join("new");
            fs::write(&new, content).unwrap();
            fs::rename(new, self.path()).unwrap();
        }

        fn parsed(&self) -> usize {
            self.parsed.load(Ordering::Relaxed)
        }
    }

    /// When no change can be hidden any more.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn another_file_is_read_and_the_same_is_not() {
        let (scene, file) = Scene::new("one");
        let file = file.unwrap();
        for _ in 0..10 {
            assert_eq!(*file.get(), "one");
        }
        assert_eq!(scene.parsed(), 1);
        scene.replace("two");
        assert_eq!(*file.get(), "two");
        fs::write(scene.path(), "three").unwrap();
        assert_eq!(*file.get(), "three", "of another size");
    }

    #[test]
    fn what_changed_just_before_it_was_read_is_read_once_more() {
        let (scene, file) = Scene::new("one");
        let file = file.unwrap();
        for _ in 0..10 {
            assert_eq!(*file.get_at(later()), "one");
        }
        assert_eq!(scene.parsed(), 2);
    }

    #[test]
    fn a_link_to_another_file_is_followed() {
        let (scene, file) = Scene::new("unused");
        drop(file);
        for content in ["one", "two"] {
            fs::write(scene.home.path().join(content), content).unwrap();
        }
        let link = scene.home.path().join("link");
        std::os::unix::fs::symlink("one", &link).unwrap();
        let file =
            WatchedFile::open(&link, |content| Ok(String::from_utf8_lossy(content).into_owned())).unwrap();
        assert_eq!(*file.get(), "one");
        std::os::unix::fs::symlink("two", scene.path().with_extension("link")).unwrap();
        fs::rename(scene.path().with_extension("link"), &link).unwrap();
        assert_eq!(*file.get(), "two");
    }

    #[test]
    fn a_bad_or_missing_file_leaves_what_was_good() {
        let (scene, file) = Scene::new("one");
        let file = file.unwrap();
        scene.replace("bad");
        for _ in 0..10 {
            assert_eq!(*file.get(), "one");
        }
        assert_eq!(scene.parsed(), 2, "it is not tried again and again");
        scene.replace("two");
        assert_eq!(*file.get(), "two");
        fs::remove_file(scene.path()).unwrap();
        assert_eq!(*file.get(), "two");
        fs::create_dir(scene.path()).unwrap();
        assert_eq!(*file.get(), "two");
        fs::remove_dir(scene.path()).unwrap();
        scene.replace(&"a".repeat(1024 * 1024 + 1));
        assert_eq!(*file.get(), "two");
        scene.replace("bad");
        assert_eq!(*file.get(), "two");
        scene.replace("three");
        assert_eq!(*file.get(), "three");
    }

    #[test]
    fn the_first_reading_has_to_be_good() {
        let reason = |content: &str| Scene::new(content).1.unwrap_err().to_string();
        assert!(reason("bad").ends_with("file: line 1: it is bad"), "{}", reason("bad"));
        assert!(reason(&"a".repeat(1024 * 1024 + 1)).contains("more than 1048576 bytes"));
        assert!(Scene::new(&"a".repeat(1024 * 1024)).1.is_ok());
        let open = |path: &str| WatchedFile::open(Path::new(path), |_| Ok(())).unwrap_err().to_string();
        assert!(open("/nowhere/htpasswd").starts_with("/nowhere/htpasswd: it cannot be read"));
        assert_eq!(open("/"), "/: it is no file");
        assert_eq!(open("/dev/null"), "/dev/null: it is no file");
    }

    #[test]
    fn everybody_sees_the_new_content_at_once() {
        let (scene, file) = Scene::new("0");
        let file = file.unwrap();
        for round in 1..20 {
            scene.replace(&round.to_string());
            std::thread::scope(|scope| {
                let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| file.get())).collect();
                for reader in readers {
                    assert_eq!(*reader.join().unwrap(), round.to_string());
                }
            });
        }
        // Each content once, and the last one again if two seconds have passed.
        assert!((20..=40).contains(&scene.parsed()), "{}", scene.parsed());
    }
}
