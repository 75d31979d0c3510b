//! Real clients against Wharfinger, and the same steps against another registry.
//!
//! Each client's module holds its steps: a thing that users do, and what must come of it, compared by
//! bytes and digests. A step gets a registry of its own and does not know which one it is. What a machine
//! lacks is skipped aloud; `scripts/install-test-tools` installs it.

mod dockerd;
mod guarded;
mod images;
mod process;
mod registry;
mod scene;
mod storage;
mod tools;

mod buildah;
mod buildkit;
mod conformance;
mod containerd;
mod cosign;
mod crane;
mod docker;
mod helm;
mod logins;
mod moving;
mod nginx;
mod oras;
mod packaging;
mod peer;
mod podman;
mod skopeo;
mod story;

#[expect(dead_code, reason = "the clients need the server alone")]
#[path = "../support/mod.rs"]
mod support;
