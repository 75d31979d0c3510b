//! Users of an htpasswd file, as Distribution has them: `name:hash` lines with hashes of bcrypt, which
//! `htpasswd -B` writes. Empty lines and lines that begin with `#` are passed over.

use super::password::{BCRYPT_COST_MAX, bcrypt_cost};
use crate::oci::{TAKEN_NAMES, is_taken};
use std::collections::{BTreeSet, HashMap};

/// The longest name in bytes.
pub const HTPASSWD_NAME_MAX_BYTES: usize = 255;

/// What is wrong with a line. It repeats nothing of it: that may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct HtpasswdError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes that are no text.
    #[error("it is not UTF-8")]
    Encoding,
    /// There is no colon.
    #[error("expected a name, a colon and a hash of bcrypt, as `htpasswd -B` writes them")]
    NoColon,
    /// The name cannot be one.
    #[error(
        "the name is none: expected 1 to {HTPASSWD_NAME_MAX_BYTES} bytes without control characters and \
         without blanks at its ends"
    )]
    Name,
    /// The name means something else.
    #[error("the names {} stand for something else: choose another", TAKEN_NAMES.join(", "))]
    Taken,
    /// Another line has the name.
    #[error("the name stands in line {0} already: remove one of them")]
    Twice(usize),
    /// The hash is of another kind.
    #[error("the hash is not one of bcrypt: set the password again with `htpasswd -B`")]
    Hash,
    /// The hash takes too long to check.
    #[error(
        "the cost of the hash is {0}, at most {BCRYPT_COST_MAX} is accepted, since each login takes so long: \
         set the password again with `htpasswd -B -C 10`"
    )]
    Cost(u32),
}

/// The users of a file.
#[derive(Default)]
pub struct Htpasswd {
    hashes: HashMap<String, String>,
    hash_kinds: BTreeSet<String>,
}

impl std::fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Htpasswd({} users)", self.hashes.len())
    }
}

impl Htpasswd {
    /// Reads a file's content. One that is wrong in one line is refused whole.
    pub fn parse(content: &[u8]) -> Result<Self, HtpasswdError> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut users = Self::default();
        let mut lines: HashMap<String, usize> = HashMap::new();
        for (bytes, line) in content.split(|&byte| byte == b'\n').zip(1..) {
            let at = |fault| HtpasswdError { line, fault };
            let text = std::str::from_utf8(bytes).map_err(|_| at(Fault::Encoding))?.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, hash) = entry(text).map_err(at)?;
            if let Some(before) = lines.insert(name.to_owned(), line) {
                return Err(at(Fault::Twice(before)));
            }
            users.hash_kinds.extend(hash_kind(hash).map(str::to_owned));
            users.hashes.insert(name.to_owned(), hash.to_owned());
        }
        Ok(users)
    }

    /// What the password of that user is checked against.
    #[must_use]
    pub fn hash(&self, name: &str) -> Option<&str> {
        self.hashes.get(name).map(String::as_str)
    }

    /// Every name, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hashes.keys().map(String::as_str)
    }

    /// The kinds of hashes that users have: what stands before the salt, such as `$2y$10`.
    pub fn hash_kinds(&self) -> impl Iterator<Item = &str> {
        self.hash_kinds.iter().map(String::as_str)
    }
}

fn entry(text: &str) -> Result<(&str, &str), Fault> {
    let (name, hash) = text.split_once(':').ok_or(Fault::NoColon)?;
    let fits = (1..=HTPASSWD_NAME_MAX_BYTES).contains(&name.len()) && name.trim() == name;
    if !fits || name.chars().any(char::is_control) {
        return Err(Fault::Name);
    }
    // A name with `robot:` before it would end at the colon.
    if is_taken(name) {
        return Err(Fault::Taken);
    }
    match bcrypt_cost(hash) {
        None => Err(Fault::Hash),
        Some(cost) if cost > BCRYPT_COST_MAX => Err(Fault::Cost(cost)),
        Some(_) => Ok((name, hash)),
    }
}

/// The version and the cost of a hash of bcrypt.
fn hash_kind(hash: &str) -> Option<&str> {
    hash.rsplit_once('$').map(|(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::password::verify;
    use proptest::prelude::*;

    fn hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY)
    }

    fn fault(content: &str) -> (usize, Fault) {
        let error = Htpasswd::parse(content.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("line {}: ", error.line)));
        (error.line, error.fault)
    }

    #[test]
    fn lines_are_read_as_distribution_reads_them() {
        let (one, two) = (hash("password"), hash("another"));
        let content =
            format!("\u{feff}# users\r\n\r\n  alice:{one}\r\n\n\t# more\nJ\u{fc}rgen M\u{fc}ller:{two}  ");
        let users = Htpasswd::parse(content.as_bytes()).unwrap();
        assert!(verify(users.hash("alice").unwrap(), b"password"));
        assert!(verify(users.hash("J\u{fc}rgen M\u{fc}ller").unwrap(), b"another"));
        assert_eq!(users.hash("Alice"), None);
        assert_eq!(users.names().count(), 2);
        assert_eq!(users.hash_kinds().collect::<Vec<_>>(), ["$2y$04"]);
        assert!(!format!("{users:?}").contains("$2y$"));
        assert_eq!(Htpasswd::parse(b"").unwrap().names().count(), 0);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_its_words() {
        let good = hash("password");
        for (content, expected) in [
            (format!("a:{good}\nsecret\n"), (2, Fault::NoColon)),
            (format!(":{good}"), (1, Fault::Name)),
            (format!("a :{good}"), (1, Fault::Name)),
            (format!("a\u{7}b:{good}"), (1, Fault::Name)),
            (format!("{}:{good}", "a".repeat(256)), (1, Fault::Name)),
            (format!("\nusers:{good}"), (2, Fault::Taken)),
            (format!("anonymous:{good}"), (1, Fault::Taken)),
            (format!("robot:builder:{good}"), (1, Fault::Taken)),
            (format!("builder:more:{good}"), (1, Fault::Hash)),
            (format!("a:{good}\n\nb:{good}\na:{good}"), (4, Fault::Twice(1))),
            ("a:".to_owned(), (1, Fault::Hash)),
            ("a:secret".to_owned(), (1, Fault::Hash)),
            ("a:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/".to_owned(), (1, Fault::Hash)),
            (format!("a:{good}:more"), (1, Fault::Hash)),
            (format!("a:{}", good.replace("$04$", "$15$")), (1, Fault::Cost(15))),
            (format!("a:{}", good.replace("$04$", "$03$")), (1, Fault::Hash)),
        ] {
            assert_eq!(fault(&content), expected, "{content}");
        }
        let error = Htpasswd::parse(b"ok\xff:x").unwrap_err();
        assert_eq!(error, HtpasswdError { line: 1, fault: Fault::Encoding });
    }

    #[test]
    fn the_greatest_cost_is_accepted() {
        let hash = hash("password").replace("$04$", "$14$");
        assert!(Htpasswd::parse(format!("a:{hash}").as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(content: Vec<u8>) {
            if let Err(error) = Htpasswd::parse(&content) {
                prop_assert!(error.line <= content.split(|&byte| byte == b'\n').count());
            }
        }

        #[test]
        fn what_is_near_a_file_is_read_or_refused_without_its_hash(
            names in prop::collection::vec("[a-z:# \u{e9}]{0,4}", 1..5),
            cut in 0_usize..80,
            byte in any::<u8>()
        ) {
            let hash = hash("password");
            let lines = names.iter().map(|name| format!("{name}:{hash}"));
            let mut content = lines.collect::<Vec<_>>().join("\n").into_bytes();
            let at = cut.min(content.len() - 1);
            content[at] = byte;
            match Htpasswd::parse(&content) {
                Ok(users) => {
                    let valid = |name: &str| !name.is_empty() && !name.contains(':') && name.trim() == name;
                    prop_assert!(users.names().all(valid));
                    prop_assert!(users.names().all(|name| bcrypt_cost(users.hash(name).unwrap()).is_some()));
                }
                Err(error) => prop_assert!(!error.to_string().contains("$2y$")),
            }
        }
    }
}
