//! The conformance suite of the OCI distribution specification.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::guarded::{CLOSED, Guarded, PASSWORD, USER};
use crate::process;
use crate::scene::{Scene, ensure, steps, text};
use crate::tools;

/// A suite that ran little proves little, also where it skips what a token is not for.
const PASSED_MIN: usize = 850;

steps! {
    "conformance" needs ["conformance"];
    version_1_1: "the OCI conformance suite, version 1.1: no test fails";
    next_version: "the OCI conformance suite, the draft of the next version: no test fails";
    with_credentials_1_1: "the suite of version 1.1 with a password, nobody else is let in: no test fails";
    with_credentials_next_version: "the draft's suite with a password, nobody else is let in: no test fails";
}

fn version_1_1(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let addr = scene.registry.addr();
    expect_no_failure(scene, &Suite { version: "1.1", addr, credentials: false })
}

fn next_version(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let addr = scene.registry.addr();
    expect_no_failure(scene, &Suite { version: "dev", addr, credentials: false })
}

fn with_credentials_1_1(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    expect_no_failure(scene, &Suite { version: "1.1", addr: &guarded.host(), credentials: true })
}

fn with_credentials_next_version(scene: &Scene) -> Result<(), Box<dyn Error>> {
    let guarded = Guarded::start(scene, CLOSED, &[])?;
    expect_no_failure(scene, &Suite { version: "dev", addr: &guarded.host(), credentials: true })
}

/// A run of the suite.
struct Suite<'a> {
    version: &'a str,
    addr: &'a str,
    credentials: bool,
}

impl Suite<'_> {
    fn name(&self, scene: &Scene) -> String {
        let how = if self.credentials { "-credentials" } else { "" };
        format!("{}-{}{how}", scene.registry.kind(), self.version)
    }
}

fn expect_no_failure(scene: &Scene, suite: &Suite<'_>) -> Result<(), Box<dyn Error>> {
    let totals = run_suite(scene, suite)?;
    tools::say(&format!("conformance of {}: {}", suite.name(scene), totals.shown()));
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
fn run_suite(scene: &Scene, run: &Suite<'_>) -> Result<Totals, Box<dyn Error>> {
    let folder = format!("target/conformance/{}", run.name(scene));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    // What an earlier run left must not pass for this one's.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut suite = tools::command("conformance");
    // It runs in a folder of its own because it takes a configuration from where it is.
    suite.env_clear().current_dir(scene.folder("empty")?);
    suite.env("OCI_REGISTRY", run.addr).env("OCI_TLS", "disabled");
    suite.env("OCI_REPO1", "conformance/first").env("OCI_REPO2", "conformance/second");
    suite.env("OCI_VERSION", run.version).env("OCI_RESULTS_DIR", text(&folder));
    if run.credentials {
        suite.env("OCI_USERNAME", USER).env("OCI_PASSWORD", PASSWORD);
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
