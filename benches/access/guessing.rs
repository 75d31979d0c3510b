//! Passwords are guessed while others pull: 10,000 wrong logins a minute, from one address and from many.

use crate::pulls;
use crate::scene::{Scene, USER, Way};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often each is measured, in turns.
const ROUNDS: usize = 3;

/// How long pulls are measured each time.
const LASTING: Duration = Duration::from_secs(30);

/// The time between two guesses: 10,000 a minute.
const EVERY: Duration = Duration::from_millis(6);

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Guesses by what became of them: a status, or none where there was no answer.
type Answers = BTreeMap<Option<u16>, usize>;

/// A guesser at work.
struct Guesser {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Answers>,
}

pub fn run() {
    let scene = Scene::start(Way::Bearer);
    let one = vec![Ipv4Addr::new(127, 0, 0, 3)];
    let many: Vec<_> = (1..=100).map(|last| Ipv4Addr::new(127, 0, 1, last)).collect();
    let (mut calm, mut by_one, mut by_many) = (Vec::new(), Vec::new(), Vec::new());
    let mut answers = [Answers::new(), Answers::new()];
    for _ in 0..ROUNDS {
        calm.push(pulls::pull(&scene, LASTING));
        for ((from, times), answers) in
            [(&one, &mut by_one), (&many, &mut by_many)].into_iter().zip(&mut answers)
        {
            let guesser = Guesser::start(scene.address, from.clone());
            times.push(pulls::pull(&scene, LASTING));
            for (answer, count) in guesser.end() {
                *answers.entry(answer).or_default() += count;
            }
        }
    }
    println!("pulls while passwords are guessed, 10,000 a minute; medians of {ROUNDS} rounds:");
    pulls::show("nobody guesses", &calm, &calm);
    pulls::show("from one address", &by_one, &calm);
    pulls::show("from 100 addresses", &by_many, &calm);
    println!("guesses by their answers: {:?} from one address, {:?} from 100", answers[0], answers[1]);
}

impl Guesser {
    fn start(server: SocketAddr, from: Vec<Ipv4Addr>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(guess_all(server, &from, &told))
        });
        Self { stop, thread }
    }

    fn end(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no guesser panics")
    }
}

/// Guesses at a steady pace, however long the answers take, from each address in turn.
async fn guess_all(server: SocketAddr, from: &[Ipv4Addr], stop: &AtomicBool) -> Answers {
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut guesses, mut answers) = (JoinSet::new(), Answers::new());
    for (number, &address) in from.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        pace.tick().await;
        guesses.spawn(timeout(PATIENCE, guess(server, address, number)));
        while let Some(ended) = guesses.try_join_next() {
            note(&mut answers, ended.expect("no guess panics"));
        }
    }
    while let Some(ended) = guesses.join_next().await {
        note(&mut answers, ended.expect("no guess panics"));
    }
    answers
}

fn note(answers: &mut Answers, answer: Result<io::Result<u16>, tokio::time::error::Elapsed>) {
    *answers.entry(answer.ok().and_then(Result::ok)).or_default() += 1;
}

/// One wrong login on a connection of its own; gives the status.
async fn guess(server: SocketAddr, from: Ipv4Addr, number: usize) -> io::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(server).await?;
    let credentials = STANDARD.encode(format!("{USER}:guess number {number}"));
    let head = format!(
        "GET /v2/ HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Authorization: Basic {credentials}\r\n\r\n"
    );
    stream.writable().await?;
    stream.try_write(head.as_bytes())?;
    let (mut reply, mut block) = (Vec::new(), [0; 4096]);
    loop {
        stream.readable().await?;
        match stream.try_read(&mut block) {
            Ok(0) => break,
            Ok(length) => reply.extend_from_slice(&block[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&reply);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
