//! Paths: what is found at one is found again at the path that is written for it.

use wharfinger::http::route::{Route, parse};

pub fn check(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let Ok(Some(route)) = parse(path) else { return };
    let is_own = ["/livez", "/readyz", "/metrics"].contains(&path);
    assert!(is_own || path.starts_with("/v2") || path.starts_with("/api/v1/"));
    let Some(canonical) = written(&route) else { return };
    let again = parse(&canonical).expect("its own path is one").expect("its own path leads somewhere");
    assert_eq!(again, route, "{path} and {canonical}");
}

/// The path as links and locations have it; none for what does not exist.
fn written(route: &Route) -> Option<String> {
    Some(match route {
        Route::Live => "/livez".to_owned(),
        Route::Ready => "/readyz".to_owned(),
        Route::Metrics => "/metrics".to_owned(),
        Route::Base => "/v2/".to_owned(),
        Route::Catalog => "/v2/_catalog".to_owned(),
        Route::Extensions(None) => "/v2/_oci/ext/discover".to_owned(),
        Route::Extensions(Some(name)) => format!("/v2/{name}/_oci/ext/discover"),
        Route::TagHistory(name, tag) => format!("/v2/{name}/_oci/tag-history/{tag}"),
        Route::Token => "/token".to_owned(),
        Route::Audit => "/api/v1/audit".to_owned(),
        Route::Repositories => "/api/v1/repositories".to_owned(),
        Route::Repository(name) => format!("/api/v1/repositories/{name}"),
        Route::Tags(name) => format!("/v2/{name}/tags/list"),
        Route::Manifest(name, reference) => format!("/v2/{name}/manifests/{reference}"),
        Route::Blob(name, digest) => format!("/v2/{name}/blobs/{digest}"),
        Route::Uploads(name) => format!("/v2/{name}/blobs/uploads/"),
        Route::Upload(name, session) => format!("/v2/{name}/blobs/uploads/{session}"),
        Route::Referrers(name, digest) => format!("/v2/{name}/referrers/{digest}"),
        Route::ImpossibleTag(..) | Route::ImpossibleUpload(_) => return None,
    })
}

#[cfg(test)]
pub fn samples() -> Vec<Vec<u8>> {
    let (digest, session) = (format!("sha256:{}", "0".repeat(64)), "0123456789abcdef".repeat(2));
    let paths = [
        "/v2".to_owned(),
        "/livez".to_owned(),
        "/metrics".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/_oci/ext/discover".to_owned(),
        "/v2/a/tags/_oci/ext/discover".to_owned(),
        "/v2/a/tags/_oci/tag-history/v1".to_owned(),
        "/api/v1/audit".to_owned(),
        "/api/v1/repositories".to_owned(),
        "/api/v1/repositories/a/repositories".to_owned(),
        "/v2/a/manifests/b/tags/list".to_owned(),
        "/v2/tags/list/tags/list".to_owned(),
        "/v2/team/app/manifests/v1".to_owned(),
        format!("/v2/blobs/uploads/manifests/{digest}"),
        format!("/v2/a/blobs/{}", digest.replace(':', "%3A")),
        "/v2/manifests/blobs/uploads/".to_owned(),
        format!("/v2/a/blobs/uploads/{session}"),
        format!("/v2/a/blobs/uploads/blobs/uploads/{session}"),
        format!("/v2/x/blobs/uploads/referrers/{digest}"),
    ];
    paths.map(String::into_bytes).into()
}
