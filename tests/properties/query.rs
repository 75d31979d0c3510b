//! Queries: a page keeps its limit, and the parameters of a link are read back from it.

use wharfinger::http::query::{Query, next_link};

const PAGE_MAX: u64 = 1000;

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let given = query.get("n");
    match query.page_limit(PAGE_MAX) {
        Ok(limit) => {
            let limit = u64::try_from(limit).expect("64 bits");
            assert!(limit <= PAGE_MAX);
            assert!(given.is_none_or(|n| n.parse().unwrap_or(u64::MAX).min(PAGE_MAX) == limit));
        }
        Err(_) => {
            assert!(given.is_some_and(|n| n.is_empty() || !n.bytes().all(|byte| byte.is_ascii_digit())));
        }
    }
    let asked = ["n", "last", "artifactType", "digest", "mount", "from"];
    let parameters: Vec<_> = asked.iter().filter_map(|key| Some((*key, query.get(key)?))).collect();
    let link = next_link("/v2/_catalog", &parameters);
    assert!(link.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{link}");
    let target = link.strip_prefix("</v2/_catalog?").and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    let target = target.expect("the form of a link");
    assert!(!target.contains(['<', '>', '"', ' ']), "nothing ends the link early: {link}");
    let Ok(read) = Query::parse(target) else { panic!("a link that cannot be read: {link}") };
    for (key, value) in parameters {
        assert_eq!(read.get(key), Some(value), "{link}");
    }
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    [
        "n=10&last=v1",
        "n=18446744073709551616",
        "artifactType=application/vnd.example+json&last=sha256:0",
        "digest=sha256%3A0&mount=&from=a%2Fb",
        "last=%3C%3E%22%20%26%3D%25&n=0",
        "=&&=&n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
