//! What the teacher says about every study.

use std::path::Path;
use std::time::Instant;

use burn::tensor::DType;
use models::dims::LATENT;
use models::engine::{Engine, Precision, SeriesTokens, StudyInput, StudyScores};
use models::nn::parameters::Parameters;
use models::nn::prima::Prima;
use models::tokens::text::char_ids;
use models::weights::bundle::Bundle;
use models::weights::manifest::NETWORK;
use serde::{Deserialize, Serialize};

use super::DistillRun;
use crate::cohort::shard::{
    SeriesView, ShardSeries, ShardStudy, Values, pack_latents, write_shard,
};
use crate::cohort::slices::Slices;
use crate::evaluate::input::Inputs;
use crate::stage::batch::{Example, SeriesExample};
use crate::stage::clip::embed;
use crate::stage::run::Run;

/// What the teacher says about one study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Taught {
    pub(super) id: String,
    /// Logits of diagnoses, referrals and priority classes; the age in years, where it is told.
    pub(super) answers: Vec<f32>,
    pub(super) embedding: Vec<f32>,
    /// One vector for each series.
    pub(super) series: Vec<Vec<f32>>,
}

/// What the teacher's one reading of the cohort cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Studies it read.
    pub studies: usize,
    /// Patches that its tokenizer encoded: none where the cohort holds its tokens.
    pub patches: usize,
    /// On the wall.
    pub seconds: f64,
}

impl Reading {
    /// What [`listen`] wrote.
    pub(super) fn open(lessons: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(lessons.join(READING))?)?)
    }
}

/// File name of a [`Reading`].
const READING: &str = "reading.json";

/// A series with the teacher's latent values in place of its patches.
fn with_latents(view: &SeriesView<'_>, tokens: &SeriesTokens) -> ShardSeries {
    let mut latents = vec![0.0; view.coordinates.len() * LATENT];
    for (at, unique) in view.sequence.iter().enumerate() {
        let to = usize::from(*unique) * LATENT;
        latents[to..to + LATENT].copy_from_slice(&tokens.token(at)[..LATENT]);
    }
    view.with_values(pack_latents(&latents))
}

fn example_of(input: &StudyInput) -> Example {
    let series = input.tokens.series.iter().zip(&input.series_names).enumerate();
    let series = series.map(|(index, (tokens, name))| SeriesExample {
        index,
        name: char_ids(name).ids,
        features: tokens.features.clone(),
        components: vec![0; tokens.len()],
        slices: Slices::default(),
    });
    let description = char_ids(&input.study_description).ids;
    Example { series: series.collect(), description }
}

/// The teacher reads every study once. Its tokens go into `lessons`, unless the cohort has them.
pub(super) fn listen(
    bundle: Bundle,
    config: &DistillRun,
    lessons: &Path,
    run: &Run,
) -> anyhow::Result<()> {
    const STUDIES_PER_SHARD: usize = 64;
    std::fs::create_dir_all(lessons)?;
    let sizes = bundle.manifest().sizes.clone();
    let network = bundle.open_file(NETWORK)?;
    let device = crate::stage::device(config.device)?;
    let vision = Prima::load(&Parameters::new(&network, &device, DType::F32), &sizes)?;
    let engine = Engine::open(bundle, config.device, Precision::Full)?;
    let inputs = Inputs::open(&engine, &config.cohort)?;
    let ids: Vec<&str> = inputs.store().ids().collect();
    let mut taught = Vec::new();
    let (started, mut patches) = (Instant::now(), 0);
    for (number, part) in ids.chunks(STUDIES_PER_SHARD).enumerate() {
        let heard = part.iter().enumerate().map(|(at, id)| {
            // A study may take minutes.
            run.progress((number * STUDIES_PER_SHARD + at) as u64, ids.len() as u64);
            let Some(input) = inputs.study(id)? else { return Ok(None) };
            let width = sizes.sequence_vit.transformer.dim;
            let vectors = embed(&vision, &[&example_of(&input)], width, &device).vectors;
            let each = vectors.dims()[1];
            let vectors: Vec<f32> = vectors.into_data().iter().collect();
            let scores = engine.score(&input)?;
            let taught = Taught {
                id: (*id).to_owned(),
                answers: answers(&scores),
                series: vectors.chunks_exact(each).map(<[f32]>::to_vec).collect(),
                embedding: scores.embedding,
            };
            let mut series = Vec::new();
            if !inputs.stored() {
                let (_, views) = inputs.store().study(id)?;
                patches += views.iter().map(|view| view.coordinates.len()).sum::<usize>();
                let views = views.iter().zip(&input.tokens.series);
                series.extend(views.map(|(view, tokens)| with_latents(view, tokens)));
            }
            let description = input.study_description;
            Ok(Some((taught, ShardStudy { id: (*id).to_owned(), description, series })))
        });
        let heard = heard.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten();
        let (said, shard): (Vec<Taught>, Vec<ShardStudy>) = heard.unzip();
        taught.extend(said);
        if !inputs.stored() {
            write_shard(&lessons.join(shard_name(number)), Values::Latents, &shard)?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let reading = Reading { studies: taught.len(), patches, seconds };
    std::fs::write(lessons.join(READING), serde_json::to_vec(&reading)?)?;
    let partial = lessons.join("taught.partial");
    std::fs::write(&partial, serde_json::to_vec(&taught)?)?;
    std::fs::rename(&partial, lessons.join("taught.json"))?;
    Ok(())
}

fn shard_name(number: usize) -> String {
    format!("tokens-{number:04}.safetensors")
}

/// The teacher's tokens: those of its lessons, or the cohort's own.
pub(super) fn teacher_tokens<'a>(lessons: &'a Path, cohort: &'a Path) -> &'a Path {
    if lessons.join(shard_name(0)).exists() { lessons } else { cohort }
}

fn answers(scores: &StudyScores) -> Vec<f32> {
    let labels = scores.diagnosis.iter().chain(&scores.referral).map(|s| s.logit);
    let logits = labels.chain(scores.priority.iter().map(|s| s.logit));
    logits.chain(scores.age_years).collect()
}
