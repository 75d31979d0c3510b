//! TLS: the certificate that is shown to clients, taken up anew when its files change.

mod client;

pub use client::to_this_machine;

use crate::config::{CertificateFiles, FileStamps};
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The one protocol that is spoken over TLS.
const PROTOCOL: &[u8] = b"http/1.1";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a certificate and its key are not taken. Nothing of a key is in the words.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file of the certificate is none.
    #[error(
        "{0} has no certificate: expected PEM, the server's own first, then those between it and the root"
    )]
    NoCertificate(PathBuf),
    /// The file of the key is none.
    #[error("{0} has no private key: expected one in PEM, without a password")]
    NoKey(PathBuf),
    /// The certificate or the key is of a kind that cannot be used.
    #[error("{certificate} and {key} cannot be used: {words}")]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        words: String,
    },
    /// Each is right, and they do not belong together.
    #[error("the key in {key} is not that of the first certificate in {certificate}")]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate has ended, and the one that is served has not.
    #[error("the certificate in {certificate} ended {ended}")]
    Expired {
        /// The file of the certificate.
        certificate: PathBuf,
        /// When it ended.
        ended: Timestamp,
    },
}

/// A certificate that can be shown to clients.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// Until when it is valid.
    not_after: Timestamp,
}

/// Hands the certificate of the moment to each handshake.
#[derive(Debug)]
struct Resolver(RwLock<Arc<Shown>>);

impl Resolver {
    fn shown(&self) -> Arc<Shown> {
        // Setting it is one assignment: a panic cannot leave it half done.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown().key))
    }
}

/// The registry's side of TLS.
pub struct Tls {
    files: CertificateFiles,
    resolver: Arc<Resolver>,
    server: Arc<ServerConfig>,
    looked: Mutex<Looked>,
}

/// What was last seen of the files.
struct Looked {
    /// When they were last looked at.
    seen: FileStamps,
    /// When they were last read.
    read: FileStamps,
    /// When the log was last told of the certificate's end.
    warned: Option<Instant>,
}

impl Tls {
    /// Reads certificate and key, for the start.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let stamps = files.stamps();
        let shown = read(&files)?;
        log::info!("{}", told(&files, &shown));
        let resolver = Arc::new(Resolver(RwLock::new(Arc::new(shown))));
        let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the suites of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let looked = Looked { seen: stamps.clone(), read: stamps, warned: None };
        Ok(Self { files, resolver, server: Arc::new(server), looked: Mutex::new(looked) })
    }

    /// Takes the files up if they have changed; a pair that is refused leaves the one before in force. Of
    /// changed files only a second look in the same state reads them, since two are not written at once;
    /// `at_once` they are read as they are.
    pub fn look(&self, at_once: bool) {
        let stamps = self.files.stamps();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = stamps == looked.seen;
        looked.seen = stamps.clone();
        if !at_once && (stamps == looked.read || !is_settled) {
            return;
        }
        let is_new = stamps != looked.read;
        looked.read = stamps;
        match self.take_up() {
            Ok(words) if is_new => {
                log::info!("{words}");
                looked.warned = None;
            }
            Ok(_) => {}
            Err(error) => log::error!("the certificate before stays in force: {error}"),
        }
    }

    fn take_up(&self) -> Result<String, TlsError> {
        let shown = read(&self.files)?;
        let now = Timestamp::now();
        if shown.not_after <= now && self.resolver.shown().not_after > now {
            let certificate = self.files.certificate.clone();
            return Err(TlsError::Expired { certificate, ended: shown.not_after });
        }
        let words = told(&self.files, &shown);
        *self.resolver.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
        Ok(words)
    }

    /// Warns of a certificate that ends within so many days, once a day.
    pub fn warn(&self, days: u64) {
        let left = self.not_after().duration_since(Timestamp::now());
        if left >= jiff::SignedDuration::from_hours(24 * days.cast_signed()) || days == 0 {
            return;
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.warned.is_some_and(|at| at.elapsed() < DAY) {
            return;
        }
        looked.warned = Some(Instant::now());
        let (path, not_after) = (self.files.certificate.display(), self.not_after());
        if left.is_negative() {
            log::warn!("the certificate in {path} ended {not_after}: clients refuse it; renew it");
        } else {
            log::warn!("the certificate in {path} ends {not_after}: renew it");
        }
    }

    /// Until when the certificate is valid that is shown now.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.resolver.shown().not_after
    }

    /// What makes connections of TLS from those of TCP.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn told(files: &CertificateFiles, shown: &Shown) -> String {
    format!(
        "clients are shown the certificate in {}, valid until {}",
        files.certificate.display(),
        shown.not_after
    )
}

fn read(files: &CertificateFiles) -> Result<Shown, TlsError> {
    let text = files.read().map_err(|(path, source)| TlsError::Read { path: path.to_path_buf(), source })?;
    let (certificate, key) = (files.certificate.clone(), files.key.clone());
    // What the parser says may repeat lines of the file, and may be a line of a key.
    let chain = CertificateDer::pem_slice_iter(&text.certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.unwrap_or_default();
    let not_after = chain.first().ok_or_else(|| TlsError::NoCertificate(certificate.clone()))?;
    let not_after = end_of(not_after, &certificate)?;
    let private = PrivateKeyDer::from_pem_slice(&text.key).map_err(|_| TlsError::NoKey(key.clone()))?;
    let pair = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
    let pair = pair.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
        error => TlsError::Unusable { certificate, key, words: error.to_string() },
    })?;
    Ok(Shown { key: Arc::new(pair), not_after })
}

/// Until when a certificate is valid.
fn end_of(certificate: &CertificateDer<'_>, path: &Path) -> Result<Timestamp, TlsError> {
    let none = || TlsError::NoCertificate(path.to_path_buf());
    let parsed = Certificate::from_der(certificate).map_err(|_| none())?;
    let not_after = parsed.tbs_certificate().validity().not_after.to_unix_duration();
    // One without an end says the year 9999 (RFC 5280, 4.1.2.5), which is beyond what can be reckoned with.
    Ok(Timestamp::try_from(SystemTime::UNIX_EPOCH + not_after).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Writes a pair, valid from 1975 to the end of the given year.
    fn write(files: &CertificateFiles, year: i32) -> rcgen::KeyPair {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        key
    }

    fn files(home: &Path) -> CertificateFiles {
        CertificateFiles { certificate: home.join("cert.pem"), key: home.join("key.pem") }
    }

    fn year(tls: &Tls) -> String {
        tls.not_after().to_string()[..4].to_owned()
    }

    #[test]
    fn what_cannot_be_served_is_said_and_no_key_is() {
        let home = tempfile::tempdir().unwrap();
        let files = files(home.path());
        let refused = || Tls::load(files.clone()).map(drop).unwrap_err().to_string();
        assert!(refused().contains("cert.pem cannot be read"), "{}", refused());
        let key = write(&files, 2100);
        Tls::load(files.clone()).unwrap();
        std::fs::write(&files.key, "-----BEGIN PRIVATE KEY-----secret\n").unwrap();
        assert!(refused().contains("key.pem has no private key") && !refused().contains("secret"));
        std::fs::write(&files.key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(refused().contains("is not that of the first certificate"), "{}", refused());
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        for text in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key.serialize_pem(),
        ] {
            std::fs::write(&files.certificate, text).unwrap();
            assert!(refused().contains("cert.pem has no certificate"), "{text}: {}", refused());
        }
    }

    #[test]
    fn changed_files_are_taken_up_when_they_have_settled() {
        let home = tempfile::tempdir().unwrap();
        let files = files(home.path());
        write(&files, 2100);
        let tls = Tls::load(files.clone()).unwrap();
        write(&files, 2101);
        tls.look(false);
        assert_eq!(year(&tls), "2100", "they may still be written");
        tls.look(false);
        assert_eq!(year(&tls), "2101");
        write(&files, 2102);
        tls.look(true);
        assert_eq!(year(&tls), "2102");
        // Half of a pair, then an end in the past.
        let before = std::fs::read(&files.key).unwrap();
        write(&files, 2103);
        let after = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, before).unwrap();
        tls.look(true);
        assert_eq!(year(&tls), "2102");
        std::fs::write(&files.key, after).unwrap();
        tls.look(true);
        assert_eq!(year(&tls), "2103");
        write(&files, 1999);
        tls.look(true);
        assert_eq!(year(&tls), "2103");
    }

    #[test]
    fn a_certificate_that_has_ended_is_served_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        write(&files(home.path()), 1999);
        let tls = Tls::load(files(home.path())).unwrap();
        tls.warn(14);
        assert!(tls.looked.lock().unwrap().warned.is_some());
        write(&files(home.path()), 2000);
        tls.look(true);
        assert_eq!(year(&tls), "2000", "no worse than the one before");
    }
}
