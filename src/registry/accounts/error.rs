//! What is refused about accounts.

use crate::oci::UserName;

/// Why something is not done to an account.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// The name is a user's.
    #[error("there is a user {0}: `wharfinger user passwd {0}` sets another password")]
    UserExists(UserName),
    /// No user has the name.
    #[error("there is no user {0}: `wharfinger user ls` lists all, `wharfinger user add {0}` adds one")]
    UserUnknown(UserName),
    /// The name is another token's.
    #[error("there is a token {0}: `wharfinger token revoke {0}` ends it and frees its name")]
    TokenExists(UserName),
    /// No token has the name or id.
    #[error("there is no token {0}: `wharfinger token ls` lists all")]
    TokenUnknown(String),
    /// The id is another token's, which the caller drew at random.
    #[error("the id of the token is in use: make another one")]
    TokenIdInUse,
}
