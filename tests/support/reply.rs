//! An answer of the server, with the assertions that most tests make on it.

use serde_json::Value;

/// The codes of the distribution specification.
pub const OCI_CODES: [&str; 14] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
];

/// A code that Distribution added and that clients know.
const PAGINATION_CODE: &str = "PAGINATION_NUMBER_INVALID";

/// The code of every answer from 500 on.
const INTERNAL_CODE: &str = "UNKNOWN";

/// Headers that differ between two answers to one question.
const VOLATILE_HEADERS: [&str; 4] = ["connection", "date", "keep-alive", "x-request-id"];

#[derive(Clone, Debug)]
pub struct Reply {
    /// Method and path of the request, for messages.
    pub request: String,
    pub status: u16,
    /// Names in lower case, in the order of the wire.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Asserts the status and hands the reply on.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "status of {}: {self}", self.request);
        self
    }

    /// Asserts that the status is one of several the specification leaves open.
    #[track_caller]
    pub fn expect_status_in(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "status of {} not in {statuses:?}: {self}", self.request);
        self
    }

    /// The value of a header, if it is there.
    pub fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header that must be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let count = self.headers.iter().filter(|(known, _)| known == name).count();
        assert_eq!(count, 1, "{name} is there once in the answer to {}: {self}", self.request);
        self.find_header(name).expect("counted above")
    }

    /// Asserts the value of a header and hands the reply on.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), value, "{name} in the answer to {}", self.request);
        self
    }

    /// Asserts that a header is not there and hands the reply on.
    #[track_caller]
    pub fn expect_no_header(self, name: &str) -> Self {
        assert_eq!(self.find_header(name), None, "{name} in the answer to {}", self.request);
        self
    }

    /// Asserts the body and hands the reply on. Long bodies are not printed.
    #[track_caller]
    pub fn expect_body(self, body: &[u8]) -> Self {
        let (got, wanted) = (self.body.len(), body.len());
        let first = self.body.iter().zip(body).position(|(left, right)| left != right);
        assert!(
            self.body == body,
            "body of {}: {got} bytes, not {wanted}; first difference at {first:?}",
            self.request
        );
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("JSON, not {error}: {self}"))
    }

    /// Asserts the form of an OCI error and gives its first code.
    #[track_caller]
    pub fn oci_error(&self) -> String {
        let errors = self.oci_errors();
        errors[0]["code"].as_str().expect("checked").to_owned()
    }

    /// Asserts status and first code of an error and hands the reply on.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let reply = self.expect_status(status);
        assert_eq!(reply.oci_error(), code, "code of {}: {reply}", reply.request);
        reply
    }

    /// Asserts the form of an OCI error and gives all entries.
    #[track_caller]
    pub fn oci_errors(&self) -> Vec<Value> {
        assert!(self.status >= 400, "an error: {self}");
        assert!(self.header("content-type").starts_with("application/json"), "JSON content type: {self}");
        let body = self.json();
        let fields = body.as_object().expect("the body is an object");
        assert!(fields.keys().eq(["errors"]), "nothing but errors: {self}");
        let errors = body["errors"].as_array().expect("errors is a list").clone();
        assert!(!errors.is_empty(), "at least one error: {self}");
        for error in &errors {
            self.check_entry(error);
        }
        errors
    }

    #[track_caller]
    fn check_entry(&self, error: &Value) {
        let fields = error.as_object().expect("each error is an object");
        let known = |name: &String| ["code", "message", "detail"].contains(&name.as_str());
        assert!(fields.keys().all(known), "only code, message and detail: {self}");
        let code = error["code"].as_str().expect("code is a string");
        if self.status >= 500 {
            assert_eq!(code, INTERNAL_CODE, "the code of every 5xx: {self}");
        } else {
            assert!(OCI_CODES.contains(&code) || code == PAGINATION_CODE, "a known code: {self}");
        }
        let message = error["message"].as_str().expect("message is a string");
        assert!(!message.is_empty(), "words for a person: {self}");
    }

    /// The headers that must be the same in GET and HEAD, sorted.
    pub fn stable_headers(&self) -> Vec<(String, String)> {
        let stable = |name: &String| !VOLATILE_HEADERS.contains(&name.as_str());
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| stable(name)).cloned().collect();
        headers.sort();
        headers
    }

    /// The target of the Link header to the next page, if there is one.
    #[track_caller]
    pub fn next_page(&self) -> Option<String> {
        let link = self.find_header("link")?;
        let (target, relation) = link.split_once('>').expect("a Link has a target in angle brackets");
        let target = target.strip_prefix('<').expect("a Link begins with an angle bracket");
        assert_eq!(relation.trim_start_matches(';').trim(), "rel=\"next\"", "the relation: {link}");
        assert!(target.starts_with("/v2/"), "a Link is relative to the host: {link}");
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(&byte);
        assert!(target.bytes().all(legal), "a Link is percent-encoded: {link}");
        Some(target.to_owned())
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.body[..self.body.len().min(2000)];
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(shown))
    }
}
