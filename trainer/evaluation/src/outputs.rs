//! How well yes-or-no outputs do: diagnoses (paper, Fig. 2a, Extended Data Fig. 5 and 6a) and
//! services (Fig. 2e).

use std::collections::BTreeMap;

use crate::plain::Share;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::bootstrap::{Ranked, percentile};
use statistics::interval::Interval;
use statistics::metrics::{
    Auroc, AurocDifference, Confusion, auroc, auroc_difference, average_precision, mean, roc,
};

use crate::resample::Resamples;
use crate::set::Output;

/// Points of a ROC curve that are kept at most.
const POINTS: usize = 200;

/// All outputs of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Mean over the outputs.
    pub mean: Mean,
    /// Mean of each category.
    pub categories: BTreeMap<String, Mean>,
    /// Every output in the order of the header.
    pub labels: Vec<Label>,
}

/// Mean area of several outputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Outputs that have positive and negative studies.
    pub outputs: usize,
    /// Mean of their areas; none without any.
    pub auroc: Option<f64>,
    /// Standard deviation over the outputs, as the paper gives it beside the mean: how much
    /// outputs differ, not how sure the mean is.
    pub sd: Option<f64>,
    /// 95 % interval of the mean: percentiles of a bootstrap over patients.
    pub interval: Option<Interval>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Name as the model has it.
    pub name: String,
    /// As people say it.
    pub title: String,
    /// What it belongs to.
    pub category: String,
    /// Studies that have it.
    pub positives: usize,
    /// Studies that do not.
    pub negatives: usize,
    /// Area with `DeLong`'s interval.
    pub auroc: Option<Auroc>,
    /// 95 % interval of the area: percentiles of a bootstrap over patients.
    pub bootstrap: Option<Interval>,
    /// Area under precision and recall.
    pub average_precision: Option<f64>,
    /// At the operating point.
    pub decisions: Decisions,
    /// The ROC curve, thinned out.
    pub roc: Vec<[f64; 2]>,
}

/// Decisions at the operating point; shares with Wilson's interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// The logit from which the output is positive.
    pub threshold: f64,
    /// Counts.
    pub counts: Confusion,
    /// Positive studies that are found.
    pub sensitivity: Option<Share>,
    /// Negative studies that are left alone.
    pub specificity: Option<Share>,
    /// Positive decisions that are right.
    pub ppv: Option<Share>,
    /// Negative decisions that are right.
    pub npv: Option<Share>,
}

/// What one output says of every study, and what is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Logits.
    pub scores: Vec<f64>,
    /// Truth.
    pub labels: Vec<bool>,
    /// The operating point.
    pub threshold: f64,
}

impl Outputs {
    /// Measures every output; `columns` stand in the order of `outputs`.
    ///
    /// # Panics
    /// When there are not as many columns as outputs.
    #[must_use]
    pub fn of(outputs: &[Output], columns: &[Column], resamples: &Resamples) -> Self {
        assert_eq!(outputs.len(), columns.len(), "one column an output");
        let ranked: Vec<Option<Ranked>> =
            columns.par_iter().map(|c| Ranked::new(&c.scores, &c.labels)).collect();
        // A resample without positives or negatives has no area, which is not a number.
        let area = |counts: &[u32], ranked: &Option<Ranked>| {
            ranked.as_ref().map_or(f64::NAN, |ranked| ranked.auroc(counts))
        };
        let areas: Vec<Vec<f64>> =
            resamples.map(|counts| ranked.iter().map(|ranked| area(counts, ranked)).collect());
        let labels: Vec<Label> = outputs
            .par_iter()
            .zip(columns)
            .enumerate()
            .map(|(i, (output, column))| {
                let own: Vec<f64> = areas.iter().map(|areas| areas[i]).collect();
                Label::of(output, column, &own)
            })
            .collect();
        let of = |belongs: &dyn Fn(&Label) -> bool| {
            let those: Vec<usize> = (0..labels.len()).filter(|i| belongs(&labels[*i])).collect();
            Mean::of(&labels, &areas, &those)
        };
        let categories = labels.iter().map(|label| label.category.clone());
        let categories = categories.map(|c| (c.clone(), of(&|label| label.category == c)));
        Self { mean: of(&|_| true), categories: categories.collect(), labels }
    }
}

impl Mean {
    fn of(labels: &[Label], resampled: &[Vec<f64>], those: &[usize]) -> Self {
        let areas: Vec<f64> =
            those.iter().filter_map(|i| Some(labels[*i].auroc.as_ref()?.value)).collect();
        // Outputs whose positives a resample misses are left out of that resample's mean.
        let means = resampled.iter().map(|areas| {
            let drawn = those.iter().map(|i| areas[*i]).filter(|area| area.is_finite());
            mean(&drawn.collect::<Vec<_>>())
        });
        let auroc = (!areas.is_empty()).then(|| mean(&areas));
        Self {
            outputs: areas.len(),
            auroc,
            sd: auroc.map(|m| {
                (areas.iter().map(|a| (a - m).powi(2)).sum::<f64>() / areas.len() as f64).sqrt()
            }),
            interval: auroc.and_then(|_| percentile(&means.collect::<Vec<_>>())),
        }
    }
}

impl Label {
    fn of(output: &Output, column: &Column, resampled: &[f64]) -> Self {
        let Column { scores, labels, threshold } = column;
        let positives = labels.iter().filter(|label| **label).count();
        let found = auroc(scores, labels);
        Self {
            name: output.name.clone(),
            title: output.title.clone(),
            category: output.category.clone(),
            positives,
            negatives: labels.len() - positives,
            bootstrap: found.and_then(|_| percentile(resampled)),
            auroc: found,
            average_precision: average_precision(scores, labels),
            decisions: Decisions::of(
                *threshold,
                scores.iter().map(|score| score >= threshold).zip(labels.iter().copied()),
            ),
            roc: roc(scores, labels).map(thinned).unwrap_or_default(),
        }
    }
}

impl Decisions {
    /// Of every study, what was decided and what is true.
    pub(crate) fn of(threshold: f64, pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let counts = Confusion::of(pairs);
        let Confusion { true_positives, false_positives, true_negatives, false_negatives } = counts;
        Self {
            threshold,
            counts,
            sensitivity: Share::of(true_positives, true_positives + false_negatives),
            specificity: Share::of(true_negatives, true_negatives + false_positives),
            ppv: Share::of(true_positives, true_positives + false_positives),
            npv: Share::of(true_negatives, true_negatives + false_negatives),
        }
    }
}

/// At most [`POINTS`] points of a curve, both ends among them.
fn thinned(curve: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let count = curve.len();
    if count <= POINTS {
        return curve;
    }
    (0..POINTS).map(|i| curve[i * (count - 1) / (POINTS - 1)]).collect()
}

/// What the clinical context adds (paper, Fig. 2a).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Studies with a clinical context, on which both are measured.
    pub studies: usize,
    /// From the images alone.
    pub images: Outputs,
    /// From images and context.
    pub with_context: Outputs,
    /// The difference of the areas of every output, context less images, by `DeLong`'s test for
    /// the same studies; in the order of the outputs.
    pub differences: Vec<Option<AurocDifference>>,
}

impl Context {
    /// Compares two columns of every output.
    #[must_use]
    pub fn of(
        outputs: &[Output],
        images: &[Column],
        with_context: &[Column],
        resamples: &Resamples,
    ) -> Self {
        let pairs = images.iter().zip(with_context);
        Self {
            studies: images.first().map_or(0, |column| column.labels.len()),
            images: Outputs::of(outputs, images, resamples),
            with_context: Outputs::of(outputs, with_context, resamples),
            differences: pairs
                .map(|(a, b)| auroc_difference(&b.scores, &a.scores, &a.labels))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn means_leave_out_what_cannot_be_measured() {
        let set = set(60, 3, |_| vec![]);
        let column = |labels: fn(u32) -> bool| Column {
            scores: (0..60_u32).map(|i| f64::from(i * 7 % 11)).collect(),
            labels: (0..60).map(labels).collect(),
            threshold: 5.0,
        };
        let columns = [column(|i| i % 2 == 0), column(|i| i * 7 % 11 > 6), column(|_| false)];
        let found = Outputs::of(&set.header.diagnoses, &columns, &Resamples::of(&set, 200, 0));
        let area = |i: usize| found.labels[i].auroc.as_ref().unwrap().value;
        assert_eq!((found.mean.outputs, found.labels[2].auroc), (2, None));
        assert_eq!(found.mean.auroc, Some(f64::midpoint(area(0), 1.0)));
        assert_eq!(found.mean.sd, Some((1.0 - area(0)) / 2.0));
        let Interval { lower, upper } = found.mean.interval.unwrap();
        assert!(lower < found.mean.auroc.unwrap() && upper > found.mean.auroc.unwrap());
        // What separates fully does so in every resample.
        assert_eq!(found.labels[1].bootstrap, Some(Interval { lower: 1.0, upper: 1.0 }));
        assert_eq!(found.categories["odd"].outputs, 1);
        let at = found.labels[1].decisions;
        assert_eq!(at.sensitivity.unwrap().value, 1.0);
        assert!(at.specificity.unwrap().value < 1.0);
        let long = thinned((0..1000).map(|i| [f64::from(i), 0.0]).collect());
        assert_eq!((long.len(), long[0][0], long[199][0]), (200, 0.0, 999.0));
    }
}
