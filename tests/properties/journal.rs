//! Segments of the journal: whatever becomes of one, what counts of it is what was written, from its first
//! frame on.

use wharfinger::meta::engine::redb::readers;

/// What the frames of the sample have: some little, some much, one nothing.
fn written() -> Vec<Vec<u8>> {
    (0..40_u8).map(|number| vec![number; usize::from(number) * 5]).collect()
}

pub fn check(bytes: &[u8]) {
    let found = readers::frames(bytes).expect("memory can be read");
    let Some((frames, later)) = found else { return };
    let written = written();
    assert!(written.starts_with(&frames), "{} frames that were not written so", frames.len());
    if let Some(later) = later {
        assert!((frames.len() as u64 + 1..=written.len() as u64).contains(&later), "frame {later}");
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let whole = readers::segment(&written());
    let found = readers::frames(&whole).expect("memory can be read");
    assert_eq!(found, Some((written(), None)));
    vec![whole]
}
