//! Payloads of frames and blocks: bytes that are changes of rows are those changes' only bytes.

use wharfinger::meta::engine::redb::readers;

pub fn check(bytes: &[u8]) {
    let Some(changes) = readers::changes(bytes) else { return };
    assert_eq!(readers::payload(&changes), bytes);
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let changes = [
        (0, b"key".to_vec(), Some(b"value".to_vec())),
        (7, b"another".to_vec(), None),
        (8, Vec::new(), Some(Vec::new())),
        (33, vec![0; 300], Some(vec![1; 70])),
    ];
    let whole = readers::payload(&changes);
    assert_eq!(readers::changes(&whole), Some(changes.to_vec()));
    vec![whole, readers::payload(&changes[..1])]
}
