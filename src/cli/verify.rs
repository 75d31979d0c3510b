//! `wharfinger verify`.

use super::{DataArguments, FOUND_WRONG, config, look_at_store, wrong_use};
use crate::registry::{Registry, SystemClock, VerifyReport};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    /// Read every file and compare its digest
    #[arg(long)]
    deep: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let inputs = arguments.data.config.inputs(&[("data", "--data", &arguments.data.data)]);
    let opened = config::load(&inputs).and_then(|config| {
        let store = look_at_store(&config).map_err(|error| error.to_string())?;
        Ok(Registry::new(store, Arc::new(SystemClock), config))
    });
    let registry = match opened {
        Ok(registry) => registry,
        Err(words) => return wrong_use(&words),
    };
    let report = match registry.verify(arguments.deep) {
        Ok(report) => report,
        Err(error) => return wrong_use(&format!("the check could not be done: {error}")),
    };
    print(&report, arguments.json);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_WRONG) }
}

fn print(report: &VerifyReport, json: bool) {
    if json {
        println!("{}", report.to_json());
        return;
    }
    for violation in &report.violations {
        println!("{}: {}", violation.invariant, violation.words);
    }
    println!(
        "{} blobs, {} manifests, {} tags, {} open uploads: {} violations",
        report.counts.blobs,
        report.counts.manifests,
        report.counts.tags,
        report.counts.uploads,
        report.violations.len()
    );
}
