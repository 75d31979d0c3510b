//! A certificate for the servers, and a client that speaks TLS 1.3 with one cipher.

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The cipher that docker offers first where processors have AES.
pub const CIPHER_OF_OPENSSL: &str = "TLS_AES_128_GCM_SHA256";

const BLOCK_BYTES: usize = 64 * 1024;

/// A certificate of its own making, and its key, in files.
pub struct Identity {
    /// The certificate's file.
    pub certificate_path: PathBuf,
    /// The key's file.
    pub key_path: PathBuf,
    client: Arc<ClientConfig>,
    _dir: TempDir,
}

impl Identity {
    /// Makes one for localhost.
    pub fn create() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (certificate_path, key_path) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
        fs::write(&certificate_path, certificate.pem()).expect("a file");
        fs::write(&key_path, key.serialize_pem()).expect("a file");
        let mut roots = RootCertStore::empty();
        let trusted = CertificateDer::from_pem_file(&certificate_path).expect("a certificate");
        roots.add(trusted).expect("a certificate to trust");
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("a version that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { certificate_path, key_path, client: Arc::new(client), _dir: dir }
    }

    /// Sends a request without a body, and gives each piece of the answer's body to `take`.
    pub fn pull(&self, server: SocketAddr, request: &str, mut take: impl FnMut(&[u8])) {
        let mut stream = self.connect(server);
        write!(stream, "{request} HTTP/1.1\r\nHost: {server}\r\n\r\n").expect("sent");
        let mut stream = BufReader::with_capacity(BLOCK_BYTES, stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).expect("a head"), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{request}: {head}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<u64>().expect("a length"))
        });
        let mut left = length.expect("a length");
        let mut block = vec![0; BLOCK_BYTES];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            let got = stream.read(&mut block[..most]).expect("the body");
            assert_ne!(got, 0, "the body is short by {left}");
            take(&block[..got]);
            left -= got as u64;
        }
    }

    /// A connection whose handshake is over.
    fn connect(&self, server: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(Arc::clone(&self.client), name).expect("a configuration");
        let mut tcp = TcpStream::connect(server).expect("the server listens");
        while session.is_handshaking() {
            session.complete_io(&mut tcp).expect("a handshake");
        }
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        StreamOwned::new(session, tcp)
    }
}
