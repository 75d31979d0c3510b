//! The configuration: file, environment and command line, `config check`, and SIGHUP.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{self, run};
use crate::support::{ImageBuilder, Server, files, wait};

/// A configuration file of a test.
struct File(TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().expect("a temporary directory"));
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("wharfinger.toml")
    }

    fn text(&self) -> String {
        self.path().to_str().expect("a path in UTF-8").to_owned()
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("the file is written");
    }
}

/// How many of three tags a page holds.
fn page_of_three(server: &Server) -> usize {
    server.client().tags("paged").len()
}

fn push_three(server: &Server) {
    for tag in ["a", "b", "c"] {
        ImageBuilder::sample(700).build().push(&server.client(), "paged", tag);
    }
}

#[test]
fn a_file_sets_and_the_environment_overrules_it() {
    let file = File::new("page_max = 2\n");
    let server = Server::builder().arg("--config").arg(&file.text()).start();
    push_three(&server);
    assert_eq!(page_of_three(&server), 2);
    let server = Server::builder().arg("--config").arg(&file.text()).env("WHARFINGER_PAGE_MAX", "1").start();
    push_three(&server);
    assert_eq!(page_of_three(&server), 1);
    let server = Server::builder().env("WHARFINGER_CONFIG", &file.text()).start();
    push_three(&server);
    assert_eq!(page_of_three(&server), 2, "a variable names the file as well");
}

#[test]
fn the_file_says_where_the_data_is() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("elsewhere");
    let file = File::new(&format!("data = {data:?}\n"));
    run(&["verify", "--config", &file.text()], &[])
        .expect_refusal()
        .expect_words(data.to_str().expect("a path in UTF-8"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_line() {
    for (text, words) in [
        ("\npagemax = 1\n", ":2: there is no setting pagemax; did you mean page_max?"),
        ("page_max = 0\n", ":1: page_max=0: expected a whole number from 1 to 10000"),
        ("page_max = \n", "is not TOML"),
        ("listen = \"here\"\n", ":1: listen=here: expected an address and a port"),
        ("anonymous = \"fly\"\n", ":1: \"fly\" is no action"),
        ("[[repository]]\nmatch = \"CI/**\"\n", ":2: match=CI/**: 'C' cannot be part"),
    ] {
        let file = File::new(text);
        for command in [&["config", "check"][..], &["serve", "--data", "/proc/none"]] {
            let path = file.text();
            let arguments = [command, &["--config", &path]].concat();
            run(&arguments, &[]).expect_code(2).expect_words(words).expect_words("wharfinger.toml");
        }
    }
    run(&["serve", "--config", "/nowhere.toml"], &[]).expect_code(2).expect_words("/nowhere.toml");
    run(&["serve"], &[("WHARFINGER_CONFIG", "/nowhere.toml")])
        .expect_code(2)
        .expect_words("WHARFINGER_CONFIG");
}

/// As Compose makes them of `${X:-}`.
#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let keys = ["WHARFINGER_CONFIG", "WHARFINGER_DATA", "WHARFINGER_PAGE_MAX", "WHARFINGER_ANONYMOUS"];
    let checked = run(&["config", "check"], &keys.map(|key| (key, ""))).expect_code(0);
    assert_eq!(checked.stdout, run(&["config", "check"], &[]).expect_code(0).stdout);
    assert_eq!(checked.stderr, "", "and nothing to warn of");
}

#[test]
fn check_prints_what_holds_and_where_it_comes_from() {
    let file = File::new("page_max = 7\n\n[[repository]]\nmatch = \"ci/**\"\nsparse_index = true\n");
    let variables = [("WHARFINGER_DRAIN_MAX_SECS", "9")];
    let shown = run(&["config", "check", "--config", &file.text()], &variables).expect_code(0).stdout;
    let source_of = |setting: &str| {
        let line = shown.lines().find(|line| line.starts_with(setting));
        let line = line.unwrap_or_else(|| panic!("{setting} in {shown}"));
        line.split_once(" # ").expect("a source").1.to_owned()
    };
    assert_eq!(source_of("page_max = 7 "), format!("{}:1", file.text()));
    assert_eq!(source_of("drain_max_secs = 9 "), "WHARFINGER_DRAIN_MAX_SECS");
    assert_eq!(source_of("listen = \"127.0.0.1:5000\""), "default");
    assert_eq!(source_of("[[repository]]"), format!("{}:3", file.text()));
    let again = File::new(&shown);
    run(&["config", "check", "--config", &again.text()], &[]).expect_code(0);

    let json =
        run(&["config", "check", "--json", "--config", &file.text()], &variables).expect_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let settings = json["settings"].as_array().expect("a list");
    let setting = |key: &str| settings.iter().find(|setting| setting["key"] == key).expect("every setting");
    assert_eq!(setting("page_max")["value"], 7);
    assert_eq!(setting("drain_max_secs")["source"], "WHARFINGER_DRAIN_MAX_SECS");
    assert_eq!(setting("anonymous")["value"], Value::Null);
    assert_eq!(json["repositories"][0]["match"], "ci/**");
    let quoted = [("WHARFINGER_DATA", "/a\"b'c")];
    let json = run(&["config", "check", "--json"], &quoted).expect_code(0).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let settings = json["settings"].as_array().expect("a list");
    assert!(settings.iter().any(|setting| setting["value"] == "/a\"b'c"), "{json}");
}

#[test]
fn the_example_is_a_configuration_that_changes_nothing() {
    let example = run(&["config", "example"], &[]).expect_code(0).stdout;
    let lines = example.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = lines.take_while(|line| !line.starts_with("[[")).filter(|line| {
        // What has no default has only an example there.
        let unset = [
            "anonymous",
            "metrics_listen",
            "htpasswd",
            "tls_certificate",
            "tls_key",
            "public_url",
            "trusted_proxies",
        ];
        let has_default = !unset.iter().any(|key| line.starts_with(key));
        line.starts_with(|first: char| first.is_ascii_lowercase()) && has_default
    });
    let settings: Vec<_> = settings.collect();
    assert!(settings.contains(&"page_max = 1000"), "{settings:?}");
    for text in [example.clone(), settings.join("\n")] {
        let file = File::new(&text);
        let values = |shown: String| {
            let values = shown.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned());
            values.collect::<Vec<_>>()
        };
        let with = run(&["config", "check", "--config", &file.text()], &[]).expect_code(0).stdout;
        assert_eq!(values(with), values(run(&["config", "check"], &[]).expect_code(0).stdout));
    }
}

#[test]
fn a_misspelt_variable_is_told() {
    let server = Server::builder().env("WHARFINGER_PAGEMAX", "2").start();
    let log = server.log();
    assert!(log.contains("WHARFINGER_PAGEMAX") && log.contains("WHARFINGER_PAGE_MAX"), "{log}");
}

#[test]
fn a_hang_up_reads_the_file_again() {
    let file = File::new("page_max = 2\n");
    let server = Server::builder().arg("--config").arg(&file.text()).start();
    push_three(&server);
    assert_eq!(page_of_three(&server), 2);

    file.write("page_max = 1\nkeep_alive_secs = 9\nanonymous = \"pull\"\n");
    server.hang_up();
    wait::until_true("the reload", || server.log().contains("reloaded: page_max was 2 and is 1"));
    wait::until_true("all of it", || {
        server.log().contains("keep_alive_secs stays 75 until the next start, then it is 9")
    });
    assert_eq!(page_of_three(&server), 1);
    server.client().delete_manifest("paged", "a").expect_error(403, "DENIED");

    file.write("page_max = 3\nanonymus = \"pull,delete\"\n");
    server.hang_up();
    wait::until_true("the refusal", || {
        server.log().contains("not reloaded") && server.log().contains("anonymous?")
    });
    assert_eq!(page_of_three(&server), 1, "a refused file changes nothing");

    file.write("page_max = 3\nanonymous = \"pull,delete\"\n");
    server.hang_up();
    wait::until_true("the next reload", || server.log().contains("page_max was 1 and is 3"));
    assert_eq!(page_of_three(&server), 3);
    server.client().delete_manifest("paged", "a").expect_status(202);
}

#[test]
fn a_hang_up_without_a_file_changes_nothing() {
    let server = Server::start();
    server.hang_up();
    wait::until_true("the reload", || server.log().contains("reloaded: nothing has changed"));
    server.client().get("/v2/").expect_status(200);
}

#[test]
fn a_hang_up_wakes_what_waits_for_long() {
    let file = File::new("keep_deleted_secs = 0\nunlink_batch_secs = 0\nhousekeeping_secs = 86400\n");
    let server = Server::builder().arg("--config").arg(&file.text()).start();
    let image = ImageBuilder::sample(701).build();
    image.push(&server.client(), "demo", "v1");
    server.client().delete_manifest("demo", &image.digest).expect_status(202);
    file.write("keep_deleted_secs = 0\nunlink_batch_secs = 0\nhousekeeping_secs = 1\n");
    server.hang_up();
    let blobs = server.data().join("blobs");
    wait::until_true("the next round", || files::files_under(&blobs).is_empty());
}

/// The configuration is a pipe at first, so that the start waits until the signal was sent.
#[test]
fn a_hang_up_during_the_start_is_answered_after_it() {
    let file = File::new("");
    fs::remove_file(file.path()).expect("a name for the pipe");
    assert!(Command::new("mkfifo").arg(file.path()).status().expect("mkfifo").success());
    let home = tempfile::tempdir().expect("a temporary directory");
    let log = home.path().join("log");
    let mut child = process::program(home.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--config", &file.text()])
        .stdout(fs::File::create(home.path().join("out")).expect("a file for its output"))
        .stderr(fs::File::create(&log).expect("a file for its log"))
        .spawn()
        .expect("the program starts");
    // It opens once the other end is read.
    let mut pipe = fs::File::options().write(true).open(file.path()).expect("the pipe");
    process::signal(&child, Signal::HUP);
    fs::remove_file(file.path()).expect("the name is free again");
    file.write("page_max = 2\n");
    pipe.write_all(b"page_max = 3\n").expect("it still reads");
    drop(pipe);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    wait::until_true("the reload", || said().contains("reloaded: page_max was 3 and is 2"));
    process::signal(&child, Signal::TERM);
    assert!(process::wait_for(&mut child, "the end").success(), "{}", said());
}

#[test]
fn a_registry_that_refuses_is_alive() {
    let server = Server::builder().env("WHARFINGER_ACCESS", "[]").start();
    server.client().get("/v2/").expect_status(403);
    let address = server.addr().to_string();
    run(&["healthcheck", "--listen", &address], &[]).expect_code(0).expect_words("403");
}
