//! Points with a fitted line.

use std::collections::BTreeMap;

use super::axis::{Side, Track};
use super::canvas::{Canvas, short};
use super::frame::{Frame, runs};
use super::legend::{Entry, Sample, colour_bar};
use super::style::{GREY, INK, Style, hex, sequential, style, whole};
use super::{Axis, Head, Picture};

/// One cloud of more points than these is drawn as hexagons.
const MANY: usize = 1500;
/// From the centre of a hexagon to its corners.
const HEXAGON: f64 = 5.0;
/// Shades of hexagons.
const SHADES: f64 = 24.0;
/// Places at which a fitted line is computed.
const SAMPLES: u32 = 120;

/// How y follows from x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// `intercept + slope · x`.
    Straight {
        /// Value at 0.
        intercept: f64,
        /// Rise per unit of x.
        slope: f64,
    },
    /// `floor + factor · x ^ exponent`, a scaling law.
    Power {
        /// What stays however large x is.
        floor: f64,
        /// Value above the floor at 1.
        factor: f64,
        /// Usually negative.
        exponent: f64,
    },
}

impl Law {
    /// y at an x.
    #[must_use]
    pub fn at(self, x: f64) -> f64 {
        match self {
            Self::Straight { intercept, slope } => intercept + slope * x,
            Self::Power { floor, factor, exponent } => floor + factor * x.powf(exponent),
        }
    }
}

/// A fitted line.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Words for the legend, such as "y = 4.1 + 0.93 x, r = 0.96".
    pub name: String,
    /// Its law.
    pub law: Law,
}

/// Points of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Cloud {
    /// Words for the legend.
    pub name: String,
    /// `(x, y)`.
    pub points: Vec<[f64; 2]>,
    /// Line through them.
    pub fit: Option<Fit>,
}

/// Brain age, scaling curves. A single cloud of very many points is drawn as hexagons that are
/// darker where there are more.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// Title, n and command.
    pub head: Head,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The points.
    pub clouds: Vec<Cloud>,
    /// A dashed line where y equals x.
    pub identity: bool,
}

impl Scatter {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let points = self.clouds.iter().flat_map(|cloud| &cloud.points);
        let is_dense = self.clouds.len() == 1 && points.clone().count() > MANY;
        let axes = [&self.x, &self.y];
        let entries = self.entries(is_dense);
        let mut frame = Frame::open(axes, points.clone(), self.identity || is_dense, &entries);
        let Frame { canvas, x, y, aside, .. } = &mut frame;
        if is_dense {
            let most = hexagons(canvas, x, y, points);
            let key = Axis::log("points in a hexagon").from_to(1.0, most.max(2) as f64);
            aside[1] += colour_bar(canvas, &key, *aside, shade);
        }
        if self.identity {
            let law = Law::Straight { intercept: 0.0, slope: 1.0 };
            line(canvas, x, y, law, identity_style());
        }
        for (index, cloud) in self.clouds.iter().enumerate() {
            if let Some(fit) = &cloud.fit {
                line(canvas, x, y, fit.law, self.fit_style(index));
            }
            for point in cloud.points.iter().filter(|_| !is_dense) {
                mark(canvas, x, y, *point, style(index));
            }
        }
        let count = self.clouds.iter().map(|cloud| cloud.points.len()).sum::<usize>();
        let about = format!("{count} points: {} against {}.", self.y.name, self.x.name);
        frame.close(&self.head, about)
    }

    /// The line through a cloud has its colour, and is black where there is one cloud only.
    fn fit_style(&self, index: usize) -> Style {
        let own = style(index);
        if self.clouds.len() == 1 { Style { colour: INK, ..own } } else { own }
    }

    fn entries(&self, is_dense: bool) -> Vec<Entry<'_>> {
        let mut entries = Vec::new();
        for (index, cloud) in self.clouds.iter().enumerate() {
            let own = style(index);
            if !is_dense {
                entries.push(Entry { name: &cloud.name, style: own, sample: Sample::Mark });
            }
            if let Some(fit) = &cloud.fit {
                let style = self.fit_style(index);
                entries.push(Entry { name: &fit.name, style, sample: Sample::Line });
            }
        }
        if self.identity {
            let style = identity_style();
            entries.push(Entry { name: "y = x", style, sample: Sample::Line });
        }
        entries
    }
}

/// The line where y is x.
fn identity_style() -> Style {
    Style { colour: GREY, dashes: "5 3", ..style(0) }
}

/// A mark; at the edge with a head that points outwards where the point lies outside.
fn mark(canvas: &mut Canvas, x: &Track, y: &Track, point: [f64; 2], style: Style) {
    if point.iter().any(|value| value.is_nan()) {
        return;
    }
    let [at_x, at_y] = [x.place(point[0]), y.place(point[1])];
    let outwards = |side| match side {
        Side::Below => -1.0,
        Side::Inside => 0.0,
        Side::Above => 1.0,
    };
    // Down is where y grows.
    let [right, down] = [outwards(x.side(point[0])), -outwards(y.side(point[1]))];
    if right != 0.0 {
        canvas.arrow([at_x + right * 2.0, at_y], [right, 0.0], style.colour);
    }
    if down != 0.0 {
        canvas.arrow([at_x, at_y + down * 2.0], [0.0, down], style.colour);
    }
    canvas.mark([at_x, at_y], style.shape, 3.2, style.colour);
}

/// A law where it runs inside the frame.
fn line(canvas: &mut Canvas, x: &Track, y: &Track, law: Law, style: Style) {
    let points: Vec<[f64; 2]> = (0..=SAMPLES)
        .map(|index| {
            let at = x.value_at(f64::from(index) / f64::from(SAMPLES));
            let value = law.at(at);
            [at, if y.side(value) == Side::Inside { value } else { f64::NAN }]
        })
        .collect();
    for run in runs(&points, x, y) {
        // A white rim shows it on dark hexagons.
        canvas.polyline(&run, "#fff", 3.4, "");
        canvas.polyline(&run, style.colour, 1.8, style.dashes);
    }
}

/// Colour of a share of the fullest hexagon; the emptiest stand out from white.
fn shade(share: f64) -> [u8; 3] {
    sequential(0.15 + 0.85 * share)
}

/// Draws hexagons that are darker where they hold more points (Carr et al. 1987), and returns
/// what the fullest holds.
fn hexagons<'a>(
    canvas: &mut Canvas,
    x: &Track,
    y: &Track,
    points: impl Iterator<Item = &'a [f64; 2]>,
) -> usize {
    // The centres are two rectangular lattices, one in the gaps of the other: twice a centre's
    // place, in steps of `wide` and `high`, is two even numbers or two odd ones.
    let [wide, high] = [HEXAGON * 3_f64.sqrt(), HEXAGON * 3.0];
    let mut counts: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for point in points.filter(|point| !point.iter().any(|value| value.is_nan())) {
        let [across, down] = [x.place(point[0]) / wide, y.place(point[1]) / high];
        let nearest = [0, 1]
            .map(|odd| {
                let shift = odd as f64 / 2.0;
                [across, down].map(|at| 2 * whole((at - shift).round()) + odd)
            })
            .into_iter()
            .min_by_key(|[i, j]| {
                let away = [(*i as f64 / 2.0 - across) * wide, (*j as f64 / 2.0 - down) * high];
                whole(away[0].hypot(away[1]) * 1000.0)
            });
        *counts.entry(nearest.unwrap_or_default()).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(1);
    let full = (most.max(2) as f64).ln();
    let mut paths: BTreeMap<usize, String> = BTreeMap::new();
    let half = short(wide / 2.0);
    for ([i, j], count) in counts {
        let level = whole(((count as f64).ln() / full * SHADES).round());
        let [x, y] = [i as f64 / 2.0 * wide, j as f64 / 2.0 * high - HEXAGON].map(short);
        let [up, side] = [HEXAGON / 2.0, HEXAGON];
        *paths.entry(level).or_default() +=
            &format!("M{x} {y}l{half} {up}v{side}l-{half} {up}l-{half} -{up}v-{side}z");
    }
    // An element `svg` cuts off what is outside of it, and needs no id for that.
    let [left, top, width, height] = [x.from, y.to, x.to - x.from, y.from - y.to].map(short);
    canvas.add(format_args!(
        r#"<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">"#
    ));
    for (level, path) in paths {
        let fill = hex(shade(level as f64 / SHADES));
        canvas.add(format_args!(r#"<path d="{path}" fill="{fill}"/>"#));
    }
    canvas.add(format_args!("</svg>"));
    most
}
