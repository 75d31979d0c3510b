//! The content that is pushed and pulled.

use crate::servers::{Kind, Server};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

const BLOCK_BYTES: usize = 1024 * 1024;

/// The repository of all blobs.
pub const REPOSITORY: &str = "bench/app";

/// A file of the client, unlike all others.
pub struct Content {
    /// Its bytes, on the disk and in the page cache.
    pub file: File,
    /// How many.
    pub bytes: u64,
    /// Their digest.
    pub digest: String,
    path: NamedTempFile,
}

impl Content {
    /// Writes one; the seed makes it differ.
    pub fn write(dir: &Path, seed: u64, bytes: u64) -> Self {
        let mut path = NamedTempFile::new_in(dir).expect("a file for the client");
        let (mut block, mut hasher) = (vec![0x5a; BLOCK_BYTES], Sha256::new());
        for from in (0..bytes).step_by(BLOCK_BYTES) {
            block[..8].copy_from_slice(&seed.to_be_bytes());
            block[8..16].copy_from_slice(&from.to_be_bytes());
            let part = usize::try_from(bytes - from).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            hasher.update(&block[..part]);
            path.write_all(&block[..part]).expect("room for the client");
        }
        path.flush().expect("room for the client");
        let file = path.reopen().expect("the file is there");
        Self { file, bytes, digest: digest_text(hasher), path }
    }

    /// Puts it where the server can send it from, and gives the path to ask for.
    pub fn offer(&self, server: &Server) -> String {
        if server.kind == Kind::Nginx {
            let name = self.digest.replace(':', "-");
            let to = server.home().join(crate::servers::NGINX_ROOT).join(&name);
            fs::copy(self.path.path(), to).expect("room for the server");
            return format!("/{name}");
        }
        let mut connection = server.connect();
        let begun = begin(&mut connection);
        let line = format!("PUT {}", closing(&begun, &self.digest));
        let head = connection.send_file(&line, &self.file, self.bytes);
        assert_eq!(head.status, 201, "{line}");
        format!("/v2/{REPOSITORY}/blobs/{}", self.digest)
    }
}

/// Begins an upload, and gives its location.
pub fn begin(connection: &mut crate::client::Connection) -> String {
    connection.expect(202, &format!("POST /v2/{REPOSITORY}/blobs/uploads/"), b"").0.location
}

/// Where an upload is closed.
pub fn closing(location: &str, digest: &str) -> String {
    let sign = if location.contains('?') { '&' } else { '?' };
    format!("{location}{sign}digest={digest}")
}

/// Uploads something small, and gives its digest.
pub fn upload(connection: &mut crate::client::Connection, content: &[u8]) -> String {
    let digest = digest(content);
    let location = begin(connection);
    connection.expect(201, &format!("PUT {}", closing(&location, &digest)), content);
    digest
}

/// A manifest of a configuration and a layer, both uploaded, unlike that of another number.
pub fn manifest(config: (&str, usize), layer: (&str, usize), number: u64) -> Vec<u8> {
    let descriptor = |kind: &str, (digest, size): (&str, usize)| {
        let kind = format!("application/vnd.oci.image.{kind}");
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let (config, layer) = (descriptor("config.v1+json", config), descriptor("layer.v1.tar", layer));
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{IMAGE}\",\"config\":{config},\"layers\":[{layer}],\
         \"annotations\":{{\"number\":\"{number}\"}}}}"
    );
    text.into_bytes()
}

/// The media type of [`manifest`].
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest of some bytes.
pub fn digest(content: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(content))
}

fn digest_text(hasher: Sha256) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&hasher.finalize()))
}
