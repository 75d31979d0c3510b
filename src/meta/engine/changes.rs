//! What a group of closures changed: enough to undo one of them alone, and the rows that the journal gets.

use super::TableId;

/// The most bytes of keys and values one closure may write; more is a bug, since it holds up everybody else.
pub const CLOSURE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// One changed row and what stood there before.
#[derive(Debug)]
pub struct Change {
    /// The row's table.
    pub table: TableId,
    /// The row's key.
    pub key: Vec<u8>,
    /// Its value before the change; none: there was no row.
    pub before: Option<Vec<u8>>,
    /// Its value after it; none: the row is gone.
    pub after: Option<Vec<u8>>,
}

/// The changes of a group, oldest first.
#[derive(Debug, Default)]
pub struct Changes {
    list: Vec<Change>,
    closure_bytes: usize,
    group_bytes: usize,
}

impl Changes {
    /// Marks the beginning of a closure; [`Changes::since`] takes back to here.
    pub fn begin_closure(&mut self) -> usize {
        self.closure_bytes = 0;
        self.list.len()
    }

    /// Counts a change that is about to be made. Panics above the limit, while nothing is changed yet.
    pub fn charge(&mut self, key: &[u8], value: &[u8]) {
        let bytes = key.len() + value.len();
        (self.closure_bytes, self.group_bytes) = (self.closure_bytes + bytes, self.group_bytes + bytes);
        assert!(
            self.closure_bytes <= CLOSURE_MAX_BYTES,
            "a closure wrote {} bytes; work as large as that goes in pieces",
            self.closure_bytes
        );
    }

    /// Notes a change that was made.
    pub fn note(&mut self, table: TableId, key: &[u8], before: Option<Vec<u8>>, after: Option<&[u8]>) {
        let after = after.map(<[u8]>::to_vec);
        self.list.push(Change { table, key: key.to_vec(), before, after });
    }

    /// The changes, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.list.iter()
    }

    /// Takes out the changes made since `mark`, newest first: the order to undo them in.
    pub fn since(&mut self, mark: usize) -> Vec<Change> {
        let mut changes = self.list.split_off(mark);
        changes.reverse();
        changes
    }

    /// How many bytes of keys and values the group has written, also where they were undone.
    pub fn bytes_written(&self) -> usize {
        self.group_bytes
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
