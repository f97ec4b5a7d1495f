//! Reliability diagrams.

use super::canvas::{Canvas, EDGE};
use super::frame::{self, SQUARE};
use super::legend::{self, Sample, entries};
use super::style::{GREY, style};
use super::{Axis, Estimate, Head, Picture};

/// Height of the histogram, and the room above it.
const COUNTS: f64 = 96.0;
const GAP: f64 = 18.0;

/// Studies whose predictions are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Mean predicted probability, from 0 to 1.
    pub predicted: f64,
    /// Share of positives with its interval, from 0 to 1.
    pub observed: Estimate,
    /// How many studies.
    pub count: u64,
}

/// A model of a [`Reliability`].
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Words for the legend, such as "after Platt's calibration, ECE 0.012".
    pub name: String,
    /// Its bins, ascending.
    pub bins: Vec<Bin>,
}

/// Observed against predicted, above a histogram of how many studies each point stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// Title, n and command.
    pub head: Head,
    /// The models.
    pub models: Vec<Calibration>,
}

impl Reliability {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> Picture {
        let mut canvas = Canvas::default();
        let share = |name: &str| Axis::linear(name).from_to(0.0, 1.0);
        let [predicted, observed] = [share("predicted probability"), share("observed share")];
        let most = self.models.iter().flat_map(|model| &model.bins).map(|bin| bin.count).max();
        let studies = Axis::log("studies").from_to(0.8, (most.unwrap_or(0).max(10) as f64) * 1.2);

        let middle = EDGE + SQUARE;
        let y = observed.track([], [middle, EDGE]);
        let counts = studies.track([], [middle + GAP + COUNTS, middle + GAP]);
        let left = frame::left(&y, &observed.name).max(frame::left(&counts, &studies.name));
        let x = predicted.track([], [left, left + SQUARE]);
        frame::draw(&mut canvas, &x, &y, [None, Some(&observed.name)]);
        let names = [Some(predicted.name.as_str()), Some(studies.name.as_str())];
        let bottom = frame::draw(&mut canvas, &x, &counts, names);
        canvas.dashed([x.from, y.from, x.to, y.to], GREY, 1.0, "5 3");
        for (index, model) in self.models.iter().enumerate() {
            let style = style(index);
            let points: Vec<[f64; 2]> =
                model.bins.iter().map(|bin| [bin.predicted, bin.observed.value]).collect();
            for run in frame::runs(&points, &x, &y) {
                canvas.polyline(&run, style.colour, 1.4, style.dashes);
            }
            // Whiskers and stems of several models stand side by side.
            let aside = index as f64 - (self.models.len() - 1) as f64 / 2.0;
            for bin in model.bins.iter().filter(|bin| !bin.predicted.is_nan()) {
                let at = x.place(bin.predicted);
                if let Some([low, high]) = bin.observed.ends() {
                    let at = at + 2.0 * aside;
                    canvas.line([at, y.place(low), at, y.place(high)], style.colour, 1.2);
                }
                if !bin.observed.value.is_nan() {
                    canvas.mark([at, y.place(bin.observed.value)], style.shape, 4.0, style.colour);
                }
                if bin.count > 0 {
                    let stem = [at + 5.0 * aside, counts.place(bin.count as f64)];
                    canvas.line([stem[0], counts.from, stem[0], stem[1]], style.colour, 2.0);
                    canvas.mark(stem, style.shape, 2.6, style.colour);
                }
            }
        }
        let entries = entries(self.models.iter().map(|model| &model.name), Sample::Both);
        let at = frame::beside(&x, EDGE);
        let legend = legend::draw(&mut canvas, &entries, at, frame::room(at));
        let about = "Reliability diagram: observed share against predicted probability, above the \
                     number of studies on a logarithmic axis.";
        let size = [frame::WIDTH, bottom.max(EDGE + legend)];
        Picture::new(&self.head, about.to_owned(), size, canvas)
    }
}
