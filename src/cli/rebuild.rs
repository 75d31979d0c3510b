//! `wharfinger rebuild`.

use super::text::size;
use super::{DataArguments, store_options, wrong_use};
use crate::config::Config;
use crate::registry::{DataDir, FoundFiles, Registry, Store, SystemClock};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;

/// What is in the ledger alone.
const NOT_IN_FILES: &str = "names of repositories, manifests, tags and their history, what is deleted and \
                            kept, pins, open uploads, users, tokens, keys, and the audit";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Change nothing, and list what the files alone say: for a directory whose ledger is lost
    #[arg(long)]
    files_only: bool,
    /// Go on though frames of the journal are missing: what they had is lost
    #[arg(long)]
    accept_loss: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let rebuilt = arguments.data.load().and_then(|config| {
        if arguments.files_only { list_files(&config) } else { rebuild(&config, arguments.accept_loss) }
    });
    let report = match rebuilt {
        Ok(report) => report,
        Err(words) => return wrong_use(&words),
    };
    if arguments.json {
        say!("{report}");
    } else if arguments.files_only {
        print_files(&report);
    } else {
        say!("{}", report["words"].as_str().unwrap_or_default());
        say!("check it: wharfinger verify --deep --data {}", report["data"].as_str().unwrap_or_default());
    }
    ExitCode::SUCCESS
}

/// Makes the database anew, and brings rows and files together as a start on a copy does.
fn rebuild(config: &Config, accepts_loss: bool) -> Result<Value, String> {
    let mut options = store_options(config);
    (options.ledger.rebuilds, options.ledger.accept_loss) = (true, accepts_loss);
    let store = DataDir::open_existing(&config.data).map_err(|error| error.to_string())?;
    let store = Store::open(store, options).map_err(|error| error.to_string())?;
    let registry = Registry::new(store, Arc::new(SystemClock), config.clone());
    let found =
        registry.recover().map_err(|error| format!("rows and files do not come together: {error}"))?;
    let words = found.copy.clone().unwrap_or_else(|| found.to_string());
    Ok(json!({"words": format!("the ledger was made anew: {words}"), "data": config.data}))
}

fn list_files(config: &Config) -> Result<Value, String> {
    let dir = DataDir::open_files(&config.data).map_err(|error| error.to_string())?;
    let found = FoundFiles::read(&dir).map_err(|error| format!("the files cannot be read: {error}"))?;
    let mut report = found.to_json();
    report["not_in_files"] = json!(NOT_IN_FILES);
    Ok(report)
}

fn print_files(report: &Value) {
    for blob in report["blobs"].as_array().into_iter().flatten() {
        let text = |key: &str| blob[key].as_str().unwrap_or_default().to_owned();
        say!("{}  {}  {}", text("digest"), size(blob["bytes"].as_u64().unwrap_or_default()), text("kind"));
    }
    let (count, bytes) = (&report["count"], report["bytes"].as_u64().unwrap_or_default());
    say!("{count} blobs of {}; files alone do not say: {NOT_IN_FILES}", size(bytes));
    say!(
        "with a backup of ledger/ in its place, `wharfinger rebuild` brings both together; without one, \
         begin with an empty directory and push the images again"
    );
}
