//! What the teacher says about every study.

use std::path::Path;

use burn::tensor::DType;
use models::dims::LATENT;
use models::engine::{Engine, Precision, SeriesTokens, StudyInput, StudyScores, StudyTokens};
use models::nn::parameters::Parameters;
use models::nn::prima::Prima;
use models::tokens::StudyPatches;
use models::tokens::text::char_ids;
use models::weights::bundle::Bundle;
use models::weights::manifest::NETWORK;
use serde::{Deserialize, Serialize};

use super::DistillRun;
use crate::cohort::shard::{
    SeriesView, ShardSeries, ShardStudy, Store, Values, pack_latents, write_shard,
};
use crate::stage::batch::{Example, SeriesExample};
use crate::stage::clip::embed;
use crate::stage::run::Run;

/// What the teacher says about one study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Taught {
    pub(super) id: String,
    /// Diagnoses, referrals, priority classes.
    pub(super) logits: Vec<f32>,
    pub(super) embedding: Vec<f32>,
    /// One vector for each series.
    pub(super) series: Vec<Vec<f32>>,
}

/// A series with the teacher's latent values in place of its patches.
fn with_latents(view: &SeriesView<'_>, tokens: &SeriesTokens) -> ShardSeries {
    let mut latents = vec![0.0; view.coordinates.len() * LATENT];
    for (at, unique) in view.sequence.iter().enumerate() {
        let to = usize::from(*unique) * LATENT;
        latents[to..to + LATENT].copy_from_slice(&tokens.token(at)[..LATENT]);
    }
    ShardSeries {
        name: view.name.to_owned(),
        thin_axis: view.thin_axis,
        values: pack_latents(&latents),
        coordinates: view.coordinates.to_vec(),
        foreground: view.foreground.to_vec(),
        components: view.components.to_vec(),
        sequence: view.sequence.to_vec(),
    }
}

fn example_of(tokens: &StudyTokens, names: &[String], description: &str) -> Example {
    let series = tokens.series.iter().zip(names).enumerate();
    let series = series.map(|(index, (tokens, name))| SeriesExample {
        index,
        name: char_ids(name).ids,
        features: tokens.features.clone(),
        components: Vec::new(),
    });
    Example { series: series.collect(), description: char_ids(description).ids }
}

/// The teacher reads every study once.
pub(super) fn listen(
    bundle: Bundle,
    config: &DistillRun,
    patches: &Store,
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
    let ids: Vec<&str> = patches.ids().collect();
    let mut taught = Vec::new();
    for (number, part) in ids.chunks(STUDIES_PER_SHARD).enumerate() {
        let mut shard = Vec::new();
        for id in part {
            let (description, views) = patches.study(id)?;
            if views.is_empty() {
                continue;
            }
            let study = StudyPatches { series: views.iter().map(|v| v.patches()).collect() };
            let tokens = engine.encode(&study, |_| {})?;
            let series = views.iter().zip(&tokens.series).map(|(v, t)| with_latents(v, t));
            let series = series.collect();
            let names: Vec<String> = views.iter().map(|v| v.name.to_owned()).collect();
            let examples = example_of(&tokens, &names, description);
            let width = sizes.sequence_vit.transformer.dim;
            let vectors = embed(&vision, &[&examples], width, &device).vectors;
            let scores = engine.score(&StudyInput {
                tokens,
                series_names: names,
                study_description: description.to_owned(),
                clinical_context: None,
            })?;
            let each = vectors.dims()[1];
            let vectors: Vec<f32> = vectors.into_data().iter().collect();
            taught.push(Taught {
                id: (*id).to_owned(),
                logits: logits(&scores),
                series: vectors.chunks_exact(each).map(<[f32]>::to_vec).collect(),
                embedding: scores.embedding,
            });
            shard.push(ShardStudy {
                id: (*id).to_owned(),
                description: description.to_owned(),
                series,
            });
        }
        write_shard(
            &lessons.join(format!("tokens-{number:04}.safetensors")),
            Values::Latents,
            &shard,
        )?;
        run.progress((number * STUDIES_PER_SHARD + part.len()) as u64, ids.len() as u64);
    }
    let partial = lessons.join("taught.partial");
    std::fs::write(&partial, serde_json::to_vec(&taught)?)?;
    std::fs::rename(&partial, lessons.join("taught.json"))?;
    Ok(())
}

fn logits(scores: &StudyScores) -> Vec<f32> {
    let labels = scores.diagnosis.iter().chain(&scores.referral).map(|s| s.logit);
    labels.chain(scores.priority.iter().map(|s| s.logit)).collect()
}
