//! A data set in `metrics.json`: what `trainer transfer` found, without what names a study.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use statistics::metrics::mean;

use super::labels::Values;
use super::measure::{Bias, Measure};
use super::{LabelResult, Plan, SubsetResult, Transfer};

/// Folder of an evaluation set that has a folder for every data set.
pub const FOLDER: &str = "transfer";

/// One data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSet {
    /// Name of its folder.
    pub name: String,
    /// How studies of labels were divided.
    pub plan: Option<Plan>,
    /// False where each study counts as a patient.
    pub patients_stated: bool,
    /// Studies that could not be looked at.
    pub refused: usize,
    /// Every label by every probe, the probes of a label one after another.
    pub probes: Vec<Probed>,
    /// The diagnosis that all studies show.
    pub diagnosis: Option<String>,
    /// How often it was found.
    pub subsets: Vec<SubsetResult>,
}

/// A label told by a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// The label.
    pub label: String,
    /// The probe.
    pub probe: String,
    /// Studies with a value.
    pub studies: usize,
    /// Their patients.
    pub patients: usize,
    /// Names of the classes; none of other labels.
    pub classes: Vec<String>,
    /// What the probe reaches.
    pub measure: Measure,
    /// Mean and standard deviation over the folds.
    pub folds: [Option<f64>; 2],
    /// Mean absolute error of whoever says the mean for every study; of numbers.
    pub guess: Option<f64>,
    /// Regression to the mean; of numbers.
    pub bias: Option<Bias>,
    /// Every site: its studies, and what the probe reaches on them.
    pub sites: BTreeMap<String, (usize, Measure)>,
}

impl DataSet {
    /// Sums up.
    ///
    /// # Errors
    ///
    /// When a label has not as many values as studies.
    pub fn of(name: &str, found: Transfer) -> Result<Self, String> {
        let labels = found.labels.iter().map(probed).collect::<Result<Vec<_>, _>>()?;
        let (diagnosis, subsets) = found.positives.map(|p| (p.diagnosis, p.subsets)).unzip();
        Ok(Self {
            name: name.to_owned(),
            plan: found.plan,
            patients_stated: found.patients_stated,
            refused: found.refused.len(),
            probes: labels.into_iter().flatten().collect(),
            diagnosis,
            subsets: subsets.unwrap_or_default(),
        })
    }
}

fn probed(label: &LabelResult) -> Result<Vec<Probed>, String> {
    let (name, studies) = (&label.name, label.studies.len());
    if label.values.len() != studies {
        let values = label.values.len();
        return Err(format!("label {name}: {values} values of {studies} studies"));
    }
    let patients: BTreeSet<&str> = label.studies.iter().map(|s| s.patient.as_str()).collect();
    let classes = match &label.values {
        Values::Class { classes, .. } => classes.clone(),
        Values::YesNo { .. } | Values::Number { .. } => Vec::new(),
    };
    let guess = match &label.values {
        Values::Number { truth } if !truth.is_empty() => {
            let centre = mean(truth);
            Some(mean(&truth.iter().map(|value| (value - centre).abs()).collect::<Vec<_>>()))
        }
        _ => None,
    };
    let at = |site: &String| {
        label.studies.iter().filter(|study| study.site.as_ref() == Some(site)).count()
    };
    let probes = label.probes.iter().map(|probe| Probed {
        label: name.clone(),
        probe: probe.probe.clone(),
        studies,
        patients: patients.len(),
        classes: classes.clone(),
        measure: probe.measure.clone(),
        folds: [probe.mean, probe.sd],
        guess,
        bias: probe.bias,
        sites: (probe.sites.iter())
            .map(|(site, measure)| (site.clone(), (at(site), measure.clone())))
            .collect(),
    });
    Ok(probes.collect())
}
