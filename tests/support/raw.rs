//! HTTP/1.1 by hand, for tests of the wire itself: what no well-behaved client sends, and what it hides.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::Reply;
use super::tls::Secure;

/// How long to wait for bytes that must come.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A head that never ends is an error of its own.
const HEAD_MAX_BYTES: usize = 64 << 10;

/// What bytes go over.
enum Wire {
    Plain(TcpStream),
    Secure(Box<Secure>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => &stream.sock,
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Secure(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
        }
    }
}

pub struct Connection {
    stream: Wire,
    address: SocketAddr,
    /// Read from the socket and not yet taken by a reply.
    pending: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self { stream: Wire::Plain(connect(address)), address, pending: Vec::new() }
    }

    /// The same, over TLS.
    pub fn secure(address: SocketAddr, stream: Secure) -> Self {
        Self { stream: Wire::Secure(Box::new(stream)), address, pending: Vec::new() }
    }

    /// Sends bytes as they are. A server that hung up already is no fault of the request.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        match self.stream.write_all(bytes) {
            Err(error) if hung_up(error.kind()) => {}
            sent => sent.expect("the server reads"),
        }
        self
    }

    /// Sends a request line, `Host`, and `headers`, each line without its end.
    pub fn send_head(&mut self, method: &str, path: &str, headers: &[&str]) -> &mut Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    /// Sends one chunk of a chunked body.
    pub fn send_chunk(&mut self, chunk: &[u8]) -> &mut Self {
        assert!(!chunk.is_empty(), "an empty chunk ends a body");
        self.send(format!("{:x}\r\n", chunk.len()).as_bytes()).send(chunk).send(b"\r\n")
    }

    /// Ends a chunked body.
    pub fn send_last_chunk(&mut self) -> &mut Self {
        self.send(b"0\r\n\r\n")
    }

    /// Reads one reply to `method`. Bytes behind it stay for the next.
    #[track_caller]
    pub fn reply(&mut self, method: &str) -> Reply {
        let (status, headers) = self.head();
        let mut reply = Reply { request: format!("raw {method}"), status, headers, body: Vec::new() };
        let bodyless = method == "HEAD" || status == 204 || status == 304 || status < 200;
        if bodyless {
            return reply;
        }
        if reply.find_header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            reply.body = self.chunked_body();
        } else if let Some(length) = reply.find_header("content-length") {
            let length = length.parse().expect("Content-Length is a number");
            reply.body = self.take(length);
        } else {
            reply.body = self.rest();
        }
        reply
    }

    /// Reads one reply to `method`, if the server says anything before it closes the connection.
    #[track_caller]
    pub fn reply_before_end(&mut self, method: &str) -> Option<Reply> {
        let answered = !self.pending.is_empty() || self.fill();
        answered.then(|| self.reply(method))
    }

    /// Waits until the first bytes of an answer have come.
    #[track_caller]
    pub fn wait_for_answer(&mut self) {
        assert!(!self.pending.is_empty() || self.fill(), "closed without an answer");
    }

    /// Asserts that the server closes the connection and says nothing more.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "closed without a word, not {:?}", String::from_utf8_lossy(&rest));
    }

    /// Everything up to the end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.pending)
    }

    /// Says that nothing more comes, and goes on reading.
    pub fn end_sending(&mut self) -> &mut Self {
        self.stream.socket().shutdown(Shutdown::Write).ok();
        self
    }

    /// Breaks the connection off, with whatever was announced still missing.
    pub fn break_off(&mut self) {
        self.stream.socket().shutdown(Shutdown::Both).ok();
    }

    #[track_caller]
    fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let end = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at;
            }
            assert!(self.pending.len() < HEAD_MAX_BYTES, "a head ends");
            assert!(
                self.fill(),
                "the stream ends before a reply: {:?}",
                String::from_utf8_lossy(&self.pending)
            );
        };
        let head = self.take(end + 4);
        let text = String::from_utf8(head).expect("a head is text");
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().expect("a status line");
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("a status line, not {line:?}"));
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        (status, lines.map(header).collect())
    }

    #[track_caller]
    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.pending.len() < length {
            assert!(self.fill(), "the stream ends {} bytes early", length - self.pending.len());
        }
        let rest = self.pending.split_off(length);
        std::mem::replace(&mut self.pending, rest)
    }

    #[track_caller]
    fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.pending, b"\r\n") {
                let mut line = self.take(at + 2);
                line.truncate(at);
                return String::from_utf8(line).expect("a chunk size is text");
            }
            assert!(self.fill(), "the stream ends in a chunk size");
        }
    }

    #[track_caller]
    fn chunked_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("a chunk size");
            let chunk = self.take(size + 2);
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Reads once; false at the end of the stream.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.pending.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) if hung_up(error.kind()) => false,
            Err(error) => panic!("bytes or an end within {READ_TIMEOUT:?}, not {error}"),
        }
    }
}

/// A connection that gives up on bytes that do not come.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a timeout");
    stream.set_write_timeout(Some(READ_TIMEOUT)).expect("a timeout");
    stream.set_nodelay(true).expect("bytes leave at once");
    stream
}

fn hung_up(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
