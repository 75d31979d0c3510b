//! A control group that limits the memory of a process, page cache and all.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Where version 2 is mounted, alone or beside version 1.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Where the controller of version 1 is.
const MEMORY: &str = "/sys/fs/cgroup/memory";

/// One that goes with this value; by then its processes have ended.
pub struct Group {
    directory: PathBuf,
    is_unified: bool,
}

impl Group {
    /// Makes one with a limit in bytes; the words say why there can be none.
    pub fn new(name: &str, limit_bytes: u64) -> Result<Self, String> {
        let has_memory = |root: &&&str| {
            let path = format!("{root}/cgroup.subtree_control");
            fs::read_to_string(path).is_ok_and(|names| names.split_whitespace().any(|name| name == "memory"))
        };
        let (root, limit) = match UNIFIED.iter().find(has_memory) {
            Some(root) => (*root, "memory.max"),
            None => (MEMORY, "memory.limit_in_bytes"),
        };
        let is_unified = root != MEMORY;
        let directory = PathBuf::from(root).join(format!("wharfinger-{name}-{}", std::process::id()));
        let make = || {
            fs::metadata(PathBuf::from(root).join("cgroup.procs"))?;
            fs::create_dir(&directory)?;
            fs::write(directory.join(limit), limit_bytes.to_string())
        };
        make().map_err(|error: io::Error| format!("no control group for memory can be made: {error}"))?;
        // Swapping would only hide the limit; a kernel without that accounting has no such file.
        let swap = if is_unified { "memory.swap.max" } else { "memory.swappiness" };
        let _ = fs::write(directory.join(swap), "0");
        Ok(Self { directory, is_unified })
    }

    /// What the process allocates from now on counts.
    pub fn add(&self, pid: u32) {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).expect("the group takes a process");
    }

    /// How many processes were killed for going beyond the limit.
    pub fn kills(&self) -> u64 {
        let file = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.directory.join(file)).expect("the group tells");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.expect("kernels since 4.13 count them").parse().expect("a number")
    }

    /// The most that it had, in bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        let file = if self.is_unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(self.directory.join(file)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that still has a process stays, which a failed test explains.
        let _ = fs::remove_dir(&self.directory);
    }
}
