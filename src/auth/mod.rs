//! Who is calling and what they may do. So far everybody is anonymous, and what that allows is said once at
//! the start.

mod access;
mod action;
pub mod bearer;
pub mod credentials;
mod principal;
pub mod scope;

pub use access::Access;
pub use action::{Action, ActionError, Actions};
pub use principal::{Principal, Robot};
