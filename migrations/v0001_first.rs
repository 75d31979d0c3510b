//! Version 1: the first schema. The engine makes the tables, so an empty ledger only takes the number.

use super::{Migration, Step};
use crate::meta::{MetaError, Tx};

/// The first schema.
pub const MIGRATION: Migration = Migration { version: 1, name: "first schema", step };

#[expect(clippy::unnecessary_wraps, reason = "it is one of many, and others fail")]
fn step(_tx: &mut Tx<'_>, _cursor: &[u8]) -> Result<Step, MetaError> {
    Ok(Step::Done)
}
