//! The linear probe: logistic regression, one class against the rest, or ridge regression.

use statistics::calibration::softplus;
use statistics::logistic::{self, Standard, score};
use statistics::ridge;
use statistics::rows::Rows;

use super::Task;
use super::folds::{INNER_FOLDS, Part};
use crate::transfer::labels::Values;

/// Penalties that are tried, in units of the sum of the features' variances; the strongest first,
/// from whose fit the next one starts.
const PENALTIES: [f64; 5] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];

/// Outputs for the studies of a part that the probe was not fitted on. The penalty is the one that
/// does best on the part's inner folds.
///
/// # Panics
///
/// When `rows` are not those of the task's studies.
#[must_use]
pub fn predict(rows: Rows<'_>, task: &Task, part: &Part) -> Vec<Vec<f64>> {
    let mut losses = [0.0; PENALTIES.len()];
    for inner in 0..INNER_FOLDS {
        let (train, held_out) = part.without(inner);
        let fits = Fits::new(rows, task, &train);
        for (loss, models) in losses.iter_mut().zip(fits.path(&PENALTIES)) {
            *loss += fits
                .outputs(&models, &held_out)
                .zip(&held_out)
                .map(|(outputs, study)| {
                    let pairs = outputs.iter().enumerate();
                    pairs
                        .map(|(o, out)| fits.loss(*out, task.values.target(*study, o)))
                        .sum::<f64>()
                })
                .sum::<f64>();
        }
    }
    let best = (0..PENALTIES.len()).reduce(|a, b| if losses[b] < losses[a] { b } else { a });
    let fits = Fits::new(rows, task, &part.train);
    let models = fits.path(&PENALTIES[..=best.unwrap_or(0)]).pop().unwrap_or_default();
    fits.outputs(&models, &part.test).collect()
}

/// What the models of some studies share.
struct Fits<'a> {
    rows: Rows<'a>,
    values: &'a Values,
    standard: Standard,
    /// Standardised rows that are fitted on.
    features: Vec<f32>,
    /// For each output what it should be.
    targets: Vec<Vec<f64>>,
}

impl<'a> Fits<'a> {
    fn new(rows: Rows<'a>, task: &'a Task, train: &[usize]) -> Self {
        let standard = Standard::of(rows, train);
        let features = train.iter().flat_map(|study| standard.apply(rows.row(*study))).collect();
        let values = &task.values;
        let targets = |output| train.iter().map(|s| values.target(*s, output)).collect();
        let targets = (0..values.outputs()).map(targets).collect();
        Self { rows, values, standard, features, targets }
    }

    fn is_number(&self) -> bool {
        matches!(self.values, Values::Number { .. })
    }

    /// For each penalty a model of each output.
    fn path(&self, penalties: &[f64]) -> Vec<Vec<Vec<f64>>> {
        let width = self.rows.width();
        let features = Rows::new(&self.features, width);
        let mut models = vec![vec![0.0; width + 1]; self.targets.len()];
        let mut path = Vec::new();
        for penalty in penalties {
            let penalty = penalty * width as f64;
            for (model, targets) in models.iter_mut().zip(&self.targets) {
                if self.is_number() {
                    ridge::fit(features, targets, penalty, model);
                } else {
                    let labels: Vec<bool> = targets.iter().map(|target| *target > 0.5).collect();
                    logistic::fit(features, &labels, penalty, model);
                }
            }
            path.push(models.clone());
        }
        path
    }

    fn outputs(&self, models: &[Vec<f64>], studies: &[usize]) -> impl Iterator<Item = Vec<f64>> {
        studies.iter().map(|study| {
            let row: Vec<f32> = self.standard.apply(self.rows.row(*study)).collect();
            models.iter().map(|model| score(model, &row)).collect()
        })
    }

    /// Squared error of a number, cross entropy of a logit.
    fn loss(&self, output: f64, target: f64) -> f64 {
        if self.is_number() {
            (output - target).powi(2)
        } else {
            softplus(output) - target * output
        }
    }
}
