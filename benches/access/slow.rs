//! Thousands of connections that send a byte of a head every second, while others pull.

use crate::pulls;
use crate::scene::{Scene, Way};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::sleep;

/// How often each is measured, in turns.
const ROUNDS: usize = 3;

/// How long pulls are measured each time.
const LASTING: Duration = Duration::from_secs(20);

/// How many connections there are.
const CONNECTIONS: u32 = 2000;

/// How many come from one address: fewer than `connections_per_address_max`.
const PER_ADDRESS: u32 = 125;

/// How long each waits for its next byte.
const EVERY: Duration = Duration::from_secs(1);

/// What each has sent before its next connection is closed by the server or ended here.
const HEAD: &[u8] = b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: a\r\n\r\n";

/// The connections at work.
struct Slow {
    stop: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    /// Connections that the server closed.
    closed: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

pub fn run() {
    let scene = Scene::start(Way::Bearer);
    let (mut calm, mut slowed) = (Vec::new(), Vec::new());
    let mut closed = 0;
    for _ in 0..ROUNDS {
        calm.push(pulls::pull(&scene, LASTING));
        let slow = Slow::start(scene.address);
        slow.wait_until_open();
        slowed.push(pulls::pull(&scene, LASTING));
        slow.wait_until_open();
        closed += slow.end();
    }
    println!("pulls beside {CONNECTIONS} connections of a byte a second; medians of {ROUNDS} rounds:");
    pulls::show("without them", &calm, &calm);
    pulls::show("with them", &slowed, &calm);
    println!("every pull was answered; {closed} slow connections were closed by the server and opened again");
}

impl Slow {
    fn start(server: SocketAddr) -> Self {
        let (stop, open, closed) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (told, opened, ended) = (Arc::clone(&stop), Arc::clone(&open), Arc::clone(&closed));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                for number in 0..CONNECTIONS {
                    let (opened, ended) = (Arc::clone(&opened), Arc::clone(&ended));
                    tokio::spawn(async move {
                        // They are not to send all at the same moment.
                        sleep(EVERY * number / CONNECTIONS).await;
                        loop {
                            // One that was refused tries again after its time.
                            drain_slowly(server, address_of(number), &opened).await.ok();
                            ended.fetch_add(1, Ordering::Relaxed);
                            sleep(EVERY / 10).await;
                        }
                    });
                }
                while !told.load(Ordering::Relaxed) {
                    sleep(EVERY / 10).await;
                }
            });
        });
        Self { stop, open, closed, thread }
    }

    /// Waits until nearly all are open: some are between two connections.
    fn wait_until_open(&self) {
        while self.open.load(Ordering::Relaxed) < CONNECTIONS as usize * 9 / 10 {
            thread::sleep(EVERY / 10);
        }
    }

    /// Ends them; says how many the server closed.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no client panics");
        self.closed.load(Ordering::Relaxed)
    }
}

/// Where a connection comes from: 127.0.2.1 and those behind it.
fn address_of(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 2, 1)) + number / PER_ADDRESS)
}

/// Opens a connection and sends a byte at a time, until the server has enough of it.
async fn drain_slowly(server: SocketAddr, from: Ipv4Addr, open: &AtomicUsize) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(server).await?;
    open.fetch_add(1, Ordering::Relaxed);
    for byte in HEAD.chunks(1) {
        if stream.try_write(byte).is_err() || has_ended(stream.try_read(&mut [0; 512])) {
            break;
        }
        sleep(EVERY).await;
    }
    open.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// Whether the server answered or closed: both are the end of it.
fn has_ended(read: io::Result<usize>) -> bool {
    read.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |_| true)
}
