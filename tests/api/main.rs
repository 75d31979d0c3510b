//! Black-box tests of the HTTP interface and of the commands around it: a module per rule.

#[expect(dead_code, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod audit;
mod blob_ranges;
mod blobs;
mod collecting;
mod conditions;
mod configuration;
mod control;
mod damage;
mod data_dir;
mod errors;
mod extensions;
mod hostile;
mod leases;
mod linearizable;
mod links;
mod lists;
mod log;
mod manifests_delete;
mod manifests_kinds;
mod manifests_push;
mod manifests_refused;
mod memory;
mod metrics;
mod mounts;
mod names;
mod parallel;
mod ping;
mod probes;
mod referrers;
mod repositories;
mod rules;
mod serve;
mod several_tags;
mod sparse;
mod tags;
mod time_machine;
mod uploads_chunked;
mod uploads_closing;
mod uploads_digests;
mod uploads_recovery;
mod uploads_start;
mod uploads_status;
mod uploads_streamed;
mod verify;
mod warnings;
