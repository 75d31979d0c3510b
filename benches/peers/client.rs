//! A client that costs little CPU: bodies are discarded in the kernel and sent from files.

use rustix::fs::sendfile;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What is received, discarded or sent from a file at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The pieces in which docker sends a layer.
const CHUNK_BYTES: u64 = 32 * 1024;

/// What is read while a head is looked for.
const HEAD_BLOCK_BYTES: usize = 2048;

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    headers: String,
    /// What was received and not looked at yet.
    early: Vec<u8>,
    scratch: Vec<u8>,
}

/// The head of an answer, as far as it is wanted.
pub struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the body; none: it comes in chunks.
    pub length: Option<u64>,
    /// Where an upload goes on, without the server's name.
    pub location: String,
    /// What the server says that it stored or sends.
    pub digest: String,
}

impl Connection {
    /// Connects; each request presents `authorization` unless that is empty.
    pub fn open(server: SocketAddr, authorization: &str) -> Self {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        // Distribution 2.8 sends an OCI manifest only to who names its type.
        let mut headers = format!("Host: {server}\r\nAccept: {}\r\n", crate::files::IMAGE);
        if !authorization.is_empty() {
            headers.push_str("Authorization: ");
            headers.push_str(authorization);
            headers.push_str("\r\n");
        }
        Self { stream, headers, early: Vec::new(), scratch: vec![0; BLOCK_BYTES] }
    }

    /// Asks, and reads the whole answer.
    pub fn ask(&mut self, line: &str, body: &[u8]) -> (Head, Vec<u8>) {
        let head = format!("{line} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n", self.headers, body.len());
        self.stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
        let head = self.head();
        let body = if line.starts_with("HEAD ") { Vec::new() } else { self.body(&head) };
        (head, body)
    }

    /// Asks for what has to be answered so.
    pub fn expect(&mut self, status: u16, line: &str, body: &[u8]) -> (Head, Vec<u8>) {
        let (head, body) = self.ask(line, body);
        assert_eq!(head.status, status, "{line}: {}", String::from_utf8_lossy(&body));
        (head, body)
    }

    /// Pushes a manifest of that type.
    pub fn put_manifest(&mut self, path: &str, media_type: &str, manifest: &[u8]) {
        let length = manifest.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\n{}Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n",
            self.headers
        );
        self.stream.write_all(&[head.as_bytes(), manifest].concat()).expect("sent");
        let head = self.head();
        let body = self.body(&head);
        assert_eq!(head.status, 201, "PUT {path}: {}", String::from_utf8_lossy(&body));
    }

    /// Pulls so many bytes and looks at none of them.
    pub fn pull(&mut self, path: &str, bytes: u64) {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.headers);
        self.stream.write_all(request.as_bytes()).expect("sent");
        let head = self.head();
        assert_eq!((head.status, head.length), (200, Some(bytes)), "{path}");
        let mut left = bytes - self.early.len() as u64;
        self.early.clear();
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            left -= receive(&self.stream, &mut self.scratch[..most], RecvFlags::TRUNC) as u64;
        }
    }

    /// Sends a file as the body, with its length.
    pub fn send_file(&mut self, line: &str, file: &File, bytes: u64) -> Head {
        let head = format!("{line} HTTP/1.1\r\n{}Content-Length: {bytes}\r\n\r\n", self.headers);
        self.stream.write_all(head.as_bytes()).expect("sent");
        self.send_part(file, 0, bytes);
        self.answer()
    }

    /// Sends a file in chunks, since docker does not know how long its layers will be.
    pub fn send_chunks(&mut self, line: &str, file: &File, bytes: u64) -> Head {
        let head = format!("{line} HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n", self.headers);
        let mut before = head;
        for from in (0..bytes).step_by(usize::try_from(CHUNK_BYTES).expect("it is small")) {
            let part = CHUNK_BYTES.min(bytes - from);
            write!(before, "{part:x}\r\n").expect("a string takes all");
            self.send_more(before.as_bytes());
            self.send_part(file, from, part);
            "\r\n".clone_into(&mut before);
        }
        before.push_str("0\r\n\r\n");
        self.stream.write_all(before.as_bytes()).expect("sent");
        self.answer()
    }

    /// The head of an answer whose body does not matter.
    fn answer(&mut self) -> Head {
        let head = self.head();
        self.body(&head);
        head
    }

    /// Sends what shares its segment with what follows.
    fn send_more(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match send(&self.stream, bytes, SendFlags::MORE | SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) => assert_eq!(error, rustix::io::Errno::INTR),
            }
        }
    }

    fn send_part(&self, file: &File, from: u64, bytes: u64) {
        let mut at = from;
        let end = from + bytes;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            match sendfile(&self.stream, file, Some(&mut at), most) {
                Ok(0) => panic!("the file is too short"),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("while sending a file: {error}"),
            }
        }
    }

    fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.early.windows(4).position(|window| window == b"\r\n\r\n") {
                let text: Vec<u8> = self.early.drain(..end + 4).collect();
                return Head::read(&String::from_utf8_lossy(&text));
            }
            self.fill();
        }
    }

    /// The rest of an answer.
    fn body(&mut self, head: &Head) -> Vec<u8> {
        if let Some(length) = head.length {
            return self.exactly(usize::try_from(length).expect("it fits into memory"));
        }
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let length = usize::from_str_radix(&line, 16).expect("the length of a chunk");
            body.extend(self.exactly(length));
            assert_eq!(self.line(), "", "a chunk ends where it says");
            if length == 0 {
                return body;
            }
        }
    }

    fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut body: Vec<u8> = self.early.drain(..bytes.min(self.early.len())).collect();
        let have = body.len();
        body.resize(bytes, 0);
        self.stream.read_exact(&mut body[have..]).expect("the whole body");
        body
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.early.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.early.drain(..end + 2).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        let block = &mut self.scratch[..HEAD_BLOCK_BYTES];
        let got = receive(&self.stream, block, RecvFlags::empty());
        self.early.extend_from_slice(&self.scratch[..got]);
    }
}

impl Head {
    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {text}"));
        // What has no body needs no length; what is neither so nor in chunks is not understood here.
        let mut head = Self { status, length: Some(0), location: String::new(), digest: String::new() };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.parse().expect("a length")),
                "transfer-encoding" => head.length = None,
                "location" => without_server(value).clone_into(&mut head.location),
                "docker-content-digest" => value.clone_into(&mut head.digest),
                _ => {}
            }
        }
        head
    }
}

/// The path and query of an address that may begin with the server.
fn without_server(location: &str) -> &str {
    let behind = location.split_once("://").map(|(_, rest)| rest);
    behind.and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(location)
}

fn receive(stream: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> usize {
    loop {
        match recv(stream, &mut *buffer, flags).map_err(std::io::Error::from) {
            Ok((_, 0)) => panic!("the server closes the connection"),
            Ok((_, got)) => return got,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("while receiving: {error}"),
        }
    }
}
