//! A server with a ledger that is large enough, and the clients that never leave it alone while it is copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::history::{Found, History, Item, Span};
use crate::support::process::{self, Finished};
use crate::support::random::Random;
use crate::support::server::Builder;
use crate::support::{Client, ImageBuilder, Server, bytes, command, files, wait};
use crate::writer::{Writer, note};

/// A copy of a small database under writes is whole by luck, which hides what these tests look for.
const LEDGER_MIN_BYTES: u64 = 30 << 20;

/// The large documents that make the ledger so large.
const LARGE_DOCUMENTS: usize = 40;
const LARGE_DOCUMENT_BYTES: usize = 900_000;

const WRITERS: usize = 6;

/// A repository that no client of ours pushes to: it is in copies only that were used.
pub const ELSEWHERE: &str = "copies/elsewhere";

/// One in so many copies is collected as soon as it is opened, and looked at again.
const COLLECTED_ONE_IN: usize = 3;

/// How long the clients work before a copy begins.
const MARGIN_MIN_MS: usize = 200;
const MARGIN_MAX_MS: usize = 700;

/// The B-tree is written anew and snapshots are made many times in each copy, and what they make
/// superfluous goes while copies are made.
const SETTINGS: [(&str, &str); 3] = [
    ("WHARFINGER_LEDGER_CHECKPOINT_OPERATIONS", "100"),
    ("WHARFINGER_LEDGER_SNAPSHOT_BYTES", "2097152"),
    ("WHARFINGER_LEDGER_WINDOW_SECS", "60"),
];

/// What the log says of a copy that was recognised.
const OPENED_A_COPY: &str = "opened a copy as of";

/// One of these is in every refusal: what to do about it.
const CURES: [&str; 7] =
    ["restore", "remove", "move", "empty directory", "--accept-loss", "rebuild", "stop that one first"];

/// The server and all that was asked of it.
pub struct Scene {
    pub server: Server,
    histories: Histories,
    /// Has the server's directory `data` and room for copies of it.
    home: TempDir,
}

/// All that was asked of a server, for each of its repositories.
struct Histories {
    /// What makes the ledger large, and never changes.
    large: History,
    writers: Vec<Writer>,
}

/// What is deleted is collected by the server itself, and its files are unlinked at once.
const DELETES_AT_ONCE: [(&str, &str); 3] = [
    ("WHARFINGER_KEEP_DELETED_SECS", "0"),
    ("WHARFINGER_UNLINK_BATCH_SECS", "0"),
    ("WHARFINGER_HOUSEKEEPING_SECS", "1"),
];

/// A server with the settings of these tests.
pub fn builder(data: &Path) -> Builder {
    let builder = Server::builder().data(data);
    SETTINGS.iter().fold(builder, |builder, (name, value)| builder.env(name, value))
}

impl Scene {
    /// A server whose ledger is large, and that keeps what is deleted as long as others do.
    pub fn new(random: &mut Random) -> Self {
        Self::with(&[], random)
    }

    /// The same, with a server that keeps nothing that is deleted.
    pub fn that_keeps_nothing(random: &mut Random) -> Self {
        Self::with(&DELETES_AT_ONCE, random)
    }

    fn with(settings: &[(&str, &str)], random: &mut Random) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let builder = builder(&home.path().join("data"));
        let server = settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start();
        let large = push_large_documents(&server, random.draw());
        let writers = (0..WRITERS).map(|number| Writer::new(format!("copies/w{number}"), random.draw()));
        let mut scene = Self { histories: Histories { large, writers: writers.collect() }, server, home };
        scene.work(random, false, |_| ());
        let ledger = files::files_under(&scene.data().join("ledger"));
        let total: u64 = ledger.iter().map(|path| files::size(path)).sum();
        assert!(total >= LEDGER_MIN_BYTES, "the ledger has {total} bytes");
        scene
    }

    /// The server's directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A place beside the server's directory where there is nothing.
    pub fn place(&self, name: &str) -> PathBuf {
        let place = self.home.path().join(name);
        if place.exists() {
            fs::remove_dir_all(&place).expect("a copy can be removed");
        }
        place
    }

    /// Has the clients work from a moment before `act` until its end; if `collects`, what they delete is
    /// collected at once and its files are unlinked.
    pub fn work<T>(&mut self, random: &mut Random, collects: bool, act: impl FnOnce(&mut Server) -> T) -> T {
        let (address, data, stop) = (self.server.addr(), self.data(), AtomicBool::new(false));
        let before = MARGIN_MIN_MS + random.below(MARGIN_MAX_MS - MARGIN_MIN_MS);
        thread::scope(|scope| {
            let ends = Ends(&stop);
            for writer in &mut self.histories.writers {
                let stop = &stop;
                scope.spawn(move || {
                    let _ends = EndsInPanic(stop);
                    writer.work(&Client::new(address), stop);
                });
            }
            if collects {
                scope.spawn(|| collect(&data, &stop));
            }
            pass(before);
            let done = act(&mut self.server);
            drop(ends);
            done
        })
    }

    /// As `work`, around a copy of the server's directory; says when it was made.
    pub fn copy(&mut self, random: &mut Random, collects: bool, copy: impl FnOnce(&Path)) -> Span {
        self.work(random, collects, |server| {
            let began = Instant::now();
            copy(server.data());
            Span { began, ended: Instant::now() }
        })
    }

    /// Ends the server while the clients work: as a power cut does, or in order.
    pub fn end(&mut self, random: &mut Random, is_killed: bool) {
        self.work(random, false, |server| {
            if is_killed {
                server.kill();
            } else {
                assert!(server.stop().success(), "a clean stop");
            }
        });
    }

    /// Compares the server that was opened on a copy with what was asked of this one, and works with it; then
    /// has it stopped and its directory verified.
    pub fn check_copy(&self, server: Server, span: &Span, random: &mut Random) -> (usize, usize) {
        let client = server.client();
        let found = self.check(&server, span, random);
        if random.one_in(COLLECTED_ONE_IN) {
            command::command(&server, &["gc", "--now"]).expect_code(0);
            let after = self.check(&server, span, random);
            assert_eq!(figures(&after), figures(&found), "nothing is collected that is there");
        }
        let image = ImageBuilder::sample(random.draw()).build();
        image.push(&client, ELSEWHERE, "new");
        image.assert_pullable(&client, ELSEWHERE, "new");
        drop(server);
        figures(&found)
    }

    /// Compares a server with what was asked of this one.
    pub fn check(&self, server: &Server, span: &Span, random: &mut Random) -> Vec<Found> {
        self.histories.check(&server.client(), span, random.draw())
    }

    /// How many requests were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.histories.acknowledged()
    }

    /// Forgets what was deleted long ago, after all copies were checked.
    pub fn forget(&mut self) {
        self.histories.writers.iter_mut().for_each(|writer| writer.history.forget());
    }

    /// Puts a copy in the place of the directory that it was made of.
    pub fn go_on_with(&mut self, copy: &Path) {
        assert!(self.server.stop().success(), "a clean stop");
        fs::remove_dir_all(self.data()).expect("the directory can be removed");
        fs::rename(copy, self.data()).expect("a rename");
        let logged_before = self.server.log().len();
        self.server.restart();
        expect_opened_as_copy(&self.server.log()[logged_before..]);
    }

    /// The same of our own server, which was opened on a copy and goes on from there.
    pub fn check_and_go_on(&mut self, span: &Span, random: &mut Random) -> (usize, usize) {
        let found = self.check(&self.server, span, random);
        let figures = figures(&found);
        self.histories.settle(found);
        assert!(self.server.stop().success(), "a clean stop");
        self.server.verify();
        self.server.restart();
        figures
    }
}

impl Histories {
    fn all(&self) -> impl Iterator<Item = &History> {
        self.writers.iter().map(|writer| &writer.history).chain([&self.large])
    }

    fn acknowledged(&self) -> usize {
        self.all().map(|history| history.acknowledged).sum()
    }

    fn check(&self, client: &Client, span: &Span, seed: u64) -> Vec<Found> {
        let known: Vec<&str> = self.all().map(|history| history.repository.as_str()).collect();
        for name in client.catalog() {
            assert!(known.contains(&name.as_str()), "{name} was pushed to");
        }
        thread::scope(|scope| {
            let begin = |history: &'_ History| {
                let client = Client::new(client.address());
                history.check(&client, span, seed)
            };
            let looks: Vec<_> = self.all().map(|history| scope.spawn(move || begin(history))).collect();
            let finished = looks
                .into_iter()
                .map(|look| look.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            finished.collect()
        })
    }

    /// `found` is in the order of `all`.
    fn settle(&mut self, found: Vec<Found>) {
        let histories = self.writers.iter_mut().map(|writer| &mut writer.history).chain([&mut self.large]);
        histories.zip(found).for_each(|(history, found)| history.settle(found));
    }
}

/// How many things may or may not have been there, and how many of them showed what is newer.
fn figures(found: &[Found]) -> (usize, usize) {
    found.iter().fold((0, 0), |(all, newer), found| (all + found.undecided, newer + found.newer))
}

/// Tells the others to end when it goes, however that comes about.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Tells the others to end if it goes in a panic.
struct EndsInPanic<'a>(&'a AtomicBool);

impl Drop for EndsInPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Collects all the time, as an administrator in a hurry does.
fn collect(data: &Path, stop: &AtomicBool) {
    let data = data.to_str().expect("a path in UTF-8");
    while !stop.load(Ordering::SeqCst) {
        process::run(&["gc", "--data", data, "--now"], &[]).expect_code(0);
        wait::briefly();
    }
}

fn push_large_documents(server: &Server, seed: u64) -> History {
    let mut history = History::of_large_ones("copies/large".to_owned());
    let images: Vec<_> = (0..LARGE_DOCUMENTS as u64)
        .map(|number| {
            let note = note(seed.wrapping_add(number), LARGE_DOCUMENT_BYTES);
            ImageBuilder::sample(number).annotation("org.example.note", &note).build()
        })
        .collect();
    for image in &images {
        history.remember(seed, image);
        let (item, tag) = (Item::Manifest(image.digest.clone()), bytes::hex(&image.digest)[..12].to_owned());
        let state = Some(image.digest.clone());
        history.ask(vec![(item, state.clone()), (Item::Tag(tag.clone()), state)]);
        image.push(&server.client(), &history.repository, &tag);
        history.answer();
    }
    history
}

/// Starts a server on a copy, which has to be recognised as one.
pub fn open_copy(data: &Path) -> Server {
    let server = builder(data).start();
    expect_opened_as_copy(&server.log());
    server
}

/// Begins a start on a copy and kills it: whatever it had done, the next one does the rest.
pub fn kill_a_start(data: &Path, after_ms: usize) {
    let home = data.parent().expect("a home");
    let mut command = process::program(home);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    pass(after_ms);
    child.kill().expect("SIGKILL");
    child.wait().expect("the killed process is collected");
}

/// One line, of this start, says that a copy was opened.
pub fn expect_opened_as_copy(log: &str) {
    let lines = log.lines().filter(|line| line.contains(OPENED_A_COPY)).count();
    assert_eq!(lines, 1, "lines with {OPENED_A_COPY:?} in: {log}");
}

/// A start was refused in words, which name the directory and say what to do.
pub fn expect_refusal(refusal: Finished, data: &Path) {
    let refusal = refusal.expect_code(2).expect_words(data.to_str().expect("a path in UTF-8"));
    let words = refusal.words();
    assert!(CURES.iter().any(|cure| words.contains(cure)), "it says what to do: {words}");
    assert!(!words.contains("panicked"), "{words}");
}

/// Lets some time pass.
pub fn pass(milliseconds: usize) {
    let (started, time) = (Instant::now(), Duration::from_millis(milliseconds as u64));
    let pause = Duration::from_millis(5);
    wait::every(pause, "time to pass", || (started.elapsed() >= time).then_some(()));
}
