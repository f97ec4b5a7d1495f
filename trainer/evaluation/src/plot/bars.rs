//! Grouped bars.

use super::legend::{BAR_RIM, Sample, entries};
use super::rows::{Figures, Plan, RowWords, items};
use super::style::{INK, style};
use super::{Axis, Estimate, Group, Head, Picture, Row, Scale};

/// Height of a bar with its share of the room between.
const EACH: f64 = 14.0;
/// Room between rows.
const GAP: f64 = 8.0;

/// Bars side by side: performance with modalities left out, normalised positive rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the lengths.
    pub x: Axis,
    /// Where bars begin, such as 1 on an axis of ratios; without it, at 0 or the low edge.
    pub base: Option<f64>,
    /// Names of the bars of a row, such as models; one at least.
    pub series: Vec<String>,
    /// The rows, from the top.
    pub groups: Vec<Group<Row>>,
}

impl Bars {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let parts = self.series.len().max(1);
        let rows: Vec<&Row> = self.groups.iter().flat_map(|group| &group.rows).collect();
        let estimates = || rows.iter().flat_map(|row| row.estimates(parts));
        let base = self.base.or((self.x.scale == Scale::Linear).then_some(0.0));
        let values: Vec<f64> = estimates().flat_map(Estimate::values).chain(base).collect();
        let figures = Figures::of(&self.x, &values);
        let has_intervals = estimates().any(|estimate| estimate.ends().is_some());
        let plan = Plan {
            axis: &self.x,
            values,
            legend: if parts == 1 { Vec::new() } else { entries(&self.series, Sample::Bar) },
            items: items(&self.groups, |row| RowWords {
                name: &row.name,
                note: String::new(),
                figures: row.estimates(parts).map(|estimate| figures.estimate(estimate)).collect(),
            }),
            parts,
            part: EACH,
            gap: GAP,
            columns: ["", if has_intervals { "value (95 % CI)" } else { "" }],
            references: base.as_slice(),
        };
        let mut drawn = plan.open();
        let start = base.map_or(drawn.axis.from, |base| drawn.axis.place(base));
        for (index, row) in rows.iter().enumerate() {
            for (part, estimate) in row.estimates(parts).enumerate() {
                if estimate.value.is_nan() {
                    continue;
                }
                let y = drawn.middle(index, part);
                let end = drawn.axis.place(estimate.value);
                let bar = [start.min(end), y - 5.0, (end - start).abs(), 10.0];
                drawn.canvas.rect(bar, style(part).fill, BAR_RIM);
                if let Some(ends) = estimate.ends() {
                    drawn.whisker(ends, y, INK);
                }
                drawn.beyond(estimate.value, y);
            }
        }
        let about = format!("Bars in {} rows over the axis {}.", rows.len(), self.x.name);
        drawn.close(&self.head, about)
    }
}
