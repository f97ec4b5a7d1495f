//! What teacher and student weigh and how fast they answer: both as bundles, by the engine that
//! serves them, on the same studies and device.

use std::path::Path;
use std::time::Instant;

use models::engine::{DeviceChoice, Engine, Precision};
use models::nn::cost;
use models::weights::bundle::Bundle;
use serde::{Deserialize, Serialize};

use super::DistillRun;
use crate::export::bundle::{ExportRun, Source, assemble, python};
use crate::export::check::{self, CheckStudy};

/// Studies of a round.
const STUDIES: usize = 4;
/// Rounds that count; where they are several, one before them lets the device get ready.
const ROUNDS: usize = 5;
/// Multiplications a patch from which a CPU measures a teacher on one study, once: it takes minutes.
const SLOW: u64 = 1_000_000_000;

/// Size and speed of a bundle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Numbers in its weight files.
    pub parameters: u64,
    /// Bytes of its weight files.
    pub weight_bytes: u64,
    /// Multiplications that its tokenizer spends on a patch.
    pub multiplications_per_patch: u64,
    /// Seconds that its tokenizer spends on a patch.
    pub seconds_per_patch: f64,
    /// From patches to scores, median of several rounds over the same studies.
    pub studies_per_second: f64,
}

/// Costs of the teacher, and of the student whose weights are in `folder` as it is exported.
pub(super) fn costs(config: &DistillRun, folder: &Path) -> anyhow::Result<[Cost; 2]> {
    let scratch = tempfile::tempdir()?;
    let student = scratch.path().join("student");
    let export = ExportRun {
        id: "student".to_owned(),
        cohort: config.cohort.clone(),
        serial: 0,
        envelope: None,
        half: true,
        python: python(),
        from: Source::Student { distill: folder.to_owned() },
    };
    assemble(&export, &student)?;
    let teacher = Bundle::open(&config.teacher)?;
    let slow = config.device == DeviceChoice::Cpu
        && cost::tokenizer(&teacher.manifest().sizes.tokenizer) > SLOW;
    let (count, rounds) = if slow { (1, 1) } else { (STUDIES, ROUNDS) };
    let studies = check::studies(&config.cohort, count)?;
    Ok([
        measure(&config.teacher, config.device, &studies, rounds)?,
        measure(&student, config.device, &studies, ROUNDS)?,
    ])
}

fn measure(
    folder: &Path,
    device: DeviceChoice,
    studies: &[CheckStudy],
    rounds: usize,
) -> anyhow::Result<Cost> {
    let engine = Engine::open(Bundle::open(folder)?, device, Precision::Full)?;
    let manifest = engine.bundle().manifest();
    let (mut parameters, mut weight_bytes) = (0, 0);
    for file in manifest.files.iter().filter(|file| file.path.ends_with(".safetensors")) {
        let tensors = engine.bundle().reopen_file(&file.path)?;
        let sizes = tensors.tensors().map(|(_, shape)| shape.iter().product::<usize>() as u64);
        parameters += sizes.sum::<u64>();
        weight_bytes += file.bytes;
    }
    let mut seconds = Vec::new();
    let before = usize::from(rounds > 1);
    for round in 0..before + rounds {
        let started = Instant::now();
        let mut encoding = 0.0;
        for study in studies {
            let begun = Instant::now();
            let tokens = engine.encode(&study.patches, |_| {})?;
            encoding += begun.elapsed().as_secs_f64();
            engine.score(&study.input(tokens))?;
        }
        if round >= before {
            seconds.push([started.elapsed().as_secs_f64(), encoding]);
        }
    }
    seconds.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [whole, encoding] = seconds[rounds / 2];
    let series = studies.iter().flat_map(|study| &study.patches.series);
    let patches: usize = series.map(|series| series.coordinates.len()).sum();
    Ok(Cost {
        parameters,
        weight_bytes,
        multiplications_per_patch: cost::tokenizer(&manifest.sizes.tokenizer),
        seconds_per_patch: encoding / patches as f64,
        studies_per_second: studies.len() as f64 / whole,
    })
}
