//! Real clients with credentials, against a Wharfinger that wants them: over plain HTTP, TLS and nginx.

mod containerd;
mod crane;
mod docker;
mod helm;
mod oras;
mod podman;
mod skopeo;
