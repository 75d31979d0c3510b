//! The one table of refusals: which status, code and words a client gets for what.
//!
//! A 4xx means that the same request will be refused again, 5xx and 429 that it may be tried again; clients
//! act on that. What failed inside is logged with the request's id and never sent.

use super::conditions::entity_tag;
use crate::oci::{DigestError, NameError};
use crate::registry::{Error, StoreError};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::fmt;

/// The codes of distribution-spec ("Error Codes"), and the two that Distribution has beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `BLOB_UNKNOWN`
    BlobUnknown,
    /// `BLOB_UPLOAD_INVALID`
    BlobUploadInvalid,
    /// `BLOB_UPLOAD_UNKNOWN`
    BlobUploadUnknown,
    /// `DIGEST_INVALID`
    DigestInvalid,
    /// `MANIFEST_BLOB_UNKNOWN`
    ManifestBlobUnknown,
    /// `MANIFEST_INVALID`
    ManifestInvalid,
    /// `MANIFEST_UNKNOWN`
    ManifestUnknown,
    /// `NAME_INVALID`
    NameInvalid,
    /// `NAME_UNKNOWN`
    NameUnknown,
    /// `SIZE_INVALID`
    SizeInvalid,
    /// `DENIED`
    Denied,
    /// `UNAUTHORIZED`
    Unauthorized,
    /// `UNSUPPORTED`
    Unsupported,
    /// `TOOMANYREQUESTS`
    TooManyRequests,
    /// `PAGINATION_NUMBER_INVALID`, as Distribution says it: the specification has none for `n` and `last`.
    PaginationNumberInvalid,
    /// `UNKNOWN`, as Distribution says it: the specification has none for what failed inside.
    Unknown,
}

impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Denied => "DENIED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One entry of the answer's `errors`.
#[derive(Debug)]
struct Entry {
    code: Code,
    message: String,
    detail: Value,
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    entries: Vec<Entry>,
    headers: Vec<(HeaderName, String)>,
    /// What the log says and the client does not get to know.
    internal: Option<String>,
}

impl ApiError {
    /// A refusal with one entry.
    #[must_use]
    pub fn new(status: StatusCode, code: Code, message: &str) -> Self {
        let entry = Entry { code, message: message.to_owned(), detail: Value::Null };
        Self { status, entries: vec![entry], headers: Vec::new(), internal: None }
    }

    /// A name outside the grammar.
    #[must_use]
    pub fn name_invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, message)
    }

    /// An `n` or `last` that is none.
    #[must_use]
    pub fn pagination(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, message)
    }

    /// Something failed that the client is not to blame for and need not know.
    #[must_use]
    pub fn internal(words: String) -> Self {
        let message = "the registry failed; its log has more under this answer's X-Request-Id";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, message);
        Self { internal: Some(words), ..error }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a detail to the first entry.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.entries[0].detail = detail;
        self
    }

    /// Whether the method is what is refused: such an answer has to name those that are allowed.
    #[must_use]
    pub fn refuses_method(&self) -> bool {
        self.status == StatusCode::METHOD_NOT_ALLOWED
    }

    /// Whether the rest of the request did not come in time: it is not waited for, not even to throw it away.
    #[must_use]
    pub fn gives_up(&self) -> bool {
        self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// Whether this is a refusal of that code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.entries.iter().any(|entry| entry.code == code)
    }

    /// What only the log may say.
    #[must_use]
    pub fn internal_words(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    /// The answer in the form of distribution-spec ("Error Codes").
    #[must_use]
    pub fn to_response(&self) -> HttpResponse {
        let errors: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                json!({"code": entry.code.as_str(), "message": entry.message, "detail": entry.detail})
            })
            .collect();
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value).expect("paths, numbers and digests are visible ASCII");
            response.insert_header((name.clone(), value));
        }
        response.insert_header((header::CONTENT_TYPE, "application/json"));
        response.body(json!({ "errors": errors }).to_string())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.entries[0];
        write!(f, "{}: {}", entry.code.as_str(), entry.message)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::name_invalid(&error.to_string())
    }
}

impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, &error.to_string())
    }
}

/// The table. A new error of the registry must find its place here before it compiles.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |status, code| Self::new(status, code, &message);
        match error {
            Error::RepositoryUnknown(name) => {
                refuse(StatusCode::NOT_FOUND, Code::NameUnknown).with_detail(json!({"name": name.as_str()}))
            }
            Error::ManifestUnknown { reference, .. } => refuse(StatusCode::NOT_FOUND, Code::ManifestUnknown)
                .with_detail(json!({"reference": reference.to_string()})),
            Error::BlobUnknown { digest, .. } => {
                refuse(StatusCode::NOT_FOUND, Code::BlobUnknown).with_detail(json!({"digest": digest}))
            }
            Error::ReferencesMissing { repository, missing } => {
                let entries = missing.iter().map(|missing| Entry {
                    code: Code::ManifestBlobUnknown,
                    message: format!("{repository} has no {}: push it first", missing.digest),
                    detail: json!({"digest": missing.digest}),
                });
                let first = refuse(StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown);
                Self { entries: entries.collect(), ..first }
            }
            Error::ReferenceSize { digest, stated, stored } => invalid_manifest(&message)
                .with_detail(json!({"digest": digest, "stated": stated, "stored": stored})),
            Error::ManifestInvalid(_) | Error::ManifestConflict { .. } => invalid_manifest(&message),
            Error::ManifestTooLarge { .. } => refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            Error::DigestMismatch { expected, actual } => {
                refuse(StatusCode::BAD_REQUEST, Code::DigestInvalid)
                    .with_detail(json!({"expected": expected, "actual": actual}))
            }
            Error::ConditionFailed { present, .. } => {
                let refused = refuse(StatusCode::PRECONDITION_FAILED, Code::Denied)
                    .with_detail(json!({"present": present}));
                match present {
                    Some(present) => refused.with_header(header::ETAG, entity_tag(present)),
                    None => refused,
                }
            }
            Error::UploadUnknown(_) => refuse(StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
            Error::UploadBusy(_) | Error::TooManyUploads { .. } => {
                refuse(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests)
                    .with_header(header::RETRY_AFTER, "1")
            }
            Error::RangeMismatch { offset, .. } | Error::RangeLength { offset, .. } => {
                refuse(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid)
                    .with_detail(json!({"offset": offset}))
            }
            Error::InUse { needed_by, .. } => refuse(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported)
                .with_detail(json!({"needed_by": needed_by})),
            Error::NotPinned { .. }
            | Error::NothingDeleted { .. }
            | Error::NoHistory { .. }
            | Error::GoneForGood { .. } => refuse(StatusCode::NOT_FOUND, Code::ManifestUnknown),
            Error::TagInUse { .. } | Error::RepositoryExists(_) | Error::Pinned { .. } => {
                refuse(StatusCode::CONFLICT, Code::Denied)
            }
            Error::TooManyTags { max, .. } => {
                refuse(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported).with_detail(json!({"max": max}))
            }
            // Docker tries a 5xx again and again; the disk is as full the next time.
            Error::NoRoom { free, floor, announced } => refuse(StatusCode::FORBIDDEN, Code::Denied)
                .with_detail(json!({"free": free, "floor": floor, "announced": announced})),
            Error::Store(StoreError::Full) | Error::Account(_) | Error::MayOnlyAdd { .. } => {
                refuse(StatusCode::FORBIDDEN, Code::Denied)
            }
            Error::Store(StoreError::Reopened) => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Unknown).with_header(header::RETRY_AFTER, "1")
            }
            Error::Store(error) => Self::internal(error.to_string()),
        }
    }
}

fn invalid_manifest(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
}
