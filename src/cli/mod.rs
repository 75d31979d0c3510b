//! The command line: one file a command. Exit codes: 0 fine, 1 found something wrong, 2 wrong use, 3 the disk
//! failed.

/// Prints a line. Whoever reads it may have stopped reading, which is no fault.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::cli::text::print(format_args!($($words)*))
    };
}

mod accounts;
mod actions;
mod audit;
mod background;
mod backup;
mod config;
mod control;
mod gc;
mod healthcheck;
mod htpasswd;
mod logging;
mod open_files;
mod pin;
mod policy;
mod progress;
mod prompt;
mod rebuild;
mod reload;
mod repo;
mod restore;
mod serve;
mod tag;
mod text;
mod token;
mod undelete;
mod user;
mod verify;

use crate::config::Config;
use crate::registry::{DataDir, LedgerOptions, OnFailure, OpenError, Readers, Store, StoreOptions};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something is wrong with what was looked at.
const FOUND_WRONG: u8 = 1;
/// The command cannot be done as it was given.
const WRONG_USE: u8 = 2;
/// The disk failed: what is on it decides at the next start.
const DISK_FAILED: i32 = 3;

/// An OCI / Docker container registry whose ledger and files cannot say different things.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the registry of a data directory
    Serve(serve::Arguments),
    /// Check a registry, running or stopped: every invariant of ledger and files
    Verify(verify::Arguments),
    /// Copy a registry, running or stopped, to a directory or a tar stream
    Backup(backup::Arguments),
    /// Make a data directory of a backup
    Restore(restore::Arguments),
    /// Make the ledger's database anew from its snapshot, its journal and the files
    Rebuild(rebuild::Arguments),
    /// Say what is deleted and when it goes, or let it go now; collecting itself needs no command
    Gc(gc::Arguments),
    /// Bring back what was deleted
    Undelete(undelete::Arguments),
    /// Look at what a tag named, and set it to that
    Tag(tag::Arguments),
    /// Keep images whatever happens
    Pin(pin::Arguments),
    /// Look at repositories, delete and rename them
    Repo(repo::Arguments),
    /// Copy a repository under another name, without moving a byte of its blobs
    Copy(repo::Two),
    /// Add users and change their passwords
    User(user::Arguments),
    /// Make tokens for programs, and end them
    Token(token::Arguments),
    /// Say who did what to what, when and from where
    Audit(audit::Arguments),
    /// Ask a running registry whether it answers; for containers
    Healthcheck(healthcheck::Arguments),
    /// Say who may do what, by the rules of the configuration
    Policy(policy::Arguments),
    /// Check a configuration, or print an example of one
    Config(config::Arguments),
}

// Not clap's own defaults and variables: the configuration has to know who said what.
const DATA_HELP: &str = "The directory that holds everything [default: ./data] [env: WHARFINGER_DATA]";

/// The data directory and the configuration, the same for every command that opens a registry.
#[derive(Debug, clap::Args)]
struct DataArguments {
    #[command(flatten)]
    config: config::ConfigArguments,
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    data: Option<String>,
}

impl DataArguments {
    /// The configuration that these arguments, the environment and the file make.
    fn load(&self) -> Result<Config, String> {
        config::load(&self.config.inputs(&[("data", "--data", &self.data)]))
    }
}

// What stands here as documentation clap would take for the help of commands.
#[derive(Debug, clap::Args)]
struct DirectoryArguments {
    #[command(flatten)]
    data: DataArguments,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> ExitCode {
    run_as(std::env::args_os())
}

/// Runs the command that these arguments name, the first of which is the program. Ends the process where they
/// name none.
#[must_use]
pub fn run_as(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    if let Err(words) = logging::begin() {
        return wrong_use(&words);
    }
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Rebuild(arguments) => rebuild::run(&arguments),
        Command::Gc(arguments) => gc::run(&arguments),
        Command::Undelete(arguments) => undelete::run(&arguments),
        Command::Tag(arguments) => tag::run(&arguments),
        Command::Pin(arguments) => pin::run(&arguments),
        Command::Repo(arguments) => repo::run(&arguments),
        Command::Copy(arguments) => repo::copy(&arguments),
        Command::User(arguments) => user::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
    }
}

fn wrong_use(message: &str) -> ExitCode {
    eprintln!("wharfinger: {message}");
    ExitCode::from(WRONG_USE)
}

/// Where this machine reaches what listens there: an unspecified address stands for all.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Opens the store of the configured directory, or makes it.
fn open_store(config: &Config, accepts_loss: bool) -> Result<Store, OpenError> {
    let readers = if config.settings.data_group_readable == 1 { Readers::Group } else { Readers::Owner };
    let mut options = store_options(config);
    options.ledger.accept_loss = accepts_loss;
    Store::open(DataDir::open_for(&config.data, readers)?, options)
}

/// Opens the store of a configured directory that is there already.
fn reopen_store(config: &Config) -> Result<Store, OpenError> {
    Store::open(DataDir::open_existing(&config.data)?, store_options(config))
}

/// Opens the store of the configured directory to look at it, which changes nothing.
fn look_at_store(config: &Config) -> Result<Store, OpenError> {
    Store::open_to_look(DataDir::open_to_look(&config.data)?, store_options(config))
}

fn store_options(config: &Config) -> StoreOptions {
    let on_failure: OnFailure = Arc::new(|reason| {
        // Who comes later would be cut off in the middle of its words.
        static HAS_ENDED: AtomicBool = AtomicBool::new(false);
        while HAS_ENDED.swap(true, Ordering::Relaxed) {
            std::thread::park();
        }
        let words = format!(
            "wharfinger: the disk failed: {reason}\nNothing more was acknowledged. Check the disk, then \
             start again: the start goes on from what is on it.\n"
        );
        // Whether or not anybody can be told: nothing may keep it from ending.
        drop(std::io::stderr().write_all(words.as_bytes()));
        std::process::exit(DISK_FAILED);
    });
    StoreOptions { ledger: ledger_options(config), on_failure }
}

fn ledger_options(config: &Config) -> LedgerOptions {
    let settings = &config.settings;
    LedgerOptions {
        cache_bytes: usize::try_from(settings.ledger_cache_bytes).unwrap_or(usize::MAX),
        checkpoint_operations: settings.ledger_checkpoint_operations,
        checkpoint_secs: settings.ledger_checkpoint_secs,
        snapshot_bytes: settings.ledger_snapshot_bytes,
        window_secs: settings.ledger_window_secs,
        segment_max_bytes: settings.ledger_segment_max_bytes,
        keep_max_bytes: settings.ledger_keep_max_bytes,
        ..LedgerOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "WHARFINGER_TEST_DISK_FAILS";

    /// It runs itself as the process whose disk fails, and whose log is on a disk that is full.
    #[test]
    fn a_failed_disk_ends_the_process_though_nobody_can_be_told() {
        if std::env::var_os(CHILD).is_some() {
            (store_options(&Config::default()).on_failure)("of a test");
        }
        let name = "cli::tests::a_failed_disk_ends_the_process_though_nobody_can_be_told";
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").stderr(full);
        assert_eq!(child.output().unwrap().status.code(), Some(DISK_FAILED));
    }
}
