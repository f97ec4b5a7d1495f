//! Values with intervals, one row each, grouped by category.

use super::legend::{Sample, entries};
use super::rows::{Figures, Plan, RowWords, items};
use super::style::{INK, Shape, Style, style};
use super::{Axis, Estimate, Group, Head, Picture, Row};

/// Height of a row of one estimate, and of several for each.
const ALONE: f64 = 15.0;
const EACH: f64 = 14.0;
/// Room between rows of several.
const GAP: f64 = 4.0;
/// The same where there are more estimates than these: without figures, so that all of them fit
/// on a sheet of paper.
const DENSE: f64 = 4.5;
const MANY: usize = 50;

/// What stands at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A dot, as for areas under a curve.
    Dot,
    /// A diamond, as for odds ratios.
    Diamond,
}

/// Points with whiskers: AUROC of every label, odds ratios (paper, Fig. 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the values.
    pub x: Axis,
    /// What stands at a value; several `series` have marks of their own.
    pub mark: Mark,
    /// Dashed line, such as chance or an odds ratio of 1.
    pub reference: Option<f64>,
    /// Names of the estimates of a row, such as models; one at least.
    pub series: Vec<String>,
    /// Heading of the column of notes; without it the column is left out.
    pub note: Option<String>,
    /// The rows, from the top.
    pub groups: Vec<Group<Row>>,
}

impl Forest {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let parts = self.series.len().max(1);
        let rows: Vec<&Row> = self.groups.iter().flat_map(|group| &group.rows).collect();
        let estimates = || rows.iter().flat_map(|row| row.estimates(parts));
        let values: Vec<f64> = estimates().flat_map(Estimate::values).collect();
        let has_intervals = estimates().any(|estimate| estimate.ends().is_some());
        let is_dense = parts > 1 && parts * rows.len() > MANY;
        let figures = Figures::of(&self.x, &values);
        let words = |row: &Row| -> Vec<String> {
            let is_whole = row.estimates(parts).all(|estimate| !estimate.value.is_nan());
            match (is_dense, is_whole) {
                (true, true) => Vec::new(),
                (true, false) => vec!["n/a".to_owned()],
                (false, _) => row.estimates(parts).map(|of| figures.estimate(of)).collect(),
            }
        };
        let plan = Plan {
            axis: &self.x,
            values,
            legend: if parts == 1 { Vec::new() } else { entries(&self.series, Sample::Mark) },
            items: items(&self.groups, |row| RowWords {
                name: &row.name,
                note: self.note.as_ref().map_or_else(String::new, |_| row.note.clone()),
                figures: words(row),
            }),
            parts,
            part: match parts {
                1 => ALONE,
                _ if is_dense => DENSE.max((ALONE - GAP) / parts as f64),
                _ => EACH,
            },
            gap: if parts == 1 { 0.0 } else { GAP },
            columns: [
                self.note.as_deref().unwrap_or_default(),
                if has_intervals && !is_dense { "estimate (95 % CI)" } else { "" },
            ],
            references: self.reference.as_slice(),
        };
        let mut drawn = plan.open();
        let radius = if is_dense { 2.8 } else { 4.0 };
        for (index, row) in rows.iter().enumerate() {
            for (part, estimate) in row.estimates(parts).enumerate() {
                let y = drawn.middle(index, part);
                let Style { colour, shape, .. } = self.style(part);
                if let Some(ends) = estimate.ends().filter(|_| !estimate.value.is_nan()) {
                    drawn.whisker(ends, y, if parts == 1 { INK } else { colour });
                }
                if !estimate.value.is_nan() {
                    drawn.beyond(estimate.value, y);
                    let place = [drawn.axis.place(estimate.value), y];
                    drawn.canvas.mark(place, shape, radius, colour);
                }
            }
        }
        let about = format!("Forest plot of {} rows over the axis {}.", rows.len(), self.x.name);
        drawn.close(&self.head, about)
    }

    fn style(&self, part: usize) -> Style {
        let own = style(part);
        match self.mark {
            Mark::Diamond if self.series.len() <= 1 => Style { shape: Shape::Diamond, ..own },
            _ => own,
        }
    }
}
