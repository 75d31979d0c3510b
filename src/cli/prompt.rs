//! Asking for a password: on the terminal without showing it, or from what is piped in. It is never an
//! argument, which everybody on the machine could read.

use crate::auth::password;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read, Stdin, Write};

/// How much of a line is read before it is clear that it is no password.
const LINE_MAX_BYTES: u64 = 4096;

/// Asks for a new password. `piped`: take it from standard input even if that is a terminal.
pub fn new_password(name: &str, piped: bool) -> Result<String, String> {
    let stdin = io::stdin();
    let given = if piped || !stdin.is_terminal() {
        line_of(&mut stdin.lock())?
    } else {
        let given = ask(&stdin, &format!("Password of {name}: "))?;
        password::check(&given).map_err(|error| error.to_string())?;
        if ask(&stdin, "The same again: ")? != given {
            return Err("the two passwords differ: try again".to_owned());
        }
        given
    };
    password::check(&given).map_err(|error| error.to_string())?;
    Ok(given)
}

fn ask(stdin: &Stdin, words: &str) -> Result<String, String> {
    let failed = |error: io::Error| format!("the terminal does not work: {error}; use --password-stdin");
    show(words);
    let quiet = Quiet::begin(stdin).map_err(failed)?;
    let line = line_of(&mut stdin.lock());
    drop(quiet);
    // The end of the line was not shown either.
    show("\n");
    line
}

fn show(words: &str) {
    let mut out = io::stderr();
    drop(out.write_all(words.as_bytes()));
    drop(out.flush());
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn begin(terminal: &'a Stdin) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        tcsetattr(self.terminal, OptionalActions::Flush, &self.before).ok();
    }
}

/// One line without its end.
fn line_of(input: &mut impl BufRead) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = input.take(LINE_MAX_BYTES).read_until(b'\n', &mut bytes);
    read.map_err(|error| format!("the password cannot be read: {error}"))?;
    if bytes.is_empty() {
        return Err("no password came on standard input: pipe it in, or run this in a terminal".to_owned());
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| "the password is not UTF-8".to_owned())?;
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_without_its_end() {
        let line = |text: &[u8]| line_of(&mut &*text);
        for text in [&b"pass word"[..], b"pass word\n", b"pass word\r\n", b"pass word\nmore"] {
            assert_eq!(line(text).unwrap(), "pass word");
        }
        assert_eq!(line(b"\n").unwrap(), "", "which is too short for the next check");
        assert_eq!(line(b" \t\n").unwrap(), " \t", "blanks belong to it");
        assert!(line(b"").unwrap_err().contains("no password"));
        assert!(line(b"\xff\n").unwrap_err().contains("UTF-8"));
        assert_eq!(line(&[b'a'; 10_000]).unwrap().len(), 4096, "and is refused for that");
    }
}
