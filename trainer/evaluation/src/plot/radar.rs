//! Radar plots.

use std::f64::consts::PI;

use super::axis::Track;
use super::canvas::{Anchor, Canvas, EDGE, Words, short};
use super::legend::{self, Sample, entries};
use super::style::{GREY, GRID, style};
use super::text::{BOLD, SIZE, SMALL, fit, width};
use super::{Axis, Group, Head, Picture};

/// Of the circle.
const RADIUS: f64 = 210.0;
/// From the circle to the names.
const AWAY: f64 = 46.0;
/// Longest names.
const NAME: f64 = 230.0;
/// Heights of names and headings.
const LINE: f64 = 14.5;
const HEADING: f64 = 22.0;
/// Lines from spokes to names, and between categories.
const LEADER: &str = "#b3bac2";
const BORDER: &str = "#c2c9d0";

/// A model of a [`Radar`].
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// A value for every spoke, in the order of the groups; missing ones read "n/a".
    pub values: Vec<f64>,
}

/// One spoke a label, one outline a model (paper, Fig. 2a).
#[derive(Clone, Debug, PartialEq)]
pub struct Radar {
    /// Title, n and command.
    pub head: Head,
    /// Axis from the centre outwards.
    pub value: Axis,
    /// Names of the spokes by category.
    pub groups: Vec<Group<String>>,
    /// Outlines.
    pub models: Vec<Model>,
}

/// A spoke of the drawing.
struct Spoke<'a> {
    /// Its category.
    group: &'a str,
    name: &'a str,
    /// Its place in [`Model::values`].
    index: usize,
    /// From the top, to the right.
    angle: f64,
}

/// A name or a heading in one of the two columns.
struct Label<'a> {
    words: &'a str,
    /// The spoke that it names; none for headings.
    spoke: Option<&'a Spoke<'a>>,
    middle: f64,
}

impl Radar {
    /// Draws it. Values beyond the axis stand at the centre and at the rim.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let mut canvas = Canvas::default();
        let [right, left] = self.sides();
        let names = self.groups.iter().flat_map(|group| group.rows.iter().chain([&group.name]));
        let widest = names.map(|name| width(name, SMALL * BOLD)).fold(0.0, f64::max).min(NAME);
        let across = 2.0 * (EDGE + widest + AWAY + RADIUS);
        let entries = entries(self.models.iter().map(|model| &model.name), Sample::Both);
        let top = EDGE + legend::draw(&mut canvas, &entries, [EDGE, EDGE], across - 2.0 * EDGE);
        let height = [&right, &left].map(|side| column_height(side));
        let height = height.into_iter().fold(2.0 * (RADIUS + 8.0), f64::max);
        let centre = [across / 2.0, top + 10.0 + height / 2.0];
        let values = self.models.iter().flat_map(|model| model.values.iter().copied());
        let axis = self.value.track(values, [0.0, RADIUS]);

        web(&mut canvas, &axis, centre, &[&right, &left]);
        for (side, sign) in [(&right, 1.0), (&left, -1.0)] {
            self.column(&mut canvas, side, [centre[0], centre[1], sign, height]);
        }
        let around: Vec<&Spoke<'_>> = right.iter().chain(left.iter().rev()).collect();
        for (index, model) in self.models.iter().enumerate() {
            outline(&mut canvas, &axis, centre, model, &around, index);
        }
        figures(&mut canvas, &axis, centre);
        let base = centre[1] + height / 2.0 + 24.0;
        let words = fit(&self.value.name, SIZE, across - 2.0 * EDGE);
        canvas.text(&Words::new(&words, [centre[0], base]).anchor(Anchor::Middle));
        let about = format!(
            "Radar plot of {} values for {} models: {}.",
            around.len(),
            self.models.len(),
            self.value.name
        );
        Picture::new(&self.head, about, [across, base + EDGE], canvas)
    }

    /// Spokes of the right and of the left half, from the top; a category stays on one side
    /// where that leaves the halves about equal.
    fn sides(&self) -> [Vec<Spoke<'_>>; 2] {
        let rows = |group: &'_ Group<String>| group.rows.len();
        let count: usize = self.groups.iter().map(rows).sum();
        let ends = self.groups.iter().scan(0, |end, group| {
            *end += group.rows.len();
            Some(*end)
        });
        let nearest = ends.min_by_key(|end| (2 * end).abs_diff(count)).unwrap_or(0);
        let is_fair = (2 * nearest).abs_diff(count) * 3 <= count;
        let split = if is_fair { nearest } else { count.div_ceil(2) };
        let names = self
            .groups
            .iter()
            .flat_map(|group| group.rows.iter().map(|name| (group.name.as_str(), name.as_str())));
        let spoke = |(index, (group, name))| {
            let (place, of, sign) = match index < split {
                true => (index, split, 1.0),
                false => (index - split, count - split, -1.0),
            };
            let angle = sign * PI * (place as f64 + 0.5) / of as f64;
            Spoke { group, name, index, angle }
        };
        let mut right: Vec<Spoke<'_>> = names.enumerate().map(spoke).collect();
        let left = right.split_off(split);
        [right, left]
    }

    /// Names beside one half, under headings, with a line to each spoke.
    fn column(&self, canvas: &mut Canvas, side: &[Spoke<'_>], [x, y, sign, height]: [f64; 4]) {
        let edge = x + sign * (RADIUS + AWAY);
        let anchor = if sign > 0.0 { Anchor::Start } else { Anchor::End };
        for label in labels(side, [y, height]) {
            let at = [edge, label.middle + 4.0];
            let Some(spoke) = label.spoke else {
                let words = Words::new(label.words, at).anchor(anchor).size(SMALL);
                canvas.text(&words.bold().room(NAME));
                continue;
            };
            let is_missing =
                |model: &Model| model.values.get(spoke.index).is_none_or(|value| value.is_nan());
            let suffix = if self.models.iter().any(is_missing) { " (n/a)" } else { "" };
            let room = NAME - width(suffix, SMALL);
            let words = format!("{}{suffix}", fit(spoke.name, SMALL, room));
            canvas.text(&Words::new(&words, at).anchor(anchor).size(SMALL));
            let rim = at_angle([x, y], spoke.angle, RADIUS + 4.0);
            canvas.polyline(&[rim, [edge - sign * 5.0, label.middle]], LEADER, 0.8, "");
        }
    }
}

/// The names of one half and the headings above them, where they do not touch and are near
/// their spokes.
fn labels<'a>(side: &'a [Spoke<'a>], [y, height]: [f64; 2]) -> Vec<Label<'a>> {
    let mut labels: Vec<Label<'a>> = Vec::new();
    let mut group = "";
    for spoke in side {
        let wanted = y - spoke.angle.cos() * (RADIUS + 8.0);
        if spoke.group != group && !spoke.group.trim().is_empty() {
            let middle = wanted - LINE;
            labels.push(Label { words: spoke.group, spoke: None, middle });
        }
        group = spoke.group;
        labels.push(Label { words: spoke.name, spoke: Some(spoke), middle: wanted });
    }
    let mut end = y - height / 2.0;
    for label in &mut labels {
        label.middle = label.middle.max(end + label.above());
        end = label.middle + LINE / 2.0;
    }
    let mut end = y + height / 2.0;
    for label in labels.iter_mut().rev() {
        label.middle = label.middle.min(end - LINE / 2.0);
        end = label.middle - label.above();
    }
    labels
}

impl Label<'_> {
    /// Room from the end of the label above to the middle of this one.
    fn above(&self) -> f64 {
        if self.spoke.is_some() { LINE / 2.0 } else { HEADING - LINE / 2.0 }
    }
}

fn column_height(side: &[Spoke<'_>]) -> f64 {
    labels(side, [0.0, 0.0]).iter().map(|label| label.above() + LINE / 2.0).sum()
}

fn at_angle([x, y]: [f64; 2], angle: f64, radius: f64) -> [f64; 2] {
    [x + angle.sin() * radius, y - angle.cos() * radius]
}

/// Rings, spokes, and longer lines between categories.
fn web(canvas: &mut Canvas, axis: &Track, centre: [f64; 2], sides: &[&[Spoke<'_>]; 2]) {
    let [x, y] = centre.map(short);
    for tick in axis.ticks_up() {
        let radius = short(tick.at);
        canvas.add(format_args!(
            r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{GRID}"/>"#
        ));
    }
    canvas.add(format_args!(
        r#"<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="none" stroke="{GREY}"/>"#
    ));
    for side in sides {
        for spoke in *side {
            let [to_x, to_y] = at_angle(centre, spoke.angle, RADIUS);
            canvas.line([x, y, to_x, to_y], GRID, 0.8);
        }
        let borders = side.windows(2).filter(|pair| pair[0].group != pair[1].group);
        for pair in borders {
            let angle = f64::midpoint(pair[0].angle, pair[1].angle);
            let [to_x, to_y] = at_angle(centre, angle, RADIUS + 7.0);
            canvas.line([x, y, to_x, to_y], BORDER, 1.0);
        }
    }
}

/// The line from spoke to spoke; it breaks where a value is missing.
fn outline(
    canvas: &mut Canvas,
    axis: &Track,
    centre: [f64; 2],
    model: &Model,
    around: &[&Spoke<'_>],
    index: usize,
) {
    let value = |spoke: &Spoke<'_>| model.values.get(spoke.index).copied().unwrap_or(f64::NAN);
    let style = style(index);
    let mut values: Vec<(f64, f64)> =
        around.iter().map(|spoke| (spoke.angle, value(spoke))).collect();
    values.extend(values.first().copied());
    for run in values.split(|(_, value)| value.is_nan()) {
        let place = |(angle, value): &(f64, f64)| at_angle(centre, *angle, axis.place(*value));
        let places: Vec<[f64; 2]> = run.iter().map(place).collect();
        if !places.is_empty() {
            canvas.polyline(&places, style.colour, 1.6, style.dashes);
        }
        for place in places {
            canvas.mark(place, style.shape, 2.4, style.colour);
        }
    }
}

/// Figures of the axis, from the centre upwards.
fn figures(canvas: &mut Canvas, axis: &Track, [x, y]: [f64; 2]) {
    for tick in axis.ticks_up() {
        let half = width(&tick.label, SMALL) / 2.0 + 1.0;
        canvas.rect([x - half, y - tick.at - 6.5, 2.0 * half, 13.0], "#fff", r#"opacity="0.8""#);
        let words = Words::new(&tick.label, [x, y - tick.at + 4.0]).anchor(Anchor::Middle);
        canvas.text(&words.size(SMALL));
    }
}
