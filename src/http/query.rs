//! Query parameters.

use super::error::{ApiError, Code};
use actix_web::http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in a link that we make.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// The parameters of a request, decoded, in their order.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string. A plus is a plus: media types hold them, and clients send them as they are.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let decode = |part: &str| {
            percent_decode_str(part).decode_utf8().map(String::from).map_err(|_| {
                let message = "the query is not text: expected UTF-8, percent-encoded";
                ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
            })
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, ApiError>>()?))
    }

    /// Reads a form (`application/x-www-form-urlencoded`), where a plus is a blank.
    pub fn parse_form(text: &str) -> Result<Self, ApiError> {
        Self::parse(&text.replace('+', "%20"))
    }

    /// The first value of a parameter.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(present, _)| present == key).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, in their order.
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(present, _)| present == key).map(|(_, value)| value.as_str())
    }

    /// The entries asked for by `n`, at most `max`; `max` without it.
    pub fn page_limit(&self, max: u64) -> Result<usize, ApiError> {
        let limit = match self.get("n") {
            None => max,
            Some(n) if !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()) => {
                // Whatever does not fit is more than the greatest page.
                n.parse().unwrap_or(u64::MAX).min(max)
            }
            Some(n) => {
                return Err(ApiError::pagination(&format!("n={n}: expected a number that is not negative")));
            }
        };
        Ok(usize::try_from(limit).expect("a page's limit is far below 2^32"))
    }

    /// The entry that the page begins behind, if one is named.
    pub fn last<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        let last = self.get("last").filter(|last| !last.is_empty());
        last.map(parse).transpose().map_err(|error| ApiError::pagination(&format!("last: {error}")))
    }
}

/// The `Link` to a next page: a relative path and its parameters, encoded.
#[must_use]
pub fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<_> = parameters
        .iter()
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, PLAIN)))
        .collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_plus() {
        let query = Query::parse("artifactType=application/x+json&b=application%2Fx%2Bjson&c").unwrap();
        assert_eq!(query.get("artifactType"), Some("application/x+json"));
        assert_eq!(query.get("b"), Some("application/x+json"));
        assert_eq!(query.get("c"), Some(""));
        assert_eq!(query.get("d"), None);
        assert!(Query::parse("a=%ff").is_err());
    }

    #[test]
    fn n_is_a_number_or_refused() {
        let limit = |text: &str| Query::parse(text).unwrap().page_limit(100);
        assert_eq!(limit("").unwrap(), 100);
        assert_eq!(limit("n=0").unwrap(), 0);
        assert_eq!(limit("n=7").unwrap(), 7);
        assert_eq!(limit("n=99999999999999999999999999").unwrap(), 100);
        for text in ["n=", "n=-1", "n=x", "n=1.5", "n=+1", "n=NaN"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn links_are_encoded() {
        let link = next_link("/v2/a/b/tags/list", &[("last", "x y&z"), ("n", "2")]);
        assert_eq!(link, "</v2/a/b/tags/list?last=x%20y%26z&n=2>; rel=\"next\"");
    }
}
