//! Users, tokens and signing keys: each can be read, and the names of tokens are their own (I12).

use super::{Check, PAGE, UNREADABLE, scan};
use crate::config::Pattern;
use crate::store::Read;
use crate::store::tables::{ACCESS_TOKEN, SIGNING_KEY, USER};
use std::collections::HashMap;

pub fn check(check: &mut Check<'_>) {
    scan(check, &USER, PAGE, |_, _, _, _| Ok(()));
    scan(check, &SIGNING_KEY, PAGE, |_, _, _, _| Ok(()));
    let mut ids = HashMap::new();
    scan(check, &ACCESS_TOKEN, PAGE, |rows, report, id, token| {
        for pattern in &token.repositories {
            let parsed = Pattern::parse(pattern);
            report.expect(parsed.is_ok(), UNREADABLE, || {
                format!("token {id:016x} is for {pattern:?}, which is no pattern of repositories")
            });
        }
        let name = token.name;
        if let Some(other) = ids.insert(name.clone(), id).filter(|other| *other != id) {
            // The other one may have been revoked since its page was read.
            let twice = rows.get(&ACCESS_TOKEN, &other)?.is_some_and(|other| other.name == name);
            report.expect(!twice, "I12", || format!("tokens {other:016x} and {id:016x} are both {name}"));
        }
        Ok(())
    });
}
