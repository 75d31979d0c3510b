//! Making a database: a new one, or one that has what the newest whole snapshot and the frames behind it say.

use super::super::{OpenCause, OpenError};
use super::books::{begin_timeline, now_ms, replay};
use super::dump::{self, Dump};
use super::found::Found;
use super::identity::Likeness;
use super::journal::history::{End, FollowError};
use super::ledger::{Ledger, Open, Trust, put_lineage, put_position};
use super::place::{ASIDE, DATABASE, IDENTITY, KEPT, NEW_DATABASE};
use super::position::{Fork, Position};
use super::refusal::{
    damaged, database_error, expect_alone, expect_unbroken, follow_error, full, gap, io_error, lineage_of,
    refused,
};
use super::start::{Rows, catch_up};
use super::storage::DiskStorage;
use crate::disk::How;
use ::redb::Durability;
use std::io;
use std::sync::Arc;

/// Makes a new ledger, under another name first: one that was cut off in the making is none.
pub fn make(found: &Found) -> Result<Rows, OpenError> {
    let end = Position::start();
    let ledger = if found.looks {
        nameless(found)?
    } else {
        build_beside(found, &mut |open| put_place(open, end, &[]))?;
        put_in_place(found)?;
        found.database(Trust::Ours)?
    };
    Ok(Rows {
        ledger,
        end,
        lineage: Vec::new(),
        as_of_ms: None,
        unsynced_bytes: None,
        notes: Vec::new(),
        wants_snapshot: false,
        is_cut: false,
    })
}

/// A database without a name, for what is only looked at.
fn nameless(found: &Found) -> Result<Ledger, OpenError> {
    let open = || match found.place.disk.open(&found.place.directory, How::Nameless) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported || is_directory_error(&error) => {
            // A file system without such files; its name goes at once.
            let (name, file) = found.place.create_unfinished("look-")?;
            found.place.remove(&name)?;
            Ok(file)
        }
        file => file,
    };
    let file = open().map_err(|error| io_error(&error))?;
    Ledger::open(Arc::new(DiskStorage(file)), found.options.cache_bytes, Trust::Ours)
}

/// Older kernels take the request for one to open the directory.
fn is_directory_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::IsADirectory
}

/// Says, durably, where in the journal the rows are.
fn put_place(open: &Open, end: Position, lineage: &[Fork]) -> Result<(), OpenError> {
    let put = || {
        let transaction = open.begin_write(Durability::Immediate)?;
        put_position(&transaction, end)?;
        put_lineage(&transaction, lineage)?;
        transaction.commit()?;
        Ok(())
    };
    put().map_err(|error: ::redb::Error| database_error(open, &error))
}

/// A copy: its database is put aside, and another made from snapshot and journal.
pub fn copy(found: &mut Found) -> Result<Rows, OpenError> {
    if let Some(damaged_end) = found.history.damaged_end().filter(|_| !found.options.accept_loss) {
        return Err(damaged(format!(
            "the end of the journal, {damaged_end} in {}, is damaged or was written by a newer program: what \
             it has was acknowledged. Put back another copy, or go on without it with `--accept-loss`",
            found.place.directory.display()
        )));
    }
    while let Some(dump) = found.dumps.first() {
        if let Some(rows) = rebuild(found, Some(dump), dump.header.position)? {
            return Ok(rows);
        }
        let unfit = found.dumps.remove(0);
        log::warn!("{} is not whole", unfit.name);
        found.unfit.push(unfit.name);
    }
    if let Some(start) = found.history.start()
        && let Some(rows) = rebuild(found, None, start)?
    {
        return Ok(rows);
    }
    witness(found)
}

/// Makes the database anew from a snapshot and the frames behind it. None: the snapshot is not whole.
fn rebuild(found: &Found, dump: Option<&Dump>, from: Position) -> Result<Option<Rows>, OpenError> {
    let lineage = dump.map(|dump| dump.header.lineage.clone()).unwrap_or_default();
    let mut filled = None;
    let mut fill = |open: &Open| {
        let Some(end) = load(found, open, dump, from)? else { return Ok(()) };
        // The hole that a copier leaves is in a copy; one in what was written here is damage.
        let is_native = found.history.passed(&end).last().is_some_and(|(segment, _)| segment.is_native);
        if found.likeness != Likeness::Other || found.options.rebuilds || is_native {
            expect_unbroken(found, &end)?;
        }
        expect_of_the_journal(found, dump, &end)?;
        expect_alone(found, &end, &lineage)?;
        expect_no_more_in_database(found, &end)?;
        let mut lineage = lineage_of(&end, lineage.clone());
        let is_seen = found.has_timeline(end.position.timeline);
        let begun = begin_timeline(is_seen, open, end.position, &mut lineage);
        let position = begun.map_err(|error| database_error(open, &error))?;
        put_place(open, position, &lineage)?;
        filled = Some((position, lineage, end));
        Ok(())
    };
    let ledger = if found.looks {
        let ledger = nameless(found)?;
        let open = ledger.present().map_err(|error| refused(error.to_string()))?;
        fill(&open)?;
        drop(open);
        ledger
    } else {
        build_beside(found, &mut fill)?;
        if filled.is_none() {
            return Ok(None);
        }
        if let Some((_, lineage, end)) = &filled {
            found.put_aside_of_copy(&found.left_out(end, lineage)?)?;
        }
        put_in_place(found)?;
        found.database(Trust::Ours)?
    };
    let Some((position, lineage, end)) = filled else { return Ok(None) };
    found.sync_passed(&end)?;
    let mut notes = Vec::new();
    if let Some(later) = end.later {
        notes.push(format!("frames from {later} on, to which nothing leads, were left out"));
    }
    let as_of_ms = end.at_ms.or(dump.map(|dump| dump.header.at_ms));
    let (unsynced_bytes, wants_snapshot) = (None, true);
    let is_cut = false;
    Ok(Some(Rows { ledger, end: position, lineage, as_of_ms, unsynced_bytes, notes, wants_snapshot, is_cut }))
}

/// Refuses a snapshot to which nothing of the journal belongs: it was left behind where a copy was put.
fn expect_of_the_journal(found: &Found, dump: Option<&Dump>, end: &End) -> Result<(), OpenError> {
    let Some(dump) = dump.filter(|_| !end.is_known) else { return Ok(()) };
    let is_older = |timeline| dump.header.lineage.iter().any(|fork| fork.parent == timeline);
    let is_another = |timeline| !is_older(timeline);
    let others = found.history.segments().iter().filter(|segment| is_another(segment.header.timeline));
    let other = others.map(|segment| segment.name.as_str()).next();
    let Some(other) = other.filter(|_| !found.options.accept_loss) else { return Ok(()) };
    Err(refused(format!(
        "{} in {} is not of the history of {other}: a copy was put into a directory with another ledger. Put \
         the copy into an empty directory, or remove what is not of it",
        dump.name,
        found.place.directory.display()
    )))
}

/// Refuses to make anew a database of here that has more than the journal.
fn expect_no_more_in_database(found: &Found, end: &End) -> Result<(), OpenError> {
    let is_of_here = found.options.rebuilds && found.likeness != Likeness::Other;
    if !is_of_here || found.options.accept_loss {
        return Ok(());
    }
    let position = match found.kept(Trust::None) {
        Ok(ledger) => ledger.present().ok().and_then(|open| open.position().ok().flatten()),
        Err(error) if error.cause == OpenCause::Damaged => None,
        Err(error) => return Err(error),
    };
    let Some(position) = position.filter(|position| position.sequence > end.position.sequence) else {
        return Ok(());
    };
    Err(refused(format!(
        "{DATABASE} in {} is whole and is at frame {position}, the journal ends with frame {}: made anew, it \
         would have less. Start the server on it as it is, or go on without what is missing with \
         `--accept-loss`",
        found.place.directory.display(),
        end.position.sequence
    )))
}

/// Fills a new database under its other name.
fn build_beside(
    found: &Found,
    fill: &mut dyn FnMut(&Open) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let io = |error: io::Error| io_error(&error);
    found.place.remove(NEW_DATABASE).map_err(io)?;
    let made = found.place.create(NEW_DATABASE).map_err(io)?;
    let ledger = Ledger::open(Arc::new(DiskStorage(made)), found.options.cache_bytes, Trust::Ours)?;
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    fill(&open)?;
    drop(open);
    ledger.close();
    Ok(())
}

/// Puts the new database in the place of the one that came with the copy, which is kept aside.
fn put_in_place(found: &Found) -> Result<(), OpenError> {
    let io = |error: io::Error| io_error(&error);
    if found.database.is_some() {
        // What was here, and could not be opened, somebody may want to look at.
        let is_copy = found.likeness == Likeness::Other && !found.options.rebuilds;
        let prefix = if is_copy { ASIDE } else { KEPT };
        let aside = found.place.put_aside(prefix, &[IDENTITY, DATABASE], now_ms()).map_err(io)?;
        log::info!("the database that was there is kept in ledger/{aside} for a while");
    } else {
        found.place.remove(IDENTITY).map_err(io)?;
    }
    found.place.rename(NEW_DATABASE, DATABASE).map_err(io)
}

/// Loads a snapshot and the frames behind it.
fn load(found: &Found, open: &Open, dump: Option<&Dump>, from: Position) -> Result<Option<End>, OpenError> {
    if let Some(dump) = dump {
        let transaction = open.begin_write(Durability::None);
        let transaction = transaction.map_err(|error| database_error(open, &error))?;
        let is_whole = dump.read(|rows| match dump::apply(&transaction, rows) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("a row of a snapshot cannot be read")),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
        match is_whole {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) if open.is_full() => return Err(full(&error.to_string())),
            Err(error) => return Err(io_error(&error)),
        }
        put_position(&transaction, from)
            .and_then(|()| Ok(transaction.commit()?))
            .map_err(|error| database_error(open, &error))?;
    }
    match replay(&found.history, open, from) {
        Ok(end) => Ok(Some(end)),
        Err(FollowError::Unusable(words)) if open.is_full() => Err(full(&words)),
        Err(error) => Err(follow_error(&error)),
    }
}

/// With neither snapshot nor journal the database is all there is.
fn witness(found: &Found) -> Result<Rows, OpenError> {
    let nothing = "there is no whole snapshot and no journal from which it could be made anew";
    if found.database.is_none() {
        return Err(damaged(nothing.to_owned()));
    }
    let ledger = found.database(Trust::None).map_err(|error| match error.cause {
        OpenCause::Damaged => damaged(format!("{}; {nothing}", error.reason)),
        _ => error,
    })?;
    let open = ledger.present().map_err(|error| refused(error.to_string()))?;
    let known = open.position().and_then(|position| Ok((position, open.lineage()?)));
    let (position, lineage) = known.map_err(|error| database_error(&open, &error))?;
    let position = position.unwrap_or_else(Position::start);
    let end = catch_up(found, &open, position, &lineage)?;
    if end.is_known {
        expect_unbroken(found, &end)?;
    } else {
        expect_only(found, position, &lineage)?;
    }
    expect_alone(found, &end, &lineage)?;
    let mut lineage = lineage_of(&end, lineage);
    found.put_aside_of_copy(&found.left_out(&end, &lineage)?)?;
    if !found.looks {
        // It is another's, and must not be taken for that of what comes now.
        found.place.remove(IDENTITY).and_then(|()| found.place.sync()).map_err(|error| io_error(&error))?;
    }
    let is_seen = found.has_timeline(end.position.timeline);
    let begun = begin_timeline(is_seen, &open, end.position, &mut lineage);
    let end = begun.map_err(|error| database_error(&open, &error))?;
    drop(open);
    let (as_of_ms, unsynced_bytes, wants_snapshot) = (None, Some(0), true);
    let (notes, is_cut) = (Vec::new(), false);
    Ok(Rows { ledger, end, lineage, as_of_ms, unsynced_bytes, notes, wants_snapshot, is_cut })
}

/// Refuses a database that the journal does not know, if there are signs of more than it has.
fn expect_only(found: &Found, position: Position, lineage: &[Fork]) -> Result<(), OpenError> {
    if found.options.accept_loss {
        return Ok(());
    }
    let later = found.history.whole_frame_above(position.sequence, lineage);
    if let Some(later) = later.map_err(|error| io_error(&error))? {
        return Err(gap(found, position, later));
    }
    let Some(unfit) = found.history.broken().chain(found.unfit.iter().map(String::as_str)).next() else {
        return Ok(());
    };
    Err(damaged(format!(
        "{unfit} in {} is damaged, and nothing else says whether {DATABASE} has all that was acknowledged. \
         Put back a backup, or go on with what it has with `--accept-loss`",
        found.place.directory.display()
    )))
}
