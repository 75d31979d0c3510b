//! What each request may cost, beside what it cost when that was last written down.

use std::fmt::Write as _;

use super::path::Path;

/// Below this part of what it may be, in percent, a count shows that its bound has become too loose.
const TIGHT_PERCENT: u64 = 60;

/// A count: what was found once, and between what it may be.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    pub min: u64,
    pub measured: u64,
    pub max: u64,
}

/// What an act of a path costs. Counts are of one act, to the nearest whole number.
pub struct Cost {
    pub path: Path,
    /// Allocations and reallocations of the heap.
    pub allocations: Count,
    /// Bytes that were allocated, and that reallocations added.
    pub allocated_bytes: Count,
    /// System calls on files and sockets; where a body is long, on files alone.
    pub calls: Count,
    /// Bytes that these moved between the kernel and the server.
    pub moved_bytes: Count,
}

const fn count(measured: u64, max: u64) -> Count {
    Count { min: (max * TIGHT_PERCENT).div_ceil(100), measured, max }
}

/// Of memory for a long body: how much it takes depends on the pieces in which it passes the socket, and is
/// never less than the body.
const fn of_body(body: u64, measured: u64, max: u64) -> Count {
    Count { min: body, measured, max }
}

/// The one table. A change that makes a path dearer fails its line, and one that makes it much cheaper, too.
pub const TABLE: [Cost; 8] = [
    Cost {
        path: Path::Base,
        allocations: count(24, 25),
        allocated_bytes: count(5699, 5900),
        calls: count(4, 4),
        moved_bytes: count(889, 980),
    },
    Cost {
        path: Path::HeadBlob,
        allocations: count(100, 103),
        allocated_bytes: count(14_519, 14_900),
        calls: count(5, 5),
        moved_bytes: count(1272, 1400),
    },
    Cost {
        path: Path::GetManifest,
        allocations: count(98, 101),
        allocated_bytes: count(13_422, 13_900),
        calls: count(4, 4),
        moved_bytes: count(1701, 1900),
    },
    Cost {
        path: Path::GetSmallBlob,
        allocations: count(101, 104),
        allocated_bytes: count(14_372, 14_900),
        calls: count(7, 7),
        moved_bytes: count(1272, 1400),
    },
    Cost {
        path: Path::GetLargeBlob,
        allocations: count(101, 104),
        allocated_bytes: count(14_383, 14_900),
        calls: count(37, 37),
        moved_bytes: count(1304, 1500),
    },
    Cost {
        path: Path::TagsPage,
        allocations: count(501, 510),
        allocated_bytes: count(51_849, 53_000),
        calls: count(4, 4),
        moved_bytes: count(1727, 1900),
    },
    Cost {
        path: Path::Upload,
        allocations: count(2074, 2150),
        allocated_bytes: of_body(1 << 20, 1_522_546, 1_800_000),
        calls: count(45, 47),
        moved_bytes: count(2_101_914, 2_200_000),
    },
    Cost {
        path: Path::PutManifest,
        allocations: count(1011, 1050),
        allocated_bytes: count(172_912, 185_000),
        // Head and body may be received together.
        calls: count(8, 9),
        moved_bytes: count(4392, 4800),
    },
];

/// Compares what was counted with the table; gives what is wrong, a line each.
pub fn judge(unit: &str, of: impl Fn(&Cost) -> Count, counted: &[(Path, u64)]) -> String {
    let mut wrong = String::new();
    for &(path, found) in counted {
        let cost = TABLE.iter().find(|cost| cost.path == path).expect("each path has a line in the table");
        let Count { min, measured, max } = of(cost);
        let words = if found > max {
            "more than it may: something was added to each request. Take it out, or write down here and in \
             docs/performance.md what it is for"
        } else if found < min {
            "far less than it may: tighten it, in tests/costs/table.rs and in docs/performance.md"
        } else {
            continue;
        };
        let name = path.name();
        let line = format!("{name}: {found} {unit}, and may be {max} (measured {measured} once): {words}");
        writeln!(wrong, "{line}").expect("a text takes what is written to it");
    }
    wrong
}

#[test]
fn each_path_has_a_line_and_each_bound_is_tight() {
    for path in Path::ALL {
        assert_eq!(TABLE.iter().filter(|cost| cost.path == path).count(), 1, "{}", path.name());
    }
    for Cost { path, allocations, allocated_bytes, calls, moved_bytes } in &TABLE {
        for Count { min, measured, max } in [allocations, allocated_bytes, calls, moved_bytes] {
            assert!((min..=max).contains(&measured), "{}: {measured} of {max}", path.name());
        }
    }
}

#[test]
fn too_much_and_far_too_little_are_told() {
    let bound = |_: &Cost| count(90, 100);
    assert_eq!(judge("calls", bound, &[(Path::Base, 60), (Path::Base, 100)]), "");
    let told = judge("calls", bound, &[(Path::Base, 101), (Path::Base, 59)]);
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines[0].contains("101 calls, and may be 100") && lines[0].contains("more than it may"),
        "{told}"
    );
    assert!(lines[1].contains("59 calls") && lines[1].contains("tighten it"), "{told}");
}
