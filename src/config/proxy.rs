//! How the registry is reached from outside: its own address there, and the proxies before it.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// The longest host and port that are believed.
pub const HOST_MAX_BYTES: usize = 255;

/// Whether a text can be a host with or without a port: nothing in it can end a header, a quote or a URL.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    (1..=HOST_MAX_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// The address by which clients know the registry: scheme, host and port, without a slash behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads `https://registry.example.org`, or says what is expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected http:// or https:// with a host and nothing behind it but a port, such as \
                        https://registry.example.org";
        let url = text.strip_suffix('/').unwrap_or(text);
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        match host {
            Some(host) if is_host(host) => Ok(Self(url.to_owned())),
            _ => Err(expected.to_owned()),
        }
    }

    /// The whole, such as `https://registry.example.org`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, with its port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The proxies whose word on the client is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads a list such as `127.0.0.1, 10.0.0.0/8`, or says what is expected.
    pub(super) fn parse(list: &str) -> Result<Self, String> {
        let network = |word: &str| {
            let address = word.parse::<IpAddr>().map(IpNet::from);
            let expected =
                || format!("{word:?} is none: expected a list of addresses, such as 127.0.0.1, 10.0.0.0/8");
            address.or_else(|_| word.parse::<IpNet>()).map(|net| net.trunc()).map_err(|_| expected())
        };
        list.split(',').map(str::trim).map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it is one of them. An IPv4 address is the same where IPv6 wraps it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |net: &IpNet| {
            let is_one = net.prefix_len() == net.max_prefix_len();
            if is_one { net.addr().to_string() } else { net.to_string() }
        };
        f.write_str(&self.0.iter().map(shown).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        for (text, host) in [
            ("https://registry.example.org", "registry.example.org"),
            ("http://registry.example.org:8080/", "registry.example.org:8080"),
            ("https://[2001:db8::1]:5000", "[2001:db8::1]:5000"),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.as_str()), (host, text.trim_end_matches('/')));
        }
        for text in [
            "",
            "registry.example.org",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a b",
            "https://u@a",
            "https://a?b",
            "https://a\"",
            "https://a\r\n",
            "HTTPS://a",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text:?}");
        }
        assert!(PublicUrl::parse(&format!("https://{}", "a".repeat(HOST_MAX_BYTES + 1))).is_err());
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies = TrustedProxies::parse("127.0.0.1, 10.1.2.3/8,2001:db8::/32").unwrap();
        assert_eq!(proxies.to_string(), "127.0.0.1, 10.0.0.0/8, 2001:db8::/32");
        for address in ["127.0.0.1", "10.255.0.1", "2001:db8::7", "::ffff:10.0.0.1"] {
            assert!(proxies.has(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.2", "11.0.0.1", "2001:db9::1", "::1", "::127.0.0.1"] {
            assert!(!proxies.has(address.parse().unwrap()), "{address}");
        }
        for list in ["", "localhost", "10.0.0.0/33", "10.0.0.1,", "10.0.0.1 10.0.0.2", "*"] {
            assert!(TrustedProxies::parse(list).is_err(), "{list}");
        }
        assert!(TrustedProxies::default().is_empty());
    }
}
