//! The weights a run begins with.

use std::path::Path;

use anyhow::Context;
use burn::DispatchDevice;
use burn::tensor::DType;
use models::labels::DIAGNOSES;
use models::nn::config::PrimaConfig;
use models::nn::parameters::{ParameterError, ParameterSource, Parameters};
use models::weights::bundle::Bundle;
use models::weights::manifest::MANIFEST;
use models::weights::mapped::WeightFile;

use super::{ClipRun, Contrastive, Data, Variant, report_norm};
use crate::stage::text::Vocabulary;
use crate::stage::weights::{Fresh, InMemory, NamedTensor, Overlay, WhereItFits};

/// Weights of a finished run.
pub(super) const NETWORK: &str = "network.safetensors";
/// What only objectives read: wanted by a run that begins with these weights.
pub(super) const PROBES: &str = "probes.safetensors";
/// Sizes of a finished run, written last.
pub(in crate::stage) const SIZES: &str = "sizes.toml";

/// Sizes of a finished run of `trainer clip`.
///
/// # Errors
///
/// When it did not end.
pub(in crate::stage) fn sizes(run: &Path) -> anyhow::Result<PrimaConfig> {
    let path = run.join(SIZES);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}; name the folder of a finished run of `trainer clip`",
            path.display()
        )
    })?;
    toml::from_str(&text).with_context(|| format!("{} holds no sizes", path.display()))
}

/// Refuses to begin with a run that did not end, or with another network, before a new one is
/// begun.
///
/// # Errors
///
/// When weights are missing, or of another network.
pub(super) fn check(config: &ClipRun) -> anyhow::Result<()> {
    let Some(start) = config.start.as_deref() else { return Ok(()) };
    for file in [NETWORK, PROBES] {
        anyhow::ensure!(
            start.join(file).exists() || (file == PROBES && is_bundle(start)),
            "start is {}, which holds no {file}; name the folder of a finished run of `trainer clip`, or a bundle, or leave it out",
            start.display()
        );
    }
    let (found, wanted) = (Variant::of(start)?.architecture, config.variant.architecture);
    anyhow::ensure!(
        found == wanted,
        "start is {}, whose network is {found:?}, but variant.architecture is {wanted:?}; name a run of the same, or leave it out",
        start.display()
    );
    if is_bundle(start) {
        let read = Bundle::open(start)?.manifest().sizes.sequence_vit;
        anyhow::ensure!(
            read == config.sizes.sequence_vit,
            "start is {}, a bundle of another sequence ViT than sizes asks for: it has {read:?}; name another, or the sizes of this one",
            start.display()
        );
    }
    Ok(())
}

/// True of a bundle, which has no report encoder and no probes.
fn is_bundle(start: &Path) -> bool {
    start.join(MANIFEST).exists()
}

/// The network before its first step; what no objective reads is not trained.
///
/// # Errors
///
/// When a file is missing or does not fit the sizes.
pub(super) fn model<M: Contrastive>(
    config: &ClipRun,
    data: &Data,
    vocabulary: &Vocabulary,
    sizes: &PrimaConfig,
    devices: [&DispatchDevice; 2],
) -> anyhow::Result<M> {
    let mut model: M = load(config, data, vocabulary, sizes, devices)?;
    if config.fixed_names {
        model = model.with_fixed_names();
    }
    if config.objective.clip <= 0.0 {
        model = model.with_fixed_reports();
    }
    Ok(model)
}

/// Weights of an earlier run, or of a bundle wherever they fit, else those of the language model
/// and of the series names, else random ones.
fn load<M: Contrastive>(
    config: &ClipRun,
    data: &Data,
    vocabulary: &Vocabulary,
    sizes: &PrimaConfig,
    [plain, trained]: [&DispatchDevice; 2],
) -> anyhow::Result<M> {
    let fresh = Fresh { seed: config.seed, temperature: config.objective.temperature };
    let text = WeightFile::open(&config.text.join("text.safetensors"))?;
    let source = Overlay { first: &text, then: &fresh };
    let names = config.series_names.as_deref().map(WeightFile::open).transpose()?;
    let nothing = InMemory::new(&[]);
    let names = or_else(names.as_ref(), &nothing);
    let source = Overlay { first: names, then: &source };
    let start = config.start.as_deref();
    let network = start.map(|start| WeightFile::open(&start.join(NETWORK))).transpose()?;
    let network = or_else(network.as_ref(), &nothing);
    let build = |source: &dyn ParameterSource| {
        M::build(&Parameters::new(source, trained, DType::F32), sizes, &config.variant)
    };
    if let Some(run) = start.filter(|start| !is_bundle(start)) {
        let probes = WeightFile::open(&run.join(PROBES))?;
        let earlier = Overlay { first: network, then: &probes };
        return Ok(build(&Overlay { first: &earlier, then: &Added(&source) })?);
    }
    let mut begun = report_norm::centred(data, vocabulary, &source, sizes, plain)?;
    begun.extend(passed_on(&source, sizes)?);
    let begun = InMemory::new(&begun);
    let source = Overlay { first: &begun, then: &source };
    Ok(build(&WhereItFits { first: network, then: &source })?)
}

/// Weights with which peaks are handed on as they are: the first features of a token are those of
/// its series and of its study, where nothing larger is found. So the network begins as the
/// largest of what its tokens say, and what tokens learn is at once what studies know.
fn passed_on(
    source: &dyn ParameterSource,
    sizes: &PrimaConfig,
) -> Result<Vec<NamedTensor>, ParameterError> {
    let (inner, outer) = (sizes.sequence_vit, sizes.study_vit);
    let Some((tokens, series)) = inner.peaks.zip(outer.peaks) else { return Ok(Vec::new()) };
    let (width, labels) = (outer.transformer.dim, DIAGNOSES.len());
    let shared = tokens.features.min(series.features).min(width);
    let tensor = |name: &str, shape: [usize; 2]| {
        let values = source.read(name, &shape)?;
        Ok::<_, ParameterError>(NamedTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values,
        })
    };
    let mut vector = tensor("visual_model.innerViT.mlp_head.0.weight", [width, inner.pooled()])?;
    let mut found =
        tensor("visual_model.outerViT.peaks.features.weight", [series.features, width])?;
    let mut said = tensor("visual_model.outerViT.peaks.output.weight", [width, series.hidden])?;
    let mut probe = tensor("probe.labels.weight", [labels, outer.pooled()])?;
    said.values.fill(0.0);
    for (tensor, rows, first) in [
        (&mut vector, shared, inner.pooled() - tokens.features),
        (&mut found, shared, 0),
        (&mut probe, shared.min(labels), outer.pooled() - series.features),
    ] {
        let columns = tensor.shape[1];
        for (i, row) in tensor.values.chunks_exact_mut(columns).take(rows).enumerate() {
            row.fill(0.0);
            row[first + i] = 1.0;
        }
    }
    Ok(vec![vector, found, said, probe])
}

/// Weights of what the earlier network did not have. Blocks begin as the identity, so that the
/// network says at first what the earlier one said.
struct Added<'a>(&'a dyn ParameterSource);

impl ParameterSource for Added<'_> {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let last_of_a_residual = [".0.fn.to_out.0.weight", ".1.fn.net.3.weight"];
        if last_of_a_residual.iter().any(|end| name.ends_with(end)) {
            return Ok(vec![0.0; shape.iter().product()]);
        }
        self.0.read(name, shape)
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

fn or_else<'a>(file: Option<&'a WeightFile>, nothing: &'a InMemory<'a>) -> &'a dyn ParameterSource {
    match file {
        Some(file) => file,
        None => nothing,
    }
}
