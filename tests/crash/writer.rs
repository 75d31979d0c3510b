//! A writer of rows that keeps in mind what it was told.

use std::collections::BTreeMap;

use wharfinger::meta::engine::{Engine, KeyRange, Limit, ReadRows, TableId, Verdict, WriteError};

use crate::random::Random;

/// The tables that are written to; as different as any, as far as the engine knows.
const TABLES: [TableId; 3] = [TableId::Blob, TableId::ManifestBytes, TableId::Queue];

/// Keys of each table that a writer uses again and again.
const KEYS: usize = 40;

type Rows = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// A row to be written, or removed where there is no value.
type Change = (TableId, Vec<u8>, Option<Vec<u8>>);

/// What one writer knows of its rows. Only it writes to them.
#[derive(Debug)]
pub struct Writer {
    number: u8,
    random: Random,
    acknowledged: Rows,
    /// What the rows are if the write without an answer happened.
    perhaps: Option<Rows>,
}

impl Writer {
    pub fn new(number: u8, random: &mut Random) -> Self {
        let random = Random::new(random.draw());
        Self { number, random, acknowledged: Rows::new(), perhaps: None }
    }

    fn changes(&mut self) -> Vec<Change> {
        let count = 1 + self.random.below(12);
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let table = *self.random.pick(&TABLES);
        let key = vec![self.number, u8::try_from(self.random.below(KEYS)).expect("few keys")];
        // Some do not fit into a page.
        let length = if self.random.one_in(12) { 9000 } else { 300 };
        let (byte, length) = (self.random.draw().to_le_bytes()[0], self.random.below(length));
        let value = (!self.random.one_in(4)).then(|| vec![byte; length]);
        (table, key, value)
    }

    /// Writes once. What had no answer may have happened; what was refused for want of room did not.
    pub fn write(&mut self, engine: &dyn Engine) -> Result<(), WriteError> {
        let changes = self.changes();
        let verdict = if self.random.one_in(8) { Verdict::Undo } else { Verdict::Keep };
        let mut after = self.acknowledged.clone();
        if verdict == Verdict::Keep {
            apply(&mut after, &changes);
        }
        self.perhaps = Some(after);
        let written = engine.write(Box::new(move |rows| {
            for (table, key, value) in &changes {
                let done = match value {
                    Some(value) => rows.put(*table, key, value),
                    None => rows.remove(*table, key).map(drop),
                };
                // Whether the rows of a ledger that failed are there is not decided here.
                if done.is_err() {
                    return Verdict::Undo;
                }
            }
            verdict
        }));
        match &written {
            Ok(()) => self.acknowledged = self.perhaps.take().expect("it was set above"),
            Err(WriteError::Full) => self.perhaps = None,
            Err(_) => {}
        }
        written
    }

    /// Removes all that it knows of, in one write.
    pub fn clear(&mut self, engine: &dyn Engine) -> Result<(), WriteError> {
        let keys: Vec<_> = self.acknowledged.keys().cloned().collect();
        engine.write(Box::new(move |rows| {
            let removed = keys.iter().try_for_each(|(table, key)| rows.remove(*table, key).map(drop));
            if removed.is_ok() { Verdict::Keep } else { Verdict::Undo }
        }))?;
        self.acknowledged.clear();
        Ok(())
    }

    /// How many rows it knows of.
    pub fn rows(&self) -> usize {
        self.acknowledged.len()
    }

    /// Compares what is there with what may be, and takes it as what is.
    pub fn settle(&mut self, rows: &dyn ReadRows) -> Result<(), String> {
        let found = self.read(rows)?;
        let perhaps = self.perhaps.take();
        if found != self.acknowledged && Some(&found) != perhaps.as_ref() {
            let differ = self.acknowledged.iter().filter(|(key, value)| found.get(*key) != Some(*value));
            return Err(format!("{} rows of writer {} are not as acknowledged", differ.count(), self.number));
        }
        self.acknowledged = found;
        Ok(())
    }

    fn read(&self, rows: &dyn ReadRows) -> Result<Rows, String> {
        let mut found = Rows::new();
        for table in TABLES {
            let range = KeyRange { start: vec![self.number], end: Some(vec![self.number + 1]) };
            let page =
                rows.range(table, &range, Limit::rows(usize::MAX)).map_err(|error| error.to_string())?;
            found.extend(page.into_iter().map(|(key, value)| ((table, key), value)));
        }
        Ok(found)
    }
}

fn apply(rows: &mut Rows, changes: &[Change]) {
    for (table, key, value) in changes {
        match value {
            Some(value) => drop(rows.insert((*table, key.clone()), value.clone())),
            None => drop(rows.remove(&(*table, key.clone()))),
        }
    }
}
