//! Who makes a request.

mod failures;
mod passwords;
