//! The configuration as text: what is in force, and an example of all that can be said.

use super::access::ACCESS_KEYS;
use super::file::Written;
use super::load::{Config, TEXTS, variable_name};
use super::repository::REPOSITORY_KEYS;
use super::settings::{Reload, SETTINGS};
use super::source::Source;
use std::fmt::Write;

/// Where the comments of the printed settings begin.
const COMMENT_COLUMN: usize = 44;

const STRING_TAKES_ALL: &str = "a String takes every write";

/// The longest line of the example's prose.
const PROSE_COLUMNS: usize = 100;

impl Config {
    /// Every setting in force: its key, its value, and where it comes from.
    #[must_use]
    pub fn effective(&self) -> Vec<(&'static str, Option<Written>, String)> {
        let texts = TEXTS.iter().map(|text| {
            let value = self.text(text.name).map(Written::Text);
            (text.name, value, self.source(text.name).to_string())
        });
        let numbers = SETTINGS.iter().map(|setting| {
            let value = Written::Number((setting.get)(&self.settings));
            (setting.name, Some(value), self.source(setting.name).to_string())
        });
        texts.chain(numbers).collect()
    }

    /// What is in force, as a configuration file that says the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (key, value, source) in self.effective() {
            let line = match value {
                None => format!("# {key} is not set"),
                Some(Written::Text(text)) => format!("{key} = {}", quoted(&text)),
                Some(value) => format!("{key} = {value}"),
            };
            writeln!(text, "{line:<COMMENT_COLUMN$} # {source}").expect(STRING_TAKES_ALL);
        }
        // In front of all tables: behind one it would be a key of that.
        if self.access.is_said() && self.access.rules().is_empty() {
            text.push_str("access = []\n");
        }
        for rule in self.repositories.rules() {
            table(&mut text, "[[repository]]", &rule.source, &rule.says());
        }
        if self.groups.iter().next().is_some() {
            text.push_str("[groups]\n");
        }
        for (name, group) in self.groups.iter() {
            let line = format!("{} = {}", quoted(name), group.says());
            writeln!(text, "{line:<COMMENT_COLUMN$} # {}", group.source).expect(STRING_TAKES_ALL);
        }
        for rule in self.access.rules() {
            table(&mut text, "[[access]]", &rule.source, &rule.says());
        }
        text
    }
}

fn table(text: &mut String, head: &str, source: &Source, says: &[(&'static str, String)]) {
    writeln!(text, "{head:<COMMENT_COLUMN$} # {source}").expect(STRING_TAKES_ALL);
    for (key, value) in says {
        writeln!(text, "{key} = {value}").expect(STRING_TAKES_ALL);
    }
}

/// A configuration file with every setting, its meaning and its default, each in a comment.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of Wharfinger with its default, as `wharfinger config example` prints it.\n\
         # Name your own file by `wharfinger serve --config FILE`; what it leaves out keeps its default.\n\
         # A variable of the environment, such as WHARFINGER_PAGE_MAX=500, overrules the file, an argument\n\
         # such as --listen both. `wharfinger config check --config FILE` shows what holds.\n\
         # SIGHUP makes the server read all of it again.\n\
         # Numbers are whole and in the unit of their names, without one of their own: 268_435_456 is\n\
         # 268435456 and easier to read.\n",
    );
    for setting in TEXTS {
        let default = quoted(setting.default.unwrap_or(setting.example));
        let bounds = if setting.default.is_some() { "" } else { " Not set by default." };
        entry(&mut text, setting.name, &format!("{}{bounds}", setting.meaning), &default, setting.reload);
    }
    for setting in SETTINGS {
        let meaning = format!("{} From {} to {}.", setting.meaning.trim(), setting.min, setting.max);
        entry(&mut text, setting.name, &meaning, &setting.default.to_string(), setting.reload);
    }
    text.push_str(
        "\n# What differs between repositories. Of several rules that match, each setting is taken from the\n\
         # most specific one that names it. As a variable:\n\
         # WHARFINGER_REPOSITORY='[{match=\"ci/**\", sparse_index=true}]'\n",
    );
    text.push_str("#[[repository]]\n");
    for key in REPOSITORY_KEYS {
        prose(&mut text, key.meaning);
        writeln!(text, "#{} = {}", key.name, key.example).expect(STRING_TAKES_ALL);
    }
    example_of_access(&mut text);
    text
}

fn example_of_access(text: &mut String) {
    text.push_str(
        "\n# Groups of users, for rules of access. As a variable: WHARFINGER_GROUPS='{ci=[\"builder\"]}'\n\
         #[groups]\n#ci = [\"builder\"]\n\
         \n# Who may do what. Of the rules that name the caller, the most specific pattern that matches the\n\
         # repository decides alone; where none matches, nothing is allowed. docs/access.md says more. As a\n\
         # variable: WHARFINGER_ACCESS='[{who=[\"users\"], repos=[\"**\"], can=[\"pull\"]}]'\n\
         #[[access]]\n",
    );
    for key in ACCESS_KEYS {
        prose(text, key.meaning);
        writeln!(text, "#{} = {}", key.name, key.example).expect(STRING_TAKES_ALL);
    }
}

fn entry(text: &mut String, key: &str, meaning: &str, default: &str, reload: Reload) {
    let waits = if reload == Reload::Restart { "; a change needs a restart" } else { "" };
    text.push('\n');
    prose(text, meaning);
    writeln!(text, "# {}{waits}.\n#{key} = {default}", variable_name(key)).expect(STRING_TAKES_ALL);
}

/// A comment, broken into lines.
fn prose(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        if column == 0 || column + word.len() + 1 > PROSE_COLUMNS {
            text.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += word.len() + 1;
    }
    text.push('\n');
}

/// A text in TOML's quotes.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::Inputs;

    /// A configuration of the file's text alone.
    fn read(text: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Inputs { file: Some(file.path().to_path_buf()), ..Inputs::default() }.load().unwrap()
    }

    #[test]
    fn the_example_says_the_defaults() {
        let example = example();
        let settings = example.lines().filter_map(|line| line.strip_prefix('#'));
        let settings = settings.filter(|line| !line.starts_with(' ') && !line.is_empty());
        let unset: Vec<_> = TEXTS.iter().filter(|text| text.default.is_none()).collect();
        let is_unset = |line: &str| unset.iter().any(|text| line.starts_with(text.name));
        let settings: Vec<_> = settings.filter(|line| !is_unset(line)).collect();
        let config = read(&settings.join("\n"));
        assert_eq!(config.changes_since(&Config::default()).len(), 3, "only the rules and the group differ");
        assert_eq!((config.repositories.rules().len(), config.access.rules().len()), (1, 1));
        let rules = (1 + REPOSITORY_KEYS.len()) + 2 + (1 + ACCESS_KEYS.len());
        assert_eq!(settings.len(), TEXTS.len() - unset.len() + SETTINGS.len() + rules);
    }

    #[test]
    fn the_example_in_the_documents_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/wharfinger.example.toml");
        let shown = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            shown == example(),
            "write it anew: cargo run -- config example > docs/wharfinger.example.toml"
        );
    }

    #[test]
    fn what_is_printed_says_the_same_when_it_is_read() {
        let config = read(
            "page_max = 7\ndata = 'a \"b\" # c'\n[[repository]]\nmatch = \"ci/**\"\nsparse_index = true\n\
             [[repository]]\nmatch = \"b\"\n[groups]\n\"a'b c\" = [\"x\"]\n\
             [[access]]\nwho = [\"group:a'b c\", \"users\", \"d\\\"e\"]\nrepos = [\"home/{user}/**\"]\n\
             can = [\"push\"]\n\
             [[access]]\nwho = [\"anonymous\"]\nrepos = [\"**\"]\ncan = []\n",
        );
        let printed = config.to_toml();
        let again = read(&printed);
        assert_eq!(again.changes_since(&config), []);
        let rules = |config: &Config| {
            let rules = config.repositories.rules().iter();
            rules.map(|rule| (rule.pattern.to_string(), rule.sparse_index)).collect::<Vec<_>>()
        };
        assert_eq!(rules(&again), rules(&config));
        assert_eq!((again.access.rules().len(), again.groups.iter().count()), (2, 1));
        let closed = read("access = []\n[[repository]]\nmatch = \"b\"\n");
        assert!(closed.access.is_said() && read(&closed.to_toml()).changes_since(&closed).is_empty());
        assert!(printed.contains("# default") && printed.contains(":1"), "{printed}");
    }
}
