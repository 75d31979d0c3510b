//! Why a ledger is not opened, in words.

use super::super::{OpenCause, OpenError};
use super::found::Found;
use super::journal::history::{End, FollowError};
use super::ledger::Open;
use super::position::{Fork, Position};
use std::io;

/// The timelines that were left on the way to an end, the newest first.
pub fn lineage_of(end: &End, before: Vec<Fork>) -> Vec<Fork> {
    end.forks.iter().rev().copied().chain(before).collect()
}

/// Refuses a journal with whole frames behind its end: what stands between was acknowledged.
pub fn expect_unbroken(found: &Found, end: &End) -> Result<(), OpenError> {
    let Some(later) = end.later.filter(|_| !found.options.accept_loss) else { return Ok(()) };
    Err(gap(found, end.position, later))
}

pub fn gap(found: &Found, end: Position, later: u64) -> OpenError {
    let directory = found.place.directory.display();
    refused(format!(
        "the journal in {directory} breaks off behind frame {end}, and goes on with frame {later}: what is \
         between them was acknowledged and is lost. Put back a backup, or go on without it with \
         `--accept-loss`"
    ))
}

/// Refuses a directory with two histories.
pub fn expect_alone(found: &Found, end: &End, lineage: &[Fork]) -> Result<(), OpenError> {
    let lineage = lineage_of(end, lineage.to_vec());
    let other = found.history.other_than(end, &lineage).map_err(|error| io_error(&error))?;
    let Some(other) = other else { return Ok(()) };
    let directory = found.place.directory.display();
    Err(refused(format!(
        "two histories are in {directory}: one that ends with frame {}, and timeline {other}. A copy was put \
         over another that had gone on by itself: put the one that is wanted into an empty directory, or \
         copy with what is not in it taken away (rsync --delete)",
        end.position
    )))
}

pub fn io_error(error: &io::Error) -> OpenError {
    let cause = if crate::disk::is_full(error) { OpenCause::Full } else { OpenCause::OutOfReach };
    OpenError { reason: error.to_string(), cause }
}

pub fn refused(reason: String) -> OpenError {
    OpenError { reason, cause: OpenCause::Told }
}

pub fn damaged(reason: String) -> OpenError {
    OpenError { reason, cause: OpenCause::Damaged }
}

pub fn full(reason: &str) -> OpenError {
    OpenError { reason: reason.to_owned(), cause: OpenCause::Full }
}

pub fn database_error(open: &Open, error: &::redb::Error) -> OpenError {
    let cause = if open.is_full() { OpenCause::Full } else { OpenCause::Damaged };
    OpenError { reason: error.to_string(), cause }
}

pub fn follow_error(error: &FollowError) -> OpenError {
    match error {
        FollowError::Io(error) => io_error(error),
        FollowError::TwoWays(_) => refused(error.to_string()),
        FollowError::Unusable(words) => damaged(words.clone()),
    }
}
