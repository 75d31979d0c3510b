//! Bodies: a request's into an upload or a buffer, a blob's onto the connection.

use super::error::{ApiError, Code};
use super::limits::Limits;
use super::pace::Pace;
use super::reply::blocking;
use super::tally::{Held, Tally};
use crate::config::Settings;
use crate::oci::Digest;
use crate::registry::{Actor, CheckedBlob, Error, Registry, Upload, UploadStatus};
use actix_web::body::{BodySize, MessageBody, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// What an upload may gather however many there are: with less, most of its time would go into handing it on.
const BUFFER_SHARE_MIN_BYTES: u64 = 64 * 1024;

/// An upload while its body comes in. However the request ends, the upload comes to one of its ends, too.
pub struct Receiving {
    registry: Arc<Registry>,
    upload: Arc<Mutex<Option<Upload>>>,
    /// Bytes that arrived and are not appended yet.
    buffer: Vec<u8>,
    /// What becomes of the upload when the request breaks off.
    broken: Broken,
}

/// What becomes of an upload whose request breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// All that arrived is made durable, so that the client can go on there.
    Leave,
    /// Nothing is left: nobody was told of the session, so nobody can go on with it.
    Abandon,
}

impl Receiving {
    /// Takes the upload in its care.
    pub fn new(registry: Arc<Registry>, upload: Upload, broken: Broken) -> Self {
        Self { registry, upload: Arc::new(Mutex::new(Some(upload))), buffer: Vec::new(), broken }
    }

    /// Appends the body and says how many bytes it had. Once they are more than `max`, if given, the rest is
    /// not read.
    pub async fn receive(
        &mut self,
        body: &mut Payload,
        max: Option<u64>,
        limits: &Limits,
    ) -> Result<u64, ApiError> {
        let config = self.registry.config();
        let mut limit = buffer_max(&config.settings, self.registry.running_uploads());
        let mut pace = Pace::new(&config.settings, limits);
        let mut received = 0_u64;
        while let Some(piece) = pace.next(body).await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(ended) => {
                    // What arrived counts: the client asks where to go on.
                    self.append().await?;
                    return Err(ended.refusal(Code::BlobUploadInvalid));
                }
            };
            received += piece.len() as u64;
            if max.is_some_and(|max| received > max) {
                return Ok(received);
            }
            if self.buffer.len() + piece.len() > limit {
                self.append().await?;
                limit = buffer_max(&config.settings, self.registry.running_uploads());
                self.buffer.shrink_to(limit);
            }
            self.gather(&piece, limit);
            // A client may send as much and then wait for long.
            if self.buffer.len() >= limit {
                self.append().await?;
            }
        }
        self.append().await?;
        Ok(received)
    }

    /// Adds a piece to the buffer, which grows with what comes and never beyond its limit.
    fn gather(&mut self, piece: &[u8], limit: usize) {
        let (len, capacity) = (self.buffer.len(), self.buffer.capacity());
        let needed = len + piece.len();
        if needed > capacity {
            self.buffer.reserve_exact((2 * capacity).min(limit).max(needed) - len);
        }
        self.buffer.extend_from_slice(piece);
    }

    /// Appends what was gathered.
    async fn append(&mut self) -> Result<(), ApiError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let (registry, upload) = (Arc::clone(&self.registry), Arc::clone(&self.upload));
        let append = move || {
            let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
            let upload = upload.as_mut().expect("it is taken out only when the body has ended");
            registry.append(upload, &buffer)?;
            buffer.clear();
            Ok::<_, Error>(buffer)
        };
        self.buffer = blocking(append).await?;
        Ok(())
    }

    fn take(&self) -> Upload {
        let mut upload = self.upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.take().expect("an upload's request comes to one end")
    }

    /// The request is done and the session goes on.
    pub async fn leave(self) -> Result<UploadStatus, ApiError> {
        let (registry, upload) = (Arc::clone(&self.registry), self.take());
        blocking(move || registry.leave_upload(upload)).await
    }

    /// The upload is whole.
    pub async fn finish(self, digest: Digest, actor: Actor) -> Result<(), ApiError> {
        let (registry, upload) = (Arc::clone(&self.registry), self.take());
        blocking(move || registry.finish_upload(upload, digest, actor)).await
    }

    /// The session ends with nothing left of it.
    pub async fn abandon(self) -> Result<(), ApiError> {
        let (registry, upload) = (Arc::clone(&self.registry), self.take());
        blocking(move || registry.abandon_upload(upload)).await
    }

    /// The session stays at the offset that was last made durable.
    pub async fn forget(self) -> Result<(), ApiError> {
        let (registry, upload) = (Arc::clone(&self.registry), self.take());
        blocking(move || registry.forget_upload(upload)).await
    }
}

/// How much one of so many uploads gathers, in bytes.
fn buffer_max(settings: &Settings, uploads: usize) -> usize {
    let share = settings.upload_buffers_bytes / uploads.max(1) as u64;
    let most = settings.upload_buffer_bytes.min(share.max(BUFFER_SHARE_MIN_BYTES));
    usize::try_from(most).expect("a buffer's size is far below 2^32")
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Nobody else holds it unless an append is under way.
        if self.upload.try_lock().is_ok_and(|upload| upload.is_none()) {
            return;
        }
        let (registry, upload) = (Arc::clone(&self.registry), Arc::clone(&self.upload));
        let (broken, buffer) = (self.broken, std::mem::take(&mut self.buffer));
        let end = move || {
            // The lock waits for the append.
            let Some(mut upload) = upload.lock().unwrap_or_else(PoisonError::into_inner).take() else {
                return;
            };
            let ended = match broken {
                // An append that found no room has cut the upload off; there is nothing to append then.
                Broken::Leave if buffer.is_empty() => registry.leave_upload(upload).map(drop),
                Broken::Leave => registry
                    .append(&mut upload, &buffer)
                    .and_then(|()| registry.leave_upload(upload))
                    .map(drop),
                Broken::Abandon => registry.abandon_upload(upload),
            };
            if let Err(error) = ended {
                log::warn!("an upload whose request broke off could not be ended: {error}");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            // The server stops and waits for the request no longer: this thread has nothing else to do.
            Err(_) => end(),
        }
    }
}

/// 429: the memory for manifests that come and go is used up.
pub fn too_many_bytes() -> ApiError {
    let message = "too many bytes of manifests are on their way (manifest_bodies_max_bytes, \
                   manifest_answers_max_bytes): try again";
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
        .with_header(header::RETRY_AFTER, "1")
}

/// Reads the whole body of a manifest into memory, up to limits of its own size, of its time, and of the size
/// of `all` that are read. It counts among those until what is handed back with it is dropped.
pub async fn collect(
    body: &mut Payload,
    settings: &Settings,
    all: &Tally,
    limits: &Limits,
) -> Result<(Vec<u8>, Held), ApiError> {
    let (max_bytes, secs) = (settings.manifest_max_bytes, settings.manifest_body_secs);
    let mut held = all.none();
    let mut bytes = Vec::new();
    let mut pace = Pace::new(settings, limits);
    let read = async {
        while let Some(piece) = pace.next(body).await {
            let piece = piece.map_err(|ended| ended.refusal(Code::ManifestInvalid))?;
            if (bytes.len() + piece.len()) as u64 > max_bytes {
                return Err(Error::ManifestTooLarge { max_bytes }.into());
            }
            if !held.add(piece.len() as u64, settings.manifest_bodies_max_bytes) {
                return Err(too_many_bytes());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, ApiError>(())
    };
    let late = |_| {
        let message = format!("the manifest was not there after {secs} s (setting manifest_body_secs)");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::ManifestInvalid, &message)
    };
    tokio::time::timeout(Duration::from_secs(secs), read).await.map_err(late)??;
    Ok((bytes, held))
}

/// Reads the form that a request for a token is, whole.
pub async fn form(body: &mut Payload, settings: &Settings, limits: &Limits) -> Result<String, ApiError> {
    // Who sends it has no more rights than anybody, and may not hold a place for long.
    let (max_bytes, secs) = (settings.token_request_max_bytes, settings.head_read_secs);
    let refuse = |status, words: &str| ApiError::new(status, Code::Unsupported, words);
    let mut pace = Pace::new(settings, limits);
    let read = async {
        let mut bytes = Vec::new();
        while let Some(piece) = pace.next(body).await {
            let piece = piece.map_err(|ended| ended.refusal(Code::Unsupported))?;
            if (bytes.len() + piece.len()) as u64 > max_bytes {
                let words = format!("a request for a token has at most {max_bytes} bytes");
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &words));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    let late = |_| refuse(StatusCode::REQUEST_TIMEOUT, "the form was not there in time");
    let bytes = tokio::time::timeout(Duration::from_secs(secs), read).await.map_err(late)??;
    let not_text = |_| refuse(StatusCode::BAD_REQUEST, "the form is not text: expected UTF-8");
    String::from_utf8(bytes).map_err(not_text)
}

/// Reads on and throws away what a refused request still sends, within limits: a connection that is closed
/// while the client writes is reset, and the client never sees why it was refused. Whether the body came to
/// its end: if not, the connection is of no more use.
pub async fn drain(body: &mut Payload, max_bytes: u64, time_limit: Duration) -> bool {
    let read = async {
        let mut left = max_bytes;
        while let Some(Ok(piece)) = body.next().await {
            let Some(rest) = left.checked_sub(piece.len() as u64) else { return false };
            left = rest;
        }
        true
    };
    tokio::time::timeout(time_limit, read).await.unwrap_or(false)
}

/// How much of a manifest is handed over at once.
const MANIFEST_PIECE_BYTES: usize = 64 * 1024;

type Pieces = BoxStream<'static, std::io::Result<Bytes>>;

/// A whole blob as a body whose last piece is not sent before the digest is known to be right.
pub fn of_checked_blob(
    registry: Arc<Registry>,
    blob: CheckedBlob,
    size: u64,
    piece_bytes: u64,
) -> SizedStream<Pieces> {
    let pieces = stream::try_unfold((blob, size), move |(mut blob, left)| {
        let registry = Arc::clone(&registry);
        async move {
            if left == 0 {
                return Ok(None);
            }
            let read = move || Ok((blob.read(&registry, length(piece_bytes))?, blob));
            let (piece, blob) = blocking_read(read).await?;
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (blob, left))))
        }
    });
    SizedStream::new(size, pieces.boxed())
}

fn length(count: u64) -> usize {
    usize::try_from(count).expect("a piece's size is far below 2^32")
}

async fn blocking_read<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let read = actix_web::rt::task::spawn_blocking(read).await;
    read.map_err(std::io::Error::other).flatten().inspect_err(|error| {
        log::error!("reading a blob failed, its transfer is broken off: {error}");
    })
}

/// A manifest as a body, in pieces, so that it is let go of when the last one was taken.
pub fn of_manifest(bytes: Vec<u8>, held: Held) -> SizedStream<Pieces> {
    let length = bytes.len() as u64;
    let pieces = stream::unfold((Bytes::from(bytes), held), |(mut left, held)| async move {
        if left.is_empty() {
            return None;
        }
        let piece = left.split_to(left.len().min(MANIFEST_PIECE_BYTES));
        Some((Ok(piece), (left, held)))
    });
    SizedStream::new(length, pieces.boxed())
}

/// The body of an answer to HEAD, which is not sent: its head has to say how long it would be
/// (`no_chunking`). actix-http takes an answer for one to HEAD by the last request that it read, so with
/// pipelined requests behind it a body of a size would be missed, and the connection ended.
pub struct Unsent;

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
