//! `n`, `last` and other parameters.

use super::case::{Case, get};
use super::scene::{OURS, Scene};

const NUMBER: &str = "expected a number that is not negative";
const TAG: &str = "last: malformed tag: expected 1 to 128 letters, digits";
const NAME: &str = "last: malformed repository name at byte";

/// What is no `n`.
const NO_NUMBERS: [(&str, &str); 15] = [
    ("", "nothing"),
    ("-1", "a negative number"),
    ("+1", "a sign"),
    ("abc", "a word"),
    ("1.5", "a fraction"),
    ("1e3", "an exponent"),
    ("0x10", "a hexadecimal number"),
    ("%00", "NUL"),
    ("1%00", "a number and NUL"),
    ("1%202", "a space"),
    ("%D9%A1", "a digit outside ASCII"),
    ("NaN", "no number by name"),
    ("%zz", "a broken escape"),
    ("%", "half of an escape"),
    ("1%0d%0aX-Evil:%201", "a line end and a header"),
];

/// Numbers beyond every page. The page is as long as the server says.
const HUGE: [&str; 5] =
    ["100000", "2147483648", "18446744073709551615", "18446744073709551616", "99999999999999999999999999"];

/// Tags that no list could have.
const NO_LAST_TAGS: [(&str, &str); 8] = [
    ("%20", "a space"),
    ("-a", "a leading dash"),
    ("..", "the directory above"),
    ("a%2Fb", "a slash"),
    ("a:b", "a colon"),
    ("%00", "NUL"),
    ("%C3%A9", "a letter outside ASCII"),
    ("a%0d%0aX-Evil%20", "a line end"),
];

/// Names that no catalog could have.
const NO_LAST_NAMES: [(&str, &str); 6] = [
    ("UPPER", "upper case"),
    ("..", "the directory above"),
    ("a//b", "an empty segment"),
    ("%00", "NUL"),
    ("-", "a dash"),
    ("..%2f..%2fLOCK", "encoded slashes that lead up"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let (tags, catalog) = (format!("/v2/{OURS}/tags/list"), "/v2/_catalog");
    let invalid = |title: &str, path: &str, words| {
        Case::of(title, get(path)).refused(400, "PAGINATION_NUMBER_INVALID", words)
    };
    let mut cases = Vec::new();
    for (n, title) in NO_NUMBERS {
        cases.push(invalid(title, &format!("{tags}?n={n}"), NUMBER));
    }
    for (n, title) in NO_NUMBERS {
        cases.push(invalid(&format!("{title}, of the catalog"), &format!("{catalog}?n={n}"), NUMBER));
    }
    for (last, title) in NO_LAST_TAGS {
        cases.push(invalid(title, &format!("{tags}?last={last}"), TAG));
    }
    for (last, title) in NO_LAST_NAMES {
        cases.push(invalid(title, &format!("{catalog}?last={last}"), NAME));
    }
    let long = "v".repeat(300);
    cases.push(invalid("300 characters", &format!("{tags}?last={long}"), TAG));
    cases.push(invalid("300 characters, of the catalog", &format!("{catalog}?last={long}"), "found 300"));
    let referrers = format!("/v2/{OURS}/referrers/{}", scene.images[0].digest);
    let words = "last: malformed digest: expected";
    cases.push(invalid("a last referrer that is no digest", &format!("{referrers}?last=v1"), words));
    for n in HUGE {
        cases.push(Case::of("a huge number", get(&format!("{tags}?n={n}"))).answered(200));
        cases.push(Case::of("a huge number, of the catalog", get(&format!("{catalog}?n={n}"))).answered(200));
    }
    for (title, query) in [
        ("a value that is no UTF-8", "last=%ff"),
        ("a key that is no UTF-8", "%ff=1"),
        ("an overlong encoding of a slash", "last=a%c0%afb"),
        ("half of a pair of surrogates", "last=%ed%a0%80"),
    ] {
        let case = Case::of(title, get(&format!("{tags}?{query}")));
        cases.push(case.refused(400, "UNSUPPORTED", "expected UTF-8"));
    }
    let two = Case::of("two numbers, of which the first counts", get(&format!("{tags}?n=1&n=-1")));
    cases.push(two.answered(200));
    let nothing = Case::of("nothing but separators", get(&format!("{tags}?=&&=&")));
    cases.push(nothing.answered(200));
    let filter = Case::of("a filter that is no UTF-8", get(&format!("{referrers}?artifactType=%ff")));
    cases.push(filter.refused(400, "UNSUPPORTED", "expected UTF-8"));
    cases
}
