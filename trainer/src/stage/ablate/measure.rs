//! What a trained row cost and what it says about the test studies.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use evaluation::comparison::{Entry, Retrieved};
use evaluation::set::{FORMAT_VERSION, Header, Output, Scores, Set, Study, Truth};
use models::labels::{DIAGNOSES, category, display_name};
use models::weights::mapped::WeightFile;
use serde_json::Value;

use super::{Job, cost};
use crate::cohort::record::{Split, StudyRecord};
use crate::cohort::{Cohort, CohortKind};
use crate::evaluate::score::groups;
use crate::stage::clip::{self, ClipRun, Data};
use crate::stage::heads::{HeadsRun, Predictions, predict};
use crate::stage::slices::{self, SlicesSummary};
use crate::stage::text::Vocabulary;

/// Name of an [`Entry`]'s file in a row's folder, written last.
pub(super) const ENTRY: &str = "entry.json";

/// Writes the predictions of a row on the test studies, and its [`Entry`].
///
/// # Errors
///
/// When a run cannot be read, or the disk is full.
pub(super) fn measure(
    job: &Job,
    probe: &HeadsRun,
    folder: &Path,
    group: usize,
) -> anyhow::Result<()> {
    let predictions = predict(probe, &folder.join("heads"), Split::Test)?;
    let cohort = Cohort::open(&probe.cohort)?;
    set(&job.name, &cohort, &predictions)?.write(folder)?;
    let data = Data::to_learn_from(&probe.cohort)?.with_share(probe.training)?;
    let mut entry = Entry {
        name: job.name.clone(),
        title: job.title.clone(),
        kind: job.kind,
        parameters: 0,
        training_studies: data.split(Split::Train).len(),
        steps: None,
        flops: None,
        seconds: seconds(&probe.clip)?,
        retrieval: None,
    };
    match job.run() {
        Some(run) => {
            let data = data.seen_by(&run.variant)?;
            trained(run, &probe.clip, &data, predictions.ids.len().min(group), &mut entry)?;
        }
        None => entry.parameters = summary(&probe.clip)?.parameters,
    }
    fs::write(folder.join(ENTRY), serde_json::to_vec_pretty(&entry)?)?;
    Ok(())
}

/// What only a run of `trainer clip` has.
fn trained(
    run: &ClipRun,
    folder: &Path,
    data: &Data,
    group: usize,
    entry: &mut Entry,
) -> anyhow::Result<()> {
    let network = WeightFile::open(&folder.join("network.safetensors"))?;
    let vision = network.tensors().filter(|(name, _)| name.starts_with("visual_model."));
    entry.parameters = vision.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum();
    entry.steps = Some(run.steps);
    let vocabulary = Vocabulary::open(&run.text)?;
    let sizes = clip::sizes(folder)?;
    entry.flops = Some(cost::flops(run, &sizes, data, &vocabulary)?);
    if run.objective.clip > 0.0 {
        let found = clip::retrieve(folder, &run.text, &run.cohort, Split::Test, group, None)?;
        let shares: HashMap<usize, f64> = found.image_to_text.into_iter().collect();
        entry.retrieval = Option::zip(shares.get(&1), shares.get(&5))
            .map(|(top1, top5)| Retrieved { group, top1: *top1, top5: *top5 });
    }
    Ok(())
}

/// Predictions as crate `evaluation` reads them.
fn set(model: &str, cohort: &Cohort, predictions: &Predictions) -> anyhow::Result<Set> {
    let diagnoses = DIAGNOSES.iter().zip(&predictions.thresholds).map(|(name, threshold)| Output {
        name: (*name).to_owned(),
        title: display_name(name),
        category: category(name).to_owned(),
        threshold: *threshold,
        context_threshold: None,
    });
    let header = Header {
        format_version: FORMAT_VERSION,
        model: model.to_owned(),
        cohort: cohort.header.source.clone(),
        split: "test".to_owned(),
        simulated: cohort.header.kind == CohortKind::Simulated,
        diagnoses: diagnoses.collect(),
        services: Vec::new(),
        acuity: Vec::new(),
        embedding: 0,
    };
    let mut records: HashMap<&str, &StudyRecord> =
        cohort.records.iter().map(|record| (record.id.as_str(), record)).collect();
    let mut studies = Vec::new();
    for (id, logits) in predictions.ids.iter().zip(&predictions.logits) {
        let Some(record) = records.remove(id.as_str()) else { continue };
        let there = cohort.labels(id)?.diagnoses.iter().enumerate();
        let there = there.filter(|(_, yes)| **yes).map(|(diagnosis, _)| diagnosis);
        #[expect(clippy::cast_possible_truncation, reason = "heads compute in f32")]
        let diagnosis = logits.iter().map(|logit| *logit as f32).collect();
        studies.push(Study {
            id: id.clone(),
            patient: record.patient.clone(),
            groups: groups(&record.demographics),
            age_years: record.demographics.age_years.map(f64::from),
            turnaround_h: record.demographics.turnaround_h.map(f64::from),
            truth: Truth { diagnoses: there.collect(), ..Truth::default() },
            scores: Scores { diagnosis, ..Scores::default() },
            with_context: None,
            lesions: Vec::new(),
        });
    }
    Ok(Set { header, studies })
}

/// Seconds of a run, from its metrics: those of the last step, or of all parts together.
fn seconds(run: &Path) -> anyhow::Result<f64> {
    let path = run.join("metrics.jsonl");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let parts: Vec<f64> = lines.iter().filter_map(|line| line["part_seconds"].as_f64()).collect();
    let last = lines.iter().filter_map(|line| line["seconds"].as_f64()).next_back();
    Ok(if parts.is_empty() { last.unwrap_or_default() } else { parts.iter().sum() })
}

fn summary(run: &Path) -> anyhow::Result<SlicesSummary> {
    let path = run.join(slices::SUMMARY);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is no summary of embeddings", path.display()))
}
