//! The files of TLS: a certificate and its key, as they are on the disk.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest file that is read. A chain of certificates has a few thousand bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Where the certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// `tls_certificate`: the server's certificate, then those between it and the root.
    pub certificate: PathBuf,
    /// `tls_key`: the private key of the first.
    pub key: PathBuf,
}

/// What stands in the files.
pub struct CertificateText {
    /// Certificates in PEM.
    pub certificate: Vec<u8>,
    /// A private key in PEM. Nothing may show it.
    pub key: Vec<u8>,
}

/// Says of both files whether they are the same as before. A file that cannot be looked at is different from
/// one that can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamps([Option<[i64; 6]>; 2]);

impl CertificateFiles {
    /// Reads both, or says which cannot be read.
    pub fn read(&self) -> Result<CertificateText, (&Path, io::Error)> {
        let read = |path| read_file(path).map_err(|error| (path, error));
        Ok(CertificateText { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// How they look now.
    #[must_use]
    pub fn stamps(&self) -> FileStamps {
        let stamp = |path| std::fs::metadata(path).ok().map(|metadata| stamp(&metadata));
        FileStamps([stamp(&self.certificate), stamp(&self.key)])
    }
}

fn stamp(metadata: &Metadata) -> [i64; 6] {
    let whole = |number: u64| number.cast_signed();
    [
        whole(metadata.ino()),
        whole(metadata.size()),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ]
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_has_another_stamp() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let files = CertificateFiles { certificate: path("cert"), key: path("key") };
        let missing = files.stamps();
        assert_eq!(files.read().map(drop).unwrap_err().0, path("cert"));
        std::fs::write(path("cert"), "a").unwrap();
        std::fs::write(path("key"), "b").unwrap();
        let there = files.stamps();
        assert_ne!(there, missing);
        assert_eq!(there, files.stamps());
        // Another file under the same name, of the same size.
        std::fs::write(path("new"), "c").unwrap();
        std::fs::rename(path("new"), path("key")).unwrap();
        assert_ne!(there, files.stamps());
        assert_eq!(
            files.read().map(|text| (text.certificate, text.key)).unwrap(),
            (b"a".into(), b"c".into())
        );
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let files = CertificateFiles { certificate: "/dev/zero".into(), key: "/dev/zero".into() };
        assert!(files.read().map(drop).unwrap_err().1.to_string().contains("more than"));
    }
}
