//! A push and a pull by real docker, beside docker-registry: the time that a person waits.
//!
//! `cargo bench --bench docker`, as root, where dockerd and docker-registry are installed. Two daemons: one
//! has built an image of 20 layers of random bytes, the other has never seen it. Each round has a new
//! registry of each kind, in turns, so nothing of a round before is there already. `WHARFINGER_BENCH_MIB`
//! says how large the image is (default 1,000, or 200 where the kernel has no overlay2 and docker copies each
//! layer), `WHARFINGER_BENCH_ROUNDS` how many rounds there are (default 5). Both registries are as they are
//! installed: only Wharfinger syncs what it acknowledges.

#[path = "../uploads/server.rs"]
#[expect(dead_code, reason = "the other bench uses the rest of it")]
mod server;

mod daemon;
mod peer;

use daemon::Daemon;
use peer::Peer;
use server::Server;
use std::fmt::Write as _;
use std::fs;

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

const LAYERS: usize = 20;

const ROUNDS: usize = 5;

/// How large the image is, in MiB: with a storage driver that shares layers, and without.
const MIB: [usize; 2] = [1000, 200];

/// What one registry took, round by round.
struct Row {
    name: &'static str,
    pushes: Vec<Duration>,
    pulls: Vec<Duration>,
}

fn main() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let [builder, puller] = ["builder", "puller"].map(|name| Daemon::start(&home.path().join(name)));
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let mib = number("WHARFINGER_BENCH_MIB").unwrap_or(MIB[usize::from(!builder.shares_layers)]);
    let rounds = number("WHARFINGER_BENCH_ROUNDS").unwrap_or(ROUNDS);
    println!("{} MiB in {LAYERS} layers, storage driver {}", mib, builder.driver);
    let image = build(&builder, &home.path().join("context"), mib * 1024 * 1024 / LAYERS);
    let mut rows =
        ["Wharfinger", "docker-registry"].map(|name| Row { name, pushes: Vec::new(), pulls: Vec::new() });
    for round in 0..rounds {
        // In turns, and each begins half of them.
        for index in [round % 2, (round + 1) % 2] {
            let data = home.path().join(format!("data-{round}-{index}"));
            fs::create_dir_all(&data).expect("a directory");
            let row = &mut rows[index];
            if index == 0 {
                let server = Server::start(&data);
                push_and_pull(&builder, &puller, &server.address, &image, row);
            } else {
                let peer = Peer::start(&data);
                push_and_pull(&builder, &puller, &peer.address, &image, row);
            }
            fs::remove_dir_all(&data).expect("it can be removed");
        }
    }
    report(rows);
}

/// Builds the image, and gives its id.
fn build(docker: &Daemon, context: &Path, layer_bytes: usize) -> String {
    fs::create_dir_all(context).expect("a directory");
    let mut source = fs::File::open("/dev/urandom").expect("random bytes");
    let mut recipe = "FROM scratch\n".to_owned();
    for layer in 0..LAYERS {
        let mut bytes = vec![0; layer_bytes];
        source.read_exact(&mut bytes).expect("random bytes");
        fs::write(context.join(format!("layer{layer}")), bytes).expect("a file");
        writeln!(recipe, "COPY layer{layer} /").expect("a string takes all");
    }
    fs::write(context.join("Dockerfile"), recipe).expect("a file");
    docker.run(&["build", "--quiet", "--tag", "bench", context.to_str().expect("a path")]);
    fs::remove_dir_all(context).expect("it can be removed");
    docker.run(&["image", "inspect", "--format", "{{.Id}}", "bench"]).trim().to_owned()
}

fn push_and_pull(builder: &Daemon, puller: &Daemon, address: &str, image: &str, row: &mut Row) {
    let name = format!("{address}/bench/app:v1");
    builder.run(&["tag", "bench", &name]);
    let began = Instant::now();
    builder.run(&["push", "--quiet", &name]);
    row.pushes.push(began.elapsed());
    builder.run(&["image", "rm", &name]);
    let began = Instant::now();
    puller.run(&["pull", "--quiet", &name]);
    row.pulls.push(began.elapsed());
    let arrived = puller.run(&["image", "inspect", "--format", "{{.Id}}", &name]);
    assert_eq!(arrived.trim(), image, "what was pushed is what was pulled");
    puller.run(&["image", "rm", &name]);
}

fn report([ours, theirs]: [Row; 2]) {
    for row in [&ours, &theirs] {
        let said =
            |times: &[Duration]| format!("{:.2} s {}", median(&seconds(times)), spread(&seconds(times)));
        println!("{}: push {}, pull {}", row.name, said(&row.pushes), said(&row.pulls));
    }
    for (what, ours, theirs) in [("push", &ours.pushes, &theirs.pushes), ("pull", &ours.pulls, &theirs.pulls)]
    {
        let ratios: Vec<f64> =
            seconds(ours).iter().zip(seconds(theirs)).map(|(ours, theirs)| ours / theirs).collect();
        println!("{what}: {:.2} of docker-registry's time {}", median(&ratios), spread(&ratios));
    }
}

fn seconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(Duration::as_secs_f64).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The least and the most.
fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("({least:.2} to {most:.2})")
}
