//! A blob's bytes from its file to the connection, past actix-http.
//!
//! The body that actix-http polls has no bytes: it hands a [`Job`] to the connection and waits. The
//! connection does the job when actix-http flushes it, which it does only after the whole head was taken,
//! and writes nothing more before the body has ended. docs/ARCHITECTURE.md says what of actix-http this
//! leans on.

use crate::registry::{OpenBlob, Registry};
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};

/// How much goes over one connection before others of its thread have a turn.
const TURN_BYTES: u64 = 2 * 1024 * 1024;

/// What takes the bytes of a job.
pub trait Sink {
    /// Takes bytes of the blob from `offset` on, at most `count`, without a copy of them in this process.
    /// `Unsupported`: it cannot, for this file.
    fn poll_file(
        &mut self,
        context: &mut Context<'_>,
        blob: &OpenBlob,
        offset: u64,
        count: usize,
    ) -> Poll<io::Result<usize>>;

    /// Takes some of these bytes.
    fn poll_bytes(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
}

/// How the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From file to socket, by the kernel.
    File,
    /// Through the one buffer of the job: TLS, and files that the kernel cannot send.
    Buffer,
}

/// The part of a blob that is to be sent.
pub struct Job {
    registry: Arc<Registry>,
    blob: Arc<OpenBlob>,
    offset: u64,
    end: u64,
    /// How much is read, or looked up in the machine's memory, at once.
    piece_bytes: u64,
    way: Way,
    /// Up to where bytes are in memory: the machine's, or of [`Way::Buffer`] the end of `buffer`.
    ready_to: u64,
    buffer: Vec<u8>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Job {
    /// The bytes from `first` to before `end`.
    pub fn new(registry: Arc<Registry>, blob: OpenBlob, first: u64, end: u64, piece_bytes: u64) -> Self {
        assert!(first <= end && end <= blob.size());
        let blob = Arc::new(blob);
        let (buffer, reading) = (Vec::new(), None);
        Self {
            registry,
            blob,
            offset: first,
            end,
            piece_bytes,
            way: Way::File,
            ready_to: first,
            buffer,
            reading,
        }
    }

    fn length(&self) -> u64 {
        self.end - self.offset
    }

    /// Sends until the sink takes no more, or all is sent, or others shall have a turn.
    fn poll(&mut self, sink: &mut impl Sink, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut left = TURN_BYTES;
        while self.offset < self.end {
            if left == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(error) = ready!(self.poll_piece(context)) {
                return Poll::Ready(Err(self.judge(error)));
            }
            let count = length(left.min(self.ready_to - self.offset));
            let sent = match self.way {
                Way::File => ready!(sink.poll_file(context, &self.blob, self.offset, count)),
                Way::Buffer => {
                    let rest = self.buffer.len() - length(self.ready_to - self.offset);
                    let sent = ready!(sink.poll_bytes(context, &self.buffer[rest..][..count]))?;
                    Ok(sent)
                }
            };
            match sent {
                Ok(sent) => {
                    self.offset += sent as u64;
                    left -= sent as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported && self.way == Way::File => {
                    (self.way, self.ready_to) = (Way::Buffer, self.offset);
                }
                Err(error) => return Poll::Ready(Err(self.judge(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the next bytes are in memory. What is there already costs no thread; what is not is read
    /// on one that may block: sendfile(2) would wait for the disk on this one.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reading.is_none() {
            if self.offset < self.ready_to {
                return Poll::Ready(Ok(()));
            }
            let (offset, count) = (self.offset, self.piece_bytes.min(self.length()));
            let is_cached = self.blob.is_cached(offset, count);
            if is_cached && self.way == Way::File {
                self.ready_to = offset + count;
                return Poll::Ready(Ok(()));
            }
            let (blob, mut buffer) = (Arc::clone(&self.blob), std::mem::take(&mut self.buffer));
            buffer.resize(length(count), 0);
            if is_cached {
                blob.fill(&mut buffer, offset)?;
                (self.buffer, self.ready_to) = (buffer, offset + count);
                return Poll::Ready(Ok(()));
            }
            self.reading = Some(spawn_blocking(move || blob.fill(&mut buffer, offset).map(|()| buffer)));
        }
        if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            self.buffer = read.map_err(io::Error::other).flatten()?;
            self.ready_to = self.offset + self.buffer.len() as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Has the blob marked, on a thread that may wait for the ledger, if the error says that it is damaged.
    fn judge(&self, error: io::Error) -> io::Error {
        let told = io::Error::new(error.kind(), error.to_string());
        if let Some(damage) = self.blob.judge(error) {
            let (registry, blob) = (Arc::clone(&self.registry), Arc::clone(&self.blob));
            drop(spawn_blocking(move || blob.mark_damaged(&registry, damage)));
        }
        told
    }
}

fn length(count: u64) -> usize {
    usize::try_from(count).expect("a piece's size is far below 2^32")
}

enum Slot {
    Idle,
    /// Its head is still to be written.
    Armed(Job),
    /// Its head was taken.
    Running(Job),
    /// All is sent, and the body does not know yet.
    Done,
    /// What follows on the connection would be taken for the rest of the body.
    Poisoned,
}

/// What a connection and the bodies of its answers share.
#[derive(Clone)]
pub struct Outlet(Rc<RefCell<Slot>>);

impl Default for Outlet {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Slot::Idle)))
    }
}

/// What bytes are that actix-http has the connection write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Anything: no file is being sent.
    Plain,
    /// The end of the head of an answer whose body follows at once.
    Head,
}

impl Outlet {
    /// A body that sends what the job says over this connection.
    #[must_use]
    pub fn body(&self, job: Job) -> FileBody {
        FileBody { outlet: self.clone(), job: Some(job), is_armed: false }
    }

    /// Whether a file is being sent.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        matches!(*self.0.borrow(), Slot::Armed(_) | Slot::Running(_))
    }

    /// What may be done with bytes that actix-http writes now. An error, here or at another time, ends the
    /// connection: bytes that are written among those of a file would be taken for a part of it, and so would
    /// the file where the head promises chunks, as a middleware that encodes bodies has it.
    pub fn admit(&self, bytes: &[u8]) -> io::Result<Written> {
        let mut slot = self.0.borrow_mut();
        match &*slot {
            Slot::Idle | Slot::Done => return Ok(Written::Plain),
            // An empty body has nothing that the head could wait for.
            Slot::Armed(job) if ends_with_plain_head(bytes) => {
                return Ok(if job.length() > 0 { Written::Head } else { Written::Plain });
            }
            Slot::Armed(_) | Slot::Running(_) | Slot::Poisoned => *slot = Slot::Poisoned,
        }
        Err(io::Error::other("bytes that are not the head of a blob's answer would get into its body"))
    }

    /// Sends on, if there is a job. Ready when there is none any more.
    pub fn poll(&self, sink: &mut impl Sink, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut slot = self.0.borrow_mut();
        match std::mem::replace(&mut *slot, Slot::Poisoned) {
            Slot::Armed(mut job) | Slot::Running(mut job) => match job.poll(sink, context) {
                Poll::Pending => {
                    *slot = Slot::Running(job);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {
                    *slot = Slot::Done;
                    // The body has to be asked once more.
                    context.waker().wake_by_ref();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            },
            Slot::Poisoned => return Poll::Ready(Err(io::Error::other("a blob's body was broken off"))),
            other @ (Slot::Idle | Slot::Done) => *slot = other,
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether what is written ends with a head, as far as it is not written yet, of an answer without chunks.
fn ends_with_plain_head(bytes: &[u8]) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    const CHUNKS: &[u8] = b"\r\ntransfer-encoding:";
    let Some(before) = bytes.strip_suffix(END) else { return bytes.len() < END.len() };
    // Behind what is left of the answers before.
    let start = before.windows(END.len()).rposition(|window| window == END).unwrap_or(0);
    !before[start..].windows(CHUNKS.len()).any(|window| window.eq_ignore_ascii_case(CHUNKS))
}

/// The body of an answer whose bytes the connection sends by itself. The head has to say how many they are
/// (`no_chunking`): of a body that never has bytes, actix-http knows no length.
pub struct FileBody {
    outlet: Outlet,
    job: Option<Job>,
    is_armed: bool,
}

impl MessageBody for FileBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        let outlet = self.outlet.clone();
        let mut slot = outlet.0.borrow_mut();
        if let Some(job) = self.job.take() {
            if !matches!(*slot, Slot::Idle) {
                return Poll::Ready(Some(Err(io::Error::other("another body is being sent"))));
            }
            (*slot, self.is_armed) = (Slot::Armed(job), true);
            // The flush that follows wakes the task.
            return Poll::Pending;
        }
        match *slot {
            _ if !self.is_armed => Poll::Ready(None),
            Slot::Armed(_) | Slot::Running(_) => Poll::Pending,
            Slot::Done => {
                (*slot, self.is_armed) = (Slot::Idle, false);
                Poll::Ready(None)
            }
            Slot::Idle | Slot::Poisoned => {
                Poll::Ready(Some(Err(io::Error::other("a blob's body was broken off"))))
            }
        }
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if self.is_armed {
            *self.outlet.0.borrow_mut() = Slot::Poisoned;
        }
    }
}

#[cfg(test)]
mod tests;
