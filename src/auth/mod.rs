//! Who is calling and what they may do. So far everybody is anonymous, and what that allows is said once at
//! the start.

mod access;
mod action;
pub mod htpasswd;
pub mod password;
mod principal;
pub mod secret;

pub use access::Access;
pub use action::{Action, ActionError, Actions};
pub use principal::{Principal, Robot};
