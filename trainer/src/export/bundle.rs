//! Finished runs to a bundle that the appliance accepts.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use models::engine::golden;
use models::labels::DIAGNOSES;
use models::nn::config::{PrimaConfig, TokenizerConfig};
use models::nn::parameters::ParameterSource;
use models::tokens::context;
use models::volume::Preprocessing;
use models::weights::bundle::hex;
use models::weights::manifest::{
    AgeEntry, ContextHeads, Envelope, FORMAT_VERSION, FileEntry, HeadEntry, INTENDED_USE, MANIFEST,
    Manifest, NETWORK, PriorityEntry, Provenance, ProvenanceKind, SentenceFiles, SharedHead,
    TOKENIZER,
};
use models::weights::mapped::WeightFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::{self, Agreement, CheckError, check};
use super::onnx;
use crate::cohort::shard::ShardError;
use crate::cohort::{Cohort, CohortKind, seen_selection};
use crate::stage::clip::Variant;
use crate::stage::distill::{AgeUnit, StudentHeads};
use crate::stage::heads::{ContextSummary, HeadSummary, SENTENCE_FILES, Summary, YEARS};
use crate::stage::tasks::CLASSES;
use crate::stage::weights::{NamedTensor, write};

/// Configuration of `trainer export`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRun {
    /// Name of the model, shown with every result.
    pub id: String,
    /// Higher than that of every bundle before.
    #[serde(default)]
    pub serial: u64,
    /// Cohort the weights were trained on: says what kind of data it was.
    pub cohort: PathBuf,
    /// Half-precision weights.
    #[serde(default = "yes")]
    pub half: bool,
    /// Python that has onnxruntime and safetensors, for the comparison of engines.
    #[serde(default = "python")]
    pub python: PathBuf,
    /// Studies that the model was made for; without it, any.
    #[serde(default)]
    pub envelope: Option<Envelope>,
    /// What to export.
    pub from: Source,
}

fn yes() -> bool {
    true
}

pub(crate) fn python() -> PathBuf {
    "python3".into()
}

/// Runs that make a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// The full pipeline.
    Teacher {
        /// Weights of `trainer tokenizer`.
        tokenizer: PathBuf,
        /// Run folder of `trainer clip`.
        clip: PathBuf,
        /// Run folder of `trainer heads`.
        heads: PathBuf,
    },
    /// A distilled student.
    Student {
        /// Run folder of `trainer distill`.
        distill: PathBuf,
    },
}

/// Weights that only training uses stay out of a bundle.
fn is_served(name: &str) -> bool {
    let training = ["decoder.", "quantizer.", "text_model.", "temperature", "patdistemperature"];
    !training.iter().any(|t| name.starts_with(t)) && !name.contains("patdisnet.")
}

/// A bundle that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether its engines agree.
    pub comparison: Comparison,
}

/// Whether the engines that can serve a bundle were compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// They agree.
    Made(Agreement),
    /// burn alone can serve it.
    OneEngine,
    /// There was nothing to compare them on.
    NoPatches {
        /// The cohort.
        cohort: PathBuf,
    },
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(agreement) => write!(f, "{agreement}"),
            Self::OneEngine => writeln!(f, "No ONNX graphs: burn alone serves this bundle"),
            Self::NoPatches { cohort } => writeln!(
                f,
                "Engines NOT COMPARED: {} holds no patches; run `trainer check` where a cohort \
                 has them",
                cohort.display()
            ),
        }
    }
}

/// Writes a bundle whose engines agree.
///
/// # Errors
///
/// When a run is not finished, the folder exists, the finished bundle does not score, or its
/// engines differ.
pub fn export(config: &ExportRun, out: &Path) -> anyhow::Result<Exported> {
    anyhow::ensure!(!out.exists(), "{} exists; name a new folder for the bundle", out.display());
    let partial = out.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let manifest = assemble(config, &partial)?;
    let comparison = compare(config, &partial, &manifest)?;
    fs::rename(&partial, out)?;
    Ok(Exported { manifest, comparison })
}

/// Writes a bundle into a new folder; returns its manifest.
pub(crate) fn assemble(config: &ExportRun, folder: &Path) -> anyhow::Result<Manifest> {
    fs::create_dir_all(folder.join("heads"))?;
    let manifest = match &config.from {
        Source::Teacher { tokenizer, clip, heads } => {
            teacher(config, folder, tokenizer, clip, heads)?
        }
        Source::Student { distill } => student(config, folder, distill)?,
    };
    fs::write(folder.join(MANIFEST), toml::to_string_pretty(&manifest)?)?;
    // Graphs exist for networks of matrix products only.
    if matches!(manifest.sizes.tokenizer, TokenizerConfig::Mixer(_)) {
        onnx::add_parts(folder)?;
    }
    golden::record(folder)?;
    Ok(toml::from_str(&fs::read_to_string(folder.join(MANIFEST))?)?)
}

/// Compares the engines on studies of the cohort, where it has patches.
fn compare(config: &ExportRun, bundle: &Path, manifest: &Manifest) -> anyhow::Result<Comparison> {
    if manifest.onnx.is_none() {
        return Ok(Comparison::OneEngine);
    }
    let studies = match check::studies(&config.cohort, check::STUDIES) {
        Err(CheckError::Patches(ShardError::None { path, .. })) => {
            return Ok(Comparison::NoPatches { cohort: path });
        }
        found => found?,
    };
    Ok(Comparison::Made(check(bundle, &studies, &config.python)?))
}

fn teacher(
    config: &ExportRun,
    out: &Path,
    tokenizer: &Path,
    clip: &Path,
    heads: &Path,
) -> anyhow::Result<Manifest> {
    anyhow::ensure!(
        Variant::of(clip)?.is_prima(),
        "{}: its network is a variant of Prima, made for comparison; name a run of `trainer clip` without [variant]",
        clip.display()
    );
    let mut sizes: PrimaConfig = read_toml(&clip.join("sizes.toml"))?;
    sizes.report = None;
    sizes.patient_discrimination = None;
    let summary: Summary = read_toml(&heads.join("heads.toml"))?;
    let heads_config: crate::stage::heads::HeadsRun = read_toml(&heads.join("config.toml"))?;
    sizes.head_hidden = heads_config.hidden;
    let mut files = Files { out, half: config.half, entries: Vec::new() };
    files.copy(tokenizer, TOKENIZER)?;
    files.copy(&clip.join("network.safetensors"), NETWORK)?;
    let names: Vec<&str> = summary.tasks.names().collect();
    let mut of = |kind: &str, first: usize| -> anyhow::Result<Vec<HeadEntry>> {
        let found = summary.heads.iter().filter(|h| h.kind == kind);
        found
            .map(|head| {
                let file = format!("heads/{}", head.file);
                files.copy(&heads.join(&head.file), &file)?;
                Ok(entry(names[first + head.output], 0, &file, head))
            })
            .collect()
    };
    let diagnosis = of("diagnosis", 0)?;
    let referral = of("referral", DIAGNOSES.len())?;
    let context = of("context", 0)?;
    let context = context_heads(&mut files, heads, &summary, context)?;
    let mut alone = |kind: &str| -> anyhow::Result<Option<String>> {
        let Some(head) = summary.heads.iter().find(|h| h.kind == kind) else { return Ok(None) };
        let file = format!("heads/{}", head.file);
        files.copy(&heads.join(&head.file), &file)?;
        Ok(Some(file))
    };
    let priority = alone("acuity")?.map(|file| PriorityEntry {
        classes: CLASSES.map(str::to_owned).to_vec(),
        file,
        offset: 0,
        temperature: summary.priority_temperature,
    });
    let age = alone("age")?;
    let age = age.map(|file| AgeEntry { file, output_index: 0, scale: YEARS, offset: 0.0 });
    let sources = [tokenizer, clip, heads];
    let mut manifest = manifest(config, "custom", sizes, &sources)?;
    (manifest.diagnosis, manifest.referral) = (diagnosis, referral);
    (manifest.priority, manifest.age, manifest.context) = (priority, age, context);
    manifest.files = files.entries;
    Ok(manifest)
}

/// Heads that read a clinical context, with the sentence encoder that they were trained with.
fn context_heads(
    files: &mut Files<'_>,
    run: &Path,
    summary: &Summary,
    diagnosis: Vec<HeadEntry>,
) -> anyhow::Result<Option<ContextHeads>> {
    anyhow::ensure!(
        summary.context.is_some() || diagnosis.is_empty(),
        "{}: heads.toml does not say what embedded the clinical context; run `trainer heads` again",
        run.display()
    );
    let Some(ContextSummary { dimension, sentences }) = summary.context else { return Ok(None) };
    let sentences = sentences.map(|pooling| {
        for file in SENTENCE_FILES {
            files.take(&run.join(file), file)?;
        }
        let [graph, tokenizer] = SENTENCE_FILES.map(str::to_owned);
        anyhow::Ok(SentenceFiles { graph, tokenizer, pooling })
    });
    let sentences = sentences.transpose()?;
    let encoder = if sentences.is_some() { context::SENTENCES } else { context::ENCODER };
    Ok(Some(ContextHeads { dimension, encoder: encoder.to_owned(), sentences, diagnosis }))
}

fn student(config: &ExportRun, out: &Path, run: &Path) -> anyhow::Result<Manifest> {
    let mut sizes: PrimaConfig = read_toml(&run.join("sizes.toml"))?;
    sizes.report = None;
    sizes.patient_discrimination = None;
    let heads: StudentHeads = read_toml(&run.join("outputs.toml"))?;
    let mut files = Files { out, half: config.half, entries: Vec::new() };
    files.copy(&run.join(TOKENIZER), TOKENIZER)?;
    files.copy(&run.join("network.safetensors"), NETWORK)?;
    let file = "heads/shared.safetensors".to_owned();
    files.copy(&run.join("heads.safetensors"), &file)?;
    let entries = heads.outputs.iter().enumerate().map(|(i, output)| HeadEntry {
        name: output.name.clone(),
        output_index: i,
        threshold: output.threshold,
        file: file.clone(),
        calibration: output.calibration.clone(),
    });
    let mut diagnosis: Vec<HeadEntry> = entries.collect();
    let referral = diagnosis.split_off(heads.diagnoses);
    let mut manifest = manifest(config, "edge", sizes, &[run])?;
    let age_row = heads.outputs.len() + heads.classes.len();
    let outputs = age_row + usize::from(heads.age.is_some());
    manifest.shared_heads = vec![SharedHead { file: file.clone(), outputs }];
    manifest.age = heads.age.map(|AgeUnit { scale, offset }| AgeEntry {
        file: file.clone(),
        output_index: age_row,
        scale,
        offset,
    });
    manifest.priority = (!heads.classes.is_empty()).then(|| PriorityEntry {
        classes: heads.classes.clone(),
        file,
        offset: heads.outputs.len(),
        temperature: None,
    });
    (manifest.diagnosis, manifest.referral) = (diagnosis, referral);
    manifest.files = files.entries;
    Ok(manifest)
}

fn entry(name: &str, output_index: usize, file: &str, head: &HeadSummary) -> HeadEntry {
    HeadEntry {
        name: name.to_owned(),
        output_index,
        threshold: head.threshold,
        file: file.to_owned(),
        calibration: head.calibration.clone(),
    }
}

fn manifest(
    config: &ExportRun,
    preset: &str,
    sizes: PrimaConfig,
    sources: &[&Path],
) -> anyhow::Result<Manifest> {
    let cohort = Cohort::open(&config.cohort)?;
    let (kind, statement) = match cohort.header.kind {
        CohortKind::Simulated => (
            ProvenanceKind::TrainedOnSimulatedData,
            "Trained on simulated studies only; not for clinical use.",
        ),
        CohortKind::Clinical => (
            ProvenanceKind::TrainedOnClinicalData,
            "Trained on one institution's studies; not evaluated elsewhere.",
        ),
    };
    let described = |path: &&Path| {
        let run = if path.is_dir() { path.join("run.toml") } else { path.to_path_buf() };
        let bytes = fs::read(&run).unwrap_or_default();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        format!("{} (sha256 {})", name.unwrap_or_default(), hex(&Sha256::digest(&bytes)))
    };
    let mut sources: Vec<String> = sources.iter().map(described).collect();
    sources.push(format!("cohort: {}", cohort.header.source));
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        id: config.id.clone(),
        serial: config.serial,
        preset: preset.to_owned(),
        preprocessing: Preprocessing::V1,
        intended_use: INTENDED_USE.to_owned(),
        provenance: Provenance { kind, statement: statement.to_owned(), sources },
        sizes,
        diagnosis: Vec::new(),
        referral: Vec::new(),
        priority: None,
        age: None,
        shared_heads: Vec::new(),
        context: None,
        onnx: None,
        envelope: config.envelope.clone(),
        selection: seen_selection(&config.cohort)?,
        golden: None,
        files: Vec::new(),
    })
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).map_err(|e| {
        anyhow::anyhow!("cannot read {}: {e}; is the run finished?", path.display())
    })?;
    toml::from_str(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

/// Weight files of a bundle as they are written.
struct Files<'a> {
    out: &'a Path,
    half: bool,
    entries: Vec<FileEntry>,
}

impl Files<'_> {
    /// Takes a file over as it is.
    fn take(&mut self, from: &Path, to: &str) -> anyhow::Result<()> {
        let content = fs::read(from).map_err(|e| {
            anyhow::anyhow!("cannot read {}: {e}; is the run finished?", from.display())
        })?;
        fs::write(self.out.join(to), &content)?;
        let (path, bytes) = (to.to_owned(), content.len() as u64);
        self.entries.push(FileEntry { path, bytes, sha256: hex(&Sha256::digest(&content)) });
        Ok(())
    }

    /// Copies the tensors that serving reads.
    fn copy(&mut self, from: &Path, to: &str) -> anyhow::Result<()> {
        let file = WeightFile::open(from)
            .with_context(|| format!("cannot read {}; is the run finished?", from.display()))?;
        let mut served: Vec<_> = file.tensors().filter(|(name, _)| is_served(name)).collect();
        served.sort();
        let mut tensors = Vec::new();
        for (name, shape) in served {
            let values = file.read(&name, &shape)?;
            tensors.push(NamedTensor { name, shape, values });
        }
        let written = write(&self.out.join(to), &tensors, self.half)?;
        let (path, bytes, sha256) = (to.to_owned(), written.bytes, written.sha256);
        self.entries.push(FileEntry { path, bytes, sha256 });
        Ok(())
    }
}
