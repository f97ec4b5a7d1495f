//! Explanations of a bundle held against the simulator's masks: what `trainer explain` writes.

use std::path::Path;

use evaluation::explanation::{Explained, TOP};
use models::engine::{DeviceChoice, Engine, Precision, Target};
use models::explain::lime::{LimeConfig, explain as lime};
use models::labels::{DIAGNOSES, display_name};
use models::weights::bundle::Bundle;

use super::input::Inputs;
use crate::cohort::record::{Split, StudyTruth, in_token};
use crate::cohort::shard::SeriesView;
use crate::cohort::{Cohort, write_lines};

/// What is explained.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Folder of the bundle.
    pub bundle: &'a Path,
    /// Folder of a simulated cohort, with patch shards.
    pub cohort: &'a Path,
    /// Which studies.
    pub split: Split,
    /// Where networks run.
    pub device: DeviceChoice,
    /// Perturbed inputs of each explanation.
    pub samples: usize,
    /// Studies at most.
    pub studies: usize,
}

/// Explains, for studies with a lesion in the masks, every diagnosis that the model finds rightly,
/// on the series in which most tokens have its lesion; returns how many explanations there are.
///
/// A diagnosis that the model misses has nothing to explain, and one without a lesion in the masks
/// (atrophy, say) no place to point at.
///
/// # Errors
///
/// When bundle or cohort are refused, or a value is not finite.
pub fn explain(
    question: &Question<'_>,
    out: &Path,
    progress: &dyn Fn(u64, u64),
) -> anyhow::Result<usize> {
    let &Question { bundle, cohort, split, device, samples, studies } = question;
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    let inputs = Inputs::open(&engine, cohort)?;
    let cohort = Cohort::open(cohort)?;
    let with_lesion = cohort.split(split).filter_map(|r| cohort.truth.get(&r.id));
    let with_lesion: Vec<&StudyTruth> =
        with_lesion.filter(|t| !t.by_component().is_empty()).take(studies).collect();
    anyhow::ensure!(
        !with_lesion.is_empty(),
        "{}: no {split:?} study has a lesion in its masks; explanations are measured on simulated \
         studies",
        cohort.folder.display()
    );
    std::fs::create_dir_all(out)?;
    let config = LimeConfig { samples, ..LimeConfig::default() };
    let mut explained = Vec::new();
    for (done, truth) in (1..).zip(&with_lesion) {
        explained.extend(study(&engine, &inputs, truth, &config)?);
        progress(done, with_lesion.len() as u64);
    }
    write_lines(&out.join(evaluation::explanation::EXPLAINED), &explained)?;
    Ok(explained.len())
}

fn study(
    engine: &Engine,
    inputs: &Inputs<'_>,
    truth: &StudyTruth,
    config: &LimeConfig,
) -> anyhow::Result<Vec<Explained>> {
    let Some(input) = inputs.study(&truth.id)? else { return Ok(Vec::new()) };
    let (_, views) = inputs.store().study(&truth.id)?;
    let by_component = truth.by_component();
    let scores = engine.score(&input)?;
    let mut explained = Vec::new();
    for found in scores.diagnosis.iter().filter(|score| score.is_positive()) {
        let Some(diagnosis) = DIAGNOSES.iter().position(|name| *name == found.name) else {
            continue;
        };
        let shows = |view: &SeriesView<'_>| -> Vec<bool> {
            per_token(view, |bits| in_token(bits, &by_component).any(|d| d == diagnosis))
        };
        let count = |view: &SeriesView<'_>| shows(view).iter().filter(|hit| **hit).count();
        let Some((series, view)) = views.iter().enumerate().max_by_key(|(_, view)| count(view))
        else {
            continue;
        };
        let own = shows(view);
        if !own.contains(&true) {
            continue;
        }
        let scorer =
            engine.masked_scorer(&input, series, &Target::Diagnosis(found.name.clone()))?;
        let ranked = lime(config, own.len(), |masks| scorer.scores(masks))?.ranked();
        let first: Vec<usize> = ranked.iter().take(TOP[TOP.len() - 1]).map(|t| t.token).collect();
        let others = per_token(view, |bits| {
            let mut there = in_token(bits, &by_component).peekable();
            there.peek().is_some() && there.all(|d| d != diagnosis)
        });
        let at = |mask: &[bool]| first.iter().map(|token| mask[*token]).collect();
        explained.push(Explained {
            id: truth.id.clone(),
            diagnosis: display_name(&found.name),
            series: view.name.to_owned(),
            tokens: own.len(),
            lesion_tokens: own.iter().filter(|hit| **hit).count(),
            hits: at(&own),
            other_hits: if others.contains(&true) { at(&others) } else { Vec::new() },
        });
    }
    Ok(explained)
}

/// Something about the lesion components of every token.
fn per_token(view: &SeriesView<'_>, of: impl Fn(u16) -> bool) -> Vec<bool> {
    view.sequence.iter().map(|patch| of(view.components[usize::from(*patch)])).collect()
}
