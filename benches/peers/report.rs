//! What was measured as tables for people, and as lines for programs.

use crate::figures::{Comparison, Figure, Series, spread};
use crate::goals::goal;
use std::fmt::Write as _;
use std::time::Duration;

/// The ratios of this registry's figures to those of each other one: the median of the rounds, and which the
/// least and the most were.
pub fn ratios(found: &[Comparison]) -> String {
    let mut text =
        "| work | figure | beside | ratio (rounds) | goal |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (work, figure, other) in pairs(found) {
        let (median, least, most) = spread(work.ratios(figure, other));
        let goal = goal(&work.title, figure, &other.name).map_or_else(String::new, |goal| {
            let is_met = if figure.more_is_better() { median >= goal } else { median <= goal };
            let (sign, word) =
                (if figure.more_is_better() { ">=" } else { "<=" }, if is_met { "" } else { ": **missed**" });
            format!("{sign} {}{word}", number(goal))
        });
        let (median, least, most) = (number(median), number(least), number(most));
        let (title, figure, other) = (&work.title, figure.name(), &other.name);
        writeln!(text, "| {title} | {figure} | {other} | {median} ({least} to {most}) | {goal} |")
            .expect("a string takes all");
    }
    text
}

/// The figures of each server, medians, and how long requests took.
pub fn figures(found: &[Comparison]) -> String {
    let mut text = "| work | server | figures | p50 | p99 |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for work in found {
        for series in &work.series {
            let figure = |figure: &Figure| {
                let values = series.samples.iter().map(|sample| figure.of(sample)).collect();
                let (median, least, most) = spread(values);
                let (median, least, most) = (number(median), number(least), number(most));
                format!("{}: {median} ({least} to {most})", figure.name())
            };
            let figures: Vec<_> = work.figures.iter().map(figure).collect();
            let [half, most] = [50, 99].map(|percent| percentile(series.samples.iter(), percent));
            let shown = |time: Option<Duration>| time.map_or_else(String::new, |time| format!("{time:.2?}"));
            let (title, server, figures) = (&work.title, &series.name, figures.join("; "));
            writeln!(text, "| {title} | {server} | {figures} | {} | {} |", shown(half), shown(most))
                .expect("a string takes all");
        }
    }
    text
}

/// A line for each work, figure, server and round.
pub fn csv(found: &[Comparison]) -> String {
    let mut text = "work,figure,server,round,value,wharfinger_to_it,requests,p50_us,p99_us\n".to_owned();
    for work in found {
        for figure in &work.figures {
            for series in &work.series {
                let ratios = work.ratios(*figure, series);
                for (round, (sample, ratio)) in series.samples.iter().zip(ratios).enumerate() {
                    let [half, most] = [50, 99].map(|percent| {
                        let time = percentile(std::iter::once(sample), percent);
                        time.map_or_else(String::new, |time| time.as_micros().to_string())
                    });
                    let (value, requests) = (figure.of(sample), sample.times.len());
                    let (title, name, server) = (&work.title, figure.name(), &series.name);
                    let round = round + 1;
                    writeln!(
                        text,
                        "\"{title}\",\"{name}\",\"{server}\",\
                         {round},{value:.4},{ratio:.4},{requests},{half},{most}"
                    )
                    .expect("a string takes all");
                }
            }
        }
    }
    text
}

/// All that is compared: a work, one of its figures, and another server.
pub fn pairs(found: &[Comparison]) -> impl Iterator<Item = (&Comparison, Figure, &Series)> {
    found.iter().flat_map(|work| {
        let figures = work.figures.iter().copied();
        figures.flat_map(move |figure| work.series.iter().skip(1).map(move |other| (work, figure, other)))
    })
}

/// Three digits or so of a number.
pub fn number(number: f64) -> String {
    match number {
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ if number >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

fn percentile<'a>(
    samples: impl Iterator<Item = &'a crate::figures::Sample>,
    percent: usize,
) -> Option<Duration> {
    let mut times: Vec<_> = samples.flat_map(|sample| sample.times.iter().copied()).collect();
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
}
