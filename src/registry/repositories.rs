//! Names and numbers of repositories.

use crate::oci::RepositoryName;
use crate::store::records::{RepositoryRecord, RepositoryState};
use crate::store::tables::{CATALOG, MANIFEST, Number, REPOSITORY, REPOSITORY_BY_NAME};
use crate::store::{KeyRange, MetaError, Read, RepoId, Tx};

/// The number of a repository that was written to before.
pub fn find(rows: &impl Read, name: &RepositoryName) -> Result<Option<RepoId>, MetaError> {
    Ok(rows.get(&REPOSITORY_BY_NAME, name)?.map(|number: Number| RepoId(number.0)))
}

/// The number of a repository; `fresh` becomes it where it has none.
pub fn find_or_create(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    fresh: RepoId,
    now_ms: u64,
) -> Result<RepoId, MetaError> {
    if let Some(present) = find(tx, name)? {
        return Ok(present);
    }
    tx.put(&REPOSITORY_BY_NAME, name, &Number(fresh.0))?;
    create(tx, name, fresh, now_ms, RepositoryState::Named)?;
    Ok(fresh)
}

/// Makes the number `fresh` a repository.
pub fn create(
    tx: &mut Tx<'_>,
    name: &RepositoryName,
    fresh: RepoId,
    now_ms: u64,
    state: RepositoryState,
) -> Result<(), MetaError> {
    let repository = RepositoryRecord { name: name.clone(), created_at_ms: now_ms, state };
    let created = tx.insert_if_absent(&REPOSITORY, &fresh, &repository)?;
    assert!(created, "a number drawn from 2^64 was drawn before");
    Ok(())
}

/// The name by which the repository is found; none: it is deleted or not yet whole.
pub fn name_of(rows: &impl Read, repository: RepoId) -> Result<Option<RepositoryName>, MetaError> {
    let record = rows.get(&REPOSITORY, &repository)?;
    Ok(record.filter(|record| record.state == RepositoryState::Named).map(|record| record.name))
}

/// How a repository is called where it is told of; one that is gone by its number.
pub fn shown_name(rows: &impl Read, repository: RepoId) -> Result<String, MetaError> {
    let record = rows.get(&REPOSITORY, &repository)?;
    Ok(record.map_or_else(|| format!("repository {:x}", repository.0), |record| record.name.to_string()))
}

/// Puts the repository into the catalog or takes it out, as it has a visible manifest or not.
pub fn settle_catalog(tx: &mut Tx<'_>, name: &RepositoryName, repository: RepoId) -> Result<(), MetaError> {
    if find(tx, name)? != Some(repository) {
        // It is deleted, or not yet whole, and the name leads to another or to none.
        return Ok(());
    }
    match tx.first(&MANIFEST, &KeyRange::prefix(&repository))? {
        Some(_) => tx.put(&CATALOG, name, &()),
        None => tx.remove(&CATALOG, name).map(drop),
    }
}
