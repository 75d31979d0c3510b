//! Byte ranges: the `Range` of a download and the `Content-Range` of an upload's chunk.

use std::str::FromStr;

use thiserror::Error;

/// What a `Range` header asks of content with a known size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// No range, or one that a server ignores (RFC 9110, section 14.2): answer 200 with everything.
    Whole,
    /// Answer 206 with these bytes, both ends included. `first <= last < size` holds.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// Answer 416 (RFC 9110, section 15.5.17).
    Unsatisfiable,
}

/// Decides what to answer to a `Range` header (RFC 9110, section 14.1.2) on content of `size` bytes.
///
/// Several ranges, other units and malformed headers are ignored, as the RFC allows. It differs in one point:
/// for an inverted range such as `500-0`, which the RFC calls invalid, the answer is 416, because the
/// conformance suite of the distribution-spec takes 200 to mean that ranges are not supported.
#[must_use]
pub fn resolve_range(header: Option<&str>, size: u64) -> RangeRequest {
    match header.and_then(parse_range) {
        None => RangeRequest::Whole,
        Some(RangeSpec::Suffix(0)) => RangeRequest::Unsatisfiable,
        // Satisfiable by the RFC, but a Content-Range cannot express a part of nothing.
        Some(RangeSpec::Suffix(_)) if size == 0 => RangeRequest::Whole,
        Some(RangeSpec::Suffix(length)) => {
            RangeRequest::Part { first: size.saturating_sub(length), last: size - 1 }
        }
        Some(RangeSpec::From { first, last }) => {
            if first >= size || last.is_some_and(|last| last < first) {
                return RangeRequest::Unsatisfiable;
            }
            RangeRequest::Part { first, last: last.map_or(size - 1, |last| last.min(size - 1)) }
        }
    }
}

/// One `range-spec` of RFC 9110, section 14.1.1.
enum RangeSpec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

/// The only range in the header, or `None` where there is not exactly one that is well formed.
fn parse_range(header: &str) -> Option<RangeSpec> {
    let (unit, set) = header.split_once('=')?;
    // Range units are compared without regard to case (RFC 9110, section 14.1).
    if !unit.trim_matches(BLANKS).eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty elements of a list are ignored (RFC 9110, section 5.6.1.2).
    let mut specs = set.split(',').map(|spec| spec.trim_matches(BLANKS)).filter(|spec| !spec.is_empty());
    let spec = specs.next()?;
    if specs.next().is_some() {
        return None;
    }
    match spec.split_once('-')? {
        ("", length) => Some(RangeSpec::Suffix(saturating_number(length)?)),
        (first, "") => Some(RangeSpec::From { first: saturating_number(first)?, last: None }),
        (first, last) => {
            Some(RangeSpec::From { first: saturating_number(first)?, last: Some(saturating_number(last)?) })
        }
    }
}

/// Optional whitespace (RFC 9110, section 5.6.3).
const BLANKS: [char; 2] = [' ', '\t'];

/// A run of digits; where it is too large for any file, the largest number.
fn saturating_number(digits: &str) -> Option<u64> {
    is_number(digits).then(|| digits.parse().unwrap_or(u64::MAX))
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Why a `Content-Range` of a chunk is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ContentRangeError {
    /// Not two numbers joined by a hyphen, or numbers that no file can reach.
    #[error("malformed Content-Range: expected <first byte>-<last byte>, such as 0-1023")]
    Malformed,
    /// The last byte stands before the first.
    #[error("inverted Content-Range: expected the last byte not to stand before the first")]
    Inverted,
    /// The complete length leaves no room for the last byte.
    #[error("Content-Range beyond its own complete length: expected the last byte to stand before the end")]
    BeyondTotal,
}

/// Where a chunk belongs in an upload, both ends included (distribution-spec, "Pushing a blob in chunks").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    first: u64,
    last: u64,
}

#[expect(clippy::len_without_is_empty, reason = "a range of included ends holds at least one byte")]
impl ContentRange {
    /// Reads `<first>-<last>`, the form of the distribution-spec, and for clients that send the form of
    /// RFC 9110, section 14.4, also a leading `bytes ` or `bytes=` and a trailing `/<total>` or `/*`.
    pub fn parse(header: &str) -> Result<Self, ContentRangeError> {
        let header = header.trim_matches(BLANKS);
        let range = header.strip_prefix("bytes ").or_else(|| header.strip_prefix("bytes=")).unwrap_or(header);
        let (range, total) = match range.split_once('/') {
            None => (range, None),
            Some((range, "*")) => (range, None),
            Some((range, total)) => (range, Some(exact_number(total)?)),
        };
        let (first, last) = range.split_once('-').ok_or(ContentRangeError::Malformed)?;
        let (first, last) = (exact_number(first)?, exact_number(last)?);
        if last < first {
            return Err(ContentRangeError::Inverted);
        }
        if total.is_some_and(|total| total <= last) {
            return Err(ContentRangeError::BeyondTotal);
        }
        Ok(Self { first, last })
    }

    /// The offset of the chunk's first byte.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The offset of the chunk's last byte.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// How many bytes the chunk has: at least one.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

impl FromStr for ContentRange {
    type Err = ContentRangeError;

    fn from_str(header: &str) -> Result<Self, ContentRangeError> {
        Self::parse(header)
    }
}

/// A number below the largest, so that neither a length nor an end offset can overflow.
fn exact_number(digits: &str) -> Result<u64, ContentRangeError> {
    if !is_number(digits) {
        return Err(ContentRangeError::Malformed);
    }
    match digits.parse() {
        Ok(number) if number < u64::MAX => Ok(number),
        _ => Err(ContentRangeError::Malformed),
    }
}

#[cfg(test)]
mod tests;
