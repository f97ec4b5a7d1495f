//! What charts draw with. Every number that is written is finite.

use super::style::{INK, Shape};
use super::text::{BOLD, SIZE, fit};
use crate::markup::escape;

/// Room around a drawing.
pub(super) const EDGE: f64 = 8.0;

/// A drawing under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Canvas {
    body: String,
}

/// Which end of the words stands at their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Words in a drawing.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    words: &'a str,
    at: [f64; 2],
    anchor: Anchor,
    size: f64,
    fill: &'static str,
    bold: bool,
    turned: bool,
    room: f64,
}

impl<'a> Words<'a> {
    /// Words whose base line begins here.
    pub(super) fn new(words: &'a str, at: [f64; 2]) -> Self {
        Self {
            words,
            at,
            anchor: Anchor::Start,
            size: SIZE,
            fill: INK,
            bold: false,
            turned: false,
            room: f64::INFINITY,
        }
    }

    /// The base line ends at the place, or its middle stands there.
    pub(super) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(super) fn size(self, size: f64) -> Self {
        Self { size, ..self }
    }

    pub(super) fn fill(self, fill: &'static str) -> Self {
        Self { fill, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// Read from below to above.
    pub(super) fn turned(self) -> Self {
        Self { turned: true, ..self }
    }

    /// Cut off what is longer; a pointing device still shows it all.
    pub(super) fn room(self, room: f64) -> Self {
        Self { room, ..self }
    }
}

impl Canvas {
    /// The elements.
    pub(super) fn finish(self) -> String {
        self.body
    }

    /// Elements as they are.
    pub(super) fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.push_str(&element.to_string());
        self.body.push('\n');
    }

    pub(super) fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], stroke: &str, width: f64) {
        self.dashed([x1, y1, x2, y2], stroke, width, "");
    }

    pub(super) fn dashed(
        &mut self,
        [x1, y1, x2, y2]: [f64; 4],
        stroke: &str,
        width: f64,
        dashes: &str,
    ) {
        let dashes = dash_array(dashes);
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(short);
        self.add(format_args!(
            r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{stroke}" stroke-width="{width}"{dashes}/>"#
        ));
    }

    /// A rectangle; `more` are further attributes.
    pub(super) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, more: &str) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(short);
        let space = if more.is_empty() { "" } else { " " };
        self.add(format_args!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"{space}{more}/>"#
        ));
    }

    /// Lines from point to point; alone a point is a dot.
    pub(super) fn polyline(&mut self, points: &[[f64; 2]], stroke: &str, width: f64, dashes: &str) {
        let dashes = dash_array(dashes);
        let points = places(points);
        self.add(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"{dashes}/>"#
        ));
    }

    pub(super) fn polygon(&mut self, points: &[[f64; 2]], fill: &str, more: &str) {
        let points = places(points);
        let space = if more.is_empty() { "" } else { " " };
        self.add(format_args!(r#"<polygon points="{points}" fill="{fill}"{space}{more}/>"#));
    }

    /// A mark around a place, with a white rim that sets it off from others.
    pub(super) fn mark(&mut self, [x, y]: [f64; 2], shape: Shape, radius: f64, colour: &str) {
        const RIM: &str = r##"stroke="#fff" stroke-width="0.6""##;
        match shape {
            Shape::Circle => {
                let [x, y, radius] = [x, y, radius].map(short);
                self.add(format_args!(
                    r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}" {RIM}/>"#
                ));
            }
            Shape::Square => {
                let half = radius * 0.9;
                self.rect([x - half, y - half, 2.0 * half, 2.0 * half], colour, RIM);
            }
            Shape::Triangle => {
                let [wide, low, high] = [radius * 1.1, radius * 0.8, radius * 1.15];
                self.polygon(
                    [[x - wide, y + low], [x + wide, y + low], [x, y - high]].as_slice(),
                    colour,
                    RIM,
                );
            }
            Shape::Diamond => {
                let half = radius * 1.3;
                let points = [[x - half, y], [x, y - half], [x + half, y], [x, y + half]];
                self.polygon(&points, colour, RIM);
            }
            Shape::Cross => {
                let half = radius * 0.9;
                for ends in [
                    [x - half, y - half, x + half, y + half],
                    [x - half, y + half, x + half, y - half],
                ] {
                    self.line(ends, colour, 1.8);
                }
            }
        }
    }

    /// A small head that points left or right, or up or down, beyond the edge of an axis.
    pub(super) fn arrow(&mut self, [x, y]: [f64; 2], [dx, dy]: [f64; 2], colour: &str) {
        let tip = [x + dx * 5.0, y + dy * 5.0];
        let wings = [[x - dy * 4.0, y - dx * 4.0], [x + dy * 4.0, y + dx * 4.0]];
        self.polygon(&[tip, wings[0], wings[1]], colour, "");
    }

    pub(super) fn text(&mut self, words: &Words<'_>) {
        if words.words.trim().is_empty() {
            return;
        }
        let room = if words.bold { words.room / BOLD } else { words.room };
        let shown = fit(words.words, words.size, room);
        let mut out = String::from("<text");
        let [x, y] = words.at.map(short);
        if words.turned {
            out += &format!(r#" transform="translate({x} {y}) rotate(-90)""#);
        } else {
            out += &format!(r#" x="{x}" y="{y}""#);
        }
        match words.anchor {
            Anchor::Start => {}
            Anchor::Middle => out.push_str(r#" text-anchor="middle""#),
            Anchor::End => out.push_str(r#" text-anchor="end""#),
        }
        if (words.size - SIZE).abs() > 0.01 {
            out += &format!(r#" font-size="{}""#, short(words.size));
        }
        if words.fill != INK {
            out += &format!(r#" fill="{}""#, words.fill);
        }
        if words.bold {
            out.push_str(r#" font-weight="bold""#);
        }
        out.push('>');
        if shown != words.words {
            out += &format!("<title>{}</title>", escape(words.words));
        }
        out.push_str(&escape(&shown));
        self.add(format_args!("{out}</text>"));
    }
}

/// A number with one decimal at most; what is not finite never gets here, and would be 0.
pub(super) fn short(value: f64) -> f64 {
    if value.is_finite() { (value * 10.0).round() / 10.0 + 0.0 } else { 0.0 }
}

fn places(points: &[[f64; 2]]) -> String {
    let place = |[x, y]: &[f64; 2]| format!("{},{}", short(*x), short(*y));
    points.iter().map(place).collect::<Vec<_>>().join(" ")
}

fn dash_array(dashes: &str) -> String {
    if dashes.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dashes}""#) }
}
