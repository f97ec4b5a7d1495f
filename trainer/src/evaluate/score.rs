//! A bundle asked about every study of a split: what `trainer score` writes for
//! `trainer evaluate`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use evaluation::set::{self, Dropped, Header, Lesion, Output, Scores, Set, Study, Truth};
use models::engine::{DeviceChoice, Engine, Precision, StudyInput, StudyScores};
use models::labels::{DIAGNOSES, category, display_name};
use models::weights::bundle::Bundle;
use models::weights::manifest::{HeadEntry, Manifest};

use super::input::Inputs;
use super::leak::features::contrast;
use crate::cohort::record::{Acuity, Demographics, Split, StudyLabels, StudyRecord, StudyTruth};
use crate::cohort::{Cohort, CohortKind, write_lines};
use crate::reports::mapping::{NEUROLOGY, NEUROSURGERY};

/// Which series are left out: what the report calls them, and their kinds of [`contrast`].
const DROPPED: [(&str, [usize; 2]); 2] = [("T1", [3, 6]), ("T2", [4, 7])];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    /// Folder of the bundle.
    pub bundle: &'a Path,
    /// Folder of the cohort, with patch shards and labels.
    pub cohort: &'a Path,
    /// Which studies.
    pub split: Split,
    /// Where networks run.
    pub device: DeviceChoice,
    /// Also without T1-weighted, and without T2-weighted series.
    pub drop_modalities: bool,
}

/// Scores every study of a split and writes an evaluation set ([`evaluation::set`]); returns how
/// many studies it holds. Studies without a usable series are left out.
///
/// # Errors
///
/// When bundle or cohort are refused, a study has no labels or cannot be scored.
pub fn score(
    questions: &Questions<'_>,
    out: &Path,
    progress: &dyn Fn(u64, u64),
) -> anyhow::Result<usize> {
    let &Questions { bundle, cohort, split, device, drop_modalities } = questions;
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    let inputs = Inputs::open(&engine, cohort)?;
    let cohort = Cohort::open(cohort)?;
    let records: Vec<&StudyRecord> = cohort.split(split).collect();
    anyhow::ensure!(!records.is_empty(), "{}: no {split:?} study", cohort.folder.display());
    let truths = Truths::of(engine.bundle().manifest());
    let (mut studies, mut embeddings, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    // One after another: the engine has threads of its own.
    for (done, record) in (1..).zip(&records) {
        if let Some(mut input) = inputs.study(&record.id)? {
            let scored = engine.score(&input)?;
            embeddings.extend_from_slice(&scored.embedding);
            if drop_modalities {
                dropped.extend(without(&engine, &record.id, &input)?);
            }
            let context = engine.clinical_context(&record.report.indication)?;
            let with_context = match context {
                None => None,
                Some(context) => {
                    input.clinical_context = Some(context);
                    Some(scores(&engine.score(&input)?))
                }
            };
            let truth = truths.truth(cohort.labels(&record.id)?);
            studies.push(Study {
                id: record.id.clone(),
                patient: record.patient.clone(),
                groups: groups(&record.demographics),
                age_years: record.demographics.age_years.map(f64::from),
                turnaround_h: record.demographics.turnaround_h.map(f64::from),
                truth,
                scores: scores(&scored),
                with_context,
                lesions: cohort.truth.get(&record.id).map_or_else(Vec::new, |t| truths.lesions(t)),
            });
        }
        progress(done, records.len() as u64);
    }
    let embedding = embeddings.len().checked_div(studies.len()).unwrap_or(0);
    let header = header(&engine, &cohort, split, embedding);
    let set = Set { header, studies };
    set.write(out)?;
    fs::write(out.join(set::EMBEDDINGS), bytemuck::cast_slice::<f32, u8>(&embeddings))?;
    if drop_modalities {
        write_lines(&out.join(set::DROPPED), &dropped)?;
    }
    Ok(set.studies.len())
}

fn header(engine: &Engine, cohort: &Cohort, split: Split, embedding: usize) -> Header {
    let manifest = engine.bundle().manifest();
    let with_context = manifest.context.as_ref().map(|heads| heads.diagnosis.as_slice());
    let diagnosis = |(i, head): (usize, &HeadEntry)| Output {
        name: head.name.clone(),
        title: display_name(&head.name),
        category: category(&head.name).to_owned(),
        threshold: head.threshold,
        context_threshold: with_context.and_then(|heads| Some(heads.get(i)?.threshold)),
    };
    let service = |head: &HeadEntry| Output {
        name: head.name.clone(),
        title: display_name(&head.name),
        category: department(&head.name).to_owned(),
        threshold: head.threshold,
        context_threshold: None,
    };
    Header {
        format_version: set::FORMAT_VERSION,
        model: manifest.id.clone(),
        cohort: cohort.header.source.clone(),
        split: format!("{split:?}").to_lowercase(),
        simulated: cohort.header.kind == CohortKind::Simulated,
        diagnoses: manifest.diagnosis.iter().enumerate().map(diagnosis).collect(),
        services: manifest.referral.iter().map(service).collect(),
        acuity: manifest.priority.as_ref().map(|head| head.classes.clone()).unwrap_or_default(),
        embedding,
    }
}

fn department(service: &str) -> &'static str {
    if NEUROLOGY.contains(&service) {
        "neurology"
    } else if NEUROSURGERY.contains(&service) {
        "neurosurgery"
    } else {
        "other"
    }
}

fn scores(of: &StudyScores) -> Scores {
    let probability: Option<Vec<f32>> = of.diagnosis.iter().map(|d| d.probability).collect();
    Scores {
        diagnosis: of.diagnosis.iter().map(|d| d.logit).collect(),
        probability: probability.unwrap_or_default(),
        service: of.referral.iter().map(|r| r.logit).collect(),
        acuity: of.priority.iter().map(|class| class.logit).collect(),
        age_years: of.age_years.map(f64::from),
    }
}

/// The study's diagnoses without the series of each of [`DROPPED`], where it has such series and
/// others.
fn without(engine: &Engine, id: &str, input: &StudyInput) -> anyhow::Result<Vec<Dropped>> {
    let mut found = Vec::new();
    for (what, contrasts) in DROPPED {
        let names = input.series_names.iter();
        let kept: Vec<usize> = (0..)
            .zip(names)
            .filter(|(_, name)| !contrasts.contains(&contrast(name)))
            .map(|(series, _)| series)
            .collect();
        if kept.is_empty() || kept.len() == input.series_names.len() {
            continue;
        }
        let mut rest = StudyInput {
            study_description: input.study_description.clone(),
            ..StudyInput::default()
        };
        for series in kept {
            rest.tokens.series.push(input.tokens.series[series].clone());
            rest.series_names.push(input.series_names[series].clone());
        }
        let diagnosis = engine.score(&rest)?.diagnosis.iter().map(|d| d.logit).collect();
        found.push(Dropped { id: id.to_owned(), without: what.to_owned(), diagnosis });
    }
    Ok(found)
}

/// Labels of a cohort in the order of a model's outputs.
struct Truths {
    /// Output of each of [`DIAGNOSES`], where the model has it.
    diagnoses: Vec<Option<usize>>,
    services: HashMap<String, usize>,
    acuity: Vec<String>,
}

impl Truths {
    fn of(manifest: &Manifest) -> Self {
        let output = |name: &&str| manifest.diagnosis.iter().position(|head| head.name == *name);
        let services = manifest.referral.iter().enumerate();
        Self {
            diagnoses: DIAGNOSES.iter().map(output).collect(),
            services: services.map(|(output, head)| (head.name.clone(), output)).collect(),
            acuity: manifest.priority.as_ref().map(|h| h.classes.clone()).unwrap_or_default(),
        }
    }

    fn truth(&self, labels: &StudyLabels) -> Truth {
        let there = labels.diagnoses.iter().zip(&self.diagnoses).filter(|(yes, _)| **yes);
        let services = labels.referrals.iter();
        Truth {
            diagnoses: there.filter_map(|(_, output)| *output).collect(),
            services: services.filter_map(|s| self.services.get(s).copied()).collect(),
            acuity: self.class(labels.acuity),
        }
    }

    /// Class of an acuity; where the model has no such class, the next lower one.
    fn class(&self, acuity: Acuity) -> Option<usize> {
        let words: &[&str] = match acuity {
            Acuity::None => &["none", "normal"],
            Acuity::Low => &["low", "none", "normal"],
            Acuity::Medium => &["medium", "low"],
            Acuity::High => &["high"],
        };
        words.iter().find_map(|word| self.acuity.iter().position(|class| class == word))
    }

    fn lesions(&self, truth: &StudyTruth) -> Vec<Lesion> {
        let seen = truth.lesions.iter().filter(|lesion| lesion.component > 0);
        seen.map(|lesion| Lesion {
            diagnoses: lesion.diagnoses.iter().filter_map(|d| self.diagnoses[*d]).collect(),
            diameter_mm: f64::from(lesion.diameter_mm),
            contrast_to_noise: lesion
                .contrast_to_noise
                .values()
                .map(|value| f64::from(value.abs()))
                .fold(0.0, f64::max),
        })
        .collect()
    }
}

/// Groups of a study, where they are known.
pub(crate) fn groups(of: &Demographics) -> BTreeMap<String, String> {
    let said = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let age = |years: f32| match years {
        ..18.0 => "below 18",
        ..40.0 => "18 to 39",
        ..65.0 => "40 to 64",
        _ => "65 and above",
    };
    let known = [
        ("age", of.age_years.map(|years| age(years).to_owned())),
        ("sex", of.sex.map(|sex| said(&sex))),
        ("county", of.county_density.map(|density| said(&density))),
        ("insurance", of.insurance.map(|insurance| said(&insurance))),
        ("setting", of.setting.map(|setting| said(&setting))),
        (
            "schedule",
            of.weekday.map(|day| if day < 5 { "working day" } else { "weekend" }.to_owned()),
        ),
        ("manufacturer", of.manufacturer.clone()),
        ("scanner", of.model.clone()),
        ("field strength", of.field_t.map(|tesla| format!("{tesla} T"))),
    ];
    let named = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_bands_and_what_is_unknown_into_none() {
        let of = |age_years| groups(&Demographics { age_years, ..Demographics::default() });
        assert_eq!(of(Some(17.9))["age"], "below 18");
        assert_eq!(of(Some(18.0))["age"], "18 to 39");
        assert_eq!(of(Some(90.0))["age"], "65 and above");
        assert!(of(None).is_empty());
    }

    #[test]
    fn an_acuity_that_a_model_does_not_know_is_the_next_lower_one() {
        let of = |classes: &[&str]| Truths {
            diagnoses: Vec::new(),
            services: HashMap::new(),
            acuity: classes.iter().map(|class| (*class).to_owned()).collect(),
        };
        let published = of(&["none", "low", "high"]);
        assert_eq!(published.class(Acuity::Medium), Some(1));
        assert_eq!(published.class(Acuity::High), Some(2));
        assert_eq!(of(&["normal", "medium", "high"]).class(Acuity::Low), Some(0));
        assert_eq!(of(&[]).class(Acuity::High), None);
    }
}
