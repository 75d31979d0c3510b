//! Who is calling and what they may do.
//!
//! Nothing here reads the ledger: hashes and keys are handed in, so that what is decided is decided by what
//! the caller of this read at that moment.

mod action;
pub mod bearer;
pub mod credentials;
pub mod htpasswd;
pub mod password;
mod policy;
mod principal;
pub mod scope;
pub mod secret;
mod seeing;

pub use action::{Action, ActionError, Actions};
pub use policy::{Basis, Explanation, Policy, Reason};
pub use principal::{Principal, Robot};
pub use seeing::Seeing;
