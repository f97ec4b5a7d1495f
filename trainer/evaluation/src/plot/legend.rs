//! What each style stands for.

use super::Axis;
use super::canvas::{Anchor, Canvas, Words};
use super::style::{INK, Style, hex, style};
use super::text::{SIZE, SMALL, width, wrap};

/// Width of a sample with the room behind it.
const SAMPLE: f64 = 36.0;
/// Room between two names in a line.
const APART: f64 = 20.0;
/// Height of a line.
const LINE: f64 = 17.0;
/// Lines of a name.
const MOST_LINES: usize = 3;
/// Width of a bar of colours.
pub(super) const BAR: f64 = 220.0;

/// What of a style is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    Mark,
    Line,
    Both,
    Bar,
}

/// A style and its name.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) style: Style,
    pub(super) sample: Sample,
}

/// Names in the order of [`style`], each with the same kind of sample.
pub(super) fn entries<'a>(
    names: impl IntoIterator<Item = &'a String>,
    sample: Sample,
) -> Vec<Entry<'a>> {
    let names = names.into_iter().enumerate();
    names.map(|(index, name)| Entry { name, style: style(index), sample }).collect()
}

/// Draws the names one behind the other, in as many lines as they need, and returns the height.
pub(super) fn draw(
    canvas: &mut Canvas,
    entries: &[Entry<'_>],
    [left, top]: [f64; 2],
    room: f64,
) -> f64 {
    let mut x = left;
    let mut y = top;
    let mut bottom = top;
    for entry in entries {
        let lines = wrap(entry.name, SIZE, room - SAMPLE, MOST_LINES);
        let widest = lines.iter().map(|line| width(line, SIZE)).fold(0.0, f64::max);
        if x > left && (x + SAMPLE + widest > left + room || lines.len() > 1) {
            x = left;
            y = bottom;
        }
        sample(canvas, entry, [x, y + LINE / 2.0]);
        for (index, line) in lines.iter().enumerate() {
            let base = y + index as f64 * LINE + 13.0;
            canvas.text(&Words::new(line, [x + SAMPLE, base]));
        }
        x += SAMPLE + widest + APART;
        let gap = if lines.len() > 1 { 4.0 } else { 0.0 };
        bottom = bottom.max(y + lines.len().max(1) as f64 * LINE + gap);
        if lines.len() > 1 {
            x = left + room;
        }
    }
    bottom - top
}

fn sample(canvas: &mut Canvas, entry: &Entry<'_>, [x, y]: [f64; 2]) {
    let Style { colour, fill, shape, dashes } = entry.style;
    if entry.sample == Sample::Bar {
        canvas.rect([x + 8.0, y - 5.0, 20.0, 10.0], fill, BAR_RIM);
    }
    if matches!(entry.sample, Sample::Line | Sample::Both) {
        canvas.dashed([x, y, x + 28.0, y], colour, 1.8, dashes);
    }
    if matches!(entry.sample, Sample::Mark | Sample::Both) {
        canvas.mark([x + 14.0, y], shape, 4.0, colour);
    }
}

/// Edge of bars: light colours need one on white.
pub(super) const BAR_RIM: &str = r##"stroke="#1a1a1a" stroke-width="0.6""##;

/// A bar of colours with the values they stand for, its name above it; returns its height.
pub(super) fn colour_bar(
    canvas: &mut Canvas,
    axis: &Axis,
    [left, top]: [f64; 2],
    colour: impl Fn(f64) -> [u8; 3],
) -> f64 {
    const PARTS: u32 = 50;
    let track = axis.track([], [left, left + BAR]);
    let mut y = top;
    for line in wrap(&axis.name, SIZE, BAR, MOST_LINES) {
        y += LINE;
        canvas.text(&Words::new(&line, [left, y - 4.0]));
    }
    let step = BAR / f64::from(PARTS);
    for part in 0..PARTS {
        let share = (f64::from(part) + 0.5) / f64::from(PARTS);
        let x = left + f64::from(part) * step;
        let fill = hex(colour(share));
        canvas.rect([x, y, step + 0.3, 12.0], &fill, r#"shape-rendering="crispEdges""#);
    }
    y += 12.0;
    for tick in track.ticks_across(SMALL, [left, left + BAR]) {
        canvas.line([tick.at, y, tick.at, y + 3.0], INK, 1.0);
        let words = Words::new(&tick.label, [tick.middle, y + 14.0]).anchor(Anchor::Middle);
        canvas.text(&words.size(SMALL));
    }
    y + 18.0 - top
}
