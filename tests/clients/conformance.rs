//! The conformance suite of the OCI distribution specification.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

/// A suite that ran little proves little.
const PASSED_MIN: usize = 700;

steps! {
    "conformance" needs ["conformance"];
    version_1_1: "the OCI conformance suite, version 1.1: no test fails";
    next_version: "the OCI conformance suite, the draft of the next version: no test fails";
}

/// Wharfinger with users, and nothing for those who are none.
mod with_credentials {
    use super::{Suite, expect_no_failure_of};
    use crate::support::accounts::{PASSWORD, server_with};
    use crate::tools;

    const RULES: &str = "[{who=[\"users\"], repos=[\"**\"], can=[\"pull\", \"push\", \"delete\"]}]";

    fn run(version: &str) {
        if let Some(reason) = tools::missing(&["conformance"]) {
            tools::skip(&format!("clients::conformance::with_credentials::{version}"), &reason);
            return;
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        let server = server_with(folder.path(), RULES);
        let (addr, name) = (server.addr().to_string(), format!("wharfinger-with-credentials-{version}"));
        let (place, login) = (folder.path().to_owned(), Some(("alice", PASSWORD)));
        let suite = Suite { addr: &addr, name: &name, version, login, place };
        expect_no_failure_of(&suite).unwrap_or_else(|error| panic!("{version}: {error}"));
    }

    #[test]
    fn version_1_1() {
        run("1.1");
    }

    #[test]
    fn next_version() {
        run("dev");
    }
}

fn version_1_1(scene: &Scene) -> Result<(), Box<dyn Error>> {
    expect_no_failure(scene, "1.1")
}

fn next_version(scene: &Scene) -> Result<(), Box<dyn Error>> {
    expect_no_failure(scene, "dev")
}

fn expect_no_failure(scene: &Scene, version: &str) -> Result<(), Box<dyn Error>> {
    let name = format!("{}-{version}", scene.registry.kind());
    let (addr, place) = (scene.registry.addr(), scene.folder("empty")?);
    expect_no_failure_of(&Suite { addr, name: &name, version, login: None, place })
}

/// A run of the suite.
struct Suite<'a> {
    addr: &'a str,
    /// What the report's folder is called.
    name: &'a str,
    version: &'a str,
    login: Option<(&'a str, &'a str)>,
    /// A folder that holds no configuration.
    place: PathBuf,
}

fn expect_no_failure_of(suite: &Suite<'_>) -> Result<(), Box<dyn Error>> {
    let totals = run_suite(suite)?;
    tools::say(&format!("conformance of {}: {}", suite.name, totals.shown()));
    ensure!(totals.failed == 0, "{}: {}", totals.shown(), totals.failing.join(", "));
    ensure!(totals.passed >= PASSED_MIN, "only {} tests passed", totals.passed);
    Ok(())
}

struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// The first tests that failed; all are in the report.
    failing: Vec<String>,
}

impl Totals {
    fn shown(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs the suite and keeps its report under `target/conformance`.
fn run_suite(run: &Suite<'_>) -> Result<Totals, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/conformance").join(run.name);
    // What an earlier run left must not pass for this one's.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut suite = tools::command("conformance");
    // It runs in a folder of its own because it takes a configuration from where it is.
    suite.env_clear().current_dir(&run.place);
    suite.env("OCI_REGISTRY", run.addr).env("OCI_TLS", "disabled");
    suite.env("OCI_REPO1", "conformance/first").env("OCI_REPO2", "conformance/second");
    suite.env("OCI_VERSION", run.version).env("OCI_RESULTS_DIR", text(&folder));
    if let Some((name, password)) = run.login {
        suite.env("OCI_USERNAME", name).env("OCI_PASSWORD", password);
    }
    let finished = process::finish(&mut suite)?;
    fs::write(folder.join("output.txt"), finished.everything())?;
    // It ends with success even when it could not start, so only the report counts.
    let junit = fs::read_to_string(folder.join("junit.xml"))
        .map_err(|error| format!("the suite wrote no report ({error}):\n{}", finished.everything()))?;
    let suite = junit.lines().find(|line| line.contains("<testsuite ")).ok_or("the report has no totals")?;
    // One that is left out counts nothing.
    let count =
        |name| -> usize { attribute(suite, name).and_then(|digits| digits.parse().ok()).unwrap_or(0) };
    let failed = count("failures") + count("errors");
    let skipped = count("skipped") + count("disabled");
    let failing = junit.lines().filter(|line| line.contains(" status=\"failure\"")).take(5);
    let failing = failing.filter_map(|line| attribute(line, "name").map(ToOwned::to_owned)).collect();
    let passed = count("tests").checked_sub(failed + skipped).ok_or("the totals do not add up")?;
    Ok(Totals { passed, failed, skipped, failing })
}

/// The value of an XML element's attribute.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next())
}
