//! `wharfinger user`.

use super::accounts::{self, AccountAction};
use super::actions::{self, Action};
use super::text::{entries, number, text, time};
use super::{DataArguments, DirectoryArguments, prompt};
use crate::auth::password;
use crate::oci::Hidden;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a user, and ask for the password
    Add(WithPassword),
    /// Set another password
    Passwd(WithPassword),
    /// Keep a user from logging in, from now on
    Disable(One),
    /// Let a disabled user log in again
    Enable(One),
    /// Remove a user
    Rm(One),
    /// List the users, apart from those of an htpasswd file
    Ls(DirectoryArguments),
}

#[derive(Debug, clap::Args)]
struct WithPassword {
    #[command(flatten)]
    one: One,
    /// Read the password from standard input: one line. It does so by itself where that is no terminal
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    #[command(flatten)]
    data: DataArguments,
    name: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl WithPassword {
    /// The name and the hash of the password. The password goes no further than this process.
    fn hashed(&self) -> Result<(String, Hidden<String>), String> {
        let name = self.one.name()?;
        let password = prompt::new_password(&name, self.password_stdin)?;
        Ok((name, Hidden::new(password::hash(&password))))
    }
}

impl One {
    fn name(&self) -> Result<String, String> {
        accounts::user_name(&self.name).map(|name| name.to_string())
    }

    fn run(&self, action: Result<AccountAction, String>, done: &str) -> ExitCode {
        actions::run(&self.data, action.map(Action::Account), self.json, |report| {
            say!("{done} {}", text(report, "name"));
        })
    }
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Add(user) => {
            let action = user.hashed().map(|(name, hash)| AccountAction::AddUser(name, hash));
            user.one.run(action, "added")
        }
        Command::Passwd(user) => {
            let action = user.hashed().map(|(name, hash)| AccountAction::SetPassword(name, hash));
            user.one.run(action, "set the password of")
        }
        Command::Disable(user) => {
            user.run(user.name().map(|name| AccountAction::SetDisabled(name, true)), "disabled")
        }
        Command::Enable(user) => {
            user.run(user.name().map(|name| AccountAction::SetDisabled(name, false)), "enabled")
        }
        Command::Rm(user) => user.run(user.name().map(AccountAction::RemoveUser), "removed"),
        Command::Ls(all) => {
            actions::run(&all.data, Ok(Action::Account(AccountAction::Users)), all.json, show)
        }
    }
}

fn show(report: &Value) {
    let users = entries(report, "users");
    if users.is_empty() {
        say!("no users; `wharfinger user add NAME` adds one");
        return;
    }
    say!("{:<20}  {:<20}  {:<20}  NAME", "ADDED", "PASSWORD SET", "DISABLED");
    for user in users {
        let at = |key| time(number(user, key));
        let disabled = if user["disabled_at_ms"].is_null() { "no".to_owned() } else { at("disabled_at_ms") };
        let (added, set) = (at("created_at_ms"), at("password_changed_at_ms"));
        say!("{added:<20}  {set:<20}  {disabled:<20}  {}", text(user, "name"));
    }
}
