//! Copying what a ledger can be opened from: the newest snapshot and the frames behind it.

use super::super::CopiedLedger;
use super::dump::Dump;
use super::journal::history::History;
use super::place::Place;
use crate::disk::DiskFile;
use std::io;
use std::path::Path;

/// How much is copied at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Copies the newest snapshot and the frames behind it, at least up to frame `sequence`, durably. No file is
/// taken away meanwhile.
pub fn copy(from: &Place, sequence: u64, directory: &Path) -> io::Result<CopiedLedger> {
    let to = Place { directory: directory.to_path_buf(), ..from.clone() };
    let (dumps, _) = Dump::all(from)?;
    let history = History::read(from)?;
    let mut copied = CopiedLedger { sequence: 0, at_ms: 0, bytes: 0 };
    let dump = newest_whole(&dumps)?;
    if let Some(dump) = dump {
        let file = to.create(&dump.name)?;
        copied.bytes += copy_bytes(&|buffer, offset| dump.read_at(buffer, offset), &*file, dump.len)?;
        copied.at_ms = dump.header.at_ms;
    }
    let Some(start) = dump.map(|dump| dump.header.position).or_else(|| history.start()) else {
        return Err(io::Error::other("there is no frame and no snapshot yet"));
    };
    let end = history.follow(start, |_| Ok(())).map_err(io::Error::other)?;
    if end.position.sequence < sequence {
        return Err(io::Error::other("the journal does not lead to the last commit: run `verify`"));
    }
    for (segment, len) in history.passed(&end) {
        let file = to.create(&segment.name)?;
        copied.bytes += copy_bytes(&|buffer, offset| segment.read_at(buffer, offset), &*file, len)?;
    }
    to.sync()?;
    copied.sequence = end.position.sequence;
    copied.at_ms = end.at_ms.unwrap_or(copied.at_ms);
    Ok(copied)
}

/// The newest snapshot that is whole.
fn newest_whole(dumps: &[Dump]) -> io::Result<Option<&Dump>> {
    for dump in dumps {
        if dump.read(|_| Ok::<_, io::Error>(()))? {
            return Ok(Some(dump));
        }
        log::warn!("{} is not whole and is left out", dump.name);
    }
    Ok(None)
}

fn copy_bytes(
    read: &dyn Fn(&mut [u8], u64) -> io::Result<()>,
    file: &dyn DiskFile,
    len: u64,
) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < len {
        let count = usize::try_from(len - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        read(&mut buffer[..count], offset)?;
        file.write_at(&buffer[..count], offset)?;
        offset += count as u64;
    }
    file.sync()?;
    Ok(len)
}
