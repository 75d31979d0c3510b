//! What a request costs, counted and not timed, so that a busy machine says the same as an idle one:
//! allocations of the server's heap, and system calls. `table` has what each may cost; docs/performance.md
//! says what is what.

mod allocations;
mod counted;
mod path;
mod strace;
mod system_calls;
mod table;

#[expect(dead_code, unused_imports, reason = "shared with the other test binaries; each uses its part")]
#[path = "../support/mod.rs"]
mod support;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what the server allocates where this binary is run as one.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
