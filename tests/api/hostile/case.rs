//! One hostile request and the answer it must get.

/// A request, what is hostile about it, and its answer.
pub struct Case {
    /// What is wrong with the request, for people.
    pub title: String,
    pub request: Request,
    pub answer: Answer,
}

/// A request as it goes onto the wire.
pub struct Request {
    /// Decides whether the answer has a body.
    pub method: &'static str,
    pub bytes: Vec<u8>,
    /// How the document shows it.
    pub shown: String,
    /// How the document shows its body.
    pub shown_body: String,
    /// Whether a second request follows on the same connection, which must never be answered.
    pub hides_another: bool,
}

/// What is expected of an answer.
pub struct Answer {
    pub status: u16,
    /// The code of the first error; empty where there is no error, or no body that could hold one.
    pub code: &'static str,
    /// A part of the first error's message: what was expected instead.
    pub words: &'static str,
    /// Whether the end of the connection without a word is as good: the request was running already.
    pub or_the_end: bool,
}

impl Case {
    pub fn of(title: impl Into<String>, request: Request) -> Self {
        let answer = Answer { status: 0, code: "", words: "", or_the_end: false };
        Self { title: title.into(), request, answer }
    }

    /// The answer is an error in the form of the specification.
    pub fn refused(mut self, status: u16, code: &'static str, words: &'static str) -> Self {
        assert!(status >= 400 && !code.is_empty() && !words.is_empty(), "an error: {}", self.title);
        self.answer = Answer { status, code, words, ..self.answer };
        self
    }

    /// The request is answered, and changes nothing.
    pub fn answered(mut self, status: u16) -> Self {
        self.answer.status = status;
        self
    }

    /// The request is refused without a body: to HEAD, or by actix-http, before there is a request.
    pub fn refused_without_words(self, status: u16) -> Self {
        self.answered(status)
    }

    /// The end of the connection is an answer too.
    pub fn or_the_end(mut self) -> Self {
        self.answer.or_the_end = true;
        self
    }
}

impl Request {
    /// A request with a good head but for its method and path.
    pub fn of(method: &'static str, path: &str) -> Self {
        let line = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\n\r\n");
        let shown = format!("{method} {path}");
        let (bytes, shown_body) = (line.into_bytes(), String::new());
        Self { method, bytes, shown, shown_body, hides_another: false }
    }

    /// Adds a line to the head.
    pub fn header(mut self, line: &str) -> Self {
        assert!(self.bytes.ends_with(b"\r\n\r\n"), "headers stand before the body");
        self.bytes.truncate(self.bytes.len() - 2);
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.extend_from_slice(b"\r\n\r\n");
        self.shown.push('\n');
        self.shown.push_str(line);
        self
    }

    /// A body with its length.
    pub fn body(self, content: &[u8]) -> Self {
        let length = content.len();
        let shown = self.shown.clone();
        let mut request = self.header(&format!("Content-Length: {length}"));
        request.shown = shown;
        request.bytes.extend_from_slice(content);
        request.shown_body = String::from_utf8_lossy(content).into_owned();
        request
    }

    /// Words for a body that is too long to be shown, or dull.
    pub fn shown_as(mut self, words: &str) -> Self {
        self.shown_body = format!("({words})");
        self
    }

    /// A body in one chunk.
    pub fn chunked(self, content: &str) -> Self {
        let mut request = self.header("Transfer-Encoding: chunked");
        request.bytes.extend_from_slice(format!("{:x}\r\n{content}\r\n0\r\n\r\n", content.len()).as_bytes());
        content.clone_into(&mut request.shown_body);
        request
    }

    /// Bytes that need not be a request, with another one right behind them.
    pub fn raw(bytes: &[u8]) -> Self {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let method = if bytes.starts_with(b"HEAD ") { "HEAD" } else { "POST" };
        Self { method, bytes: bytes.to_vec(), shown, shown_body: String::new(), hides_another: true }
    }
}

pub fn get(path: &str) -> Request {
    Request::of("GET", path)
}

pub fn head(path: &str) -> Request {
    Request::of("HEAD", path)
}

pub fn post(path: &str) -> Request {
    Request::of("POST", path).body(b"")
}

pub fn put(path: &str, content: &[u8]) -> Request {
    Request::of("PUT", path).body(content)
}

/// A manifest of that type.
pub fn put_manifest(path: &str, media_type: &str, content: &[u8]) -> Request {
    Request::of("PUT", path).header(&format!("Content-Type: {media_type}")).body(content)
}

pub fn patch(path: &str, content: &[u8]) -> Request {
    Request::of("PATCH", path).body(content)
}

pub fn delete(path: &str) -> Request {
    Request::of("DELETE", path)
}
