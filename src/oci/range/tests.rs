//! Ranges: examples of the RFC and of the conformance suite, and a reference by counting bytes.

use proptest::prelude::*;

use super::RangeRequest::{Unsatisfiable, Whole};
use super::*;

fn part(first: u64, last: u64) -> RangeRequest {
    RangeRequest::Part { first, last }
}

#[test]
fn resolves_one_range() {
    for (header, size, expected) in [
        ("bytes=500-1499", 2000, part(500, 1499)),
        ("bytes=500-", 2000, part(500, 1999)),
        ("bytes=-500", 2000, part(1500, 1999)),
        ("bytes=0-0", 2000, part(0, 0)),
        ("bytes=0-", 2000, part(0, 1999)),
        ("bytes=1999-1999", 2000, part(1999, 1999)),
        ("bytes=1500-9999", 2000, part(1500, 1999)),
        ("bytes=-9999", 2000, part(0, 1999)),
        ("bytes=0-99999999999999999999999", 2000, part(0, 1999)),
        ("bytes=-99999999999999999999999", 2000, part(0, 1999)),
        ("bytes=0000000000000000000000001-0000000000000000000000002", 2000, part(1, 2)),
        ("BYTES=1-2", 2000, part(1, 2)),
        ("bytes= , 1-2 ,\t", 2000, part(1, 2)),
    ] {
        assert_eq!(resolve_range(Some(header), size), expected, "{header}");
    }
}

#[test]
fn refuses_what_does_not_overlap() {
    for (header, size) in [
        ("bytes=2000-", 2000),
        ("bytes=2000-3000", 2000),
        ("bytes=99999999999999999999999-", 2000),
        ("bytes=500-0", 2000),
        ("bytes=-0", 2000),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=-0", 0),
    ] {
        assert_eq!(resolve_range(Some(header), size), Unsatisfiable, "{header}");
    }
}

#[test]
fn ignores_what_a_server_may_ignore() {
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "bytes=1-b",
        "bytes=1--2",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=1 - 2",
        "bytes=1",
        "bytes 1-2",
        "items=1-2",
        "1-2",
        "bytes=0x1-0x2",
        "bytes=\u{661}-\u{662}",
    ] {
        assert_eq!(resolve_range(Some(header), 2000), Whole, "{header:?}");
    }
    assert_eq!(resolve_range(None, 2000), Whole);
    assert_eq!(resolve_range(Some("bytes=-5"), 0), Whole);
}

#[test]
fn reads_the_ranges_of_chunks() {
    for header in [
        "0-1023",
        "bytes=0-1023",
        "bytes 0-1023",
        " 0-1023\t",
        "0-1023/1024",
        "bytes 0-1023/2048",
        "bytes 0-1023/*",
    ] {
        let range = ContentRange::parse(header).unwrap();
        assert_eq!((range.first(), range.last(), range.len()), (0, 1023, 1024), "{header}");
    }
    let one = ContentRange::parse("7-7").unwrap();
    assert_eq!((one.first(), one.last(), one.len()), (7, 7, 1));
    let largest = format!("0-{}", u64::MAX - 1);
    assert_eq!(ContentRange::parse(&largest).unwrap().len(), u64::MAX);
}

#[test]
fn refuses_other_ranges_of_chunks() {
    use ContentRangeError::{BeyondTotal, Inverted, Malformed};
    let overflow = format!("0-{}", u64::MAX);
    for (header, error) in [
        ("", Malformed),
        ("-", Malformed),
        ("0", Malformed),
        ("0-", Malformed),
        ("-5", Malformed),
        ("a-b", Malformed),
        ("+0-5", Malformed),
        ("0-+5", Malformed),
        ("0 - 5", Malformed),
        ("0-5-9", Malformed),
        ("bytes */5", Malformed),
        ("bytes=bytes=0-5", Malformed),
        ("items 0-5", Malformed),
        ("0-5/", Malformed),
        ("0-5/x", Malformed),
        ("0-5/6/7", Malformed),
        ("0-5/*/*", Malformed),
        (&overflow, Malformed),
        ("0-99999999999999999999999", Malformed),
        ("5-4", Inverted),
        ("0-5/5", BeyondTotal),
    ] {
        assert_eq!(ContentRange::parse(header), Err(error), "{header:?}");
    }
}

proptest! {
    #[test]
    fn a_range_is_the_bytes_it_names(first in 0_u64..40, last in 0_u64..40, size in 0_u64..30) {
        // The reference counts: which of the bytes that exist are named?
        let check = |header: String, named: &dyn Fn(u64) -> bool| {
            let bytes: Vec<u64> = (0..size).filter(|at| named(*at)).collect();
            let expected = match (bytes.first(), bytes.last()) {
                (Some(first), Some(last)) => part(*first, *last),
                _ => Unsatisfiable,
            };
            prop_assert_eq!(resolve_range(Some(&header), size), expected, "{} of {}", header, size);
            Ok(())
        };
        check(format!("bytes={first}-{last}"), &|at| first <= at && at <= last)?;
        check(format!("bytes={first}-"), &|at| first <= at)?;
        if size > 0 {
            check(format!("bytes=-{last}"), &|at| size - at <= last)?;
        }
    }

    #[test]
    fn a_part_is_always_inside(header in "\\PC*|bytes=[0-9, -]{0,25}", size in any::<u64>()) {
        if let RangeRequest::Part { first, last } = resolve_range(Some(&header), size) {
            prop_assert!(first <= last && last < size);
        }
    }

    #[test]
    fn chunk_ranges_round_trip(first in 0..u64::MAX, length in 1..=u64::MAX, form in 0..5_usize) {
        let last = first.saturating_add(length - 1).min(u64::MAX - 1);
        let bare = format!("{first}-{last}");
        let header = match form {
            0 => bare,
            1 => format!("bytes={bare}"),
            2 => format!("bytes {bare}"),
            3 => format!("{bare}/*"),
            _ => format!("bytes {bare}/{}", last + 1),
        };
        // A complete length of 2^64 - 1 is beyond what is read as a number.
        if last + 1 == u64::MAX && form == 4 {
            prop_assert_eq!(ContentRange::parse(&header), Err(ContentRangeError::Malformed));
        } else {
            let range = ContentRange::parse(&header).unwrap();
            prop_assert_eq!((range.first(), range.last(), range.len()), (first, last, last - first + 1));
            prop_assert_eq!(header.parse(), Ok(range));
        }
    }

    #[test]
    fn bare_chunk_ranges_are_what_is_described(header in "\\PC*|[0-9-]{0,8}|[0-9]{1,22}-[0-9]{1,22}") {
        prop_assume!(!header.contains(['/', ' ', '=', '\t']));
        let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let described = header.split_once('-').is_some_and(|(first, last)| {
            digits(first)
                && digits(last)
                && first.parse::<u128>().unwrap() <= last.parse::<u128>().unwrap()
                && last.parse::<u128>().unwrap() < u128::from(u64::MAX)
        });
        prop_assert_eq!(ContentRange::parse(&header).is_ok(), described, "{:?}", header);
    }
}
