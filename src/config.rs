//! Every setting and limit, with its unit in its name, its bounds and its default.
//!
//! A setting `page_max` is given by the environment as `WHARFINGER_PAGE_MAX`. A value out of bounds is
//! refused at start, in words.

/// Why a setting is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}={value}: expected a whole number from {min} to {max} ({meaning})")]
pub struct SettingError {
    variable: String,
    value: String,
    min: u64,
    max: u64,
    meaning: &'static str,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $min:expr, $default:expr, $max:expr;)+) => {
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

        impl Settings {
            /// The defaults, changed by what `variable` answers for the names of environment variables.
            pub fn from_variables(
                variable: impl Fn(&str) -> Option<String>,
            ) -> Result<Self, SettingError> {
                let mut settings = Self::default();
                $(
                    let name = variable_name(stringify!($name));
                    if let Some(value) = variable(&name) {
                        settings.$name = parse(name, value, $min, $max, concat!($($doc),+).trim())?;
                    }
                )+
                Ok(settings)
            }
        }

        /// Name, least, default, greatest and meaning of every setting.
        pub const SETTINGS: &[(&str, u64, u64, u64, &str)] = &[
            $((stringify!($name), $min, $default, $max, concat!($($doc),+)),)+
        ];
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY_SECS: u64 = 24 * 60 * 60;
const YEAR_SECS: u64 = 366 * DAY_SECS;

settings! {
    /// Seconds that running requests have to end when the server is told to stop.
    shutdown_grace_secs: 0, 30, 3600;
    /// Seconds without a byte after which an open upload ends.
    upload_idle_secs: 1, DAY_SECS, YEAR_SECS;
    /// Bytes of a running upload after which its offset is made durable, so that a broken connection costs
    /// the client no more than these.
    upload_checkpoint_bytes: MIB, 64 * MIB, 1024 * MIB;
    /// Bytes of a request's body that are gathered before they are written.
    upload_buffer_bytes: 4 * KIB, 256 * KIB, 4 * MIB;
    /// Bytes that are read from a blob at once while it is sent.
    blob_read_bytes: 4 * KIB, 256 * KIB, 4 * MIB;
    /// Seconds that a pushed or mounted blob stays linked without a manifest that references it.
    blob_lease_secs: 1, DAY_SECS, YEAR_SECS;
    /// Seconds before a lease's end from which on HEAD says 404, so that the client pushes again; at most a
    /// quarter of `blob_lease_secs` counts.
    lease_margin_secs: 0, 3600, YEAR_SECS;
    /// Bytes of a refused request's body that are still read, so that the client sees the refusal.
    drain_max_bytes: 0, 16 * MIB, 1024 * MIB;
    /// Seconds for which a refused request's body is still read.
    drain_max_secs: 0, 5, 3600;
    /// Bytes that a manifest may have.
    manifest_max_bytes: KIB, 4 * MIB, 4 * MIB;
    /// Blobs and manifests that one manifest may reference.
    manifest_references_max: 1, 5_000, 5_000;
    /// Bytes that the annotations of a manifest with a subject may have: lists of referrers repeat them.
    referrer_annotations_max_bytes: 0, 256 * KIB, MIB;
    /// Entries of a page of tags or repositories when the client asks for no or a greater number.
    page_max: 1, 1000, 10_000;
    /// Entries of a page of referrers.
    referrers_page_max: 1, 100, 1000;
    /// Bytes after which a page of referrers ends; oras reads no more than 4 MiB.
    referrers_page_max_bytes: KIB, 2 * MIB, 3 * MIB;
    /// Seconds that a client has to send the head of a request.
    head_read_secs: 1, 10, 3600;
    /// Seconds that an idle connection is kept open.
    keep_alive_secs: 0, 75, 3600;
    /// Threads that serve connections; 0: one for each processor.
    http_workers: 0, 0, 512;
    /// Threads of each worker that wait for disk and ledger.
    blocking_threads_max: 1, 64, 1024;
    /// Bytes of memory for pages of the ledger.
    ledger_cache_bytes: MIB, 32 * MIB, 64 * 1024 * MIB;
    /// Bytes of the data directory's file system that are kept free: what would leave less is refused, while
    /// pulling and deleting go on. At most a quarter of the file system counts; 0: nothing is kept.
    free_space_floor_bytes: 0, 256 * MIB, 1024 * 1024 * MIB;
    /// Seconds between two looks for idle uploads and files to be unlinked.
    housekeeping_secs: 1, 60, DAY_SECS;
}

fn variable_name(setting: &str) -> String {
    format!("WHARFINGER_{}", setting.to_ascii_uppercase())
}

fn parse(
    variable: String,
    value: String,
    min: u64,
    max: u64,
    meaning: &'static str,
) -> Result<u64, SettingError> {
    match value.trim().parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(SettingError { variable, value, min, max, meaning }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_within_its_bounds() {
        for (name, min, default, max, meaning) in SETTINGS {
            assert!(min <= default && default <= max, "{name}");
            assert!(!meaning.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_variable_changes_its_setting_alone() {
        let settings =
            Settings::from_variables(|name| (name == "WHARFINGER_PAGE_MAX").then(|| "7".into())).unwrap();
        assert_eq!(settings, Settings { page_max: 7, ..Settings::default() });
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_in_words() {
        for value in ["", "0", "-1", "10001", "many", "1 000"] {
            let error =
                Settings::from_variables(|name| (name == "WHARFINGER_PAGE_MAX").then(|| value.into()));
            let words = error.unwrap_err().to_string();
            assert!(words.contains("WHARFINGER_PAGE_MAX") && words.contains("from 1 to 10000"), "{words}");
        }
    }
}
