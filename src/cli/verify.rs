//! `wharfinger verify`.

use super::{DataArgument, FOUND_WRONG, open_store, wrong_use};
use crate::config::Settings;
use crate::registry::{Registry, SystemClock, VerifyReport};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArgument,
    /// Read every file and compare its digest
    #[arg(long)]
    deep: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let store = match open_store(&arguments.data.data, false, settings) {
        Ok(store) => store,
        Err(error) => return wrong_use(&error.to_string()),
    };
    let registry = Registry::new(store, Arc::new(SystemClock), settings.clone());
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
        report.blobs,
        report.manifests,
        report.tags,
        report.uploads,
        report.violations.len()
    );
}
