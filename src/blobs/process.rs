//! What the process itself takes of the machine, as the kernel says it.

use std::fs;

/// What the process takes. What the kernel does not say is none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ProcessUse {
    /// Bytes of memory that are its own or shared, and not swapped out.
    pub resident_bytes: Option<u64>,
    /// Open files and sockets.
    pub open_files: Option<u64>,
    /// How many of these it may have.
    pub open_files_max: Option<u64>,
}

impl ProcessUse {
    /// As it is now.
    #[must_use]
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        let kib = resident.and_then(|kib| kib.trim().parse::<u64>().ok());
        // One of them is the list itself, which is open while it is read.
        let open = fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self { resident_bytes: kib.map(|kib| kib * 1024), open_files: open, open_files_max: limit.current }
    }
}
