//! How often a diagnosis is found that all studies of a folder show: from all series, from each
//! kind of series alone, and with each kind left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, ensure};
use evaluation::transfer::{PositiveStudy, Positives, Refused};
use models::dicom::decoder::Decoder;
use models::engine::{Engine, EngineError, StudyInput, StudyTokens, Target};
use models::study::Series;
use models::study::kind::{KINDS, of_name};

use super::studies;

/// Scores every folder below `folder` as a study.
///
/// # Errors
///
/// When the bundle has no such diagnosis, the folder has no study that can be read, or a study
/// cannot be scored.
pub(super) fn find(
    engine: &Engine,
    folder: &Path,
    diagnosis: &str,
    decoder: &Decoder,
    progress: &dyn Fn(&'static str, usize, usize),
) -> anyhow::Result<(Positives, Vec<Refused>)> {
    let manifest = engine.bundle().manifest();
    ensure!(
        matches!(Target::find(manifest, diagnosis)?, Target::Diagnosis(_)),
        "{diagnosis} is no diagnosis; --positives takes one"
    );
    let place = manifest.diagnosis.iter().position(|head| head.name == diagnosis);
    let place = place.context("a diagnosis has a head")?;
    let folders = folders(folder)?;
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (number, study) in folders.iter().enumerate() {
        match studies::read(engine, &folder.join(study), decoder) {
            Err(error) => {
                refused.push(Refused { study: study.clone(), reason: format!("{error:#}") });
            }
            Ok(prepared) => {
                let kinds = prepared.series.iter().map(|s| kind(&s.series)).collect::<Vec<_>>();
                let input = studies::input(engine, &prepared)?;
                let logits = logits(engine, &input, &kinds, place)?;
                found.push(PositiveStudy { study: study.clone(), logits });
            }
        }
        progress("score", number + 1, folders.len());
    }
    let first = refused.first().map_or("it has no folder", |refused| refused.reason.as_str());
    ensure!(!found.is_empty(), "{}: no study in it can be read; {first}", folder.display());
    Ok((Positives::of(diagnosis, manifest.diagnosis[place].threshold, found), refused))
}

/// Names of the folders in a folder, in order.
fn folders(folder: &Path) -> anyhow::Result<Vec<String>> {
    let list = || -> std::io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        folders.sort();
        Ok(folders)
    };
    list().with_context(|| format!("{}: give the folder that studies lie in", folder.display()))
}

/// What kind of series a name speaks of; a file name without a description stands for itself.
fn kind(series: &Series) -> String {
    if series.description.is_none() && series.protocol.is_none() {
        return series.name.to_lowercase();
    }
    KINDS[of_name(&series.name)].to_owned()
}

/// The diagnosis' logit from each subset of a study's series.
fn logits(
    engine: &Engine,
    input: &StudyInput,
    kinds: &[String],
    place: usize,
) -> Result<BTreeMap<String, f32>, EngineError> {
    let subset = |keep: &dyn Fn(&String) -> bool| -> Vec<usize> {
        (0..kinds.len()).filter(|series| keep(&kinds[*series])).collect()
    };
    let mut subsets = vec![("all series".to_owned(), subset(&|_| true))];
    for kind in kinds.iter().collect::<BTreeSet<_>>() {
        subsets.push((format!("{kind} alone"), subset(&|other| other == kind)));
        subsets.push((format!("without {kind}"), subset(&|other| other != kind)));
    }
    let mut logits = BTreeMap::new();
    for (name, series) in subsets.into_iter().filter(|(_, series)| !series.is_empty()) {
        let tokens = series.iter().map(|s| input.tokens.series[*s].clone()).collect();
        let part = StudyInput {
            tokens: StudyTokens { series: tokens },
            series_names: series.iter().map(|s| input.series_names[*s].clone()).collect(),
            study_description: input.study_description.clone(),
            clinical_context: None,
        };
        logits.insert(name, engine.score(&part)?.diagnosis[place].logit);
    }
    Ok(logits)
}
