//! The weights a run begins with.

use std::path::Path;

use burn::DispatchDevice;
use burn::tensor::DType;
use models::nn::config::PrimaConfig;
use models::nn::parameters::{ParameterSource, Parameters};
use models::weights::mapped::WeightFile;

use super::{ClipModel, ClipRun, Compute, Data, report_norm};
use crate::stage::text::Vocabulary;
use crate::stage::weights::{Fresh, InMemory, Overlay};

/// Weights of a finished run.
pub(super) const NETWORK: &str = "network.safetensors";
/// What only objectives read: wanted by a run that begins with these weights.
pub(super) const PROBES: &str = "probes.safetensors";

/// Refuses a run that did not end, before a new one is begun.
///
/// # Errors
///
/// When weights are missing.
pub(super) fn check(start: Option<&Path>) -> anyhow::Result<()> {
    for (run, file) in start.into_iter().flat_map(|run| [(run, NETWORK), (run, PROBES)]) {
        anyhow::ensure!(
            run.join(file).exists(),
            "start is {}, which holds no {file}; name the folder of a finished run of `trainer clip`, or leave it out",
            run.display()
        );
    }
    Ok(())
}

/// The network before its first step: weights of an earlier run, else those of the language model
/// and of the series names, else random ones.
///
/// # Errors
///
/// When a file is missing or does not fit the sizes.
pub(super) fn model(
    config: &ClipRun,
    data: &Data,
    vocabulary: &Vocabulary,
    sizes: &PrimaConfig,
    [plain, trained]: [&DispatchDevice; 2],
) -> anyhow::Result<ClipModel<Compute>> {
    let fresh = Fresh { seed: config.seed, temperature: config.objective.temperature };
    let text = WeightFile::open(&config.text.join("text.safetensors"))?;
    let source = Overlay { first: &text, then: &fresh };
    let names = config.series_names.as_deref().map(WeightFile::open).transpose()?;
    let nothing = InMemory::new(&[]);
    let names = or_else(names.as_ref(), &nothing);
    let source = Overlay { first: names, then: &source };
    if let Some(run) = &config.start {
        let [network, probes] = [NETWORK, PROBES].map(|file| WeightFile::open(&run.join(file)));
        let (network, probes) = (network?, probes?);
        let earlier = Overlay { first: &network, then: &probes };
        let source = Overlay { first: &earlier, then: &source };
        return Ok(ClipModel::load(&Parameters::new(&source, trained, DType::F32), sizes)?);
    }
    let norm = report_norm::centred(data, vocabulary, &source, sizes, plain)?;
    let norm = InMemory::new(&norm);
    let source = Overlay { first: &norm, then: &source };
    Ok(ClipModel::load(&Parameters::new(&source, trained, DType::F32), sizes)?)
}

fn or_else<'a>(file: Option<&'a WeightFile>, nothing: &'a InMemory<'a>) -> &'a dyn ParameterSource {
    match file {
        Some(file) => file,
        None => nothing,
    }
}
