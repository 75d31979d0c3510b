//! Where a request comes from, and by which address its client knows the registry.
//!
//! A proxy that is trusted is believed what it says of its client, by X-Forwarded-For, X-Forwarded-Proto and
//! X-Forwarded-Host. `Forwarded` (RFC 7239) is not read: nginx, Traefik, `HAProxy` and Caddy do not send it
//! unless told to, and of two spellings one is always forgotten. Each proxy adds to the end of what is there,
//! so all is read from the right: what stands further left than the last trusted proxy, anybody may have
//! written.

use crate::config::{Config, TrustedProxies, is_host};
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::uri::Authority;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The client's address, and those of all proxies but the last.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the client used.
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked for.
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How a client talks to the registry, or to the proxy before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; none if the connection had none any more.
    pub address: Option<IpAddr>,
    /// How the client talks to the registry or to the proxy.
    pub scheme: Scheme,
    /// The host, with its port if it has one, that the client asked for; empty if it said none that can be
    /// one.
    pub host: String,
    /// The other end of the connection.
    peer: Option<SocketAddr>,
    /// Whether that is a trusted proxy.
    is_proxied: bool,
}

impl Origin {
    /// Reads it from the head of a request that came over a connection from `peer`.
    #[must_use]
    pub fn of(
        peer: Option<SocketAddr>,
        is_tls: bool,
        uri: &Uri,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Self {
        let address = peer.map(|peer| peer.ip().to_canonical());
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(Authority::as_str));
        // A proxy that nobody told us of speaks TLS with its clients. Whoever lies about that deceives only
        // itself, and a password that is asked for at an address without TLS would be sent in the clear.
        let is_tls = is_tls || last(headers, &FORWARDED_PROTO).and_then(scheme) == Some(Scheme::Https);
        let direct = Self {
            address,
            scheme: if is_tls { Scheme::Https } else { Scheme::Http },
            host: host.filter(|host| is_host(host)).unwrap_or_default().to_owned(),
            peer,
            is_proxied: false,
        };
        let Some(proxy) = address.filter(|&address| trusted.has(address)) else { return direct };
        Self {
            address: Some(client(proxy, headers, trusted)),
            scheme: last(headers, &FORWARDED_PROTO).and_then(scheme).unwrap_or(direct.scheme),
            host: forwarded_host(headers).unwrap_or(direct.host),
            is_proxied: true,
            peer,
        }
    }

    /// Whether it came through a trusted proxy.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.is_proxied
    }

    /// The address by which the client knows the registry, such as `https://registry.example.org`: the one in
    /// the configuration, or what the request says.
    #[must_use]
    pub fn base_url(&self, config: &Config) -> String {
        match &config.public_url {
            Some(url) => url.to_string(),
            None if self.host.is_empty() => format!("{}://{}", self.scheme, config.listen),
            None => format!("{}://{}", self.scheme, self.host),
        }
    }
}

/// The client for the log: with its port where the connection is its own.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.peer) {
            (Some(address), Some(peer)) if address == peer.ip().to_canonical() => peer.fmt(f),
            (Some(address), _) => address.fmt(f),
            (None, _) => f.write_str("-"),
        }
    }
}

/// The first address from the right that is no trusted proxy, or the leftmost. Behind what is no address
/// stands the proxy that wrote it down: nothing before it can be believed.
fn client(proxy: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut client = proxy;
    let values: Vec<_> = headers.get_all(&FORWARDED_FOR).collect();
    for value in values.into_iter().rev() {
        let Ok(list) = value.to_str() else { return client };
        for word in list.rsplit(',') {
            let Some(address) = address(word.trim()) else { return client };
            client = address;
            if !trusted.has(client) {
                return client;
            }
        }
    }
    client
}

/// An address, with or without a port: some proxies add it.
fn address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let with_port = || word.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// What the nearest proxy said.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).last()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

fn scheme(word: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme.as_str()))
}

fn forwarded_host(headers: &HeaderMap) -> Option<String> {
    last(headers, &FORWARDED_HOST).filter(|host| is_host(host)).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
