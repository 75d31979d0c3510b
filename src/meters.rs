//! What the program counts of its own work, and Prometheus's text format (version 0.0.4).
//!
//! Counters and histograms are a few atomic numbers each, so that counting costs nothing worth a thought. The
//! format is a page of text: a crate for it would be larger than this file.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of a second that a histogram of times counts in.
const MICROS: u64 = 1_000_000;

const STRING_TAKES_ALL: &str = "a String takes every write";

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a value was up to each of some bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// How many of what is counted in make one of what is shown.
    unit: u64,
    /// How many values lie between each bound and the one before; the last are above all bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Of whole numbers.
    #[must_use]
    pub fn of_numbers(bounds: &'static [u64]) -> Self {
        Self::new(bounds, 1)
    }

    /// Of times, with bounds in microseconds. They are shown in seconds.
    #[must_use]
    pub fn of_times(bounds: &'static [u64]) -> Self {
        Self::new(bounds, MICROS)
    }

    fn new(bounds: &'static [u64], unit: u64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, unit, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a number.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.partition_point(|&bound| bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many values it has counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Whether it has counted nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

/// The kind of a family of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A [`Histogram`].
    Histogram,
}

/// Labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page of numbers that is being written.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins a family: its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect(STRING_TAKES_ALL);
    }

    /// A sample of the family.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels);
        writeln!(self.0, " {value}").expect(STRING_TAKES_ALL);
    }

    /// A family of one gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// A family of one counter.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    /// The samples of a histogram of the family.
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let mut below = 0;
        let bucket = format!("{name}_bucket");
        let bounds = histogram.bounds.iter().map(|&bound| decimal(bound, histogram.unit));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.counts) {
            below += count.load(Ordering::Relaxed);
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), below);
        }
        let sum = histogram.sum.load(Ordering::Relaxed);
        self.sample(&format!("{name}_sum"), labels, decimal(sum, histogram.unit));
        // Not a number of its own: it has to be that of the last bucket, whatever is counted meanwhile.
        self.sample(&format!("{name}_count"), labels, below);
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    fn labels(&mut self, labels: Labels<'_>) {
        for (i, (name, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if i == 0 { '{' } else { ',' };
            write!(self.0, "{before}{name}=\"{value}\"").expect(STRING_TAKES_ALL);
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
    }
}

/// Milliseconds as seconds.
#[must_use]
pub fn seconds(ms: u64) -> String {
    decimal(ms, 1000)
}

/// A number of parts, of which `unit` make one: without a float, whose last digits would be noise.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, parts) = (value / unit, value % unit);
    if parts == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{parts:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_up_to_each_bound() {
        let times = Histogram::of_times(&[1000, 2_500_000]);
        assert!(times.is_empty());
        for micros in [1000, 1001, 2_500_001] {
            times.observe_time(Duration::from_micros(micros));
        }
        let mut page = Exposition::default();
        page.histogram("a", &[("b", "c\"\\\n")], &times);
        let expected = r#"a_bucket{b="c\"\\\n",le="0.001"} 1
a_bucket{b="c\"\\\n",le="2.5"} 2
a_bucket{b="c\"\\\n",le="+Inf"} 3
a_sum{b="c\"\\\n"} 2.502002
a_count{b="c\"\\\n"} 3
"#;
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn a_family_has_its_help_and_its_kind() {
        let mut page = Exposition::default();
        page.counter("a_total", "What it is.", 7);
        page.gauge("b", "Another.", seconds(1500));
        let expected = "# HELP a_total What it is.\n# TYPE a_total counter\na_total 7\n\
                        # HELP b Another.\n# TYPE b gauge\nb 1.5\n";
        assert_eq!(page.into_text(), expected);
    }
}
