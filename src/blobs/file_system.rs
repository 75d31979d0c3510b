//! What the data directory is on, as far as a person should know of it.

use super::DataDir;
use std::io;

/// Kinds of file systems whose promises are another machine's or program's, by the numbers of statfs(2), with
/// their names.
const REMOTE: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
];

impl DataDir {
    /// What a person should know of the file system that the directory is on, in sentences.
    pub fn warnings(&self) -> io::Result<Vec<String>> {
        let mut words = Vec::new();
        // The number is signed on some machines; what it stands for has 32 bits.
        let number = rustix::fs::statfs(self.root())?.f_type.cast_unsigned() & 0xffff_ffff;
        if let Some((_, name)) = REMOTE.iter().find(|(known, _)| *known == number) {
            words.push(format!(
                "{} is on {name}: what is acknowledged is as durable as that makes it, and a lock may hold \
                 on this machine alone; a local disk is better",
                self.root().display()
            ));
        }
        if self.disk().stat(&self.ledger())?.born_ns.is_none() {
            words.push(format!(
                "the file system of {} does not say when a file was made: a ledger whose files were touched \
                 is taken for a copy, and its next start takes longer",
                self.root().display()
            ));
        }
        Ok(words)
    }
}
