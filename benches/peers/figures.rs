//! What is made of measurements: figures, and ratios of one round.

use crate::servers::Server;
use std::time::{Duration, Instant};

/// What one server used for a work in one round.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The CPU of its processes.
    pub cpu: Duration,
    /// How long the work took.
    pub wall: Duration,
    /// The bytes of all bodies.
    pub bytes: u64,
    /// How long each request took.
    pub times: Vec<Duration>,
    /// The most memory, in KiB.
    pub peak_kib: u64,
    /// The most memory that is no file's, in KiB, as far as it was seen.
    pub anonymous_kib: u64,
}

impl Sample {
    /// Does a work, and looks at the server before and after.
    pub fn take(server: &Server, act: impl FnOnce() -> (Vec<Duration>, u64)) -> Self {
        let (before, began) = (server.cpu(), Instant::now());
        let (times, bytes) = act();
        let wall = began.elapsed();
        let cpu = server.cpu().saturating_sub(before);
        Self { cpu, wall, bytes, times, ..Self::default() }
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Seconds of CPU for a GiB.
    CpuPerGib,
    /// Microseconds of CPU for a request.
    CpuPerRequest,
    /// Requests in a second.
    Rate,
    /// MiB of memory at most.
    Peak,
    /// Of that what is no file's, in MiB.
    Anonymous,
}

impl Figure {
    /// As it is called in tables, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuPerGib => "CPU, s/GiB",
            Self::CpuPerRequest => "CPU, us/request",
            Self::Rate => "requests/s",
            Self::Peak => "peak memory, MiB",
            Self::Anonymous => "anonymous memory, MiB",
        }
    }

    /// Whether more of it is better.
    pub fn more_is_better(self) -> bool {
        self == Self::Rate
    }

    /// The figure of a sample. CPU is counted in hundredths of a second: less than one counts as half of it.
    #[expect(clippy::cast_precision_loss, reason = "all are far below 2^52")]
    pub fn of(self, sample: &Sample) -> f64 {
        let cpu_secs = sample.cpu.as_secs_f64().max(0.005);
        let requests = sample.times.len() as f64;
        match self {
            Self::CpuPerGib => cpu_secs / (sample.bytes as f64 / f64::from(1 << 30)),
            Self::CpuPerRequest => cpu_secs * 1e6 / requests,
            Self::Rate => requests / sample.wall.as_secs_f64(),
            Self::Peak => sample.peak_kib as f64 / 1024.0,
            Self::Anonymous => sample.anonymous_kib as f64 / 1024.0,
        }
    }
}

/// All rounds of one server.
pub struct Series {
    /// The server, or what else it is compared with.
    pub name: String,
    /// A sample a round.
    pub samples: Vec<Sample>,
}

/// A work that several servers did, this registry first.
pub struct Comparison {
    /// The work, for people.
    pub title: String,
    /// What of it is compared.
    pub figures: Vec<Figure>,
    /// Those that did it.
    pub series: Vec<Series>,
}

impl Comparison {
    /// The ratios of this registry's figure to that of another, a round each.
    pub fn ratios(&self, figure: Figure, other: &Series) -> Vec<f64> {
        let pairs = self.series[0].samples.iter().zip(&other.samples);
        pairs.map(|(ours, theirs)| figure.of(ours) / figure.of(theirs)).collect()
    }
}

/// The median, the least and the most of some numbers.
pub fn spread(mut numbers: Vec<f64>) -> (f64, f64, f64) {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let median = if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    };
    (median, numbers[0], numbers[numbers.len() - 1])
}

/// Has each of them measured in turns; each begins some of the rounds.
pub fn interleave(
    title: &str,
    figures: &[Figure],
    names: &[&str],
    rounds: usize,
    mut measure: impl FnMut(usize) -> Sample,
) -> Comparison {
    let mut series: Vec<Series> =
        names.iter().map(|name| Series { name: (*name).to_owned(), samples: Vec::new() }).collect();
    for round in 0..rounds {
        for turn in 0..names.len() {
            let index = (round + turn) % names.len();
            let sample = measure(index);
            series[index].samples.push(sample);
        }
    }
    eprintln!("{title}: done");
    Comparison { title: title.to_owned(), figures: figures.to_vec(), series }
}
