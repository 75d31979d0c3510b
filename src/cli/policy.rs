//! `wharfinger policy`: what the rules of access say, and which of them says it.

use super::accounts::{self, AccountAction};
use super::actions::{self, Directory};
use super::{DataArguments, FOUND_WRONG, wrong_use};
use crate::auth::{Action, Basis, Explanation, Policy, Principal, Reason};
use crate::config::Who;
use crate::oci::RepositoryName;
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether somebody may do something, and which rule decides that; exit code 0: yes, 1: no
    Explain(ExplainArguments),
}

#[derive(Debug, clap::Args)]
struct ExplainArguments {
    #[command(flatten)]
    data: DataArguments,
    /// The name of a user, anonymous, or robot:NAME
    user: String,
    /// pull, create, push, delete or admin
    action: String,
    /// The name of a repository, be there one or not
    repository: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A question, checked.
struct Question {
    who: Principal,
    action: Action,
    repository: RepositoryName,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let Command::Explain(arguments) = &arguments.command;
    match explain(arguments) {
        Ok((question, answer)) => {
            if arguments.json {
                say!("{}", as_json(&question, &answer));
            } else {
                show(&question, &answer);
            }
            if answer.is_allowed { ExitCode::SUCCESS } else { ExitCode::from(FOUND_WRONG) }
        }
        Err(words) => wrong_use(&words),
    }
}

fn explain(arguments: &ExplainArguments) -> Result<(Question, Explanation), String> {
    let mut directory = Directory::of(&arguments.data)?;
    let question = Question {
        who: principal(&mut directory, &arguments.user)?,
        action: action(&arguments.action)?,
        repository: RepositoryName::parse(&arguments.repository).map_err(|error| error.to_string())?,
    };
    let policy = Policy::of(directory.config())?;
    let answer = policy.explain(&question.who, question.action, question.repository.as_str());
    Ok((question, answer))
}

fn principal(directory: &mut Directory, text: &str) -> Result<Principal, String> {
    if let Some(name) = text.strip_prefix("robot:") {
        let tokens = directory.report(actions::Action::Account(AccountAction::Tokens))?;
        return accounts::robot(&tokens, name);
    }
    match Who::parse(text) {
        Ok(Who::Anonymous) => Ok(Principal::Anonymous),
        Ok(Who::User(name)) => Ok(Principal::User(name)),
        _ => Err(format!("{text:?}: expected the name of one user, anonymous, or robot:NAME")),
    }
}

fn action(text: &str) -> Result<Action, String> {
    Action::parse(text)
        .ok_or_else(|| format!("{text:?} is no action: expected pull, create, push, delete or admin"))
}

fn show(question: &Question, answer: &Explanation) {
    let Question { who, action, repository } = question;
    let (verdict, verb) = if answer.is_allowed { ("allowed", "may") } else { ("denied", "may not") };
    say!("{verdict}: {who} {verb} {} {repository}", action.word());
    match answer.basis {
        Basis::Open => {
            say!("nothing is said of access and only this machine can call, so everybody may do everything");
        }
        Basis::Rules | Basis::Token if answer.deciding.is_empty() => {
            say!("no rule names {who} for {repository}, and what no rule allows is not allowed");
        }
        Basis::Rules | Basis::Token => {}
    }
    for (heading, reasons) in [("decided by", &answer.deciding), ("less specific", &answer.lost)] {
        for reason in reasons {
            say!("{heading}  {}", words_of(reason));
        }
    }
}

fn words_of(reason: &Reason) -> String {
    let place = reason.source.as_ref().map_or_else(|| "the token".to_owned(), ToString::to_string);
    let can = if reason.can.is_empty() { "nothing".to_owned() } else { reason.can.to_string() };
    format!("{place}  {} for {}: {can}", reason.pattern, reason.who.join(", "))
}

fn as_json(question: &Question, answer: &Explanation) -> Value {
    let reasons = |reasons: &[Reason]| {
        let reasons = reasons.iter().map(|reason| {
            json!({
                "source": reason.source.as_ref().map(ToString::to_string),
                "pattern": reason.pattern,
                "who": reason.who,
                "can": reason.can.words().collect::<Vec<_>>(),
            })
        });
        reasons.collect::<Vec<_>>()
    };
    json!({
        "user": question.who.to_string(),
        "action": question.action.word(),
        "repository": question.repository.to_string(),
        "allowed": answer.is_allowed,
        "basis": match answer.basis {
            Basis::Open => "open",
            Basis::Rules => "rules",
            Basis::Token => "token",
        },
        "deciding": reasons(&answer.deciding),
        "lost": reasons(&answer.lost),
    })
}
