//! Box-and-whisker plots.

use super::canvas::short;
use super::rows::{Figures, Plan, RowWords, Rows, items};
use super::style::{GREY, INK, Shape, whole};
use super::text::count;
use super::{Axis, Group, Head, Picture};

/// Height of a row, and where there are more of them than these, so that all fit on a sheet.
const PITCH: f64 = 20.0;
const MANY: usize = 30;
const DENSE: f64 = 15.0;
/// Half of a box.
const HALF: f64 = 5.0;
/// Inside of a box.
const FILL: &str = "#9ec9e8";

/// A distribution in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Finite values.
    pub n: usize,
    /// Lower quartile, median, upper quartile.
    pub quartiles: [f64; 3],
    /// The farthest values within 1.5 interquartile ranges of the box.
    pub whiskers: [f64; 2],
    /// Arithmetic mean.
    pub mean: f64,
    /// Values beyond the whiskers, ascending.
    pub outliers: Vec<f64>,
}

impl Summary {
    /// Of the finite values; quartiles are interpolated linearly (Hyndman and Fan 1996, type 7).
    /// `None` when there is no finite value.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let last = n.checked_sub(1)?;
        let quartiles = [0.25, 0.5, 0.75].map(|share| {
            let at = share * last as f64;
            let below = whole(at).min(last);
            let above = (below + 1).min(last);
            sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
        });
        let reach = 1.5 * (quartiles[2] - quartiles[0]);
        let near = (quartiles[0] - reach)..=(quartiles[2] + reach);
        let (inside, outliers): (Vec<f64>, Vec<f64>) =
            sorted.iter().partition(|value| near.contains(value));
        // The box may lie between two values that are both outliers.
        let low = inside.first().map_or(quartiles[0], |low| low.min(quartiles[0]));
        let high = inside.last().map_or(quartiles[2], |high| high.max(quartiles[2]));
        let mean = sorted.iter().sum::<f64>() / n as f64;
        Some(Self { n, quartiles, whiskers: [low, high], mean, outliers })
    }
}

/// A row of [`Boxes`].
#[derive(Clone, Debug, PartialEq)]
pub struct BoxRow {
    /// Words beside it.
    pub name: String,
    /// What was found; "n/a" without it.
    pub summary: Option<Summary>,
}

/// Boxes from quartile to quartile, one row each (paper, Fig. 2d and Fig. 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Boxes {
    /// Title, n and command.
    pub head: Head,
    /// Axis of the values.
    pub x: Axis,
    /// Dashed lines, such as −0.1 and 0.1 for differences of rates.
    pub references: Vec<f64>,
    /// The rows, from the top.
    pub groups: Vec<Group<BoxRow>>,
}

impl Boxes {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let rows: Vec<&BoxRow> = self.groups.iter().flat_map(|group| &group.rows).collect();
        let summaries = rows.iter().filter_map(|row| row.summary.as_ref());
        let ends = |summary: &Summary| {
            let outliers = [summary.outliers.first(), summary.outliers.last()];
            let outliers = outliers.into_iter().flatten().copied();
            summary.whiskers.into_iter().chain(outliers).collect::<Vec<f64>>()
        };
        let values: Vec<f64> = summaries.flat_map(ends).chain(self.references.clone()).collect();
        let figures = Figures::of(&self.x, &values);
        let plan = Plan {
            axis: &self.x,
            values,
            legend: Vec::new(),
            items: items(&self.groups, |row| {
                let summary = row.summary.as_ref();
                let n = summary.map_or(0, |summary| summary.n as u64);
                let figure = summary.map_or_else(
                    || figures.write(f64::NAN),
                    |Summary { quartiles: [low, median, high], .. }| {
                        format!("{} ({})", figures.write(*median), figures.span([*low, *high]))
                    },
                );
                RowWords { name: &row.name, note: count(n), figures: vec![figure] }
            }),
            parts: 1,
            part: if rows.len() > MANY { DENSE } else { PITCH },
            gap: 0.0,
            columns: ["n", "median (quartiles)"],
            references: &self.references,
        };
        let mut drawn = plan.open();
        for (index, row) in rows.iter().enumerate() {
            let y = drawn.middle(index, 0);
            if let Some(summary) = &row.summary {
                draw(&mut drawn, summary, y);
            }
        }
        let about =
            format!("Box-and-whisker plot of {} rows over the axis {}.", rows.len(), self.x.name);
        drawn.close(&self.head, about)
    }
}

fn draw(drawn: &mut Rows, summary: &Summary, y: f64) {
    drawn.whisker(summary.whiskers, y, INK);
    let [low, median, high] = summary.quartiles.map(|value| drawn.axis.place(value));
    let more = format!(r#"stroke="{INK}" stroke-width="1""#);
    drawn.canvas.rect([low, y - HALF, high - low, 2.0 * HALF], FILL, &more);
    drawn.canvas.line([median, y - HALF, median, y + HALF], INK, 2.4);
    drawn.canvas.mark([drawn.axis.place(summary.mean), y], Shape::Circle, 2.8, INK);
    // What lies on the same spot is drawn once.
    let mut spots: Vec<f64> = Vec::new();
    for value in &summary.outliers {
        let spot = short(drawn.axis.place(*value));
        if spots.last().is_none_or(|last| spot - last >= 0.5) {
            spots.push(spot);
        }
    }
    for x in spots {
        drawn.canvas.add(format_args!(
            r#"<circle cx="{x}" cy="{y}" r="1.6" fill="none" stroke="{GREY}" stroke-width="0.7"/>"#
        ));
    }
    for value in [summary.outliers.first(), summary.outliers.last()].into_iter().flatten() {
        drawn.beyond(*value, y);
    }
    drawn.beyond(summary.quartiles[1], y);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quartiles of `numpy.quantile(x, [0.25, 0.5, 0.75])` and of R's `quantile(x)`.
    #[test]
    fn quartiles_are_those_of_type_7() {
        let values = [2.1, -3.0, 0.5, 8.4, 4.4, 1.0, f64::NAN, 30.0, 3.3, f64::INFINITY];
        let summary = Summary::of(&values).unwrap();
        assert_eq!(summary.n, 8);
        let expected = [0.875, 2.7, 5.4];
        for (found, expected) in summary.quartiles.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(summary.whiskers, [-3.0, 8.4]);
        assert_eq!(summary.outliers, [30.0]);
        assert!((summary.mean - 5.8375).abs() < 1e-12);
        assert_eq!(Summary::of(&[f64::NAN]), None);
    }
}
