//! Steps, what they run in, and what became of them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::{self, Display};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;

use crate::registry::{Kind, Registry};
use crate::tools;

/// Fails a step with a reason unless something holds.
macro_rules! ensure {
    ($holds:expr, $($reason:tt)+) => {
        if !$holds {
            return Err(format!($($reason)+).into());
        }
    };
}
pub(crate) use ensure;

/// Lists a module's steps and makes a test of each, which runs it against Wharfinger.
macro_rules! steps {
    ($client:literal needs $needs:expr; $($name:ident: $title:literal;)+) => {
        pub const STEPS: &[crate::scene::Step] = &[$(crate::scene::Step {
            client: $client,
            name: stringify!($name),
            title: $title,
            needs: &$needs,
            run: $name,
        }),+];

        mod wharfinger {
            $(#[test]
            fn $name() {
                crate::scene::assert_passes(super::STEPS, stringify!($name));
            })+
        }
    };
}
pub(crate) use steps;

/// One thing that users do with a client.
pub struct Step {
    pub client: &'static str,
    pub name: &'static str,
    pub title: &'static str,
    /// The programs without which it cannot run.
    pub needs: &'static [&'static str],
    pub run: fn(&Scene) -> Result<(), Box<dyn Error>>,
}

/// What became of a step.
#[derive(Clone)]
pub enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The error of a step that cannot run on this machine, as one finds only by trying.
#[derive(Debug)]
pub struct NotHere(pub String);

impl Display for NotHere {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for NotHere {}

impl Outcome {
    pub fn of(result: Result<(), Box<dyn Error>>) -> Outcome {
        match result {
            Ok(()) => Outcome::Passed,
            Err(error) if error.is::<NotHere>() => Outcome::Skipped(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

impl Step {
    /// The step's name in reports.
    pub fn id(&self) -> String {
        format!("{}::{}", self.client, self.name)
    }

    /// Runs the step against a registry of its own.
    pub fn run_on(&self, kind: Kind) -> Outcome {
        if let Some(reason) = tools::missing(self.needs).or_else(|| kind.missing()) {
            return Outcome::Skipped(reason);
        }
        let scene = match Scene::open(self, kind) {
            Ok(scene) => scene,
            Err(error) => return Outcome::Failed(format!("{kind} does not start: {error}")),
        };
        let outcome = Outcome::of((self.run)(&scene));
        scene.close(outcome)
    }

    /// Runs the step against Wharfinger, once however many tests ask.
    pub fn ours(&self) -> Outcome {
        static RUN: OnceLock<Mutex<HashMap<String, Arc<OnceLock<Outcome>>>>> = OnceLock::new();
        let run = RUN.get_or_init(Mutex::default);
        let mut run = run.lock().expect("no holder of the map panics");
        let outcome = Arc::clone(run.entry(self.id()).or_default());
        drop(run);
        outcome.get_or_init(|| self.run_on(Kind::Wharfinger)).clone()
    }
}

/// The test of a step.
pub fn assert_passes(steps: &[Step], name: &str) {
    let step = steps.iter().find(|step| step.name == name).expect("the macro lists every step");
    match step.ours() {
        Outcome::Passed => {}
        Outcome::Failed(reason) => panic!("{}: {reason}", step.title),
        Outcome::Skipped(reason) => tools::skip(&format!("clients::{}", step.id()), &reason),
    }
}

/// A registry, a folder and bytes that no other step has.
pub struct Scene {
    pub registry: Registry,
    folder: TempDir,
    seed: u64,
}

impl Scene {
    fn open(step: &Step, kind: Kind) -> Result<Scene, Box<dyn Error>> {
        let mut hasher = DefaultHasher::new();
        (step.id(), kind.to_string(), process::id()).hash(&mut hasher);
        Ok(Scene { registry: Registry::start(kind)?, folder: TempDir::new()?, seed: hasher.finish() })
    }

    /// Ends the registry, which may yet find its data wrong: then the step has failed after all.
    fn close(self, outcome: Outcome) -> Outcome {
        let failed = matches!(outcome, Outcome::Failed(_));
        let end = move || {
            let _scene = self;
            if failed {
                // A server that goes down in a panic shows its log.
                panic::resume_unwind(Box::new("the step failed"));
            }
        };
        match panic::catch_unwind(AssertUnwindSafe(end)) {
            Err(found) if !failed => {
                let found = found.downcast_ref::<String>().map_or("its end panicked", String::as_str);
                Outcome::Failed(format!("the step passed, but then: {found}"))
            }
            _ => outcome,
        }
    }

    /// A path in the step's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder in the step's own.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// What clients call something in the registry: `demo/app:v1` becomes `127.0.0.1:1234/demo/app:v1`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.addr())
    }

    /// Bytes that do not compress, the same at each call with the same label.
    pub fn bytes(&self, label: &str, len: usize) -> Vec<u8> {
        let mut hasher = DefaultHasher::new();
        (self.seed, label).hash(&mut hasher);
        let mut state = hasher.finish() | 1;
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// A file of such bytes in the step's folder.
    pub fn file(&self, name: &str, len: usize) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.path(name);
        fs::write(&path, self.bytes(name, len))?;
        Ok(path)
    }
}

/// The path as the text that command lines want.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' own paths are ASCII")
}
