//! Who is calling and what they may do. So far everybody is anonymous, and the rules of the configuration say
//! what that allows.

mod action;
mod policy;
mod principal;
mod seeing;

pub use action::{Action, ActionError, Actions};
pub use policy::{Basis, Explanation, Policy, Reason};
pub use principal::{Principal, Robot};
pub use seeing::Seeing;
