//! Data directories of released programs, opened by this one; and one of a newer program, which is refused.
//! README.md beside this says how the next directory is made.

mod downgrade;
mod golden;
mod make;

#[expect(dead_code, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;
