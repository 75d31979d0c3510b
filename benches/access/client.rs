//! A connection that is kept, from an address of this machine's own network.

use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

/// A client.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The headers of each request.
    headers: String,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    /// Connects from an address with a header of credentials, or none.
    pub fn connect(server: SocketAddr, from: Ipv4Addr, authorization: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of the loopback network");
        socket.connect(&server.into()).expect("the server listens");
        socket.set_tcp_nodelay(true).expect("a socket");
        let mut headers = format!("Host: {server}\r\n");
        if !authorization.is_empty() {
            headers.push_str("Authorization: ");
            headers.push_str(authorization);
            headers.push_str("\r\n");
        }
        Self { stream: BufReader::new(socket.into()), headers }
    }

    /// Asks, and reads the whole answer.
    pub fn ask(&mut self, line: &str, body: &[u8]) -> Reply {
        let head = format!("{line} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n", self.headers, body.len());
        let request = [head.as_bytes(), body].concat();
        self.stream.get_mut().write_all(&request).expect("sent");
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            self.stream.read_line(&mut head).expect("an answer");
            let line = head[begin..].trim_end();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let has_body = !line.starts_with("HEAD");
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.stream.read_exact(&mut body).expect("the whole body");
        Reply { status: status.expect("a status"), head, body }
    }

    /// Asks for what has to be answered so.
    pub fn expect(&mut self, status: u16, line: &str, body: &[u8]) -> Reply {
        let reply = self.ask(line, body);
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, status, "{line}: {} {text}", reply.head);
        reply
    }
}
