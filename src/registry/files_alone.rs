//! What the files of a data directory say without a ledger.

use crate::oci::{Algorithm, Digest};
use crate::store::{DataDir, Location};
use serde_json::{Value, json};
use std::io;

/// The longest file that is read as the configuration of an image.
const CONFIG_MAX_BYTES: u64 = 1024 * 1024;

/// A blob's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// What its name says that it holds.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
    /// What it seems to be, in words.
    pub kind: String,
}

/// Every blob's file of a data directory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FoundFiles {
    /// In the order of their digests.
    pub files: Vec<FoundFile>,
}

impl FoundFiles {
    /// Lists the files and looks at the beginning of each.
    pub fn read(dir: &DataDir) -> io::Result<Self> {
        let mut files = Vec::new();
        for algorithm in Algorithm::ALL {
            for prefix in 0..=255 {
                let listed = dir.list_blobs(algorithm, prefix)?;
                for (location, bytes) in listed.into_iter().filter_map(Result::ok) {
                    let kind = kind_of(dir, &location, bytes)?;
                    files.push(FoundFile { digest: location.digest, bytes, kind });
                }
            }
        }
        files.sort_by_key(|file| file.digest);
        Ok(Self { files })
    }

    /// The list as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let blob = |file: &FoundFile| {
            let FoundFile { digest, bytes, kind } = file;
            json!({"digest": digest.to_string(), "bytes": bytes, "kind": kind})
        };
        json!({
            "count": self.files.len(),
            "bytes": self.files.iter().map(|file| file.bytes).sum::<u64>(),
            "blobs": self.files.iter().map(blob).collect::<Vec<_>>(),
        })
    }
}

/// What a file seems to be by its first bytes; of the configuration of an image, which one.
fn kind_of(dir: &DataDir, location: &Location, bytes: u64) -> io::Result<String> {
    let file = dir.open_blob(location, bytes)?;
    let is_short = bytes <= CONFIG_MAX_BYTES;
    let mut content = vec![0; usize::try_from(if is_short { bytes } else { 4 }).unwrap_or(4)];
    let count = file.read_at(&mut content, 0)?;
    content.truncate(count);
    if content.starts_with(&[0x1f, 0x8b]) {
        return Ok("gzip, most likely a layer".to_owned());
    }
    if content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok("zstd, most likely a layer".to_owned());
    }
    let config = if is_short { serde_json::from_slice::<Value>(&content).ok() } else { None };
    Ok(config.map_or_else(|| "something else".to_owned(), |config| kind_of_json(&config)))
}

fn kind_of_json(config: &Value) -> String {
    let text = |key: &str| config[key].as_str().unwrap_or("unknown").to_owned();
    let Some(layers) = config["rootfs"]["diff_ids"].as_array() else { return "JSON".to_owned() };
    let (os, architecture) = (text("os"), text("architecture"));
    format!(
        "configuration of an image for {os}/{architecture}, made {}, {} layers",
        text("created"),
        layers.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::scene::{Scene, digest};

    #[test]
    fn files_say_what_they_are() {
        let scene = Scene::new(|_| {});
        let config = json!({
            "os": "linux",
            "architecture": "arm64",
            "created": "2026-11-01T00:00:00Z",
            "rootfs": {"diff_ids": ["a", "b"]},
        });
        let config = &config.to_string().into_bytes();
        let layer = [&[0x1f, 0x8b][..], &[7; 30]].concat();
        for content in [&config[..], &layer, b"other", b"{}"] {
            scene.push_blob("app", content);
        }
        let found = FoundFiles::read(scene.registry.store.dir()).unwrap();
        let kind = |content: &[u8]| {
            let file = found.files.iter().find(|file| file.digest == digest(content)).unwrap();
            assert_eq!(file.bytes, content.len() as u64);
            file.kind.clone()
        };
        assert_eq!(
            kind(config),
            "configuration of an image for linux/arm64, made 2026-11-01T00:00:00Z, 2 layers"
        );
        assert!(kind(&layer).starts_with("gzip"));
        assert_eq!((kind(b"other").as_str(), kind(b"{}").as_str()), ("something else", "JSON"));
        assert_eq!(found.to_json()["count"], 4);
    }
}
