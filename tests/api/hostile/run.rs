//! Sending the cases and judging the answers.

use serde_json::Value;

use super::case::Case;
use super::scene::Scene;
use crate::support::raw::Connection;
use crate::support::{Reply, wait};

/// Behind a request that two parsers may read in two ways. Nobody asked it.
const HIDDEN: &str = "GET /v2/_catalog HTTP/1.1\r\nHost: hidden\r\n\r\n";

/// What was observed of a case, for the document.
pub struct Observed {
    pub status: u16,
    /// Code and message of each error.
    pub errors: Vec<(String, String)>,
}

/// Sends one case and judges its answer. An error says what was wrong with it, so that a group can tell of
/// all its wrong answers at once.
#[track_caller]
pub fn run(scene: &Scene, case: &Case) -> Result<Observed, String> {
    // The case before may have broken off, and its upload is free a moment later.
    let reply = wait::until("the upload to be free", || {
        let reply = exchange(scene, case);
        let is_busy = reply.as_ref().is_some_and(|reply| reply.status == 429);
        (!is_busy).then_some(reply)
    });
    match &reply {
        // The document says what is promised, and either is.
        None => Ok(Observed { status: case.answer.status, errors: Vec::new() }),
        Some(reply) => judged(case, reply),
    }
}

/// The answer to a case, if there is one, on a connection of its own.
#[track_caller]
fn exchange(scene: &Scene, case: &Case) -> Option<Reply> {
    let mut connection = Connection::open(scene.server().addr());
    connection.send(&case.request.bytes);
    if case.request.hides_another {
        connection.send(HIDDEN.as_bytes());
    }
    let reply = if case.answer.or_the_end {
        connection.reply_before_end(case.request.method)
    } else {
        Some(connection.reply(case.request.method))
    };
    if case.request.hides_another {
        connection.expect_closed();
    }
    reply
}

#[track_caller]
fn judged(case: &Case, reply: &Reply) -> Result<Observed, String> {
    let (title, answer) = (&case.title, &case.answer);
    if reply.status != answer.status {
        return Err(format!("{title}: expected {}, got {reply}", answer.status));
    }
    if answer.code.is_empty() {
        if reply.status >= 400 && !reply.body.is_empty() {
            return Err(format!("{title}: expected no words, got {reply}"));
        }
        return Ok(Observed { status: reply.status, errors: Vec::new() });
    }
    assert!(!reply.header("x-request-id").is_empty(), "{title}: {reply}");
    let errors: Vec<_> = reply.oci_errors().iter().map(code_and_message).collect();
    let (code, message) = &errors[0];
    if code != answer.code || !message.contains(answer.words) {
        return Err(format!("{title}: expected {} {:?}, got {reply}", answer.code, answer.words));
    }
    Ok(Observed { status: reply.status, errors })
}

fn code_and_message(error: &Value) -> (String, String) {
    let text = |name: &str| error[name].as_str().expect("checked with the form").to_owned();
    (text("code"), text("message"))
}
