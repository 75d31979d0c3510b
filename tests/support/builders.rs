//! Documents to push: images, indexes, artifacts, and their way to the registry and back.

use serde_json::{Map, Value, json};

use super::{Client, bytes};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
pub const OCI_NONDISTRIBUTABLE_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

/// A document as it is pushed, and the blobs that have to be there before it.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub media_type: String,
    pub bytes: Vec<u8>,
    pub digest: String,
    pub blobs: Vec<Vec<u8>>,
}

impl Manifest {
    /// The document that `value` is, in bytes of its own.
    pub fn of(media_type: &str, value: &Value, blobs: Vec<Vec<u8>>) -> Self {
        Self::of_bytes(media_type, serde_json::to_vec(value).expect("JSON"), blobs)
    }

    /// A document whose bytes matter.
    pub fn of_bytes(media_type: &str, content: Vec<u8>, blobs: Vec<Vec<u8>>) -> Self {
        let digest = bytes::digest(&content);
        Self { media_type: media_type.to_owned(), bytes: content, digest, blobs }
    }

    /// The descriptor by which an index or a subject names it.
    pub fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.bytes)
    }

    /// The digests of its blobs.
    pub fn blob_digests(&self) -> Vec<String> {
        self.blobs.iter().map(|blob| bytes::digest(blob)).collect()
    }

    #[track_caller]
    pub fn push_blobs(&self, client: &Client, repository: &str) {
        for blob in &self.blobs {
            client.push_blob(repository, blob);
        }
    }

    /// Pushes the blobs, then the document under a tag or a digest.
    #[track_caller]
    pub fn push(&self, client: &Client, repository: &str, reference: &str) {
        self.push_blobs(client, repository);
        self.push_document(client, repository, reference);
    }

    /// Pushes the document alone.
    #[track_caller]
    pub fn push_document(&self, client: &Client, repository: &str, reference: &str) {
        let reply = client.push_manifest(repository, reference, &self.media_type, &self.bytes);
        let reply = reply.expect_status(201);
        assert_eq!(reply.header("docker-content-digest"), self.digest, "digest of {repository}:{reference}");
    }

    /// Pushes blobs and document by its digest, without a tag.
    #[track_caller]
    pub fn push_untagged(&self, client: &Client, repository: &str) {
        self.push(client, repository, &self.digest);
    }

    /// Pulls it by `reference` and asserts every byte of it and of its blobs.
    #[track_caller]
    pub fn assert_pullable(&self, client: &Client, repository: &str, reference: &str) {
        client
            .get_manifest(repository, reference)
            .expect_status(200)
            .expect_header("content-type", &self.media_type)
            .expect_header("docker-content-digest", &self.digest)
            .expect_body(&self.bytes);
        for blob in &self.blobs {
            client.get_blob(repository, &bytes::digest(blob)).expect_status(200).expect_body(blob);
        }
    }
}

/// Media type, digest and size of some bytes.
pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": bytes::digest(content), "size": content.len() })
}

/// Makes an image manifest, or any artifact that has its form.
#[derive(Clone)]
pub struct ImageBuilder {
    docker: bool,
    config: Option<Vec<u8>>,
    config_type: Option<String>,
    layers: Vec<Value>,
    blobs: Vec<Vec<u8>>,
    extra: Extra,
}

impl ImageBuilder {
    pub fn oci() -> Self {
        let (config, config_type, layers, blobs) = (None, None, Vec::new(), Vec::new());
        Self { docker: false, config, config_type, layers, blobs, extra: Extra::default() }
    }

    pub fn docker() -> Self {
        Self { docker: true, ..Self::oci() }
    }

    /// A small image whose blobs no other seed has.
    pub fn sample(seed: u64) -> Self {
        let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"seed\":{seed}}}");
        Self::oci().config(config.as_bytes()).layer(&bytes::random(seed, 3000))
    }

    pub fn config(mut self, content: &[u8]) -> Self {
        self.config = Some(content.to_vec());
        self
    }

    pub fn config_type(mut self, media_type: &str) -> Self {
        self.config_type = Some(media_type.to_owned());
        self
    }

    pub fn layer(self, content: &[u8]) -> Self {
        let media_type = if self.docker { DOCKER_LAYER } else { OCI_LAYER };
        self.layer_of_type(media_type, content)
    }

    pub fn layer_of_type(mut self, media_type: &str, content: &[u8]) -> Self {
        self.layers.push(descriptor(media_type, content));
        self.blobs.push(content.to_vec());
        self
    }

    /// A layer that is named and never pushed.
    pub fn layer_elsewhere(mut self, layer: Value) -> Self {
        self.layers.push(layer);
        self
    }

    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.extra.annotations.insert(name.to_owned(), value.into());
        self
    }

    pub fn subject(mut self, descriptor: Value) -> Self {
        self.extra.subject = Some(descriptor);
        self
    }

    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.extra.artifact_type = Some(artifact_type.to_owned());
        self
    }

    pub fn media_type(&self) -> &'static str {
        if self.docker { DOCKER_MANIFEST } else { OCI_MANIFEST }
    }

    /// The document as JSON, for tests that spoil it.
    pub fn json(&self) -> Value {
        let default_type = if self.docker { DOCKER_CONFIG } else { OCI_CONFIG };
        let config_type = self.config_type.as_deref().unwrap_or(default_type);
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type(),
            "config": descriptor(config_type, self.config_bytes()),
            "layers": self.layers,
        });
        self.extra.add_to(&mut document);
        document
    }

    pub fn build(&self) -> Manifest {
        let mut blobs = vec![self.config_bytes().to_vec()];
        blobs.extend(self.blobs.iter().cloned());
        Manifest::of(self.media_type(), &self.json(), blobs)
    }

    fn config_bytes(&self) -> &[u8] {
        self.config.as_deref().unwrap_or(b"{}")
    }
}

/// Makes an image index or a Docker manifest list.
#[derive(Clone)]
pub struct IndexBuilder {
    docker: bool,
    entries: Vec<Value>,
    extra: Extra,
}

impl IndexBuilder {
    pub fn oci() -> Self {
        Self { docker: false, entries: Vec::new(), extra: Extra::default() }
    }

    pub fn docker() -> Self {
        Self { docker: true, ..Self::oci() }
    }

    /// A child for a platform that no child before it has.
    pub fn child(self, manifest: &Manifest) -> Self {
        const ARCHITECTURES: [&str; 6] = ["amd64", "arm64", "riscv64", "s390x", "ppc64le", "386"];
        let architecture = ARCHITECTURES[self.entries.len() % ARCHITECTURES.len()];
        let mut entry = manifest.descriptor();
        entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
        self.entry(entry)
    }

    /// An entry as it is.
    pub fn entry(mut self, descriptor: Value) -> Self {
        self.entries.push(descriptor);
        self
    }

    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.extra.annotations.insert(name.to_owned(), value.into());
        self
    }

    pub fn subject(mut self, descriptor: Value) -> Self {
        self.extra.subject = Some(descriptor);
        self
    }

    pub fn artifact_type(mut self, artifact_type: &str) -> Self {
        self.extra.artifact_type = Some(artifact_type.to_owned());
        self
    }

    pub fn media_type(&self) -> &'static str {
        if self.docker { DOCKER_LIST } else { OCI_INDEX }
    }

    pub fn json(&self) -> Value {
        let mut document =
            json!({ "schemaVersion": 2, "mediaType": self.media_type(), "manifests": self.entries });
        self.extra.add_to(&mut document);
        document
    }

    pub fn build(&self) -> Manifest {
        Manifest::of(self.media_type(), &self.json(), Vec::new())
    }
}

/// The fields that every kind of manifest may have.
#[derive(Clone, Default)]
struct Extra {
    annotations: Map<String, Value>,
    subject: Option<Value>,
    artifact_type: Option<String>,
}

impl Extra {
    fn add_to(&self, document: &mut Value) {
        if !self.annotations.is_empty() {
            document["annotations"] = self.annotations.clone().into();
        }
        if let Some(subject) = &self.subject {
            document["subject"] = subject.clone();
        }
        if let Some(artifact_type) = &self.artifact_type {
            document["artifactType"] = artifact_type.as_str().into();
        }
    }
}
