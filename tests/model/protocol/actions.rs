//! What can happen in a state, and what it does.

use super::rules::{self, Judge};
use super::{Action, At, Blob, Broken, Image, KEEP, LEASE, MARGIN, Protocol, State, bit, files, members};

pub fn possible(model: Protocol, state: &State) -> Vec<Action> {
    let mut found = Vec::new();
    // The sweep and crashes are possible at any time, also during a start.
    for file in 0..state.fresh.max(1) {
        let (has_tombstone, is_unlinked) =
            (state.tombstones & bit(file) != 0, state.unlinked & bit(file) != 0);
        let unlinks_last = model.is(Broken::TombstoneDroppedFirst) || model.is(Broken::DropWithoutTombstone);
        if (has_tombstone && !is_unlinked && !model.is(Broken::TombstoneDroppedFirst))
            || (unlinks_last && is_unlinked)
        {
            found.push(Action::Unlink(file));
        }
        if has_tombstone && (is_unlinked || model.is(Broken::TombstoneDroppedFirst)) {
            found.push(Action::DropTombstone(file));
        }
    }
    if state.crashes > 0 {
        found.push(Action::Crash);
    }
    if state.is_starting {
        start(model, state, &mut found);
        return found;
    }
    clients(model, state, &mut found);
    collector(model, state, &mut found);
    let is_late = |client: &super::Client| client.told.is_some_and(|told| told + MARGIN <= state.now);
    // A client acts on what it was told within the margin.
    if state.now < model.ticks && !state.clients.iter().any(is_late) {
        found.push(Action::Tick);
    }
    if state.damages > 0 && state.blob.is_some_and(|blob| !blob.damaged) {
        found.push(Action::Damage);
    }
    found
}

/// Tombstones first, then uploads/, and only then is it served.
fn start(model: Protocol, state: &State, found: &mut Vec<Action>) {
    if state.tombstones != 0 {
        return;
    }
    if state.sealed == 0 || model.is(Broken::StartLeavesUploads) {
        found.push(Action::Serve);
    } else {
        found.extend(members(state.sealed).map(Action::Settle));
    }
}

fn clients(model: Protocol, state: &State, found: &mut Vec<Action>) {
    for (client, is) in state.clients.iter().enumerate() {
        match is.at {
            At::Ready => {
                found.extend([Action::Head(client), Action::Begin(client)]);
                if !model.shared {
                    found.push(Action::Mount(client));
                }
            }
            At::MustUpload => found.push(Action::Begin(client)),
            At::Mounting => found.push(Action::MountsAfterAll(client)),
            At::Uploading(_) if model.is(Broken::RowBeforeFile) => found.push(Action::Commit(client)),
            At::Uploading(_) => found.push(Action::Publish(client)),
            At::Published(_) => found.push(Action::Commit(client)),
            At::Committed(..) => found.push(Action::FollowCommit(client)),
            At::SecondCopy(_) => found.push(Action::UnlinkSecond(client)),
            At::Pushing => found.extend([Action::Push(client), Action::GiveUp(client)]),
            At::Inserting => found.push(Action::Insert(client)),
            At::Done => {}
        }
        if state.deletes > 0 && state.images[client] == Image::Visible {
            found.push(Action::DeleteImage(client));
        }
    }
    for repository in 0..2 {
        let is_linked = rules::is_linked(model, state, repository, Judge::ToTheEnd);
        if state.deletes > 0 && is_linked && !rules::is_referenced(model, state, repository) {
            found.push(Action::DeleteBlob(repository));
        }
    }
}

fn collector(model: Protocol, state: &State, found: &mut Vec<Action>) {
    for side in 0..2 {
        if state.leases[side].is_some_and(|end| end <= state.now) {
            found.push(Action::EndLease(side));
        }
        if matches!(state.images[side], Image::Kept(due) if due <= state.now) {
            found.push(Action::DropKept(side));
        }
        for session in members(state.uploads[side]) {
            if !files::is_held(&state.clients, session) {
                found.push(Action::EndUpload(side, session));
            }
        }
    }
    if state.decided {
        found.push(Action::DropDecided);
    } else if state.is_queued {
        found.push(Action::DropBlob);
    }
    if model.is(Broken::Janitor) {
        let named = state.blob.map_or(0, |blob| bit(blob.file));
        found.extend(members(state.files & !(named | state.tombstones)).map(Action::RemoveStranger));
    }
}

pub fn run(model: Protocol, state: &mut State, action: Action) {
    match action {
        Action::Tick => state.now += 1,
        Action::Head(client) => head(model, state, client),
        Action::Mount(client) => mount(model, state, client),
        Action::MountsAfterAll(client) => lease_and_tell(model, state, client),
        Action::Begin(client) => begin(model, state, client),
        Action::Publish(client) => publish(model, state, client),
        Action::Commit(client) => commit(model, state, client),
        Action::FollowCommit(client) => follow_commit(model, state, client),
        Action::UnlinkSecond(client) => {
            let At::SecondCopy(file) = state.clients[client].at else { unreachable!("it has a second copy") };
            files::unlink(state, file);
            state.clients[client].at = At::Pushing;
        }
        Action::Push(client) => push(model, state, client),
        Action::Insert(client) => insert(model, state, client),
        Action::GiveUp(client) => end_push(state, client),
        Action::DeleteImage(client) => {
            state.deletes -= 1;
            state.images[client] = Image::Kept(state.now + KEEP);
        }
        Action::DeleteBlob(repository) => {
            state.deletes -= 1;
            state.remembered = false;
            state.leases[repository] = None;
            void_promises(model, state, Some(repository));
            queue_if_unneeded(model, state);
        }
        Action::EndLease(repository) => end_lease(model, state, repository),
        Action::EndUpload(repository, session) => state.uploads[repository] &= !bit(session),
        Action::DropKept(client) => {
            state.images[client] = Image::Absent;
            queue_if_unneeded(model, state);
        }
        Action::DropBlob => drop_blob(model, state),
        Action::DropDecided => drop_decided(model, state),
        Action::Unlink(file) => files::sweep_unlink(model, state, file),
        Action::DropTombstone(file) => files::sweep_drop(model, state, file),
        Action::RemoveStranger(file) => files::unlink(state, file),
        Action::Damage => {
            state.damages -= 1;
            state.blob = state.blob.map(|blob| Blob { damaged: true, ..blob });
            void_promises(model, state, None);
        }
        Action::Crash => files::crash(state),
        Action::Settle(file) => files::settle(model, state, file),
        Action::Serve => state.is_starting = false,
    }
}

fn tell(state: &mut State, client: usize) {
    state.clients[client].told = Some(state.now);
    state.clients[client].at = At::Pushing;
    state.remembered = true;
}

/// Somebody took back what clients were told: in one repository, or everywhere.
fn void_promises(model: Protocol, state: &mut State, repository: Option<usize>) {
    for client in 0..2 {
        if repository.is_none_or(|repository| model.repository(client) == repository) {
            state.clients[client].told = None;
        }
    }
}

fn head(model: Protocol, state: &mut State, client: usize) {
    let judge = if model.is(Broken::HeadWithoutMargin) { Judge::ToTheEnd } else { Judge::WithMargin };
    let is_linked = rules::is_linked(model, state, model.repository(client), judge);
    if is_linked || (model.is(Broken::HeadFromCache) && state.remembered) {
        tell(state, client);
    } else {
        state.clients[client].at = At::MustUpload;
    }
}

fn mount(model: Protocol, state: &mut State, client: usize) {
    if !rules::is_linked(model, state, model.repository(1 - client), Judge::ToTheEnd) {
        state.clients[client].at = At::MustUpload;
    } else if model.is(Broken::MountInTwo) {
        state.clients[client].at = At::Mounting;
    } else {
        lease_and_tell(model, state, client);
    }
}

fn lease_and_tell(model: Protocol, state: &mut State, client: usize) {
    state.leases[model.repository(client)] = Some(state.now + LEASE);
    tell(state, client);
}

fn begin(model: Protocol, state: &mut State, client: usize) {
    let session = state.fresh;
    assert!(session < 8, "a set has room for eight sessions");
    state.fresh += 1;
    state.uploads[model.repository(client)] |= bit(session);
    state.clients[client].at = At::Uploading(session);
}

/// The file that a session makes.
fn file_of(model: Protocol, session: u8) -> u8 {
    if model.is(Broken::NameUsedAgain) { 0 } else { session }
}

fn publish(model: Protocol, state: &mut State, client: usize) {
    let At::Uploading(session) = state.clients[client].at else { unreachable!("it has an upload") };
    let file = file_of(model, session);
    state.files |= bit(file);
    state.sealed |= bit(file);
    state.clients[client].at = At::Published(session);
}

fn commit(model: Protocol, state: &mut State, client: usize) {
    let (At::Published(session) | At::Uploading(session)) = state.clients[client].at else {
        unreachable!("it has an upload")
    };
    let (repository, file) = (model.repository(client), file_of(model, session));
    state.uploads[repository] &= !bit(session);
    let mut is_second = false;
    match state.blob {
        Some(Blob { file: old, damaged }) if damaged => {
            if !model.is(Broken::ReplacedFileForgotten) {
                state.tombstones |= bit(old);
            }
            state.blob = Some(Blob { file, damaged: false });
        }
        Some(_) => {
            is_second = true;
            if !model.is(Broken::SecondCopyWithoutTombstone) && !model.is(Broken::NameUsedAgain) {
                state.tombstones |= bit(file);
            }
        }
        None => state.blob = Some(Blob { file, damaged: false }),
    }
    state.leases[repository] = Some(state.now + LEASE);
    // From now on it can count on the blob, unless somebody takes that back before the answer.
    tell(state, client);
    state.clients[client].at = At::Committed(session, is_second);
}

/// The name in uploads/ goes first, then a second copy.
fn follow_commit(model: Protocol, state: &mut State, client: usize) {
    let At::Committed(session, is_second) = state.clients[client].at else { unreachable!("it committed") };
    state.sealed &= !bit(file_of(model, session));
    let unlinks = is_second && !model.is(Broken::NameUsedAgain);
    state.clients[client].at = if unlinks { At::SecondCopy(session) } else { At::Pushing };
}

fn push(model: Protocol, state: &mut State, client: usize) {
    let repository = model.repository(client);
    let is_kept = rules::is_kept(model, state, repository) && !model.is(Broken::KeptDoesNotCount);
    if rules::is_linked(model, state, repository, Judge::ToTheEnd) || is_kept {
        if model.is(Broken::PushInTwo) {
            state.clients[client].at = At::Inserting;
        } else {
            insert(model, state, client);
        }
        return;
    }
    if state.clients[client].told.is_some() {
        state.fault = Some("a client was told that the blob is there, and then that it is not");
    }
    end_push(state, client);
}

fn insert(model: Protocol, state: &mut State, client: usize) {
    state.images[client] = Image::Visible;
    state.leases[model.repository(client)] = None;
    end_push(state, client);
}

fn end_push(state: &mut State, client: usize) {
    let client = &mut state.clients[client];
    client.told = None;
    client.pushes -= 1;
    client.at = if client.pushes == 0 { At::Done } else { At::Ready };
}

fn queue_if_unneeded(model: Protocol, state: &mut State) {
    if state.blob.is_some() && !rules::is_needed(state) && !model.is(Broken::NobodyTellsTheCollector) {
        state.is_queued = true;
    }
}

/// A lease lasts while its repository has an open upload.
fn end_lease(model: Protocol, state: &mut State, repository: usize) {
    if state.uploads[repository] != 0 {
        state.leases[repository] = Some(state.now + 1);
        return;
    }
    state.leases[repository] = None;
    queue_if_unneeded(model, state);
}

fn drop_blob(model: Protocol, state: &mut State) {
    let Some(blob) = state.blob.filter(|_| !rules::is_needed(state)) else {
        state.is_queued = false;
        return;
    };
    if model.is(Broken::UnlinkBeforeCommit) {
        files::unlink(state, blob.file);
        state.decided = true;
    } else if model.is(Broken::CheckApartFromDrop) {
        state.decided = true;
    } else {
        state.is_queued = false;
        drop_row(model, state);
    }
}

/// The second step of a collector that takes two.
fn drop_decided(model: Protocol, state: &mut State) {
    state.decided = false;
    state.is_queued = false;
    if model.is(Broken::CheckApartFromDrop) || !rules::is_needed(state) {
        drop_row(model, state);
    }
}

fn drop_row(model: Protocol, state: &mut State) {
    let Some(blob) = state.blob.take() else { return };
    if model.is(Broken::DropWithoutTombstone) {
        state.unlinked |= bit(blob.file);
    } else {
        state.tombstones |= bit(blob.file);
    }
}
