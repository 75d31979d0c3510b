//! Who does something, from where, and by which request.

use std::net::IpAddr;

/// The name of those who say none. It is no user's.
const ANONYMOUS: &str = "anonymous";

/// Who does something. What has no request, such as a command or a rule, is only a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name: `anonymous`, `alice`, `robot:builder`, `local` for commands, `rule`, `collector`.
    pub who: String,
    /// The address that the request came from.
    pub address: Option<IpAddr>,
    /// The id that the request is answered and logged with.
    pub request_id: Option<String>,
}

impl Actor {
    /// The name as histories have it: of those without one, the address says more.
    #[must_use]
    pub fn label(&self) -> String {
        match self.address {
            Some(address) if self.who == ANONYMOUS => format!("{ANONYMOUS}@{address}"),
            _ => self.who.clone(),
        }
    }
}

impl From<&str> for Actor {
    fn from(who: &str) -> Self {
        Self { who: who.to_owned(), address: None, request_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn only_those_without_a_name_are_told_by_their_address() {
        let at = |who: &str| Actor { address: Some(Ipv4Addr::LOCALHOST.into()), ..Actor::from(who) };
        assert_eq!(at("anonymous").label(), "anonymous@127.0.0.1");
        assert_eq!(at("alice").label(), "alice");
        assert_eq!(Actor::from("anonymous").label(), "anonymous");
    }
}
