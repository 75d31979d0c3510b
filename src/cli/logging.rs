//! The log: a line of text or a JSON object for each thing that is said.
//!
//! Whatever a client sent, a line stays one line: control characters are escaped in both.

use super::text::plain;
use crate::config::LOG_FORMAT_VARIABLE;
use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::{Map, Value as Json};
use std::io::{self, Write as _};

/// What is logged unless `RUST_LOG` says otherwise. To actix-http all that is no HTTP is an error, such as
/// the TLS that docker tries first on each port; what failed in answering a request is logged by `http`.
const LOG_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// Begins to log to standard error. An error says which format there is not.
pub fn begin() -> Result<(), String> {
    let mut logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(LOG_FILTER));
    // As with settings, an empty variable is none.
    if std::env::var_os("RUST_LOG").is_some_and(|filter| filter.is_empty()) {
        logger.parse_filters(LOG_FILTER);
    }
    let format = std::env::var_os(LOG_FORMAT_VARIABLE).unwrap_or_default();
    match format.to_str() {
        Some("" | "text") => logger.format(text_line),
        Some("json") => {
            // What the standard library prints of a panic is no JSON.
            std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
            logger.format(json_line)
        }
        _ => return Err(format!("{LOG_FORMAT_VARIABLE} is {}: expected text or json", format.display())),
    };
    logger.init();
    Ok(())
}

fn text_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (time, level) = (out.timestamp(), record.level());
    let style = out.default_level_style(level);
    let (target, message) = (record.target(), plain(&record.args().to_string()));
    writeln!(out, "[{time} {style}{level:<5}{style:#} {target}] {message}")
}

fn json_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields(Map::new());
    // Fields of numbers and texts: nothing in them fails.
    drop(record.key_values().visit(&mut fields));
    let Fields(mut line) = fields;
    for (key, value) in [
        ("time", out.timestamp_millis().to_string()),
        ("level", record.level().to_string()),
        ("target", record.target().to_owned()),
        ("message", record.args().to_string()),
    ] {
        line.insert(key.to_owned(), value.into());
    }
    writeln!(out, "{}", Json::Object(line))
}

/// The fields of a line, beside its message.
struct Fields(Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let json = value.to_u64().map_or_else(|| Json::String(value.to_string()), Json::from);
        self.0.insert(key.to_string(), json);
        Ok(())
    }
}
