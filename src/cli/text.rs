//! How commands show things to people.

pub use crate::registry::rfc3339 as time;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::io::Write as _;

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

/// Reads a time, in milliseconds since the epoch. A day is one of UTC.
pub fn moment(text: &str, now: Timestamp) -> Result<u64, String> {
    // By the calendar: a span may be of days.
    let before_now = |span: Span| Offset::UTC.to_datetime(now).checked_add(span).ok();
    let time = text.parse::<Timestamp>().ok();
    let civil = text.parse::<DateTime>().ok().or_else(|| before_now(text.parse().ok()?));
    let time = time.or_else(|| Offset::UTC.to_timestamp(civil?).ok());
    if time.is_some_and(|time| time > now) {
        return Err(format!("{text}: that is still to come; expected an earlier time, such as \"2h ago\""));
    }
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .ok_or_else(|| format!("{text}: expected a time such as 2026-08-01T12:00:00Z or \"2h ago\""))
}

/// The text without control characters: with one, a client could write lines of its own, or to the terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            write!(plain, "{}", character.escape_default()).expect("a String takes every write");
        } else {
            plain.push(character);
        }
    }
    plain
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

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-08-02T00:00:00Z".parse().unwrap();
        let noon = 1_785_585_600_000;
        for text in
            ["2026-08-01T12:00:00Z", "2026-08-01 12:00", "2026-08-01T14:00:00+02:00", "12h ago", "-12h"]
        {
            assert_eq!(moment(text, now), Ok(noon), "{text}");
        }
        assert_eq!(moment("1d ago", now), Ok(noon - 12 * 3_600_000));
        for text in ["", "yesterday", "12", "1900-01-01 00:00", "1h", "2027-01-01 00:00"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(plain("a\"\\ \u{e4} b"), "a\"\\ \u{e4} b");
        assert_eq!(plain("a\n\r\t\u{1b}[31m\u{9b}\u{7f}"), "a\\n\\r\\t\\u{1b}[31m\\u{9b}\\u{7f}");
    }
}
