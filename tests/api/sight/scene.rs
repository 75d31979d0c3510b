//! A small registry of random things, and rules that hide some of them.

use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::accounts::{PASSWORD, builder_with, by_token, text, write_users};
use crate::support::command::answer;
use crate::support::{Client, ImageBuilder, IndexBuilder, Manifest, Server, uploads};

pub const PATTERNS: [&str; 7] = ["**", "team/**", "team/*", "team/a", "home/{user}/**", "home/**", "other/c"];

/// The one that stands for a caller's own name.
const OWN: usize = 4;

/// The repositories with the patterns that match them for alice, the most specific first, by hand.
pub const REPOSITORIES: [(&str, &[usize]); 6] = [
    ("home/alice/x", &[OWN, 5, 0]),
    ("home/bob/y", &[5, 0]),
    ("other/c", &[6, 0]),
    ("team/a", &[3, 2, 1, 0]),
    ("team/b", &[2, 1, 0]),
    ("team/b/deep", &[1, 0]),
];

const WHO: [&str; 4] = ["alice", "users", "group:some", "anonymous"];

/// What a rule lets one do, and whether one may read by it.
const CAN: [(&str, bool); 6] = [
    ("", false),
    ("\"pull\"", true),
    ("\"push\"", false),
    ("\"pull\",\"push\"", true),
    ("\"pull\",\"delete\"", true),
    ("\"create\"", false),
];

pub const TAGS: [&str; 2] = ["v1", "v2"];
const IMAGES: usize = 4;

/// Who, on which pattern, what: numbers in the lists above.
pub type Rule = (usize, usize, usize);

#[derive(Clone, Copy, Debug)]
pub enum Caller {
    Anonymous,
    Alice,
    /// Alice, by a token for all of it.
    Bearer,
    /// A robot that pulls by one pattern.
    Robot(usize),
}

/// Some rules, who asks, and what that one may read.
pub const EXAMPLES: [(&[Rule], Caller, &[&str]); 5] = [
    (&[(0, 1, 1)], Caller::Alice, &["team/a", "team/b", "team/b/deep"]),
    (&[(0, 1, 1), (1, 2, 0)], Caller::Bearer, &["team/b/deep"]),
    (
        &[(3, 0, 1), (2, 5, 2), (0, OWN, 1)],
        Caller::Alice,
        &["home/alice/x", "other/c", "team/a", "team/b", "team/b/deep"],
    ),
    (&[(3, 5, 1), (0, 0, 1)], Caller::Anonymous, &["home/alice/x", "home/bob/y"]),
    (&[(3, 0, 1)], Caller::Robot(6), &["other/c"]),
];

/// Something that is done to a repository, by its number.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Push { repository: usize, image: usize, tag: Option<usize>, mounts: bool },
    Index { repository: usize, images: (usize, usize), tag: usize },
    Attach { repository: usize, image: usize, kind: usize },
    Delete { repository: usize, image: usize },
    Untag { repository: usize, tag: usize },
}

#[derive(Clone, Debug)]
pub struct Case {
    rules: Vec<Rule>,
    caller: Caller,
    steps: Vec<Step>,
}

pub fn any_case() -> impl Strategy<Value = Case> {
    let rule = (0..WHO.len(), 0..PATTERNS.len(), 0..CAN.len());
    let caller = prop_oneof![
        Just(Caller::Anonymous),
        Just(Caller::Alice),
        Just(Caller::Bearer),
        proptest::sample::select(vec![0, 1, 2, 3, 5, 6]).prop_map(Caller::Robot),
    ];
    (prop::collection::vec(rule, 1..6), caller, prop::collection::vec(any_step(), 4..20))
        .prop_map(|(rules, caller, steps)| Case { rules, caller, steps })
}

fn any_step() -> impl Strategy<Value = Step> {
    let repository = || 0..REPOSITORIES.len();
    let push = (repository(), 0..IMAGES, prop::option::of(0..TAGS.len()), any::<bool>());
    let index = (repository(), (0..IMAGES, 0..IMAGES), 0..TAGS.len());
    prop_oneof![
        5 => push.prop_map(|(repository, image, tag, mounts)| Step::Push { repository, image, tag, mounts }),
        1 => index.prop_map(|(repository, images, tag)| Step::Index { repository, images, tag }),
        2 => (repository(), 0..IMAGES, 0..2_usize)
            .prop_map(|(repository, image, kind)| Step::Attach { repository, image, kind }),
        1 => (repository(), 0..IMAGES).prop_map(|(repository, image)| Step::Delete { repository, image }),
        1 => (repository(), 0..TAGS.len()).prop_map(|(repository, tag)| Step::Untag { repository, tag }),
    ]
}

/// Images of a layer that two of them share and one of their own.
fn image(number: usize) -> Manifest {
    let shared = format!("shared by {}", number / 2);
    let own = format!("of {number} alone");
    ImageBuilder::oci().layer(shared.as_bytes()).layer(own.as_bytes()).build()
}

fn index((one, two): (usize, usize)) -> Manifest {
    IndexBuilder::oci().child(&image(one)).child(&image(two)).build()
}

fn attached(number: usize, kind: usize) -> Manifest {
    let builder = ImageBuilder::oci().artifact_type(["a/signature", "a/sbom"][kind]);
    builder.layer(format!("about {number}").as_bytes()).subject(image(number).descriptor()).build()
}

impl Step {
    fn repository(self) -> &'static str {
        let (Self::Push { repository, .. }
        | Self::Index { repository, .. }
        | Self::Attach { repository, .. }
        | Self::Delete { repository, .. }
        | Self::Untag { repository, .. }) = self;
        REPOSITORIES[repository].0
    }

    /// What it pushes or deletes.
    fn documents(self) -> Vec<Manifest> {
        match self {
            Self::Push { image: number, .. } | Self::Delete { image: number, .. } => vec![image(number)],
            Self::Index { images, .. } => vec![image(images.0), image(images.1), index(images)],
            Self::Attach { image: number, kind, .. } => vec![image(number), attached(number, kind)],
            Self::Untag { .. } => Vec::new(),
        }
    }

    fn take(self, root: &Client) {
        let name = self.repository();
        match self {
            Self::Push { image: number, tag, mounts, .. } => {
                let image = image(number);
                for (blob, digest) in image.blobs.iter().zip(image.blob_digests()) {
                    if !(mounts && is_mounted(root, name, &digest)) {
                        root.push_blob(name, blob);
                    }
                }
                image.push_document(root, name, tag.map_or(&image.digest, |tag| TAGS[tag]));
            }
            Self::Index { images, tag, .. } => {
                for child in [images.0, images.1] {
                    image(child).push_untagged(root, name);
                }
                index(images).push(root, name, TAGS[tag]);
            }
            Self::Attach { image, kind, .. } => attached(image, kind).push_untagged(root, name),
            Self::Delete { image: number, .. } => {
                // An index that lists it keeps it.
                root.delete_manifest(name, &image(number).digest).expect_status_in(&[202, 404, 405]);
            }
            Self::Untag { tag, .. } => {
                root.delete_manifest(name, TAGS[tag]).expect_status_in(&[202, 404]);
            }
        }
    }
}

/// Mounts a blob from wherever it is, or leaves nothing behind.
fn is_mounted(root: &Client, name: &str, digest: &str) -> bool {
    let reply = root.post(&format!("/v2/{name}/blobs/uploads/?mount={digest}"), b"");
    if reply.status == 202 {
        root.delete(&uploads::location(&reply)).expect_status(204);
        return false;
    }
    reply.expect_status(201);
    true
}

impl Case {
    /// A case without steps.
    pub fn of(rules: &[Rule], caller: Caller) -> Self {
        Self { rules: rules.to_vec(), caller, steps: Vec::new() }
    }

    /// Whether the caller may read a repository: said by the rules of the most specific pattern.
    pub fn may_read(&self, name: &str) -> bool {
        let (_, patterns) = REPOSITORIES.iter().find(|(known, _)| *known == name).expect("one of ours");
        let is_alice = matches!(self.caller, Caller::Alice | Caller::Bearer);
        if let Caller::Robot(pattern) = self.caller {
            return patterns.contains(&pattern);
        }
        for &pattern in patterns.iter().filter(|&&pattern| is_alice || pattern != OWN) {
            let names_caller = |who: usize| is_alice || WHO[who] == "anonymous";
            let rules = self.rules.iter().filter(|(who, of, _)| *of == pattern && names_caller(*who));
            let reads: Vec<bool> = rules.map(|(_, _, can)| CAN[*can].1).collect();
            if !reads.is_empty() {
                return reads.contains(&true);
            }
        }
        false
    }

    /// Every document that some step is about, each once.
    pub fn documents(&self) -> Vec<Manifest> {
        let mut found: Vec<Manifest> = self.steps.iter().flat_map(|step| step.documents()).collect();
        found.sort_by(|one, two| one.digest.cmp(&two.digest));
        found.dedup_by(|one, two| one.digest == two.digest);
        found
    }

    fn access(&self) -> String {
        let rules = self.rules.iter().map(|&(who, pattern, can)| {
            format!("{{who=[\"{}\"],repos=[\"{}\"],can=[{}]}}", WHO[who], PATTERNS[pattern], CAN[can].0)
        });
        // By every pattern there is, so that none of the others is more specific.
        let patterns = PATTERNS.map(|pattern| format!("\"{pattern}\"")).join(",");
        let root = format!("{{who=[\"root\"],repos=[{patterns}],can=[\"admin\"]}}");
        format!("[{}]", rules.chain([root]).collect::<Vec<_>>().join(","))
    }
}

/// A registry in which the steps were taken.
pub struct Place {
    _folder: TempDir,
    pub server: Server,
    pub caller: Client,
}

impl Place {
    /// Takes the steps of the case that are about repositories which are to be there.
    pub fn start(case: &Case, is_there: impl Fn(&str) -> bool) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let builder = builder_with(folder.path(), &case.access());
        write_users(&folder.path().join("htpasswd"), &[("alice", PASSWORD), ("root", PASSWORD)]);
        let server = builder.env("WHARFINGER_GROUPS", "{some=[\"alice\"]}").start();
        let root = server.client().with_password("root", PASSWORD);
        for step in case.steps.iter().filter(|step| is_there(step.repository())) {
            step.take(&root);
        }
        let caller = caller(&server, case.caller);
        Self { _folder: folder, server, caller }
    }
}

fn caller(server: &Server, caller: Caller) -> Client {
    let alice = server.client().with_password("alice", PASSWORD);
    match caller {
        Caller::Anonymous => server.client(),
        Caller::Alice => alice,
        Caller::Bearer => {
            let scopes = REPOSITORIES.map(|(name, _)| format!("repository:{name}:pull,push,delete"));
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            by_token(&alice, &[&scopes[..], &["registry:catalog:*"]].concat())
        }
        Caller::Robot(pattern) => {
            let words = ["token", "create", "builder", "--repo", PATTERNS[pattern], "--can", "pull,push"];
            server.client().with_token(&text(&answer(server, &words), "secret"))
        }
    }
}
