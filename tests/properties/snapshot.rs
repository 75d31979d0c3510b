//! Snapshots: whatever becomes of one, what counts of it is what was written, and it is whole only if that is
//! all.

use wharfinger::meta::engine::redb::readers;

/// Rows in blocks of one to eight.
fn written() -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let row = |block: u8, row: u8| (vec![block, row], vec![row; usize::from(block) * 3]);
    (0..20_u8).map(|block| (0..=block % 8).map(|number| row(block, number)).collect()).collect()
}

pub fn check(bytes: &[u8]) {
    let found = readers::blocks(bytes).expect("memory can be read");
    let Some((blocks, is_whole)) = found else { return };
    let written = written();
    assert!(blocks.len() <= written.len());
    for (found, written) in blocks.iter().zip(&written) {
        let changes = readers::changes(found).expect("a block that counts can be read");
        let rows = changes.into_iter().map(|(_, key, value)| (key, value.expect("a row has a value")));
        assert!(rows.eq(written.iter().cloned()), "a block that was not written so");
    }
    assert!(!is_whole || blocks.len() == written.len(), "whole with {} blocks", blocks.len());
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let whole = readers::snapshot(&written()).expect("memory can be written");
    let found = readers::blocks(&whole).expect("memory can be read");
    assert!(found.is_some_and(|(blocks, is_whole)| is_whole && blocks.len() == written().len()));
    vec![whole]
}
