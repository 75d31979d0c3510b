//! The numbers: every setting and limit, with its unit in its name, its bounds and its default.

/// Whether a changed setting takes effect while the registry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// With SIGHUP.
    Live,
    /// With the next start.
    Restart,
}

/// One setting: what it may be and what it is for.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the configuration file.
    pub name: &'static str,
    /// The least value.
    pub min: u64,
    /// The value where nothing says another.
    pub default: u64,
    /// The greatest value.
    pub max: u64,
    /// What it is for: one or more sentences.
    pub meaning: &'static str,
    /// When a change takes effect.
    pub reload: Reload,
    /// Reads it.
    pub get: fn(&Settings) -> u64,
    /// Writes it. The value was checked against the bounds.
    pub(super) set: fn(&mut Settings, u64),
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $reload:ident $name:ident: $min:expr, $default:expr, $max:expr;)+) => {
        /// The settings in force. Sizes are bytes, times are what their names say.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every setting that is a number.
        pub const SETTINGS: &[Setting] = &[
            $(Setting {
                name: stringify!($name),
                min: $min,
                default: $default,
                max: $max,
                meaning: concat!($($doc),+),
                reload: Reload::$reload,
                get: |settings| settings.$name,
                set: |settings, value| settings.$name = value,
            },)+
        ];
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY_SECS: u64 = 24 * 60 * 60;
const YEAR_SECS: u64 = 366 * DAY_SECS;

settings! {
    /// Seconds that running requests have to end when the server is told to stop.
    Restart shutdown_grace_secs: 0, 30, 3600;
    /// Uploads that one user or robot, or all callers without credentials together, may have open at a time;
    /// who begins more is asked to try again.
    Live open_uploads_max: 1, 10_000, 1_000_000;
    /// Seconds without a byte after which an open upload ends.
    Live upload_idle_secs: 1, DAY_SECS, YEAR_SECS;
    /// Bytes of a running upload after which its offset is made durable, so that a broken connection costs
    /// the client no more than these.
    Live upload_checkpoint_bytes: MIB, 64 * MIB, 1024 * MIB;
    /// Seconds of a running upload after which its offset is made durable if it grew.
    Live upload_checkpoint_secs: 1, 60, 3600;
    /// Bytes of an upload's body that are gathered before they are written, at most.
    Live upload_buffer_bytes: 4 * KIB, MIB, 4 * MIB;
    /// Bytes that all running uploads together gather. Where there are many each gathers less, but 64 KiB.
    Live upload_buffers_bytes: 64 * KIB, 16 * MIB, 1024 * MIB;
    /// Bytes that are read from a blob at once while it is sent.
    Live blob_read_bytes: 4 * KIB, 256 * KIB, 4 * MIB;
    /// 1: a blob that is pulled whole is hashed on its way, and its last bytes are not sent unless the digest
    /// is right. 0: it is sent as it is read.
    Live verify_on_read: 0, 0, 1;
    /// Bytes of stored files that are read again in a second to find damaged ones. 0: pauses.
    Live scrub_bytes_per_second: 0, 4 * MIB, 64 * 1024 * MIB;
    /// Seconds from when a file was last known to be right to when it is read again.
    Live scrub_interval_secs: 0, 7 * DAY_SECS, 10 * YEAR_SECS;
    /// Seconds that a pushed or mounted blob stays linked without a manifest that references it.
    Live blob_lease_secs: 1, DAY_SECS, YEAR_SECS;
    /// Seconds for which a deleted manifest can be brought back. It and what only it needs stay on the disk
    /// for so long; 0: they go at once.
    Live keep_deleted_secs: 0, DAY_SECS, YEAR_SECS;
    /// Changes of a tag that are remembered, for `tag history` and `tag restore`.
    Live tag_history_max: 1, 100, 10_000;
    /// Seconds for which a change of a tag is remembered.
    Live tag_history_secs: 60, YEAR_SECS, 10 * YEAR_SECS;
    /// Seconds for which it is remembered who did what, for `wharfinger audit`.
    Live audit_keep_secs: 60, YEAR_SECS, 10 * YEAR_SECS;
    /// Acts that are remembered for `wharfinger audit`; of more, the oldest are forgotten.
    Live audit_rows_max: 1, 1_000_000, 10_000_000;
    /// Seconds between two looks at what the rules of the repositories (`untagged_keep_secs`, `keep_newest`)
    /// let go.
    Live retention_secs: 1, 3600, 30 * DAY_SECS;
    /// Seconds for which it is remembered why something was collected, for `gc --explain`; 0: not at all.
    Live collected_memory_secs: 0, 7 * DAY_SECS, YEAR_SECS;
    /// Looks at the collector's queue in a second: each may delete one thing. 0: collecting pauses,
    /// also below the floor, where only files that were collected already are unlinked.
    Live gc_steps_per_sec: 0, 500, 100_000;
    /// Seconds between two rounds of unlinking collected files, so that a copy of the directory that is being
    /// made does not miss them.
    Live unlink_batch_secs: 0, 3600, DAY_SECS;
    /// Seconds before a lease's end from which on HEAD says 404, so that the client pushes again; at most a
    /// quarter of `blob_lease_secs` counts.
    Live lease_margin_secs: 0, 3600, YEAR_SECS;
    /// Bytes of a refused request's body that are still read, so that the client sees the refusal.
    Live drain_max_bytes: 0, 16 * MIB, 1024 * MIB;
    /// Seconds for which a refused request's body is still read.
    Live drain_max_secs: 0, 5, 3600;
    /// Bytes that a manifest may have.
    Live manifest_max_bytes: KIB, 4 * MIB, 4 * MIB;
    /// Seconds in which the whole body of a manifest has to come.
    Live manifest_body_secs: 1, 60, 3600;
    /// Bytes of all manifests that are being pushed at a time; who comes when there are more is asked to try
    /// again.
    Live manifest_bodies_max_bytes: 4 * MIB, 256 * MIB, 64 * 1024 * MIB;
    /// Bytes of all manifests that are being pulled at a time; who comes when there are more is asked to try
    /// again.
    Live manifest_answers_max_bytes: 4 * MIB, 256 * MIB, 64 * 1024 * MIB;
    /// Blobs and manifests that one manifest may reference.
    Live manifest_references_max: 1, 5_000, 5_000;
    /// Tags that one PUT of a manifest may set by `?tag=`.
    Live manifest_tags_max: 10, 100, 1000;
    /// Bytes of JSON that the annotations of a manifest with a subject may have: lists of referrers repeat
    /// them.
    Live referrer_annotations_max_bytes: 0, 256 * KIB, MIB;
    /// Entries of a page of tags or repositories when the client asks for no or a greater number.
    Live page_max: 1, 1000, 10_000;
    /// Entries of a page of referrers.
    Live referrers_page_max: 1, 100, 1000;
    /// Bytes after which a page of referrers ends; oras reads no more than 4 MiB.
    Live referrers_page_max_bytes: KIB, 2 * MIB, 3 * MIB;
    /// Seconds that a client has to send the head of a request.
    Restart head_read_secs: 1, 10, 3600;
    /// Seconds that an idle connection is kept open.
    Restart keep_alive_secs: 0, 75, 3600;
    /// Seconds of silence after which the kernel asks whether the client of a connection is still there.
    Restart tcp_probe_after_secs: 1, 60, 3600;
    /// Seconds that a client has for the handshake of TLS.
    Live tls_handshake_secs: 1, 10, 3600;
    /// Days before the end of the certificate from which on the log warns of it, once a day. 0: never.
    Live certificate_warn_days: 0, 14, 366;
    /// Connections that may be open at a time, on each listener; further ones are closed at once.
    Live connections_max: 1, 4096, 1_000_000;
    /// Connections that may be open at a time from one address, or from one /64 of IPv6. `trusted_proxies`
    /// may have any number.
    Live connections_per_address_max: 1, 256, 1_000_000;
    /// Requests that may be worked on at a time, each from its head to that of its answer; further ones are
    /// asked to try again. Those with a body are counted by themselves, up to as many. /livez, /readyz and
    /// /metrics are always answered.
    Live requests_in_flight_max: 1, 1024, 1_000_000;
    /// Seconds without a byte of a request's body after which the request ends. An upload stays and can go
    /// on.
    Live body_idle_secs: 1, 30, 3600;
    /// Bytes of a body that have to come in a second, over `body_rate_secs`. Only the time is counted in
    /// which the server waits for them. 0: any rate will do.
    Live body_min_bytes_per_sec: 0, KIB, 1024 * MIB;
    /// Seconds of waiting over which the rate of a body is judged.
    Live body_rate_secs: 1, 30, 3600;
    /// Seconds for which a client may take nothing of its answer; then the connection is closed.
    Live write_stall_secs: 1, 60, 3600;
    /// Threads that serve connections; 0: one for each processor.
    Restart http_workers: 0, 0, 512;
    /// Threads of each worker that wait for disk and ledger.
    Restart blocking_threads_max: 1, 64, 1024;
    /// Bytes of memory for pages of the ledger.
    Restart ledger_cache_bytes: MIB, 32 * MIB, 64 * 1024 * MIB;
    /// Writes after which the ledger's database is synced, so that a start has no more of them to do again.
    /// Each is durable by itself before that.
    Restart ledger_checkpoint_operations: 1, 4000, 1_000_000;
    /// Seconds after which the ledger's database is synced.
    Restart ledger_checkpoint_secs: 1, 5, 3600;
    /// Bytes of the ledger's journal after which another snapshot of the ledger is made, if the last one has
    /// no more than these.
    Restart ledger_snapshot_bytes: 64 * KIB, 64 * MIB, 64 * 1024 * MIB;
    /// Seconds that a copy of the running data directory may take: for so long the snapshots and pieces of
    /// the journal that it needs stay.
    Restart ledger_window_secs: 60, DAY_SECS, YEAR_SECS;
    /// Bytes of journal and snapshots above which the time that a copy may take is cut short.
    Restart ledger_keep_max_bytes: 16 * MIB, 4096 * MIB, 1024 * 1024 * MIB;
    /// Bytes of the longest piece of the ledger's journal. Its room is taken before it is written to.
    Restart ledger_segment_max_bytes: 256 * KIB, 64 * MIB, 1024 * MIB;
    /// Bytes of the data directory's file system that are kept free: what would leave less is refused, while
    /// pulling and deleting go on. At most a quarter of the file system counts; 0: nothing is kept.
    Live free_space_floor_bytes: 0, 256 * MIB, 1024 * 1024 * MIB;
    /// 1: the group of the data directory's files may read them (0750 and 0640), so that another user can
    /// make backups. 0: only their owner may (0700 and 0600).
    Restart data_group_readable: 0, 0, 1;
    /// Threads that check passwords; 0: half as many as there are processors.
    Restart password_threads: 0, 0, 64;
    /// Passwords that may wait to be checked; who comes when there are more is asked to try again.
    Restart password_queue_max: 1, 64, 10_000;
    /// Seconds for which a password that was found right is not checked again after it was used last. One
    /// that is changed counts at once.
    Live password_cache_secs: 0, 60, 3600;
    /// Passwords that are remembered so.
    Live password_cache_max: 0, 10_000, 1_000_000;
    /// Wrong logins with one name from one address after which nothing more of that is checked until
    /// `failed_logins_secs` are over.
    Live failed_logins_max: 1, 20, 1_000_000;
    /// Wrong logins with any names from one address after which nothing more from there is checked; what is
    /// less than `failed_logins_max` counts as that.
    Live failed_logins_of_address_max: 1, 200, 1_000_000;
    /// Passwords of one address that may be checked or wait for it at a time.
    Live password_checks_of_address_max: 1, 32, 10_000;
    /// Seconds for which wrong logins are counted.
    Live failed_logins_secs: 1, 60, DAY_SECS;
    /// Milliseconds that the answer to a wrong login waits at most: each one of an address waits longer.
    Live failed_login_delay_max_ms: 0, 2000, 60_000;
    /// Answers to wrong logins that may wait so at a time; of more, each is asked at once to try again. At
    /// most a quarter of `requests_in_flight_max` counts.
    Live delayed_logins_max: 0, 256, 1_000_000;
    /// Bytes that a request for a token may have.
    Live token_request_max_bytes: KIB, 64 * KIB, MIB;
    /// Seconds for which a Bearer token is accepted after it was handed out.
    Live token_life_secs: 1, 3600, DAY_SECS;
    /// Seconds for which a refresh token is accepted after it was handed out.
    Live refresh_token_life_secs: 60, 30 * DAY_SECS, YEAR_SECS;
    /// Seconds after which a new key signs Bearer tokens. Those before it are kept for as long as something
    /// that they signed is accepted.
    Live signing_key_secs: 3600, 30 * DAY_SECS, 10 * YEAR_SECS;
    /// Seconds between two times that the last use of a robot's token is written to the ledger.
    Live token_use_write_secs: 1, 60, DAY_SECS;
    /// Seconds for which a robot's token is still listed after it expired. Until then its name is in use.
    Live expired_token_keep_secs: 0, 30 * DAY_SECS, YEAR_SECS;
    /// Seconds between two looks for idle uploads and for what is due to be collected.
    Live housekeeping_secs: 1, 10, DAY_SECS;
}

impl Setting {
    /// The setting with that key.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// What a value has to be, for the one who gave another.
    #[must_use]
    pub fn expected(&self) -> String {
        format!("expected a whole number from {} to {} ({})", self.min, self.max, self.meaning.trim())
    }

    /// Whether the value is within the bounds.
    #[must_use]
    pub fn allows(&self, value: u64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_within_its_bounds() {
        for setting in SETTINGS {
            assert!(setting.allows(setting.default), "{}", setting.name);
            assert!(!setting.meaning.trim().is_empty(), "{}", setting.name);
            assert_eq!((setting.get)(&Settings::default()), setting.default, "{}", setting.name);
        }
    }

    #[test]
    fn a_setting_is_set_alone() {
        for setting in SETTINGS {
            let mut settings = Settings::default();
            (setting.set)(&mut settings, u64::MAX);
            let changed = SETTINGS.iter().filter(|other| (other.get)(&settings) != other.default);
            assert_eq!(changed.map(|changed| changed.name).collect::<Vec<_>>(), [setting.name]);
        }
    }
}
