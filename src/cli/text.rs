//! How commands show things to people.

pub use crate::registry::rfc3339 as time;
use serde_json::Value;
use std::fmt;
use std::io::Write;

/// Prints a line, as far as somebody reads it.
pub fn print(words: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stdout(), "{words}"));
}

/// A size with the unit that suits it, to three digits.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // To tenths of the unit, rounded down: no float is needed to show three digits.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    if tenths < 1000 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    } else {
        format!("{} {}", tenths / 10, UNITS[unit])
    }
}

/// A text of a report; empty where there is none.
#[must_use]
pub fn text<'a>(report: &'a Value, key: &str) -> &'a str {
    report[key].as_str().unwrap_or_default()
}

/// A number of a report; 0 where there is none.
#[must_use]
pub fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_default()
}

/// The entries of a list of a report.
#[must_use]
pub fn entries<'a>(report: &'a Value, key: &str) -> &'a [Value] {
    report[key].as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list of a report, with commas.
#[must_use]
pub fn texts(report: &Value, key: &str) -> String {
    entries(report, key).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (300_000, "292 KiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
