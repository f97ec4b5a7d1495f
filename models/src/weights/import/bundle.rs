//! Writes a checkpoint as a bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use super::checkpoint::{Checkpoint, HeadSource, TokenizerCheckpoint};
use super::{HeadPrecision, ImportError, ImportProgress, ImportSummary};
use crate::nn::config::PrimaConfig;
use crate::volume::Preprocessing;
use crate::weights::manifest::{
    FORMAT_VERSION, FileEntry, HeadEntry, INTENDED_USE, MANIFEST, Manifest, NETWORK, PriorityEntry,
    Provenance, ProvenanceKind, TOKENIZER,
};
use crate::weights::safetensors_writer::{TensorSink, TensorSpec, write_safetensors};
use crate::weights::torch_file::{SourceFile, StoredTensor, widen};

/// Layers of a head by the published names.
const LAYERS: [&str; 3] = ["0", "2", "4"];
/// Beginning of the names that are left out in a bundle.
const MODEL: &str = "clipmodel.";
/// Bytes read at a time for a digest.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes the bundle under a temporary name beside `out`, then renames it.
pub(super) fn write(
    model: &Checkpoint,
    tokenizer: &TokenizerCheckpoint,
    sources: &[&Path],
    out: &Path,
    precision: HeadPrecision,
    report: &mut dyn FnMut(ImportProgress),
) -> Result<ImportSummary, ImportError> {
    let sizes = super::sizes_of(model, tokenizer)?;
    let plan = Plan::new(model, tokenizer, &sizes, precision)?;
    let folder_error = |source| ImportError::Folder { path: out.to_owned(), source };
    if fs::symlink_metadata(out).is_ok() {
        return Err(folder_error(io::ErrorKind::AlreadyExists.into()));
    }
    let mut temporary = out.as_os_str().to_owned();
    temporary.push(".partial");
    let temporary = PathBuf::from(temporary);
    fs::create_dir(&temporary).map_err(folder_error)?;
    let written = plan.write(&temporary, sources, report).and_then(|(files, sources)| {
        let manifest = manifest(model, tokenizer, sizes, &plan, files, sources);
        let text = toml::to_string_pretty(&manifest)?;
        let mut file = File::create(temporary.join(MANIFEST)).map_err(folder_error)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(folder_error)?;
        fs::rename(&temporary, out).map_err(folder_error)?;
        Ok(manifest)
    });
    if written.is_err() {
        // The first error is the one to report.
        drop(fs::remove_dir_all(&temporary));
    }
    let manifest = written?;
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    Ok(ImportSummary { manifest, bytes, skipped: plan.skipped })
}

/// The files of a bundle and the tensors that go into each.
struct Plan {
    files: Vec<(String, BTreeMap<String, Part>)>,
    diagnosis: Vec<HeadEntry>,
    referral: Vec<HeadEntry>,
    priority: Option<PriorityEntry>,
    half: bool,
    skipped: Vec<String>,
}

/// A tensor and the number type it is written in.
struct Part {
    tensor: StoredTensor,
    dtype: Dtype,
}

impl Part {
    /// Half precision stays; everything else becomes f32, which every network reads.
    fn as_stored(tensor: StoredTensor) -> Self {
        let dtype = if tensor.dtype() == Dtype::F16 { Dtype::F16 } else { Dtype::F32 };
        Self { tensor, dtype }
    }
}

impl Plan {
    fn new(
        model: &Checkpoint,
        tokenizer: &TokenizerCheckpoint,
        sizes: &PrimaConfig,
        precision: HeadPrecision,
    ) -> Result<Self, ImportError> {
        let half = match precision {
            HeadPrecision::Automatic => sizes.head_hidden == PrimaConfig::prima().head_hidden,
            HeadPrecision::Half => true,
            HeadPrecision::AsStored => false,
        };
        let mut plan = Self {
            files: Vec::new(),
            diagnosis: Vec::new(),
            referral: Vec::new(),
            priority: None,
            half,
            skipped: Vec::new(),
        };
        plan.add_shared(TOKENIZER, tokenizer.tensors.iter(), "");
        let network = model.tensors.iter().filter(|(name, _)| name.starts_with(MODEL));
        plan.add_shared(NETWORK, network.chain(&model.position_tables), MODEL);
        plan.diagnosis = plan.add_heads(model, sizes, "diagnosis", &model.diagnosis)?;
        plan.referral = plan.add_heads(model, sizes, "referral", &model.referral)?;
        plan.priority = plan.add_priority(model, sizes)?;
        Ok(plan)
    }

    fn add_shared<'a>(
        &mut self,
        file: &str,
        tensors: impl Iterator<Item = (&'a String, &'a StoredTensor)>,
        prefix: &str,
    ) {
        let mut parts = BTreeMap::new();
        for (name, tensor) in tensors {
            if tensor.is_float() {
                let name = name.strip_prefix(prefix).unwrap_or(name).to_owned();
                parts.insert(name, Part::as_stored(tensor.clone()));
            } else {
                self.skipped.push(name.clone());
            }
        }
        self.files.push((file.to_owned(), parts));
    }

    /// Heads that keep only the row of the last layer that is used.
    fn add_heads(
        &mut self,
        model: &Checkpoint,
        sizes: &PrimaConfig,
        kind: &str,
        heads: &[HeadSource],
    ) -> Result<Vec<HeadEntry>, ImportError> {
        let mut entries = Vec::new();
        for (i, head) in heads.iter().enumerate() {
            let (mut parts, outputs) = self.head(model, sizes, &head.prefix)?;
            for name in ["4.weight", "4.bias"] {
                let row = parts.get(name).and_then(|part| part.tensor.row(head.output_index));
                let (Some(row), Some(part)) = (row, parts.get_mut(name)) else {
                    let field = format!("output index of {kind} head {:?}", head.name);
                    let found = head.output_index.to_string();
                    let expected = format!("less than the {outputs} outputs of {}", head.prefix);
                    return Err(ImportError::field(&model.path, field, found, expected));
                };
                part.tensor = row;
            }
            let file = format!("heads/{kind}/{i:02}_{}.safetensors", file_name(&head.name));
            entries.push(HeadEntry {
                name: head.name.clone(),
                output_index: head.output_index,
                threshold: head.threshold,
                file: file.clone(),
                calibration: None,
            });
            self.files.push((file, parts));
        }
        Ok(entries)
    }

    fn add_priority(
        &mut self,
        model: &Checkpoint,
        sizes: &PrimaConfig,
    ) -> Result<Option<PriorityEntry>, ImportError> {
        const PREFIX: &str = "priorityhead";
        if !model.tensors.contains_key("priorityhead.0.weight") {
            return Ok(None);
        }
        let (parts, outputs) = self.head(model, sizes, PREFIX)?;
        // The published model names the outputs by their number (specification §10).
        let classes: &[&str] = match outputs {
            3 => &["none", "low", "high"],
            4 => &["none", "low", "medium", "high"],
            _ => {
                let found = format!("a head of {outputs} outputs");
                let expected = "3 (none, low, high) or 4 (none, low, medium, high)";
                return Err(ImportError::field(&model.path, PREFIX, found, expected));
            }
        };
        let file = "heads/priority.safetensors".to_owned();
        self.files.push((file.clone(), parts));
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        Ok(Some(PriorityEntry { classes, file, offset: 0, temperature: None }))
    }

    /// The tensors of a head, checked against the widths all heads share, and its outputs.
    fn head(
        &self,
        model: &Checkpoint,
        sizes: &PrimaConfig,
        prefix: &str,
    ) -> Result<(BTreeMap<String, Part>, usize), ImportError> {
        let last = format!("{prefix}.4.bias");
        let outputs = model.tensors.get(&last).and_then(|bias| bias.shape().first().copied());
        let outputs = outputs.unwrap_or(0);
        let [outer, inner] = sizes.head_hidden;
        let widths = [sizes.embedding(), outer, inner, outputs];
        let mut parts = BTreeMap::new();
        for (layer, width) in LAYERS.iter().zip(widths.windows(2)) {
            for (name, shape) in [("weight", &[width[1], width[0]][..]), ("bias", &width[1..])] {
                let name = format!("{layer}.{name}");
                let field = format!("{prefix}.{name}");
                let tensor = model.tensors.get(&field);
                let Some(tensor) = tensor.filter(|t| t.shape() == shape && t.is_float()) else {
                    let found = tensor.map_or("missing".to_owned(), |t| format!("{:?}", t.shape()));
                    let expected = format!("floats of shape {shape:?}");
                    return Err(ImportError::field(&model.path, field, found, expected));
                };
                let mut part = Part::as_stored(tensor.clone());
                if self.half {
                    part.dtype = Dtype::F16;
                }
                parts.insert(name, part);
            }
        }
        Ok((parts, outputs))
    }

    /// Writes all files below `folder`; gives their entries and a line on each source.
    fn write(
        &self,
        folder: &Path,
        sources: &[&Path],
        report: &mut dyn FnMut(ImportProgress),
    ) -> Result<(Vec<FileEntry>, Vec<String>), ImportError> {
        let open = |&path: &&Path| {
            let read = |source| ImportError::Read { path: path.to_owned(), source };
            SourceFile::open(path).map_err(read)
        };
        let sources: Vec<SourceFile> = sources.iter().map(open).collect::<Result<_, _>>()?;
        let tensors = self.files.iter().flat_map(|(_, parts)| parts.values());
        let total = tensors.map(|part| part.tensor.bytes()).sum::<u64>()
            + sources.iter().map(SourceFile::length).sum::<u64>();
        let mut done = 0;
        let mut digests = Vec::new();
        for source in &sources {
            let file = format!("digest of {}", name_of(source.path()));
            let digest = digest(source, &mut |bytes| {
                done += bytes;
                report(ImportProgress { file: file.clone(), done, total });
            })?;
            digests.push(format!("{} sha256:{digest}", name_of(source.path())));
        }
        let mut entries = Vec::new();
        for (file, parts) in &self.files {
            let entry = write_file(folder, file, parts, &mut |bytes| {
                done += bytes;
                report(ImportProgress { file: file.clone(), done, total });
            })?;
            entries.push(entry);
        }
        Ok((entries, digests))
    }
}

fn write_file(
    folder: &Path,
    file: &str,
    parts: &BTreeMap<String, Part>,
    report: &mut dyn FnMut(u64),
) -> Result<FileEntry, ImportError> {
    let path = folder.join(file);
    if let Some(parent) = path.parent() {
        let parent = parent.to_owned();
        fs::create_dir_all(&parent)
            .map_err(|source| ImportError::Folder { path: parent, source })?;
    }
    let spec = |(name, part): (&String, &Part)| TensorSpec {
        name: name.clone(),
        dtype: part.dtype,
        shape: part.tensor.shape().to_vec(),
    };
    let specs: Vec<TensorSpec> = parts.iter().map(spec).collect();
    let written = write_safetensors(&path, &specs, &mut |spec, sink| {
        copy(&path, spec, &parts[&spec.name], sink, report)
    })?;
    Ok(FileEntry { path: file.to_owned(), bytes: written.bytes, sha256: written.sha256 })
}

/// Copies a tensor chunk by chunk, in the number type it is written in.
fn copy(
    path: &Path,
    spec: &TensorSpec,
    part: &Part,
    sink: &mut TensorSink<'_>,
    report: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    let stored = part.tensor.dtype();
    let mut reader = part.tensor.reader()?;
    let mut values = Vec::new();
    let mut converted = Vec::new();
    let mut first = 0;
    while let Some(chunk) = reader.next_chunk()? {
        values.clear();
        widen(stored, chunk, &mut values);
        check(path, &spec.name, &values, first, spec.dtype)?;
        if stored == spec.dtype {
            sink.write(chunk)?;
        } else {
            converted.clear();
            if spec.dtype == Dtype::F16 {
                converted.extend(values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
            } else {
                converted.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            }
            sink.write(&converted)?;
        }
        first += values.len();
        report(chunk.len() as u64);
    }
    Ok(())
}

/// One value that is not finite makes every output of a study NaN (specification §16.13).
fn check(
    path: &Path,
    name: &str,
    values: &[f32],
    first: usize,
    dtype: Dtype,
) -> Result<(), ImportError> {
    // Rounds to infinity in half precision from here on.
    let limit = if dtype == Dtype::F16 { 65_520.0 } else { f32::INFINITY };
    match values.iter().position(|value| value.is_nan() || value.abs() >= limit) {
        None => Ok(()),
        Some(i) => Err(ImportError::NotFinite {
            path: path.to_owned(),
            field: name.to_owned(),
            found: values[i],
            element: first + i,
            advice: if values[i].is_finite() {
                "it does not fit half precision; import with the weights as stored"
            } else {
                "the checkpoint is damaged or its training diverged"
            },
        }),
    }
}

fn digest(file: &SourceFile, report: &mut dyn FnMut(u64)) -> Result<String, ImportError> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < file.length() {
        let left = usize::try_from(file.length() - at).unwrap_or(CHUNK_BYTES);
        let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
        let read = |source| ImportError::Read { path: file.path().to_owned(), source };
        file.read_at(chunk, at).map_err(read)?;
        digest.update(&*chunk);
        at += chunk.len() as u64;
        report(chunk.len() as u64);
    }
    Ok(digest.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

fn manifest(
    model: &Checkpoint,
    tokenizer: &TokenizerCheckpoint,
    sizes: PrimaConfig,
    plan: &Plan,
    files: Vec<FileEntry>,
    sources: Vec<String>,
) -> Manifest {
    let preset = if sizes == PrimaConfig::prima() { "prima" } else { "custom" };
    let (full, vqvae) = (name_of(&model.path), name_of(&tokenizer.path));
    let precision = if plan.half { "; heads in half precision" } else { "" };
    Manifest {
        format_version: FORMAT_VERSION,
        id: format!("imported-{}", file_name(full.trim_end_matches(".pt"))),
        serial: 0,
        preset: preset.to_owned(),
        // The product's preprocessing; `published` is for comparisons with the published code.
        preprocessing: Preprocessing::V1,
        intended_use: INTENDED_USE.to_owned(),
        provenance: Provenance {
            kind: ProvenanceKind::Imported,
            statement: format!("Imported from {full} and {vqvae}{precision}."),
            sources,
        },
        sizes,
        diagnosis: plan.diagnosis.clone(),
        referral: plan.referral.clone(),
        priority: plan.priority.clone(),
        age: None,
        shared_heads: Vec::new(),
        context: None,
        onnx: None,
        envelope: None,
        // The published code selects nothing and leaves that to whoever calls it.
        selection: None,
        golden: None,
        files,
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A label as part of a file name.
fn file_name(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    label.chars().map(plain).collect()
}
