//! Validated types of the OCI specifications: digests and names.
//!
//! Nothing here does I/O or knows the rest of the crate. A value of one of these types was checked when it
//! was made (its fields are private), so the layers above never look at a raw client string again.

mod digest;
mod name;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use name::{
    NAME_MAX_BYTES, NameError, Reference, ReferenceError, RepositoryName, TAG_MAX_BYTES, Tag, TagError,
};
