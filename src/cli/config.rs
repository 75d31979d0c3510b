//! `wharfinger config`, and how every command comes to its configuration.

use super::{htpasswd, serve, wrong_use};
use crate::auth::Policy;
use crate::config::{self, CONFIG_VARIABLE, Config, Inputs, VARIABLE_PREFIX, Written};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the configuration comes from, the same for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArguments {
    #[arg(long, value_name = "FILE", help = "The configuration file [env: WHARFINGER_CONFIG]")]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    /// The file, the environment, and what else the command line says: key, argument and value.
    pub fn inputs(&self, said: &[(&'static str, &'static str, &Option<String>)]) -> Inputs {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?;
            Some((name, value))
        });
        let arguments = said
            .iter()
            .filter_map(|&(key, argument, value)| value.as_ref().map(|value| (key, argument, value.clone())));
        // Not clap's: an empty variable is none.
        let by_variable = || std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let file = self.config.clone().or_else(|| by_variable().map(PathBuf::from));
        Inputs { file, variables: variables.collect(), arguments: arguments.collect() }
    }
}

/// Reads the configuration; the refusal is in words for the one who started the command.
pub fn load(inputs: &Inputs) -> Result<Config, String> {
    for (variable, nearest) in inputs.strange_variables() {
        log::warn!("the variable {variable} is no setting and changes nothing; is {nearest} meant?");
    }
    inputs.load().map_err(|error| error.to_string())
}

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and print what holds, each setting with where it comes from
    Check(CheckArguments),
    /// Print a configuration file with every setting, its meaning and its default
    Example,
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let check = match &arguments.command {
        Command::Check(check) => check,
        Command::Example => {
            print!("{}", config::example());
            return ExitCode::SUCCESS;
        }
    };
    match checked(check) {
        Ok(config) if check.json => say!("{}", as_json(&config)),
        Ok(config) => print!("{}", config.to_toml()),
        Err(words) => return wrong_use(&words),
    }
    ExitCode::SUCCESS
}

/// The configuration, with all that it names read as at a start.
fn checked(arguments: &CheckArguments) -> Result<Config, String> {
    let config = load(&arguments.config.inputs(&[]))?;
    Policy::of(&config)?;
    htpasswd::open(&config)?;
    serve::load_tls(&config)?;
    Ok(config)
}

fn as_json(config: &Config) -> Value {
    let settings = config.effective().into_iter().map(|(key, value, source)| {
        let value = match value {
            None => Value::Null,
            Some(Written::Number(number)) => json!(number),
            Some(Written::Text(text) | Written::Other(text)) => json!(text),
        };
        json!({"key": key, "value": value, "source": source})
    });
    let repositories = config.repositories.rules().iter().map(|rule| {
        let keep_tags = rule.keep_tags.as_ref();
        let keep_tags = keep_tags.map(|tags| tags.iter().map(ToString::to_string).collect::<Vec<_>>());
        json!({
            "match": rule.pattern.to_string(),
            "sparse_index": rule.sparse_index,
            "untagged_keep_secs": rule.untagged_keep_secs,
            "keep_newest": rule.keep_newest,
            "keep_tags": keep_tags,
            "source": rule.source.to_string(),
        })
    });
    let groups = config
        .groups
        .iter()
        .map(|(name, group)| json!({"name": name, "users": group.users, "source": group.source.to_string()}));
    let access = config.access.rules().iter().map(|rule| {
        json!({
            "who": rule.who.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "repos": rule.repos.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "can": rule.can,
            "source": rule.source.to_string(),
        })
    });
    let access = config.access.is_said().then(|| access.collect::<Vec<_>>());
    json!({
        "settings": settings.collect::<Vec<_>>(),
        "repositories": repositories.collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "access": access,
    })
}
