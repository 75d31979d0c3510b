//! The ratios as bars on an axis of powers of ten: right of the middle this registry needs less or does more.

use crate::figures::{Comparison, spread};
use crate::report::{number, pairs};
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LABELS_WIDTH: f64 = 520.0;
const NUMBERS_WIDTH: f64 = 60.0;
const ROW_HEIGHT: f64 = 18.0;
const HEAD_HEIGHT: f64 = 44.0;

/// The least of the axis, as a power of ten.
const FROM: f64 = -1.0;

/// A bar: what, and how many times better, with the worst and the best round.
struct Bar {
    label: String,
    median: f64,
    worst: f64,
    best: f64,
}

/// A plot of all that was compared.
pub fn svg(found: &[Comparison]) -> String {
    let bars: Vec<_> = pairs(found)
        .map(|(work, figure, other)| {
            let ratios = work.ratios(figure, other).into_iter();
            let better = ratios.map(|ratio| if figure.more_is_better() { ratio } else { 1.0 / ratio });
            let (median, worst, best) = spread(better.collect());
            let label = format!("{}: {} / {}", work.title, figure.name(), other.name);
            Bar { label, median, worst, best }
        })
        .collect();
    let to = bars.iter().map(|bar| bar.best.log10().ceil()).fold(1.0, f64::max);
    let room = WIDTH - LABELS_WIDTH - NUMBERS_WIDTH;
    let x = |times: f64| LABELS_WIDTH + (times.log10().clamp(FROM, to) - FROM) / (to - FROM) * room;
    let rows: Vec<_> =
        bars.iter().zip((0_u16..).map(|row| HEAD_HEIGHT + f64::from(row) * ROW_HEIGHT)).collect();
    let bottom = rows.last().map_or(HEAD_HEIGHT, |(_, top)| top + ROW_HEIGHT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"16\" font-size=\"13\">How many times less CPU or memory, or more requests, \
         wharfinger has: medians, and the rounds' worst and best</text>\n",
        bottom + 12.0
    );
    let mut power = FROM;
    while power <= to {
        let (at, times) = (x(10_f64.powf(power)), 10_f64.powf(power));
        let colour = if power == 0.0 { "#444" } else { "#ddd" };
        let top = HEAD_HEIGHT - 4.0;
        writeln!(
            text,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"{colour}\"/>\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#666\">{times}</text>",
            top - 4.0
        )
        .expect("a string takes all");
        power += 1.0;
    }
    for (bar, top) in rows {
        bar.draw(&mut text, top, x);
    }
    text.push_str("</svg>\n");
    text
}

impl Bar {
    fn draw(&self, text: &mut String, top: f64, x: impl Fn(f64) -> f64) {
        let (middle, median) = (x(1.0), x(self.median));
        let colour = if self.median >= 1.0 { "#4a8fbf" } else { "#d08a4a" };
        let (left, width) = (middle.min(median), (median - middle).abs().max(0.5));
        let (base, centre) = (top + ROW_HEIGHT - 5.0, top + ROW_HEIGHT / 2.0);
        let label = self.label.replace('&', "&amp;").replace('<', "&lt;");
        writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" y1=\"{centre:.1}\" x2=\"{:.1}\" y2=\"{centre:.1}\" stroke=\"#222\"/>\
             <text x=\"{:.1}\" y=\"{base:.1}\">{}</text>",
            LABELS_WIDTH - 8.0,
            top + 3.0,
            ROW_HEIGHT - 6.0,
            x(self.worst),
            x(self.best),
            x(self.best.max(1.0)) + 5.0,
            number(self.median)
        )
        .expect("a string takes all");
    }
}
