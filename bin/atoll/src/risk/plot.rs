//! Plots as inline SVG. Colours are classes, so that the page's style decides them, light or dark;
//! each plot has a title and a description for who does not see it.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// Stretches of time that points are drawn together in.
const STRETCHES: usize = 360;

/// A line, by time in seconds; it is broken where a value is no number.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Which colour: 0 to 5.
    pub(super) colour: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// A stretch of time that is marked.
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    /// `reduce` or `auction`.
    pub(super) class: &'static str,
}

/// How numbers of the upright axis read.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Price,
    Dollars,
    Count,
    Milliseconds,
}

/// What a plot is about.
pub(super) struct Frame<'a> {
    /// Unique on the page.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: &'a str,
    /// When it begins, seconds since the Unix epoch.
    pub(super) start_s: u64,
    pub(super) until_s: f64,
    pub(super) unit: Unit,
    pub(super) log: bool,
}

/// Text inside of HTML.
pub(super) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with its unit, short.
pub(super) fn short(value: f64, unit: Unit) -> String {
    let plain = |value: f64| {
        let digits = match value.abs() {
            v if v >= 100.0 || v == 0.0 => 0,
            v if v >= 10.0 => 1,
            v if v >= 1.0 => 2,
            v if v >= 0.1 => 3,
            _ => 4,
        };
        let text = format!("{value:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        }
    };
    let large = |value: f64| match value.abs() {
        v if v >= 1e9 => format!("{} bn", plain(value / 1e9)),
        v if v >= 1e6 => format!("{} M", plain(value / 1e6)),
        v if v >= 1e4 => format!("{} k", plain(value / 1e3)),
        _ => plain(value),
    };
    match unit {
        Unit::Price => large(value),
        Unit::Dollars if value < 0.0 => format!("−${}", large(-value)),
        Unit::Dollars => format!("${}", large(value)),
        Unit::Count => large(value),
        Unit::Milliseconds => format!("{} ms", plain(value)),
    }
}

/// The time of day.
pub(super) fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Where things are on a plot.
struct Scale {
    until: f64,
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    fn new(until: f64, (low, high): (f64, f64), log: bool) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { until: until.max(1.0), low, high, log }
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at / self.until).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let part = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
    }

    /// Marks of the upright axis: round numbers.
    fn marks(&self) -> Vec<f64> {
        if self.log {
            let from = self.low.log10().floor() as i32;
            let all = (from..from + 12).map(|n| 10f64.powi(n));
            return all.filter(|v| (self.low..=self.high).contains(v)).collect();
        }
        let rough = (self.high - self.low) / 4.0;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * unit);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        let marks = (first..first + 8).map(|n| n as f64 * step);
        marks.filter(|mark| *mark <= self.high * 1.0001).collect()
    }
}

fn open(frame: &Frame<'_>, scale: &Scale) -> String {
    let Frame { id, title, text, .. } = frame;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title>\
         <desc id=\"{id}-d\">{}</desc>",
        escape(title),
        escape(text),
    );
    for mark in scale.marks() {
        let y = scale.y(mark);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"tick\" x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 3.5,
            short(mark, frame.unit),
        );
    }
    let steps = [300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 14_400.0, 21_600.0];
    let step = steps.into_iter().find(|step| frame.until_s / step <= 9.0).unwrap_or(43_200.0);
    let day = (frame.start_s % 86_400) as f64;
    let mut at = (day / step).ceil() * step - day;
    while at <= frame.until_s {
        let x = scale.x(at);
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 8.0,
            clock(day + at),
        );
        at += step;
    }
    svg
}

/// What of a line is drawn: of each stretch of time first, lowest, highest and last.
fn thin(points: &[(f64, f64)], until: f64) -> Vec<(f64, f64)> {
    let stretch = |at: f64| (at / until.max(1.0) * STRETCHES as f64) as usize;
    let mut drawn = Vec::new();
    for part in points.chunk_by(|a, b| stretch(a.0) == stretch(b.0)) {
        let mut kept = vec![0, part.len() - 1];
        let by = |a: &usize, b: &usize| part[*a].1.total_cmp(&part[*b].1);
        kept.extend((0..part.len()).min_by(by));
        kept.extend((0..part.len()).max_by(by));
        kept.sort_unstable();
        kept.dedup();
        drawn.extend(kept.into_iter().map(|n| part[n]));
    }
    drawn
}

/// The highest value of each stretch of time.
pub(super) fn peaks(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let until = points.last().map_or(1.0, |point| point.0);
    let stretch = |at: f64| (at / until.max(1.0) * STRETCHES as f64) as usize;
    let parts = points.chunk_by(|a, b| stretch(a.0) == stretch(b.0));
    let peak = |part: &[(f64, f64)]| part.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    parts.filter_map(peak).collect()
}

fn legend(names: impl Iterator<Item = (&'static str, usize)>) -> String {
    let item = |(name, colour): (&str, usize)| {
        format!("<li><span class=\"key k{colour}\"></span>{}</li>", escape(name))
    };
    format!("<ul class=\"legend\">{}</ul>", names.map(item).collect::<String>())
}

fn figure(frame: &Frame<'_>, svg: &str, legend: &str) -> String {
    format!("<figure><figcaption>{}{legend}</figcaption>{svg}</svg></figure>", escape(&frame.title))
}

/// Lines over time, with bands behind them.
pub(super) fn lines(frame: &Frame<'_>, lines: &[Line], bands: &[Band]) -> String {
    let values = || {
        let values = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        values.filter(|value| value.is_finite())
    };
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let low = values().fold(f64::INFINITY, f64::min);
    let (low, high) = match frame.unit {
        _ if !low.is_finite() => (0.0, 1.0),
        _ if frame.log => (low.max(1e-3), high.max(2e-3) * 1.2),
        Unit::Price => (low - (high - low) * 0.05, high + (high - low) * 0.05),
        _ => (low.min(0.0), high * 1.05),
    };
    let scale = Scale::new(frame.until_s, (low, high), frame.log);
    let mut svg = open(frame, &scale);
    for band in bands {
        let (from, to) = (scale.x(band.from), scale.x(band.to));
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            band.class,
            (to - from).max(1.0),
            HEIGHT - TOP - BOTTOM,
        );
    }
    for line in lines {
        let (mut path, mut verb) = (String::new(), 'M');
        for (at, value) in thin(&line.points, frame.until_s) {
            if !value.is_finite() {
                verb = 'M';
                continue;
            }
            let _ = write!(path, "{verb}{:.1} {:.1}", scale.x(at), scale.y(value));
            verb = 'L';
        }
        let _ = write!(svg, "<path class=\"line c{}\" d=\"{path}\"/>", line.colour);
    }
    figure(frame, &svg, &legend(lines.iter().map(|line| (line.name, line.colour))))
}

/// Bars over time, one above the other: what came to how much in each stretch of it.
pub(super) fn bars(
    frame: &Frame<'_>,
    names: &[&'static str],
    points: &[(f64, [f64; 5])],
) -> String {
    const BARS: usize = 120;
    let mut sums = vec![[0.0; 5]; BARS];
    for (at, values) in points {
        let bar = (at / frame.until_s.max(1.0) * BARS as f64) as usize;
        let bar = &mut sums[bar.min(BARS - 1)];
        bar.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    let high = sums.iter().map(|bar| bar.iter().sum::<f64>()).fold(0.0, f64::max);
    let scale = Scale::new(frame.until_s, (0.0, high * 1.05), false);
    let mut svg = open(frame, &scale);
    let width = (WIDTH - LEFT - RIGHT) / BARS as f64;
    for (n, bar) in sums.iter().enumerate() {
        let mut base = 0.0;
        for (colour, value) in bar.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let (top, bottom) = (scale.y(base + value), scale.y(base));
            base += value;
            let _ = write!(
                svg,
                "<rect class=\"f{colour}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"/>",
                LEFT + n as f64 * width,
                width - 0.8,
                bottom - top,
            );
        }
    }
    figure(frame, &svg, &legend(names.iter().copied().zip(0..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(1_234_000_000.0, Unit::Dollars), "$1.23 bn");
        assert_eq!(short(-2_500_000.0, Unit::Dollars), "−$2.5 M");
        assert_eq!(short(0.0, Unit::Count), "0");
        assert_eq!(short(100.0, Unit::Count), "100");
        assert_eq!(short(0.25, Unit::Milliseconds), "0.25 ms");
        assert_eq!(clock(9.5 * 3600.0), "09:30");
    }

    #[test]
    fn a_thinned_line_keeps_its_ends_and_extremes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), 1.0)).collect();
        (points[777].1, points[50_001].1) = (-5.0, 9.0);
        let drawn = thin(&points, 100_000.0);
        assert!(drawn.len() <= 4 * STRETCHES + 4, "{}", drawn.len());
        assert!(drawn.contains(&(777.0, -5.0)) && drawn.contains(&(50_001.0, 9.0)));
        assert_eq!((drawn[0], drawn[drawn.len() - 1]), (points[0], points[99_999]));
    }

    #[test]
    fn marks_are_round_and_inside() {
        let scale = Scale::new(10.0, (0.0, 937.0), false);
        assert_eq!(scale.marks(), [0.0, 500.0]);
        assert_eq!(Scale::new(10.0, (0.05, 30.0), true).marks(), [0.1, 1.0, 10.0]);
    }
}
