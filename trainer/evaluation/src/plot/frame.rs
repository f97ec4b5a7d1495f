//! What charts over two axes share: the frame, its figures, the names of its axes, a legend.

use super::axis::Track;
use super::canvas::{Anchor, Canvas, EDGE, Words};
use super::legend::{self, Entry};
use super::style::{GRID, INK};
use super::text::{SIZE, SMALL, width, wrap};
use super::{Axis, Head, Picture};

/// Width of the drawing, that of a page's text.
pub(super) const WIDTH: f64 = 720.0;
/// Sides of a square frame, and height of a wide one.
pub(super) const SQUARE: f64 = 400.0;
const HEIGHT: f64 = 380.0;
/// Height of a line of an axis' name.
const LINE: f64 = 16.0;
/// Lines of an axis' name.
const MOST_LINES: usize = 2;

/// A chart whose data are still to be drawn.
pub(super) struct Frame {
    pub(super) canvas: Canvas,
    pub(super) x: Track,
    pub(super) y: Track,
    /// Left upper corner of what is free right of a square frame, below the legend.
    pub(super) aside: [f64; 2],
    bottom: f64,
}

impl Frame {
    /// A frame over two axes: a square with the legend at its right, or a wide one below it.
    pub(super) fn open<'a>(
        [x, y]: [&Axis; 2],
        points: impl Iterator<Item = &'a [f64; 2]> + Clone,
        is_square: bool,
        entries: &[Entry<'_>],
    ) -> Self {
        let mut canvas = Canvas::default();
        let (height, top) = if is_square {
            (SQUARE, EDGE)
        } else {
            let legend = legend::draw(&mut canvas, entries, [EDGE, EDGE], WIDTH - 2.0 * EDGE);
            (HEIGHT, 2.0 * EDGE + legend)
        };
        let names = [Some(x.name.as_str()), Some(y.name.as_str())];
        let name = &y.name;
        let y = y.track(points.clone().map(|point| point[1]), [top + height, top]);
        let left = left(&y, name);
        let right = if is_square { left + SQUARE } else { WIDTH - 2.0 * EDGE };
        let x = x.track(points.map(|point| point[0]), [left, right]);
        let bottom = draw(&mut canvas, &x, &y, names);
        let mut aside = beside(&x, top);
        if is_square {
            aside[1] += legend::draw(&mut canvas, entries, aside, room(aside)) + EDGE;
        }
        Self { canvas, x, y, aside, bottom }
    }

    /// The drawing, with its data.
    pub(super) fn close(self, head: &Head, about: String) -> Picture {
        Picture::new(head, about, [WIDTH, self.bottom.max(self.aside[1])], self.canvas)
    }
}

/// Where a legend stands right of a frame.
pub(super) fn beside(x: &Track, top: f64) -> [f64; 2] {
    [x.to + 3.0 * EDGE, top]
}

/// Room for what stands right of a frame.
pub(super) fn room([left, _]: [f64; 2]) -> f64 {
    WIDTH - EDGE - left
}

/// Where a frame begins that has this axis and its name at the left.
pub(super) fn left(y: &Track, name: &str) -> f64 {
    let widest = y.ticks_up().iter().map(|tick| width(&tick.label, SMALL)).fold(0.0, f64::max);
    let lines = wrap(name, SIZE, y.from - y.to, MOST_LINES).len();
    EDGE + lines as f64 * LINE + widest + 12.0
}

/// Draws grid, figures and names; returns where the names end. Without a name, the horizontal
/// axis has no figures either.
pub(super) fn draw(canvas: &mut Canvas, x: &Track, y: &Track, names: [Option<&str>; 2]) -> f64 {
    let [across, up] = [x.ticks_across(SMALL, [0.0, WIDTH]), y.ticks_up()];
    for tick in &across {
        canvas.line([tick.at, y.from, tick.at, y.to], GRID, 1.0);
    }
    for tick in &up {
        canvas.line([x.from, tick.at, x.to, tick.at], GRID, 1.0);
        let words = Words::new(&tick.label, [x.from - 7.0, tick.at + 4.0]).anchor(Anchor::End);
        canvas.text(&words.size(SMALL));
    }
    canvas.polyline(&[[x.from, y.to], [x.from, y.from], [x.to, y.from]], INK, 1.0, "");
    if let Some(name) = names[1] {
        let middle = f64::midpoint(y.from, y.to);
        let lines = wrap(name, SIZE, y.from - y.to, MOST_LINES);
        for (index, line) in lines.iter().enumerate() {
            let at = [EDGE + SIZE + index as f64 * LINE, middle];
            canvas.text(&Words::new(line, at).anchor(Anchor::Middle).turned());
        }
    }
    let Some(name) = names[0] else { return y.from };
    for tick in &across {
        let words = Words::new(&tick.label, [tick.middle, y.from + 16.0]).anchor(Anchor::Middle);
        canvas.text(&words.size(SMALL));
    }
    let mut bottom = y.from + 20.0;
    for line in wrap(name, SIZE, x.to - x.from, MOST_LINES) {
        bottom += LINE;
        let at = [f64::midpoint(x.from, x.to), bottom];
        canvas.text(&Words::new(&line, at).anchor(Anchor::Middle));
    }
    bottom + EDGE
}

/// Runs of points that are numbers, in the places they have; points that fall on the one before
/// are left out.
pub(super) fn runs(points: &[[f64; 2]], x: &Track, y: &Track) -> Vec<Vec<[f64; 2]>> {
    let is_number = |point: &[f64; 2]| !point.iter().any(|value| value.is_nan());
    let runs = points.split(|point| !is_number(point)).filter(|run| !run.is_empty());
    runs.map(|run| {
        let mut places: Vec<[f64; 2]> = Vec::new();
        for (index, point) in run.iter().enumerate() {
            let place = [x.place(point[0]), y.place(point[1])];
            let near = |last: &[f64; 2]| (last[0] - place[0]).hypot(last[1] - place[1]) < 0.4;
            if index + 1 == run.len() || !places.last().is_some_and(near) {
                places.push(place);
            }
        }
        places
    })
    .collect()
}
