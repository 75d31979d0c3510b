//! Images made by hand: tar layers, contexts to build from, OCI layouts, and comparing two layouts.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process;
use crate::scene::{Scene, ensure, text};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const TAR_BLOCK: usize = 512;

/// `sha256:` and the hexadecimal digest of the bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", base16ct::lower::encode_string(&Sha256::digest(bytes)))
}

/// A tar archive of plain files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; TAR_BLOCK];
        let mut field = |at: usize, value: &str| {
            header[at..at + value.len()].copy_from_slice(value.as_bytes());
        };
        field(0, name);
        field(100, "0000644\0");
        field(108, "0000000\0");
        field(116, "0000000\0");
        field(124, &format!("{:011o}\0", content.len()));
        field(136, "00000000000\0");
        // The checksum counts its own field as blanks.
        field(148, "        ");
        field(156, "0");
        field(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(TAR_BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * TAR_BLOCK, 0);
    archive
}

/// A tar file with one file of the scene's bytes in it.
pub fn layer_file(scene: &Scene, label: &str, len: usize) -> Result<PathBuf, Box<dyn Error>> {
    let path = scene.path(&format!("{label}.tar"));
    fs::write(&path, tar(&[(label, &scene.bytes(label, len))]))?;
    Ok(path)
}

/// Writes a build context: a Dockerfile and its files.
pub fn write_context(
    folder: &Path,
    dockerfile: &str,
    files: &[(&str, &[u8])],
) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    for (name, content) in files {
        fs::write(folder.join(name), content)?;
    }
    Ok(folder.to_owned())
}

/// Writes a context whose image has a layer for each label.
pub fn context(scene: &Scene, name: &str, labels: &[(&str, usize)]) -> Result<PathBuf, Box<dyn Error>> {
    let copies = labels.iter().map(|(label, _)| format!("COPY {label} /{label}"));
    let lines: Vec<String> = iter::once("FROM scratch\nCMD [\"/none\"]".to_owned()).chain(copies).collect();
    let contents: Vec<Vec<u8>> = labels.iter().map(|(label, len)| scene.bytes(label, *len)).collect();
    let names = labels.iter().map(|(label, _)| *label);
    let files: Vec<(&str, &[u8])> = names.zip(contents.iter().map(Vec::as_slice)).collect();
    write_context(&scene.path(name), &lines.join("\n"), &files)
}

/// An OCI image layout in a folder.
pub struct Layout {
    folder: PathBuf,
    layer_type: &'static str,
}

const PLAIN_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

impl Layout {
    /// An empty layout. Its layers will be compressed: some clients compress plain ones on their way.
    pub fn create(folder: &Path) -> Result<Layout, Box<dyn Error>> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Layout::open(folder))
    }

    /// An empty layout whose layers will be plain.
    pub fn create_plain(folder: &Path) -> Result<Layout, Box<dyn Error>> {
        Ok(Layout { layer_type: PLAIN_LAYER, ..Layout::create(folder)? })
    }

    pub fn open(folder: &Path) -> Layout {
        Layout { folder: folder.to_owned(), layer_type: GZIP_LAYER }
    }

    /// The folder as clients take it.
    pub fn path(&self) -> &str {
        text(&self.folder)
    }

    /// Stores a blob and returns its descriptor.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Value, Box<dyn Error>> {
        let digest = digest_of(bytes);
        fs::write(self.blob_path(&digest)?, bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }

    /// Stores an image of layers with the scene's bytes and returns its manifest's descriptor.
    pub fn put_image(
        &self,
        scene: &Scene,
        architecture: &str,
        layers: &[(&str, usize)],
    ) -> Result<Value, Box<dyn Error>> {
        let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
        for (label, len) in layers {
            let file = layer_file(scene, label, *len)?;
            let mut layer = fs::read(&file)?;
            diff_ids.push(digest_of(&layer));
            if self.layer_type == GZIP_LAYER {
                layer = process::run(Command::new("gzip").arg("-nc").arg(file))?.stdout;
            }
            descriptors.push(self.put(self.layer_type, &layer)?);
        }
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/none"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": descriptors,
        });
        let mut descriptor = self.put(OCI_MANIFEST, manifest.to_string().as_bytes())?;
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        Ok(descriptor)
    }

    /// Stores an index of the children and returns its descriptor.
    pub fn put_index(&self, children: &[Value]) -> Result<Value, Box<dyn Error>> {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
        self.put(OCI_INDEX, index.to_string().as_bytes())
    }

    /// Gives a manifest of the layout its name; a second call takes the first name away.
    pub fn tag(&self, descriptor: &Value, name: &str) -> Result<(), Box<dyn Error>> {
        let mut entry = descriptor.clone();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        Ok(fs::write(self.folder.join("index.json"), index.to_string())?)
    }

    /// The digest of the manifest that the layout names.
    pub fn named_digest(&self) -> Result<String, Box<dyn Error>> {
        let index: Value = serde_json::from_slice(&fs::read(self.folder.join("index.json"))?)?;
        let digest = index["manifests"][0]["digest"].as_str();
        Ok(digest.ok_or("index.json names no manifest")?.to_owned())
    }

    pub fn blob(&self, digest: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(fs::read(self.blob_path(digest)?)?)
    }

    /// Demands that another layout names the same manifest and holds the same blobs, byte for byte.
    pub fn ensure_same(&self, other: &Layout) -> Result<(), Box<dyn Error>> {
        let (named, others) = (self.named_digest()?, other.named_digest()?);
        ensure!(named == others, "{named} went in, {others} came out");
        let (blobs, others) = (self.blobs()?, other.blobs()?);
        ensure!(blobs == others, "blobs went in: {blobs:?}, came out: {others:?}");
        for digest in &blobs {
            let same = self.blob(digest)? == other.blob(digest)?;
            ensure!(same, "the bytes of {digest} are not those that went in");
        }
        Ok(())
    }

    fn blobs(&self) -> Result<BTreeSet<String>, Box<dyn Error>> {
        let mut digests = BTreeSet::new();
        for entry in fs::read_dir(self.folder.join("blobs/sha256"))? {
            digests.insert(format!("sha256:{}", entry?.file_name().to_string_lossy()));
        }
        Ok(digests)
    }

    fn blob_path(&self, digest: &str) -> Result<PathBuf, Box<dyn Error>> {
        let hex = digest.strip_prefix("sha256:").ok_or("layouts here hold sha256 only")?;
        Ok(self.folder.join("blobs/sha256").join(hex))
    }
}

/// A text member of a descriptor or manifest.
pub fn member<'a>(value: &'a Value, name: &str) -> Result<&'a str, Box<dyn Error>> {
    value[name].as_str().ok_or_else(|| format!("no {name} in {value}").into())
}
