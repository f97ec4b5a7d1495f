//! What charts with one row a name share: headings, names, an axis beside them, figures.

use super::axis::{Side, Tick, Track};
use super::canvas::{Anchor, Canvas, EDGE, Words};
use super::legend::{self, Entry};
use super::style::{GREY, GRID, INK, SHADE, ZERO};
use super::text::{BOLD, SIZE, SMALL, decimal, decimals, ratio, width, wrap};
use super::{Axis, Estimate, Group, Head, Picture, Scale};

/// Width of the drawing, that of a page's text.
const WIDTH: f64 = 720.0;
/// Room between columns.
const GAP: f64 = 22.0;
/// Longest names and notes.
const NAME: f64 = 240.0;
const NOTE: f64 = 90.0;
/// Longest heading of a column.
const COLUMN: f64 = 160.0;
/// Height of a heading.
const HEADING: f64 = 19.0;
/// Rows below headings stand in.
const INDENT: f64 = 10.0;
/// Rows taller than this have an axis at both ends.
const TALL: f64 = 560.0;

/// A heading, or a row.
pub(super) enum Item<'a> {
    Heading(&'a str),
    Row(RowWords<'a>),
}

/// The words of a row.
pub(super) struct RowWords<'a> {
    pub(super) name: &'a str,
    /// Left of the axis.
    pub(super) note: String,
    /// Right of the axis, from the top.
    pub(super) figures: Vec<String>,
}

/// What stands around the data.
pub(super) struct Plan<'a> {
    pub(super) axis: &'a Axis,
    pub(super) values: Vec<f64>,
    pub(super) legend: Vec<Entry<'a>>,
    pub(super) items: Vec<Item<'a>>,
    /// How many estimates share a row.
    pub(super) parts: usize,
    /// Height of each, and of the room between rows.
    pub(super) part: f64,
    pub(super) gap: f64,
    /// Headings of the columns left and right of the axis.
    pub(super) columns: [&'a str; 2],
    /// Dashed lines.
    pub(super) references: &'a [f64],
}

/// A chart whose data are still to be drawn.
pub(super) struct Rows {
    pub(super) canvas: Canvas,
    pub(super) axis: Track,
    /// Top of each row, in order.
    tops: Vec<f64>,
    part: f64,
    gap: f64,
    height: f64,
}

/// Widths of the columns of words.
#[derive(Clone, Copy)]
struct Widths {
    names: f64,
    notes: f64,
    figures: f64,
}

impl Plan<'_> {
    /// Draws everything but the data.
    pub(super) fn open(self) -> Rows {
        let mut canvas = Canvas::default();
        let widths = self.widths();
        let from = EDGE + widths.names + widths.notes + GAP;
        let to = WIDTH - EDGE - widths.figures - GAP;
        let axis = self.axis.track(self.values.iter().copied(), [from, to]);
        let ticks = axis.ticks_across(SMALL, [from - GAP + 6.0, to + GAP - 6.0]);

        let mut top = EDGE;
        if !self.legend.is_empty() {
            top += legend::draw(&mut canvas, &self.legend, [EDGE, top], WIDTH - 2.0 * EDGE) + 6.0;
        }
        let height = self.items.iter().map(|item| self.height(item)).sum::<f64>().max(self.pitch());
        let is_tall = height > TALL;
        let has_titles = self.columns.iter().any(|column| !column.is_empty());
        top += if has_titles || is_tall { 20.0 } else { 2.0 };
        let bottom = top + height;

        let ends = [(from - GAP, COLUMN.min(from - GAP - EDGE)), (WIDTH - EDGE, COLUMN)];
        for (column, (right, room)) in self.columns.iter().zip(ends) {
            let words = Words::new(column, [right, top - 7.0]).anchor(Anchor::End);
            canvas.text(&words.size(SMALL).bold().room(room));
        }
        self.shade(&mut canvas, top);
        for tick in &ticks {
            canvas.line([tick.at, top, tick.at, bottom], GRID, 1.0);
        }
        let [low, high] = axis.range();
        if self.axis.scale == Scale::Linear && low < 0.0 && high > 0.0 {
            canvas.line([axis.place(0.0), top, axis.place(0.0), bottom], ZERO, 1.0);
        }
        for value in self.references.iter().filter(|value| axis.side(**value) == Side::Inside) {
            let at = axis.place(*value);
            canvas.dashed([at, top, at, bottom], INK, 1.0, "5 3");
        }
        let tops = self.write(&mut canvas, top, widths);
        if tops.is_empty() {
            let middle = [f64::midpoint(from, to), f64::midpoint(top, bottom) + 4.0];
            canvas.text(&Words::new("no data", middle).anchor(Anchor::Middle).fill(GREY));
        }
        canvas.line([from, bottom, to, bottom], INK, 1.0);
        write_ticks(&mut canvas, &ticks, bottom + 15.0);
        if is_tall {
            canvas.line([from, top, to, top], INK, 1.0);
            write_ticks(&mut canvas, &ticks, top - 7.0);
        }
        let mut height = bottom + 20.0;
        for line in wrap(&self.axis.name, SIZE, WIDTH - 2.0 * EDGE, 2) {
            height += 16.0;
            let half = width(&line, SIZE) / 2.0;
            let middle = f64::midpoint(from, to).min(WIDTH - EDGE - half).max(EDGE + half);
            canvas.text(&Words::new(&line, [middle, height]).anchor(Anchor::Middle));
        }
        let Self { part, gap, .. } = self;
        Rows { canvas, axis, tops, part, gap, height: height + 6.0 }
    }

    /// Height of a row.
    fn pitch(&self) -> f64 {
        self.part * self.parts as f64 + self.gap
    }

    fn height(&self, item: &Item<'_>) -> f64 {
        match item {
            Item::Heading(_) => HEADING,
            Item::Row(_) => self.pitch(),
        }
    }

    fn widths(&self) -> Widths {
        let mut widths = Widths { names: 40.0, notes: 0.0, figures: 0.0 };
        let indent = self.indent();
        for item in &self.items {
            match item {
                Item::Heading(heading) => {
                    widths.names = widths.names.max(width(heading, SMALL * BOLD));
                }
                Item::Row(row) => {
                    widths.names = widths.names.max(indent + width(row.name, SMALL));
                    widths.notes = widths.notes.max(width(&row.note, SMALL));
                    let own = row.figures.iter().map(|figure| width(figure, SMALL));
                    widths.figures = own.fold(widths.figures, f64::max);
                }
            }
        }
        let [left, right] = self.columns.map(|column| width(column, SMALL * BOLD));
        widths.names = widths.names.min(NAME);
        widths.figures = widths.figures.max(right.min(COLUMN));
        widths.notes = match widths.notes.max(left) {
            notes if notes > 0.0 => notes.min(NOTE) + GAP,
            _ => 0.0,
        };
        widths
    }

    fn indent(&self) -> f64 {
        let has_headings = self.items.iter().any(|item| matches!(item, Item::Heading(_)));
        if has_headings { INDENT } else { 0.0 }
    }

    /// Grey behind every second row below a heading.
    fn shade(&self, canvas: &mut Canvas, mut y: f64) {
        let mut is_shaded = false;
        for item in &self.items {
            is_shaded = matches!(item, Item::Row(_)) && !is_shaded;
            if is_shaded {
                canvas.rect([EDGE / 2.0, y, WIDTH - EDGE, self.pitch()], SHADE, "");
            }
            y += self.height(item);
        }
    }

    /// Headings, names, notes and figures; returns the tops of the rows.
    fn write(&self, canvas: &mut Canvas, mut y: f64, widths: Widths) -> Vec<f64> {
        let Widths { names, notes, .. } = widths;
        let indent = self.indent();
        let mut tops = Vec::new();
        for item in &self.items {
            match item {
                Item::Heading(heading) => {
                    let words = Words::new(heading, [EDGE, y + HEADING - 5.0]).size(SMALL);
                    canvas.text(&words.bold().room(names + notes));
                }
                Item::Row(row) => {
                    let base = y + self.pitch() / 2.0 + 4.0;
                    let words = Words::new(row.name, [EDGE + indent, base]).size(SMALL);
                    canvas.text(&words.room(names - indent));
                    let words = Words::new(&row.note, [EDGE + names + notes, base]).size(SMALL);
                    canvas.text(&words.anchor(Anchor::End).room(notes - GAP));
                    let step = (self.pitch() - self.gap) / row.figures.len().max(1) as f64;
                    for (index, figure) in row.figures.iter().enumerate() {
                        let base = y + self.gap / 2.0 + (index as f64 + 0.5) * step + 4.0;
                        let words = Words::new(figure, [WIDTH - EDGE, base]).size(SMALL);
                        canvas.text(&words.anchor(Anchor::End));
                    }
                    tops.push(y);
                }
            }
            y += self.height(item);
        }
        tops
    }
}

impl Rows {
    /// Middle of a part of a row.
    pub(super) fn middle(&self, row: usize, part: usize) -> f64 {
        self.tops[row] + self.gap / 2.0 + (part as f64 + 0.5) * self.part
    }

    /// The drawing, with its data.
    pub(super) fn close(self, head: &Head, about: String) -> Picture {
        Picture::new(head, about, [WIDTH, self.height], self.canvas)
    }

    /// A line from one end of an interval to the other, with a head where it goes on.
    pub(super) fn whisker(&mut self, [low, high]: [f64; 2], y: f64, colour: &str) {
        let cap = f64::min(3.0, self.part / 2.0);
        let [from, to] = [self.axis.place(low), self.axis.place(high)];
        // A white rim shows it on dark bars.
        self.canvas.line([from, y, to, y], "#fff", 3.0);
        self.canvas.line([from, y, to, y], colour, 1.2);
        for (value, at, outwards) in [(low, from, -1.0), (high, to, 1.0)] {
            let goes_on = match self.axis.side(value) {
                Side::Below => outwards < 0.0,
                Side::Above => outwards > 0.0,
                Side::Inside => false,
            };
            if goes_on {
                self.canvas.arrow([at, y], [outwards, 0.0], colour);
            } else {
                self.canvas.line([at, y - cap, at, y + cap], colour, 1.2);
            }
        }
    }

    /// A head at the edge where a value lies outside.
    pub(super) fn beyond(&mut self, value: f64, y: f64) {
        match self.axis.side(value) {
            Side::Below => self.canvas.arrow([self.axis.from - 5.0, y], [-1.0, 0.0], INK),
            Side::Above => self.canvas.arrow([self.axis.to + 5.0, y], [1.0, 0.0], INK),
            Side::Inside => {}
        }
    }
}

fn write_ticks(canvas: &mut Canvas, ticks: &[Tick], base: f64) {
    for tick in ticks {
        let words = Words::new(&tick.label, [tick.middle, base]).anchor(Anchor::Middle);
        canvas.text(&words.size(SMALL));
    }
}

/// Groups as items; headings that say nothing are left out.
pub(super) fn items<'a, T>(
    groups: &'a [Group<T>],
    mut row: impl FnMut(&'a T) -> RowWords<'a>,
) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for group in groups {
        if !group.name.trim().is_empty() {
            items.push(Item::Heading(&group.name));
        }
        items.extend(group.rows.iter().map(|of| Item::Row(row(of))));
    }
    items
}

/// Values as words, as exactly as their axis shows them.
pub(super) struct Figures {
    scale: Scale,
    decimals: usize,
}

impl Figures {
    /// For values over this axis.
    pub(super) fn of(axis: &Axis, values: &[f64]) -> Self {
        let [low, high] = axis.track(values.iter().copied(), [0.0, 1.0]).range();
        Self { scale: axis.scale, decimals: decimals((high - low) / 2.0) }
    }

    pub(super) fn write(&self, value: f64) -> String {
        match self.scale {
            Scale::Linear => decimal(value, self.decimals),
            Scale::Log => ratio(value),
        }
    }

    /// "0.912 (0.887–0.934)".
    pub(super) fn estimate(&self, estimate: Estimate) -> String {
        let value = self.write(estimate.value);
        match estimate.ends() {
            Some(ends) if !estimate.value.is_nan() => format!("{value} ({})", self.span(ends)),
            _ => value,
        }
    }

    /// "0.887–0.934"; "−0.02 to 0.04" where a sign would be taken for the dash.
    pub(super) fn span(&self, [low, high]: [f64; 2]) -> String {
        let dash = if low < 0.0 { " to " } else { "–" };
        format!("{}{dash}{}", self.write(low), self.write(high))
    }
}

impl Estimate {
    /// The ends of the interval, where both are there.
    pub(super) fn ends(self) -> Option<[f64; 2]> {
        let [one, other] = self.interval.filter(|ends| !ends.iter().any(|end| end.is_nan()))?;
        Some([one.min(other), one.max(other)])
    }

    /// The value and the ends of the interval.
    pub(super) fn values(self) -> impl Iterator<Item = f64> {
        [self.value].into_iter().chain(self.ends().into_iter().flatten())
    }
}
