//! A model card from what a person says and what was measured.

use std::fs;
use std::path::Path;

use anyhow::Context;
use evaluation::Evaluation;
use serde::{Deserialize, Serialize};

use evaluation::conspicuity::Bin;
use evaluation::outputs::{Label, Outputs};

use crate::export::card::{LabelMetrics, ModelCard, SubgroupMetrics};

/// What a person says on a model card.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardWords {
    /// Name of the teacher.
    pub teacher: Option<String>,
    /// The training data: what they are, how many, what they lack.
    pub data: String,
    /// How it was trained, one step a line.
    pub recipe: Vec<String>,
    /// Studies of the evaluation.
    pub evaluated_on: String,
    /// Further results: name and value.
    #[serde(default)]
    pub results: Vec<(String, String)>,
    /// Where the model fails or was never tried.
    pub limits: Vec<String>,
}

/// A model card from words and measured values.
///
/// # Errors
///
/// When the metrics cannot be read.
pub fn card(words: &CardWords, metrics: &Path) -> anyhow::Result<ModelCard> {
    let bytes = fs::read(metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    let measured: Evaluation = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what `trainer evaluate` wrote", metrics.display()))?;
    let row = |l: &Label| LabelMetrics {
        name: l.name.clone(),
        positives: l.positives,
        negatives: l.negatives,
        auroc: l.auroc.map(|a| a.value),
        interval: l.auroc.map(|a| [a.lower, a.upper]),
    };
    let bin = |attribute: &str, bin: &Bin| SubgroupMetrics {
        attribute: attribute.to_owned(),
        group: bin.name(),
        studies: bin.positives,
        mean_auroc: bin.mean_auroc,
    };
    let lesions = measured.conspicuity.iter().flat_map(|c| {
        let sizes = c.diameter_mm.iter().map(|b| bin("lesion diameter, mm", b));
        sizes.chain(c.contrast_to_noise.iter().map(|b| bin("contrast to noise", b)))
    });
    let kinds =
        [Some(&measured.diagnoses), measured.services.as_ref(), measured.departments.as_ref()];
    let rows = kinds.into_iter().flatten().flat_map(|outputs: &Outputs| &outputs.labels);
    Ok(ModelCard {
        teacher: words.teacher.clone(),
        data: words.data.clone(),
        recipe: words.recipe.clone(),
        evaluated_on: words.evaluated_on.clone(),
        labels: rows.map(row).collect(),
        subgroups: lesions.chain(groups(&measured)).collect(),
        results: results(words, &measured),
        limits: words.limits.clone(),
    })
}

/// Main figures, then a person's own.
fn results(words: &CardWords, measured: &Evaluation) -> Vec<(String, String)> {
    let mut results = Vec::new();
    if let Some(acuity) = measured.priority.as_ref().and_then(|p| p.pearson) {
        results.push(("acuity, Pearson".to_owned(), format!("{:.3}", acuity.value)));
    }
    let mean = &measured.diagnoses.mean;
    if let (Some(value), Some(sd)) = (mean.auroc, mean.sd) {
        results.push(("mean AUROC".to_owned(), format!("{value:.3} (sd {sd:.3})")));
    }
    results.extend(words.results.iter().cloned());
    if let Some(age) = &measured.age {
        let error = age.mean_absolute_error_years;
        let error = age.interval_years.map_or_else(
            || format!("{error:.1} years"),
            |i| format!("{error:.1} years ({:.1} to {:.1})", i.lower, i.upper),
        );
        results.push(("age, mean absolute error".to_owned(), error));
        if let Some(p) = age.pearson {
            let found = format!("{:.3} ({:.3} to {:.3})", p.value, p.lower, p.upper);
            results.push(("age, Pearson".to_owned(), found));
        }
    }
    results
}

/// Mean areas in groups that one attribute divides.
fn groups(measured: &Evaluation) -> impl Iterator<Item = SubgroupMetrics> {
    measured.fairness.areas.iter().filter(|area| area.group.of.len() == 1).map(|area| {
        let names = |of: &mut dyn Iterator<Item = &String>| of.cloned().collect::<String>();
        SubgroupMetrics {
            attribute: names(&mut area.group.of.keys()),
            group: names(&mut area.group.of.values()),
            studies: area.group.studies,
            mean_auroc: area.mean_auroc,
        }
    })
}
