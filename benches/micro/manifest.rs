//! Parsing manifests, from the smallest to the most that is accepted.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use wharfinger::oci::{Algorithm, Digest, Manifest, ManifestLimits};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn descriptor(kind: &str, number: usize) -> String {
    let digest = Digest::of(Algorithm::Sha256, number.to_string().as_bytes());
    format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{number}}}")
}

fn list(kind: &str, count: usize) -> String {
    (1..=count).map(|number| descriptor(kind, number)).collect::<Vec<_>>().join(",")
}

fn parse(bencher: Bencher, text: &str) {
    let limits = ManifestLimits::default();
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| Manifest::parse(black_box(text.as_bytes()), None, &limits).expect("it is accepted"));
}

#[divan::bench(args = [1, 10, 100, 4999])]
fn image(bencher: Bencher, layers: usize) {
    let config = descriptor("application/vnd.oci.image.config.v1+json", 0);
    let layers = list("application/vnd.oci.image.layer.v1.tar+gzip", layers);
    let head = format!("\"schemaVersion\":2,\"mediaType\":\"{IMAGE}\"");
    parse(bencher, &format!("{{{head},\"config\":{config},\"layers\":[{layers}]}}"));
}

#[divan::bench(args = [2, 20])]
fn index(bencher: Bencher, manifests: usize) {
    let manifests = list(IMAGE, manifests);
    let head = format!("\"schemaVersion\":2,\"mediaType\":\"{INDEX}\"");
    parse(bencher, &format!("{{{head},\"manifests\":[{manifests}]}}"));
}
