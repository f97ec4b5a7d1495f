//! A bundle scored on a cohort: what `trainer score` prints and writes, and the leak baselines of
//! `trainer leaks`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use models::dims::PATCH_THIN_VOX;
use models::engine::{DeviceChoice, Engine, Precision, StudyScores};
use models::labels::DIAGNOSES;
use models::tokens::StudyPatches;
use models::weights::bundle::Bundle;
use serde::{Deserialize, Serialize};

use super::age::{self, AgeMetrics, Estimate};
use super::groups::{GroupMetrics, groups};
use super::input::Inputs;
use super::leak::features::{HEADERS_WIDTH, HISTOGRAMS_WIDTH, SeriesHeader, headers, histograms};
use super::leak::{LENT_PERCENT, LeakReport, MeasuredOn, assign, measure};
use crate::cohort::record::{Split, StudyLabels};
use crate::cohort::shard::{SeriesView, Store, Values};
use crate::cohort::{Cohort, write_lines};
use crate::export::card::{self, ModelCard};
use crate::reports::mapping::{NEUROLOGY, NEUROSURGERY};
use crate::stage::heads::expected_class;
use crate::stage::tasks::class;
use statistics::metrics::{Auroc, auroc, average_precision, pearson};
use statistics::rows::Rows;

/// What a bundle reached on a split; `metrics.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// Identity of the model.
    pub model: String,
    /// What was scored.
    pub cohort: String,
    /// Which studies.
    pub split: Split,
    /// How many.
    pub studies: usize,
    /// Mean over the diagnoses that have positives and negatives.
    pub mean_auroc: Option<f64>,
    /// Standard deviation over the same.
    pub sd_auroc: Option<f64>,
    /// Every diagnosis.
    pub diagnoses: Vec<LabelMetrics>,
    /// Every service.
    pub referrals: Vec<LabelMetrics>,
    /// Any service of neurology, of neurosurgery, by the highest probability among its services.
    pub departments: Vec<LabelMetrics>,
    /// Correlation of the expected acuity class with the true one.
    pub acuity_pearson: Option<f64>,
    /// Age, where the bundle has a head for it and the cohort knows ages.
    pub age: Option<AgeMetrics>,
    /// AUROC by the largest lesion of the diagnosis: studies whose lesion is in the bin against
    /// studies without the diagnosis, mean over diagnoses.
    pub by_size: Vec<BinMetrics>,
    /// The same by the largest contrast to noise of the lesion in any series.
    pub by_contrast: Vec<BinMetrics>,
    /// Mean AUROC in groups of patients and scanners.
    pub by_group: Vec<GroupMetrics>,
}

/// One output on a split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelMetrics {
    /// Label or service.
    pub name: String,
    /// Area under the curve, with its interval and counts.
    pub auroc: Option<Auroc>,
    /// Average precision.
    pub average_precision: Option<f64>,
}

/// Lesions of one bin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BinMetrics {
    /// Which.
    pub bin: String,
    /// Pairs of study and diagnosis in it.
    pub positives: usize,
    /// Mean over diagnoses.
    pub mean_auroc: Option<f64>,
}

/// A line of `scores.jsonl`.
#[derive(Clone, Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    scores: &'a StudyScores,
}

/// Scores every study of a split and measures the scores against its labels.
///
/// # Errors
///
/// When bundle or cohort are refused, or a study cannot be scored.
pub fn score(
    bundle: &Path,
    cohort: &Path,
    split: Split,
    device: DeviceChoice,
    out: &Path,
    progress: &dyn Fn(u64, u64),
) -> anyhow::Result<Metrics> {
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    let inputs = Inputs::open(&engine, cohort)?;
    let cohort = Cohort::open(cohort)?;
    let ids: Vec<&str> = cohort.split(split).map(|r| r.id.as_str()).collect();
    anyhow::ensure!(!ids.is_empty(), "{}: no {split:?} study", cohort.folder.display());
    let mut scored: Vec<(&str, StudyScores)> = Vec::new();
    // One after another: the engine has threads of its own.
    for (i, id) in ids.iter().enumerate() {
        if let Some(study) = inputs.study(id)? {
            scored.push((id, engine.score(&study)?));
        }
        progress(i as u64 + 1, ids.len() as u64);
    }
    fs::create_dir_all(out)?;
    let lines: Vec<Line<'_>> = scored.iter().map(|(id, scores)| Line { id, scores }).collect();
    write_lines(&out.join("scores.jsonl"), &lines)?;
    let metrics = measured(&engine.bundle().manifest().id, &cohort, split, &scored)?;
    fs::write(out.join("metrics.json"), serde_json::to_vec_pretty(&metrics)?)?;
    Ok(metrics)
}

fn measured(
    model: &str,
    cohort: &Cohort,
    split: Split,
    scored: &[(&str, StudyScores)],
) -> anyhow::Result<Metrics> {
    let labels: Vec<&StudyLabels> =
        scored.iter().map(|(id, _)| cohort.labels(id)).collect::<Result<_, _>>()?;
    let logits = |i: usize| -> Vec<f64> {
        scored.iter().map(|(_, s)| f64::from(s.diagnosis[i].logit)).collect()
    };
    let first = scored.first().map(|(_, s)| s);
    let known: Vec<(usize, usize)> = first
        .iter()
        .flat_map(|s| s.diagnosis.iter().enumerate())
        .filter_map(|(i, d)| Some((i, DIAGNOSES.iter().position(|name| *name == d.name)?)))
        .collect();
    let diagnoses: Vec<LabelMetrics> = known
        .iter()
        .map(|&(i, d)| {
            let truth: Vec<bool> = labels.iter().map(|l| l.diagnoses[d]).collect();
            label(DIAGNOSES[d], &logits(i), &truth)
        })
        .collect();
    let areas: Vec<f64> = diagnoses.iter().filter_map(|l| Some(l.auroc?.value)).collect();
    let (mean_auroc, sd_auroc) = mean_sd(&areas);
    let services: Vec<&str> =
        first.iter().flat_map(|s| &s.referral).map(|r| r.name.as_str()).collect();
    let referral = |i: usize| -> Vec<f64> {
        scored.iter().map(|(_, s)| f64::from(s.referral[i].logit)).collect()
    };
    let referrals = services.iter().enumerate().map(|(i, name)| {
        let truth: Vec<bool> =
            labels.iter().map(|l| l.referrals.iter().any(|r| r == name)).collect();
        label(name, &referral(i), &truth)
    });
    let departments = [("neurology", &NEUROLOGY[..]), ("neurosurgery", &NEUROSURGERY[..])];
    let departments = departments.into_iter().map(|(name, members)| {
        let belongs = |service: &str| members.contains(&service);
        let score = |s: &StudyScores| {
            let of = s.referral.iter().filter(|r| belongs(&r.name));
            of.map(|r| f64::from(r.probability.unwrap_or(r.margin))).fold(f64::MIN, f64::max)
        };
        let scores: Vec<f64> = scored.iter().map(|(_, s)| score(s)).collect();
        let truth: Vec<bool> =
            labels.iter().map(|l| l.referrals.iter().any(|r| belongs(r))).collect();
        label(name, &scores, &truth)
    });
    let expected: Vec<f64> = scored
        .iter()
        .map(|(_, s)| {
            let row: Vec<f64> = s.priority.iter().map(|c| f64::from(c.logit)).collect();
            expected_class(&row)
        })
        .collect();
    let classes: Vec<f64> = labels.iter().map(|l| class(l.acuity) as f64).collect();
    let bins =
        |edges: &[f64], of: fn(&Largest) -> f64| binned(cohort, scored, &labels, &known, edges, of);
    Ok(Metrics {
        model: model.to_owned(),
        cohort: cohort.header.source.clone(),
        split,
        studies: scored.len(),
        mean_auroc,
        sd_auroc,
        referrals: referrals.collect(),
        departments: departments.collect(),
        acuity_pearson: pearson(&expected, &classes),
        age: age::age(cohort, scored),
        by_size: bins(&[0.0, 8.0, 15.0, 30.0, f64::INFINITY], |l| l.diameter_mm),
        by_contrast: bins(&[0.0, 2.0, 5.0, 10.0, f64::INFINITY], |l| l.contrast_to_noise),
        by_group: groups(cohort, scored, &labels, &known),
        diagnoses,
    })
}

fn label(name: &str, scores: &[f64], truth: &[bool]) -> LabelMetrics {
    LabelMetrics {
        name: name.to_owned(),
        auroc: auroc(scores, truth),
        average_precision: average_precision(scores, truth),
    }
}

fn mean_sd(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let n = values.len() as f64;
    if values.is_empty() {
        return (None, None);
    }
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (Some(mean), Some(variance.sqrt()))
}

/// The most conspicuous lesion of a diagnosis in a study.
struct Largest {
    diameter_mm: f64,
    contrast_to_noise: f64,
}

fn binned(
    cohort: &Cohort,
    scored: &[(&str, StudyScores)],
    labels: &[&StudyLabels],
    known: &[(usize, usize)],
    edges: &[f64],
    of: fn(&Largest) -> f64,
) -> Vec<BinMetrics> {
    let mut bins: BTreeMap<usize, (usize, Vec<f64>)> = BTreeMap::new();
    for &(output, diagnosis) in known {
        let value = |id: &str| -> Option<f64> {
            let lesions = cohort.truth.get(id)?.lesions.iter();
            let lesions = lesions.filter(|l| l.component > 0 && l.diagnoses.contains(&diagnosis));
            lesions
                .map(|l| {
                    let contrast = l.contrast_to_noise.values().map(|v| f64::from(v.abs()));
                    of(&Largest {
                        diameter_mm: f64::from(l.diameter_mm),
                        contrast_to_noise: contrast.fold(0.0, f64::max),
                    })
                })
                .reduce(f64::max)
        };
        for (bin, edge) in edges.windows(2).enumerate() {
            let (mut scores, mut truth) = (Vec::new(), Vec::new());
            for ((id, study), labels) in scored.iter().zip(labels) {
                let positive = labels.diagnoses[diagnosis];
                let inside = || value(id).is_some_and(|v| v >= edge[0] && v < edge[1]);
                if !positive || inside() {
                    scores.push(f64::from(study.diagnosis[output].logit));
                    truth.push(positive);
                }
            }
            if let Some(area) = auroc(&scores, &truth) {
                let entry = bins.entry(bin).or_default();
                entry.0 += area.positives;
                entry.1.push(area.value);
            }
        }
    }
    let named = bins.into_iter().map(|(bin, (positives, areas))| BinMetrics {
        bin: match edges[bin + 1] {
            to if to.is_finite() => format!("{} to {to}", edges[bin]),
            _ => format!("{} and more", edges[bin]),
        },
        positives,
        mean_auroc: mean_sd(&areas).0,
    });
    named.collect()
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} {:?} studies ({})",
            self.model, self.studies, self.split, self.cohort
        )?;
        for set in [&self.diagnoses, &self.referrals, &self.departments] {
            writeln!(f)?;
            for l in set {
                match l.auroc {
                    Some(a) => writeln!(
                        f,
                        "{:<52} {:.3} ({:.3} to {:.3})  n {}",
                        l.name, a.value, a.lower, a.upper, a.positives
                    )?,
                    None => writeln!(f, "{:<52} no positives or no negatives", l.name)?,
                }
            }
        }
        let shown = |v: Option<f64>| v.map_or_else(|| "none".to_owned(), |v| format!("{v:.3}"));
        writeln!(f)?;
        for (what, unit, bins) in
            [("diameter", "mm", &self.by_size), ("contrast to noise", "", &self.by_contrast)]
        {
            for bin in bins {
                let mean = shown(bin.mean_auroc);
                writeln!(f, "{what} {} {unit}: mean AUROC {mean}, n {}", bin.bin, bin.positives)?;
            }
        }
        for group in &self.by_group {
            let GroupMetrics { attribute, group, studies, mean_auroc } = group;
            writeln!(f, "{attribute} {group}: mean AUROC {}, n {studies}", shown(*mean_auroc))?;
        }
        write!(
            f,
            "\nmean AUROC {} sd {}, acuity Pearson {}",
            shown(self.mean_auroc),
            shown(self.sd_auroc),
            shown(self.acuity_pearson)
        )?;
        let Some(age) = &self.age else { return Ok(()) };
        let Estimate { value, lower, upper } = age.mean_absolute_error_years;
        write!(
            f,
            "\nage: mean absolute error {value:.1} years ({lower:.1} to {upper:.1}), Pearson {}, n {}",
            correlation(age),
            age.studies
        )
    }
}

fn correlation(age: &AgeMetrics) -> String {
    let shown = |Estimate { value, lower, upper }| format!("{value:.3} ({lower:.3} to {upper:.3})");
    age.pearson.map_or_else(|| "none".to_owned(), shown)
}

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
    let metrics: Metrics = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what `trainer score` wrote", metrics.display()))?;
    let row = |l: &LabelMetrics| card::LabelMetrics {
        name: l.name.clone(),
        positives: l.auroc.map_or(0, |a| a.positives),
        negatives: l.auroc.map_or(0, |a| a.negatives),
        auroc: l.auroc.map(|a| a.value),
        interval: l.auroc.map(|a| [a.lower, a.upper]),
    };
    let bin = |attribute: &str, bin: &BinMetrics| card::SubgroupMetrics {
        attribute: attribute.to_owned(),
        group: bin.bin.clone(),
        studies: bin.positives,
        mean_auroc: bin.mean_auroc,
    };
    let sizes = metrics.by_size.iter().map(|b| bin("lesion diameter, mm", b));
    let contrast = metrics.by_contrast.iter().map(|b| bin("contrast to noise", b));
    let groups = metrics.by_group.iter().map(|g| card::SubgroupMetrics {
        attribute: g.attribute.clone(),
        group: g.group.clone(),
        studies: g.studies,
        mean_auroc: g.mean_auroc,
    });
    let mut results = words.results.clone();
    if let (Some(mean), Some(sd)) = (metrics.mean_auroc, metrics.sd_auroc) {
        results.insert(0, ("mean AUROC".to_owned(), format!("{mean:.3} (sd {sd:.3})")));
    }
    if let Some(acuity) = metrics.acuity_pearson {
        results.insert(0, ("acuity, Pearson".to_owned(), format!("{acuity:.3}")));
    }
    if let Some(age) = &metrics.age {
        let Estimate { value, lower, upper } = age.mean_absolute_error_years;
        let error = format!("{value:.1} years ({lower:.1} to {upper:.1})");
        results.push(("age, mean absolute error".to_owned(), error));
        results.push(("age, Pearson".to_owned(), correlation(age)));
    }
    let rows = metrics.diagnoses.iter().chain(&metrics.referrals).chain(&metrics.departments);
    Ok(ModelCard {
        teacher: words.teacher.clone(),
        data: words.data.clone(),
        recipe: words.recipe.clone(),
        evaluated_on: words.evaluated_on.clone(),
        labels: rows.map(row).collect(),
        subgroups: sizes.chain(contrast).chain(groups).collect(),
        results,
        limits: words.limits.clone(),
    })
}

/// Both leak baselines of a cohort.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leaks {
    /// Which studies both were measured on.
    pub measured_on: MeasuredOn,
    /// How many.
    pub studies: usize,
    /// From series names, study description, scanner, field strength, and the numbers of series
    /// and slices. Echo and repetition times are no part of it: a shard does not hold them, so
    /// what they give away is not measured here.
    pub headers: LeakReport,
    /// From histograms of intensities.
    pub histograms: LeakReport,
}

/// Asks what the labels can be told from without looking at the images. What a shard does not
/// hold of the headers, which are the times of the sequence and the size of its images, is left
/// out.
///
/// # Errors
///
/// When a study has no patches or no labels.
pub fn leaks(cohort: &Cohort) -> anyhow::Result<Leaks> {
    let store = Store::open(&cohort.folder, Values::Patches)?;
    let (mut names, mut grey, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for record in &cohort.records {
        let (_, views) = store.study(&record.id)?;
        let series: Vec<SeriesHeader> = views.iter().map(header).collect();
        names.extend(headers(record, &series, false));
        let patches = StudyPatches { series: views.iter().map(|v| v.patches()).collect() };
        let series: Vec<&str> = views.iter().map(|v| v.name).collect();
        grey.extend(histograms(&patches, &series));
        labels.push(cohort.labels(&record.id)?.diagnoses.clone());
    }
    let (splits, measured_on) = assign(&cohort.records);
    let leaks = Leaks {
        measured_on,
        studies: splits.iter().filter(|split| **split == Split::Test).count(),
        headers: measure(Rows::new(&names, HEADERS_WIDTH), &labels, &splits),
        histograms: measure(Rows::new(&grey, HISTOGRAMS_WIDTH), &labels, &splits),
    };
    fs::write(cohort.folder.join("leaks.json"), serde_json::to_vec_pretty(&leaks)?)?;
    Ok(leaks)
}

/// What a shard holds of a series' header. Slices are those up to the last patch that was kept,
/// in whole patches; columns and rows are not known, and count for no feature.
fn header(view: &SeriesView<'_>) -> SeriesHeader {
    let starts = view.coordinates.iter().map(|start| usize::from(start[view.thin_axis]));
    let slices = starts.max().map_or(0, |last| last + PATCH_THIN_VOX);
    SeriesHeader {
        name: view.name.to_owned(),
        repetition_ms: None,
        echo_ms: None,
        size_vox: [0, 0, slices],
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (d, name) in DIAGNOSES.iter().enumerate() {
            let shown = |report: &LeakReport| {
                let area = report.auroc.get(d).copied().flatten();
                area.map_or_else(|| "   - ".to_owned(), |a| format!("{:.3}", a.value))
            };
            writeln!(f, "{name:<52} {} {}", shown(&self.headers), shown(&self.histograms))?;
        }
        let studies = self.studies;
        match self.measured_on {
            MeasuredOn::TestStudies => writeln!(f, "measured on {studies} test studies")?,
            MeasuredOn::LentPatients => writeln!(
                f,
                "the cohort has no test studies: measured on {studies} studies of {LENT_PERCENT} % \
                 of its training patients, fitted on the others"
            )?,
        }
        let mean = |report: &LeakReport| report.mean.unwrap_or(f64::NAN);
        write!(
            f,
            "mean AUROC from names, scanner and slices {:.3}, from histograms {:.3} (0.5 is \
             chance)",
            mean(&self.headers),
            mean(&self.histograms)
        )
    }
}
