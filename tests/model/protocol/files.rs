//! Files and their tombstones: the sweep, the crash and the start.

use super::{At, Broken, Client, Protocol, State, bit};

/// Takes a file's name away. Whoever does that under a row that names it has lost bytes.
pub fn unlink(state: &mut State, file: u8) {
    if state.blob.is_some_and(|blob| blob.file == file && !blob.damaged) {
        state.fault = Some("a file is unlinked under a row that names it");
    }
    state.files &= !bit(file);
}

/// The first half of a sweep, for one file.
pub fn sweep_unlink(model: Protocol, state: &mut State, file: u8) {
    unlink(state, file);
    if model.is(Broken::TombstoneDroppedFirst) || model.is(Broken::DropWithoutTombstone) {
        state.unlinked &= !bit(file);
    } else {
        state.unlinked |= bit(file);
    }
}

/// The second half.
pub fn sweep_drop(model: Protocol, state: &mut State, file: u8) {
    state.tombstones &= !bit(file);
    if model.is(Broken::TombstoneDroppedFirst) {
        state.unlinked |= bit(file);
    } else {
        state.unlinked &= !bit(file);
    }
}

/// The process is killed: what it alone knew is gone, and who waited for an answer gets none.
pub fn crash(state: &mut State) {
    state.crashes -= 1;
    state.is_starting = true;
    state.unlinked = 0;
    state.decided = false;
    state.remembered = false;
    for client in &mut state.clients {
        client.at = match client.at {
            At::Done => At::Done,
            // What it was told before holds.
            At::Pushing | At::Inserting => At::Pushing,
            _ => At::Ready,
        };
        if client.at == At::Ready {
            client.told = None;
        }
    }
}

/// A name that the start finds in uploads/.
pub fn settle(model: Protocol, state: &mut State, file: u8) {
    state.sealed &= !bit(file);
    let is_blob = state.blob.is_some_and(|blob| blob.file == file);
    if !is_blob || model.is(Broken::StartRemovesUploads) {
        // Its upload is open again, or over.
        unlink(state, file);
    }
}

/// Whether a client has an upload open, so that it is not idle.
pub fn is_held(clients: &[Client; 2], session: u8) -> bool {
    let holds = |at| matches!(at, At::Uploading(own) | At::Published(own) if own == session);
    clients.iter().any(|client| holds(client.at))
}
