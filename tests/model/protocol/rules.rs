//! What the transactions look at: links, leases, what is needed.

use super::{Image, MARGIN, Protocol, State};

/// How long a lease has to last for the one who asks.
#[derive(Clone, Copy)]
pub enum Judge {
    /// To its end, and longer while its repository has an open upload.
    ToTheEnd,
    /// For HEAD.
    WithMargin,
}

/// Whether the blob can be had in the repository.
pub fn is_linked(model: Protocol, state: &State, repository: usize, judge: Judge) -> bool {
    let is_sound = state.blob.is_some_and(|blob| !blob.damaged);
    is_sound && (is_referenced(model, state, repository) || is_leased(state, repository, judge))
}

/// Whether a visible image of the repository needs the blob.
pub fn is_referenced(model: Protocol, state: &State, repository: usize) -> bool {
    (0..2).any(|client| {
        model.repository(client) == repository && matches!(state.images[client], Image::Visible)
    })
}

fn is_leased(state: &State, repository: usize, judge: Judge) -> bool {
    match (judge, state.leases[repository]) {
        (_, None) => false,
        (Judge::WithMargin, Some(end)) => end > state.now + MARGIN,
        (Judge::ToTheEnd, Some(end)) => end > state.now || state.uploads[repository] != 0,
    }
}

/// Whether a deleted image of the repository keeps the blob.
pub fn is_kept(model: Protocol, state: &State, repository: usize) -> bool {
    let sound = state.blob.is_some_and(|blob| !blob.damaged);
    sound
        && (0..2).any(|client| {
            model.repository(client) == repository && matches!(state.images[client], Image::Kept(_))
        })
}

/// Whether anything needs the blob: an image, a deleted one that is kept, or a lease, live or not.
pub fn is_needed(state: &State) -> bool {
    state.images.iter().any(|image| *image != Image::Absent) || state.leases.iter().any(Option::is_some)
}
