//! Pages of a hundred, from the middle of a list: tags of a small and a large repository, repositories.

use super::{ask_for, start};
use crate::figures::{Comparison, Figure, Sample, interleave};
use crate::options::Options;
use crate::prefill;
use crate::servers::{Kind, Server};
use serde_json::Value;

/// Zot has no files that could be made without it, and would take hours.
const KINDS: [Kind; 3] = [Kind::Wharfinger, Kind::DockerRegistry, Kind::Distribution];

/// Tags of the smaller repository.
const TAGS_FEW: usize = 1000;

/// Entries of a page.
const PAGE: usize = 100;

const CONNECTIONS: usize = 2;

pub fn run(options: &Options) -> Vec<Comparison> {
    let servers = start(options, &KINDS);
    let (many, few) = (options.tags, TAGS_FEW);
    for server in &servers {
        prefill::tags(server, "tags/many", many);
        prefill::tags(server, "tags/few", few);
        prefill::repositories(server, options.repositories);
    }
    let tags = |repository: &str, count: usize| {
        let last = prefill::tag(count / 2);
        (format!("GET /v2/tags/{repository}/tags/list?n={PAGE}&last={last}"), "tags")
    };
    let last = prefill::repository(options.repositories / 2);
    let catalog = (format!("GET /v2/_catalog?n={PAGE}&last={last}"), "repositories");
    let all = [
        (format!("page of {PAGE} of {few} tags"), tags("few", few)),
        (format!("page of {PAGE} of {many} tags"), tags("many", many)),
        (format!("page of {PAGE} of {} repositories", options.repositories), catalog),
    ];
    let few_tags = &all[0].1;
    let mut found = Vec::new();
    for (number, (title, question)) in all.iter().enumerate() {
        // The last one asks ours for few tags, beside the others: a page is to cost the same.
        let flat = format!("wharfinger, {few} tags");
        let mut asked: Vec<_> = servers.iter().map(|server| (server.kind.name(), server, question)).collect();
        if number == 1 {
            asked.push((&flat, &servers[0], few_tags));
        }
        let names: Vec<_> = asked.iter().map(|(name, ..)| *name).collect();
        for (_, server, question) in &asked {
            check(server, question);
        }
        let figures = [Figure::CpuPerRequest, Figure::Rate];
        found.push(interleave(title, &figures, &names, options.rounds, |index| {
            let (_, server, (line, _)) = &asked[index];
            Sample::take(server, || {
                let ask = |client: &mut crate::client::Connection, _: usize| {
                    client.expect(200, line, b"");
                };
                (ask_for(server, CONNECTIONS, options.span, ask), 0)
            })
        }));
    }
    found
}

/// The page has what was asked for; docker-registry 2.8 sends all tags, whatever is asked.
fn check(server: &Server, (line, key): &(String, &str)) {
    let (_, body) = server.connect().expect(200, line, b"");
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    let entries = answer[key].as_array().map_or(0, Vec::len);
    let sends_all = server.kind == Kind::DockerRegistry && *key == "tags";
    assert!(entries == PAGE || (sends_all && entries > PAGE), "{}: {entries} {key}", server.kind.name());
}
