//! Values with intervals, one row each, grouped by category.

use super::legend::{Sample, entries};
use super::rows::{Figures, Plan, RowWords, Rows, items};
use super::style::{Shape, Style, style};
use super::{Axis, Estimate, Group, Head, Picture, Row};

/// Height of a row of one estimate, and of several for each.
const ALONE: f64 = 17.0;
const EACH: f64 = 14.0;

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
        let values: Vec<f64> = estimates().flat_map(|estimate| estimate.values()).collect();
        let has_intervals = estimates().any(|estimate| estimate.ends().is_some());
        let figures = Figures::of(&self.x, &values);
        let plan = Plan {
            axis: &self.x,
            values,
            legend: if parts == 1 { Vec::new() } else { entries(&self.series, Sample::Mark) },
            items: items(&self.groups, |row| RowWords {
                name: &row.name,
                note: self.note.as_ref().map_or_else(String::new, |_| row.note.clone()),
                figures: row.estimates(parts).map(|estimate| figures.estimate(estimate)).collect(),
            }),
            pitch: if parts == 1 { ALONE } else { EACH * parts as f64 + 4.0 },
            columns: [
                self.note.as_deref().unwrap_or_default(),
                if has_intervals { "estimate (95 % CI)" } else { "" },
            ],
            references: self.reference.as_slice(),
        };
        let mut drawn = plan.open();
        for (index, row) in rows.iter().enumerate() {
            for (part, estimate) in row.estimates(parts).enumerate() {
                let y = drawn.middle(index, part, parts);
                point(&mut drawn, estimate, y, self.style(part));
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

fn point(drawn: &mut Rows, estimate: Estimate, y: f64, style: Style) {
    if estimate.value.is_nan() {
        return;
    }
    if let Some(ends) = estimate.ends() {
        drawn.whisker(ends, y);
    }
    drawn.beyond(estimate.value, y);
    drawn.canvas.mark([drawn.axis.place(estimate.value), y], style.shape, 4.0, style.colour);
}
