//! `wharfinger token`.

use super::accounts::{self, AccountAction, TokenWish};
use super::actions::{self, Action};
use super::text::{entries, number, text, texts, time};
use super::{DataArguments, DirectoryArguments, wrong_use};
use crate::auth::secret;
use crate::oci::Hidden;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The longest time that can be said in days: ten years.
const EXPIRES_DAYS_MAX: u64 = 3660;

const DAY_SECS: u64 = 24 * 60 * 60;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token for a program, which may do with it what is said here and nothing else
    Create(Create),
    /// List the tokens: what they may do, when they expire, when they were used last
    Ls(DirectoryArguments),
    /// End a token, from now on
    Revoke(Revoke),
    /// Sign by new keys: who is logged in by a Bearer token has to log in again
    NewKeys(DirectoryArguments),
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    data: DataArguments,
    /// The program's name in rules, histories and logs, where it is robot:NAME
    name: String,
    /// The repositories that it is for: a name or a pattern; may be given several times
    #[arg(long = "repo", value_name = "PATTERN", required = true)]
    repositories: Vec<String>,
    /// What it may do there: a list of pull, create, push, delete and admin
    #[arg(long, value_name = "ACTIONS")]
    can: String,
    /// For how many days; 0: for ever
    #[arg(long, value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u64).range(..=EXPIRES_DAYS_MAX))]
    expires_days: u64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    data: DataArguments,
    #[arg(value_name = "NAME|ID")]
    what: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let account = |action| Ok(Action::Account(action));
    match &arguments.command {
        Command::Create(token) => create(token),
        Command::Ls(all) => actions::run(&all.data, account(AccountAction::Tokens), all.json, show),
        Command::Revoke(token) => {
            // Who pastes the secret itself would find it in the log of a server that does not know it.
            if token.what.starts_with(secret::PREFIX) {
                return wrong_use("name the token by its name or id, as `wharfinger token ls` shows them");
            }
            let action = account(AccountAction::RevokeToken(token.what.clone()));
            actions::run(&token.data, action, token.json, |report| {
                say!("revoked {} ({})", text(report, "name"), text(report, "id"));
            })
        }
        Command::NewKeys(all) => {
            actions::run(&all.data, account(AccountAction::NewKeys), all.json, |report| {
                say!("signing by a new key; dropped {}", number(report, "dropped"));
            })
        }
    }
}

impl Create {
    fn wish(&self, id: u64, hash: [u8; 32]) -> Result<AccountAction, String> {
        let name = accounts::user_name(&self.name)?.to_string();
        accounts::patterns(&self.repositories)?;
        let can = accounts::actions(&self.can)?.to_string();
        let life_secs = (self.expires_days > 0).then_some(self.expires_days * DAY_SECS);
        let repositories = self.repositories.clone();
        Ok(AccountAction::CreateToken(TokenWish {
            id,
            hash: Hidden::new(hash),
            name,
            repositories,
            can,
            life_secs,
        }))
    }
}

/// The secret is made here and shown here: nobody else ever has it.
fn create(token: &Create) -> ExitCode {
    let (id, secret) = secret::generate();
    let action = token.wish(id, secret.hash()).map(Action::Account);
    let secret = secret::text(id, &secret);
    match actions::done(&token.data, action) {
        Ok(mut report) if token.json => {
            report["secret"] = json!(secret);
            say!("{report}");
        }
        Ok(report) => {
            say!("{secret}\n");
            say!(
                "This is the secret of {}. It is not shown again. {}",
                text(&report, "name"),
                until(&report)
            );
            say!("To log in, put it where a password is asked for, with any name:");
            say!("  docker login -u robot --password-stdin HOST:PORT");
        }
        Err(code) => return code,
    }
    ExitCode::SUCCESS
}

fn until(report: &Value) -> String {
    if report["expires_at_ms"].is_null() {
        return "It never expires.".to_owned();
    }
    format!("It expires at {}.", time(number(report, "expires_at_ms")))
}

fn show(report: &Value) {
    let tokens = entries(report, "tokens");
    if tokens.is_empty() {
        say!("no tokens; `wharfinger token create NAME --repo 'team/**' --can pull,push` makes one");
        return;
    }
    say!("{:<16}  {:<20}  {:<20}  {:<15}  {:<20}  REPOSITORIES", "ID", "EXPIRES", "LAST USED", "MAY", "NAME");
    for token in tokens {
        let at = |key| if token[key].is_null() { "never".to_owned() } else { time(number(token, key)) };
        let expires = if token["expired"] == true { "expired".to_owned() } else { at("expires_at_ms") };
        let (used, can) = (at("last_used_at_ms"), texts(token, "can"));
        let (name, repositories) = (text(token, "name"), texts(token, "repositories"));
        say!("{:<16}  {expires:<20}  {used:<20}  {can:<15}  {name:<20}  {repositories}", text(token, "id"));
    }
}
