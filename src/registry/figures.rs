//! The registry in numbers, for those who watch it: what is on record, and what the server has done since its
//! start.
//!
//! Nothing here walks through the registry. What no counter has is counted up to a bound.

use super::Registry;
use super::error::Error;
use super::usage::Usage;
use crate::meters::{Counter, Exposition, Kind, seconds};
use crate::store::tables::{CATALOG, KEPT, QUEUE, TOMBSTONE, UPLOAD};
use crate::store::{DAMAGED_BLOBS, Key, KeyRange, ProcessUse, Read, STORED_BYTES, Snapshot};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many rows are counted of what has no counter.
const COUNTED_MAX: usize = 10_000;

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Meters {
    /// Leases that ended.
    pub leases: Counter,
    /// Deleted manifests that went for good.
    pub manifests: Counter,
    /// Blobs that went.
    pub blobs: Counter,
    /// Their bytes.
    pub blob_bytes: Counter,
    /// Files that were unlinked.
    pub files: Counter,
    /// Files that the scrub read.
    pub scrubbed_files: Counter,
    /// Bytes that it read.
    pub scrubbed_bytes: Counter,
    /// When its last way through all blobs ended; 0: none did.
    pub scrub_ended_at_ms: AtomicU64,
    /// When the file that waits longest was last known to be good, as that way found it.
    pub oldest_good_ms: AtomicU64,
}

/// What is read of one state of the ledger.
struct Recorded {
    usage: Usage,
    stored_bytes: u64,
    damaged: i64,
    repositories: usize,
    uploads: usize,
    due: usize,
    kept: usize,
    files: usize,
    file_bytes: u64,
}

impl Recorded {
    fn read(rows: &Snapshot, now_ms: u64) -> Result<Self, Error> {
        let all = KeyRange::all();
        let due = KeyRange { end: Some(now_ms.saturating_add(1).to_key()), ..KeyRange::all() };
        let tombstones = rows.page(&TOMBSTONE, &all, COUNTED_MAX)?;
        Ok(Self {
            usage: Usage::of_all(rows)?,
            stored_bytes: u64::try_from(rows.counter(STORED_BYTES)?).unwrap_or_default(),
            damaged: rows.counter(DAMAGED_BLOBS)?,
            repositories: rows.page(&CATALOG, &all, COUNTED_MAX)?.len(),
            uploads: rows.page(&UPLOAD, &all, COUNTED_MAX)?.len(),
            due: rows.page(&QUEUE, &due, COUNTED_MAX)?.len(),
            kept: rows.page(&KEPT, &all, COUNTED_MAX)?.len(),
            files: tombstones.len(),
            file_bytes: tombstones.iter().map(|(_, tombstone)| tombstone.size).sum(),
        })
    }
}

impl Registry {
    /// Writes what it has and does.
    pub fn expose(&self, page: &mut Exposition) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let recorded = self.store.read(|rows| Recorded::read(rows, now_ms))?;
        expose_contents(page, &recorded);
        self.expose_collecting(page, &recorded);
        self.expose_damage(page, &recorded);
        self.expose_commits(page);
        self.expose_disk(page)
    }

    fn expose_collecting(&self, page: &mut Exposition, recorded: &Recorded) {
        let meters = &self.meters;
        page.gauge(
            "wharfinger_collect_queue_due",
            "Rows of the collector's queue whose time has come (at most 10000 are counted).",
            recorded.due,
        );
        page.gauge(
            "wharfinger_kept_manifests",
            "Deleted manifests that can still be brought back (at most 10000 are counted).",
            recorded.kept,
        );
        page.gauge(
            "wharfinger_unneeded_bytes",
            "Bytes of stored blobs that no visible manifest needs: leased, kept, or to be collected.",
            recorded.stored_bytes.saturating_sub(recorded.usage.blob_bytes),
        );
        page.gauge(
            "wharfinger_unlink_files",
            "Collected files that wait to be unlinked (at most 10000 are counted).",
            recorded.files,
        );
        page.gauge("wharfinger_unlink_bytes", "The bytes of these files.", recorded.file_bytes);
        for (name, help, counter) in [
            ("wharfinger_collected_leases_total", "Leases that ended since the start.", &meters.leases),
            (
                "wharfinger_collected_manifests_total",
                "Deleted manifests that went for good.",
                &meters.manifests,
            ),
            ("wharfinger_collected_blobs_total", "Blobs that were collected.", &meters.blobs),
            ("wharfinger_collected_bytes_total", "The bytes of these blobs.", &meters.blob_bytes),
            ("wharfinger_unlinked_files_total", "Collected files that were unlinked.", &meters.files),
        ] {
            page.counter(name, help, counter.get());
        }
    }

    fn expose_damage(&self, page: &mut Exposition, recorded: &Recorded) {
        let meters = &self.meters;
        page.gauge("wharfinger_damaged_blobs", "Blobs that are marked as damaged.", recorded.damaged);
        page.counter(
            "wharfinger_scrubbed_files_total",
            "Files that the scrub has read since the start.",
            meters.scrubbed_files.get(),
        );
        page.counter(
            "wharfinger_scrubbed_bytes_total",
            "Bytes that the scrub has read since the start.",
            meters.scrubbed_bytes.get(),
        );
        let ended_at_ms = meters.scrub_ended_at_ms.load(Ordering::Relaxed);
        // A time that is not known is left out: 0 would look like a very late one.
        if ended_at_ms > 0 {
            page.gauge(
                "wharfinger_scrub_round_end_timestamp_seconds",
                "When the scrub last came to the end of all blobs.",
                seconds(ended_at_ms),
            );
            page.gauge(
                "wharfinger_scrub_oldest_good_timestamp_seconds",
                "When the file that waits longest was last known to be good, as that round found it.",
                seconds(meters.oldest_good_ms.load(Ordering::Relaxed)),
            );
        }
    }

    fn expose_commits(&self, page: &mut Exposition) {
        let commits = self.store.commits();
        page.counter("wharfinger_commits_total", "Commits of the ledger.", commits.closures.count());
        let name = "wharfinger_commit_closures";
        page.family(name, Kind::Histogram, "How many writes shared a commit.");
        page.histogram(name, &[], &commits.closures);
        let name = "wharfinger_commit_duration_seconds";
        page.family(name, Kind::Histogram, "From the first write of a commit until it was synced.");
        page.histogram(name, &[], &commits.times);
    }

    fn expose_disk(&self, page: &mut Exposition) -> Result<(), Error> {
        let room = self.store.room()?;
        page.gauge("wharfinger_disk_free_bytes", "Free bytes of the data's file system.", room.free);
        page.gauge("wharfinger_disk_size_bytes", "All bytes of the data's file system.", room.total);
        page.gauge(
            "wharfinger_disk_floor_bytes",
            "Free bytes below which pushes are refused.",
            self.floor(&room),
        );
        let process = ProcessUse::now();
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory of the process.", process.resident_bytes),
            ("process_open_fds", "Open files and sockets of the process.", process.open_files),
            ("process_max_fds", "How many of these it may have.", process.open_files_max),
        ] {
            if let Some(value) = value {
                page.gauge(name, help, value);
            }
        }
        Ok(())
    }
}

fn expose_contents(page: &mut Exposition, recorded: &Recorded) {
    let Recorded { usage, stored_bytes, repositories, uploads, .. } = recorded;
    page.gauge(
        "wharfinger_repositories",
        "Repositories with a visible manifest (at most 10000 are counted).",
        repositories,
    );
    page.gauge("wharfinger_open_uploads", "Uploads that are open (at most 10000 are counted).", uploads);
    for (name, help, value) in [
        ("wharfinger_manifests", "Visible manifests.", usage.manifests),
        ("wharfinger_manifest_bytes", "Bytes of visible manifests.", usage.manifest_bytes),
        ("wharfinger_tags", "Tags.", usage.tags),
        ("wharfinger_blobs", "Blobs that visible manifests need.", usage.blobs),
        ("wharfinger_blob_bytes", "Bytes of blobs that visible manifests need.", usage.blob_bytes),
        ("wharfinger_stored_bytes", "Bytes of all blobs that are stored.", *stored_bytes),
    ] {
        page.gauge(name, help, value);
    }
}
