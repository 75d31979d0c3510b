//! What a durable push costs at least: receive, SHA-256, write, fdatasync, rename, sync of the directory; a
//! thread a connection, one buffer, and of HTTP no more than the client needs.
//!
//! It is this bench, started again with [`ARGUMENT`], so that its CPU is that of a process of its own.

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The first argument of the bench that makes it this server, before the directory.
pub const ARGUMENT: &str = "raw-floor";

/// What is received before it is hashed and written: at less than these the calls begin to count.
const BUFFER_BYTES: usize = 256 * 1024;

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Numbers the files.
static NUMBER: AtomicU64 = AtomicU64::new(0);

pub fn command(home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of the bench"));
    command.arg(ARGUMENT).arg(home);
    command
}

/// Serves until the process is ended.
pub fn serve(home: &Path) {
    let (staging, stored) = (home.join("staging"), home.join("stored"));
    for dir in [&staging, &stored] {
        std::fs::create_dir_all(dir).expect("a directory in the home");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("the raw floor listens on http://{}", listener.local_addr().expect("an address"));
    for stream in listener.incoming() {
        let (stream, staging, stored) = (stream.expect("a client"), staging.clone(), stored.clone());
        thread::spawn(move || connection(&stream, &staging, &stored));
    }
}

/// Answers one PUT after the other until the client goes.
fn connection(stream: &TcpStream, staging: &Path, stored: &PathBuf) {
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some((length, early)) = head(stream, &mut buffer) {
        let name = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let part = staging.join(&name);
        let mut file = File::create_new(&part).expect("a new file");
        let mut hasher = Sha256::new();
        // What came with the head stands at the front of the buffer.
        let (mut filled, mut left) = (early, length);
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            while filled < want {
                filled += receive(stream, &mut buffer[filled..want]).expect("the whole body");
            }
            hasher.update(&buffer[..want]);
            file.write_all(&buffer[..want]).expect("room on the disk");
            left -= want as u64;
            filled = 0;
        }
        file.sync_data().expect("the disk syncs");
        std::fs::rename(&part, stored.join(&name)).expect("a new name");
        File::open(stored).and_then(|dir| dir.sync_all()).expect("the disk syncs");
        let digest = base16ct::lower::encode_string(&hasher.finalize());
        let head = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\ndocker-content-digest: sha256:";
        let mut stream = stream;
        stream.write_all(format!("{head}{digest}\r\n\r\n").as_bytes()).expect("sent");
    }
}

/// The length of the next body, and how much of it is in the buffer already.
fn head(stream: &TcpStream, buffer: &mut [u8]) -> Option<(u64, usize)> {
    let mut filled = 0;
    loop {
        let got = receive(stream, &mut buffer[filled..HEAD_BYTES_MAX])?;
        filled += got;
        if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse().ok()).expect("a length");
            buffer.copy_within(end + 4..filled, 0);
            return Some((length, filled - end - 4));
        }
        assert!(filled < HEAD_BYTES_MAX, "a head has an end");
    }
}

/// Receives something, or nothing more.
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match recv(stream, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => return None,
            Ok((_, got)) => return Some(got),
            Err(Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
