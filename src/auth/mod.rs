//! Who is calling and what they may do. So far everybody is anonymous, and what that allows is said once at
//! the start.

mod access;

pub use access::{Access, AccessError, Action};
