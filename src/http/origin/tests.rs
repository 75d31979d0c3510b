//! Who is believed what.

use super::*;
use crate::config::Inputs;
use actix_web::http::header::HeaderValue;

fn config(keys: &[(&'static str, &str)]) -> Config {
    let arguments = keys.iter().map(|&(key, value)| (key, "--test", value.to_owned())).collect();
    Inputs { arguments, ..Inputs::default() }.load().unwrap()
}

fn of(peer: &str, headers: &[(&str, &str)]) -> Origin {
    of_uri(peer, "/v2/", headers)
}

fn of_uri(peer: &str, uri: &str, headers: &[(&str, &str)]) -> Origin {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    let trusted = config(&[("trusted_proxies", "127.0.0.1, 10.0.0.0/8, 2001:db8::/64")]).trusted_proxies;
    Origin::of(Some(peer.parse().unwrap()), false, &uri.parse().unwrap(), &map, &trusted)
}

fn shown(origin: &Origin) -> (String, String, bool) {
    (origin.to_string(), origin.base_url(&Config::default()), origin.is_proxied())
}

const HOST: (&str, &str) = ("host", "inner:5000");

#[test]
fn nobody_else_is_believed() {
    let headers = [
        HOST,
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer.example"),
    ];
    for peer in ["192.0.2.9:4711", "127.0.0.2:4711", "[2001:db8:0:1::1]:4711"] {
        // But for TLS: that can only make a client safer.
        let expected = (peer.to_owned(), "https://inner:5000".to_owned(), false);
        assert_eq!(shown(&of(peer, &headers)), expected);
    }
    let expected = ("192.0.2.1".to_owned(), "https://outer.example".to_owned(), true);
    for peer in ["127.0.0.1:1", "10.9.9.9:1", "[2001:db8::9]:1", "[::ffff:10.0.0.1]:1"] {
        assert_eq!(shown(&of(peer, &headers)), expected, "{peer}");
    }
}

#[test]
fn the_list_is_read_from_the_right_and_never_past_what_is_not_trusted() {
    for (values, client) in [
        (vec!["192.0.2.1"], "192.0.2.1"),
        (vec!["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (vec!["6.6.6.6, 192.0.2.1, 10.0.0.2,10.0.0.3"], "192.0.2.1"),
        (vec!["6.6.6.6", "192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (vec!["192.0.2.1:4711"], "192.0.2.1"),
        (vec!["[2001:db8:1::1]:4711"], "2001:db8:1::1"),
        (vec!["[2001:db8:1::1]"], "2001:db8:1::1"),
        (vec!["::ffff:192.0.2.1"], "192.0.2.1"),
        // All of them are ours: the first is the one that asks.
        (vec!["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        // What is no address hides all that is before it.
        (vec!["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (vec!["192.0.2.1, \u{fc}, 10.0.0.2"], "10.9.9.9:1"),
        (vec!["192.0.2.1,"], "10.9.9.9:1"),
        (vec![""], "10.9.9.9:1"),
        (vec!["192.0.2.1 192.0.2.2"], "10.9.9.9:1"),
        (vec!["192.0.2.1\" onload=x"], "10.9.9.9:1"),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
        assert_eq!(of("10.9.9.9:1", &headers).to_string(), client, "{values:?}");
    }
    assert_eq!(of("10.9.9.9:1", &[]).to_string(), "10.9.9.9:1");
}

#[test]
fn what_can_be_no_host_or_scheme_is_not_believed_of_anybody() {
    let long = "a".repeat(256);
    for host in ["", "a b", "a\"b", "a'b", "a/b", "a<b", "a@b", "a\tb", "\u{fc}", "a, b c", &long] {
        let origin = of("127.0.0.1:1", &[HOST, ("x-forwarded-host", host)]);
        assert_eq!(origin.host, "inner:5000", "{host:?}");
        assert_eq!(of("192.0.2.1:1", &[("host", host)]).host, "", "{host:?}");
    }
    assert_eq!(of("127.0.0.1:1", &[HOST, ("x-forwarded-host", "evil, outer:443")]).host, "outer:443");
    for (proto, scheme) in
        [("https", Scheme::Https), ("HTTPS", Scheme::Https), ("http, https", Scheme::Https)]
    {
        assert_eq!(of("127.0.0.1:1", &[("x-forwarded-proto", proto)]).scheme, scheme, "{proto}");
    }
    for proto in ["", "javascript", "https://", "wss", "https, http"] {
        assert_eq!(of("127.0.0.1:1", &[("x-forwarded-proto", proto)]).scheme, Scheme::Http, "{proto}");
    }
}

#[test]
fn the_configuration_knows_best_by_which_address_it_is_known() {
    let config = config(&[("public_url", "https://registry.example.org/")]);
    assert_eq!(of("192.0.2.1:1", &[HOST]).base_url(&config), "https://registry.example.org");
    assert_eq!(of("192.0.2.1:1", &[]).base_url(&Config::default()), "http://127.0.0.1:5000");
    let origin = of_uri("192.0.2.1:1", "http://named.example:80/v2/", &[]);
    assert_eq!(origin.base_url(&Config::default()), "http://named.example:80");
}
