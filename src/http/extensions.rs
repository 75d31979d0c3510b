//! `/v2/_oci/ext/discover` (distribution-spec, extensions/_oci.md): what there is beyond the specification.

use actix_web::HttpResponse;
use serde_json::json;

/// GET: the extensions of the registry; those of a repository are the same.
pub fn discover() -> HttpResponse {
    let oci = json!({
        "name": "_oci",
        "description": "Discovery of extensions",
        "url": "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md",
        "endpoints": ["/v2/_oci/ext/discover", "/v2/{name}/_oci/ext/discover"],
    });
    HttpResponse::Ok().content_type("application/json").body(json!({ "extensions": [oci] }).to_string())
}
