//! What this registry wants to be, as ratios of its figure to another's: at most, or for rates at least.

use crate::figures::Figure;

/// A goal: how the title of the work begins, the figure, the other, the ratio.
type Goal = (&'static str, Figure, &'static str, f64);

const GOALS: [Goal; 27] = [
    ("pull 1024 MiB,", Figure::CpuPerGib, "nginx", 1.05),
    ("pull 1024 MiB,", Figure::CpuPerGib, "docker-registry", 0.5),
    ("pull 4 MiB", Figure::Rate, "nginx", 1.0),
    ("pull 64 KiB", Figure::Rate, "nginx", 0.9),
    ("pull 64 KiB", Figure::Rate, "docker-registry", 30.0),
    ("pull 1024 MiB over TLS", Figure::CpuPerGib, "nginx", 1.0),
    ("push", Figure::CpuPerGib, "raw floor", 1.1),
    ("push", Figure::CpuPerGib, "docker-registry", 0.5),
    ("push", Figure::CpuPerGib, "distribution 3", 0.8),
    ("HEAD", Figure::CpuPerRequest, "docker-registry", 1.0 / 30.0),
    ("HEAD", Figure::CpuPerRequest, "distribution 3", 0.125),
    ("HEAD", Figure::CpuPerRequest, "zot", 0.25),
    ("HEAD", Figure::Rate, "nginx", 0.7),
    ("GET", Figure::CpuPerRequest, "docker-registry", 1.0 / 30.0),
    ("GET", Figure::CpuPerRequest, "distribution 3", 0.125),
    ("GET", Figure::CpuPerRequest, "zot", 0.25),
    ("GET", Figure::Rate, "nginx", 0.7),
    ("PUT of manifests, 1 ", Figure::Rate, "docker-registry", 5.0),
    ("PUT of manifests, 8 ", Figure::Rate, "docker-registry", 6.0),
    ("PUT of manifests, 64 ", Figure::Rate, "docker-registry", 10.0),
    ("PUT of manifests, 256 ", Figure::Rate, "docker-registry", 10.0),
    ("page of 100 of 100000 tags", Figure::CpuPerRequest, "docker-registry", 0.02),
    ("page of 100 of 100000 tags", Figure::CpuPerRequest, "wharfinger, 1000 tags", 1.2),
    ("page of 100 of 10000 repositories", Figure::CpuPerRequest, "docker-registry", 0.02),
    ("memory, idle", Figure::Peak, "docker-registry", 1.5),
    ("memory, 64 uploads", Figure::Peak, "docker-registry", 1.3),
    ("memory, 64 pulls", Figure::Peak, "docker-registry", 0.3),
];

/// The goal for a work's figure beside another.
pub fn goal(title: &str, figure: Figure, other: &str) -> Option<f64> {
    let fits = |goal: &&Goal| title.starts_with(goal.0) && goal.1 == figure && goal.2 == other;
    GOALS.iter().find(fits).map(|goal| goal.3)
}
