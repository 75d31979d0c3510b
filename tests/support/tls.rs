//! Certificates, and TLS as a client speaks it.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::raw::{self, Connection};

/// A connection of TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate of its own making, for localhost and 127.0.0.1, and its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    /// One that is valid until the end of that year.
    pub fn until(year: i32) -> Self {
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names that certificates can have");
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// What a client takes that trusts this certificate alone.
    pub fn trust(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate");
        roots.add(certificate).expect("a certificate to trust");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that the provider has");
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// A connection to a server that has this certificate.
    pub fn connect(&self, address: SocketAddr) -> Connection {
        let stream = handshake(address, self.trust(rustls::ALL_VERSIONS)).expect("a handshake");
        Connection::secure(address, stream)
    }
}

/// An authority that nobody knows but who is given its certificate.
pub struct Authority {
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn create() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server at this address.
    pub fn sign(&self, address: IpAddr) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([address.to_string()]).expect("an address is a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// Connects and waits for the end of the handshake.
pub fn handshake(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Secure> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config, name).expect("a configuration that works");
    let mut stream = StreamOwned::new(connection, raw::connect(address));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Files of a certificate and its key, for a server to read.
pub struct Files {
    home: tempfile::TempDir,
}

impl Files {
    pub fn with(pair: &Pair) -> Self {
        let files = Self { home: tempfile::tempdir().expect("a temporary directory") };
        files.replace(pair);
        files
    }

    pub fn certificate(&self) -> PathBuf {
        self.home.path().join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.home.path().join("key.pem")
    }

    /// Puts another pair in their place, each under another name first.
    pub fn replace(&self, pair: &Pair) {
        put(&self.certificate(), &pair.certificate);
        put(&self.key(), &pair.key);
    }

    /// The settings that name them.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let text = |path: PathBuf| path.to_str().expect("a path in UTF-8").to_owned();
        [("WHARFINGER_TLS_CERTIFICATE", text(self.certificate())), ("WHARFINGER_TLS_KEY", text(self.key()))]
    }
}

/// Replaces a file whole.
pub fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("in its place");
}
