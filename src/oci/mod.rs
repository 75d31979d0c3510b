//! Validated types of the OCI specifications: digests, names, references, media types, descriptors,
//! manifests and ranges; and the names of accounts.
//!
//! Nothing here does I/O or knows the rest of the crate. A value of one of these types was checked when it
//! was made (its fields are private), so the layers above never look at a raw client string again.

mod account;
mod descriptor;
mod digest;
mod json;
mod manifest;
pub mod media_type;
mod name;
mod range;
mod session;

pub use account::{Hidden, TAKEN_NAMES, UserName, UserNameError, is_taken};
pub use descriptor::{Descriptor, FieldError, ReferrerDescriptor};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use json::JsonError;
pub use manifest::{Manifest, ManifestError, ManifestKind, ManifestLimits, ManifestReference, Role};
pub use media_type::{essence, is_nondistributable};
pub use name::{
    NAME_MAX_BYTES, NameError, Reference, ReferenceError, RepositoryName, TAG_MAX_BYTES, Tag, TagError,
};
pub use range::{ContentRange, ContentRangeError, RangeRequest, resolve_range};
pub use session::SessionId;
