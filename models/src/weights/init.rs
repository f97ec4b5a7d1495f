//! Random weights from a seed: for `trainer init`, benches and tests.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::{fs, io};

use burn::DispatchDevice;
use burn::tensor::DType;
use half::f16;
use safetensors::Dtype;

use super::manifest::{
    ContextHeads, FORMAT_VERSION, FileEntry, HeadEntry, INTENDED_USE, MANIFEST, Manifest, NETWORK,
    PriorityEntry, Provenance, ProvenanceKind, SharedHead, TOKENIZER,
};
use super::safetensors_writer::{SafetensorsWriteError, TensorSink, TensorSpec, write_safetensors};
use crate::labels::DIAGNOSES;
use crate::nn::config::{PrimaConfig, TokenizerConfig};
use crate::nn::head::LAYERS;
use crate::nn::mixer::MixerEncoder;
use crate::nn::parameters::{ParameterError, ParameterSource, Parameters};
use crate::nn::prima::Prima;
use crate::nn::vqvae::Encoder;
use crate::tokens::context::ENCODER;
use crate::volume::Preprocessing;

/// Bytes generated at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Parameters that are a function of seed and tensor name: layer norms are the identity, all
/// other values uniform within `fan_in^-0.5`, which keeps activations of order one.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// Any number; equal seeds give equal weights.
    pub seed: u64,
}

impl Seeded {
    /// Values of the tensor `name`.
    pub fn values(&self, name: &str, shape: &[usize]) -> impl Iterator<Item = f32> + use<> {
        let count: usize = shape.iter().product();
        let norm = shape.len() == 1 && name.ends_with("weight");
        let fan_in = shape.iter().skip(1).product::<usize>().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a layer has far fewer than 2^23 inputs")]
        let bound = (fan_in as f32).powf(-0.5);
        let mut state = name.bytes().fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (0..count).map(move |_| {
            if norm {
                return 1.0;
            }
            // SplitMix64: one multiply-and-shift chain per value.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            #[expect(clippy::cast_precision_loss, reason = "24 bits fit a f32")]
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / 16_777_216.0;
            bound * (2.0 * unit - 1.0)
        })
    }
}

impl ParameterSource for Seeded {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        Ok(self.values(name, shape).collect())
    }

    /// Everything exists but the optional stored position tables.
    fn contains(&self, name: &str) -> bool {
        !name.ends_with("p_enc")
    }
}

/// Notes which tensors a network asks for.
#[derive(Debug, Default)]
struct Recorder(RefCell<Vec<TensorSpec>>);

impl ParameterSource for Recorder {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        let count = shape.iter().product();
        self.0.borrow_mut().push(TensorSpec { name, dtype: Dtype::F32, shape });
        Ok(vec![0.0; count])
    }

    fn contains(&self, name: &str) -> bool {
        Seeded { seed: 0 }.contains(name)
    }
}

/// What untrained bundle to make.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Name of the sizes.
    pub preset: &'static str,
    /// The sizes. Networks that only training uses are left out of the bundle.
    pub sizes: PrimaConfig,
    /// Equal seeds give equal weights.
    pub seed: u64,
    /// Adds diagnosis heads that read a clinical context of so many values.
    pub context_dimension: Option<usize>,
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder is there already, or cannot be made.
    #[error("cannot make the bundle folder {path}; choose a new one")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A weight file failed.
    #[error("a weight file of the bundle was not written")]
    Weights(#[from] SafetensorsWriteError),
    /// The network did not accept its own sizes.
    #[error("the sizes of the preset do not fit together")]
    Parameter(#[from] ParameterError),
    /// The manifest is no TOML.
    #[error("the manifest cannot be written as TOML")]
    Manifest(#[from] toml::ser::Error),
}

/// Writes a bundle of random weights for the 52 published diagnoses and three priority classes.
/// Heads of the published size are stored in half precision. Sizes with the mixer tokenizer are
/// stored as students are: all weights in half precision, all outputs in one shared head. Returns
/// its size in bytes; `progress` is told bytes done and bytes in all.
///
/// # Errors
///
/// When the folder exists or the disk is full.
pub fn write_untrained(
    options: &InitOptions,
    out: &Path,
    device: &DispatchDevice,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, InitError> {
    let mut sizes = options.sizes.clone();
    sizes.report = None;
    sizes.patient_discrimination = None;
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Folder { path, source }
    };
    if out.exists() {
        return Err(folder(out)(io::ErrorKind::AlreadyExists.into()));
    }
    // The bundle appears under its name when it is complete; what an interrupted run left is
    // written again.
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut files = plan(&sizes, device)?;
    let heads = plan_heads(&sizes, options.context_dimension, &mut files);
    for (file, _) in &files {
        let path = partial.join(file);
        let parent = path.parent().unwrap_or(&partial);
        fs::create_dir_all(parent).map_err(folder(parent))?;
    }
    let total = files.iter().flat_map(|(_, tensors)| tensors).map(TensorSpec::bytes).sum();
    let source = Seeded { seed: options.seed };
    let mut done = 0;
    let mut entries = Vec::new();
    for (path, tensors) in files {
        let written = write_safetensors(&partial.join(&path), &tensors, &mut |spec, sink| {
            // Names repeat between heads, so the file is part of what the values depend on.
            fill(&source, &path, spec, sink)?;
            done += spec.bytes();
            progress(done, total);
            Ok::<_, InitError>(())
        })?;
        entries.push(FileEntry { path, bytes: written.bytes, sha256: written.sha256 });
    }
    let statement =
        format!("random numbers from seed {}: untrained, results mean nothing", options.seed);
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        id: format!("untrained-{}-{}", options.preset, options.seed),
        serial: 0,
        preset: options.preset.to_owned(),
        preprocessing: Preprocessing::V1,
        intended_use: INTENDED_USE.to_owned(),
        provenance: Provenance { kind: ProvenanceKind::Untrained, statement, sources: Vec::new() },
        sizes,
        diagnosis: heads.diagnosis,
        referral: Vec::new(),
        priority: Some(heads.priority),
        age: None,
        shared_heads: heads.shared,
        context: heads.context,
        onnx: None,
        envelope: None,
        selection: None,
        golden: None,
        files: entries,
    };
    let path = partial.join(MANIFEST);
    fs::write(&path, toml::to_string_pretty(&manifest)?).map_err(folder(&path))?;
    fs::rename(&partial, out).map_err(folder(out))?;
    Ok(total)
}

type FilePlan = (String, Vec<TensorSpec>);

/// The tensors of tokenizer and transformers: what loading them asks for.
fn plan(sizes: &PrimaConfig, device: &DispatchDevice) -> Result<Vec<FilePlan>, ParameterError> {
    let tokenizer = Recorder::default();
    let at = Parameters::new(&tokenizer, device, DType::F32);
    match &sizes.tokenizer {
        TokenizerConfig::Conv3d(sizes) => drop(Encoder::load(&at, sizes)?),
        TokenizerConfig::Mixer(sizes) => drop(MixerEncoder::load(&at, sizes)?),
    }
    let network = Recorder::default();
    Prima::load(&Parameters::new(&network, device, DType::F32), sizes)?;
    let half = is_student(sizes);
    let stored = |spec: TensorSpec| TensorSpec {
        dtype: if half && spec.shape.len() > 1 { Dtype::F16 } else { spec.dtype },
        ..spec
    };
    let files = [(TOKENIZER, tokenizer), (NETWORK, network)];
    let tensors = |recorder: Recorder| recorder.0.into_inner().into_iter().map(stored).collect();
    Ok(files.map(|(file, recorder)| (file.to_owned(), tensors(recorder))).into())
}

/// The heads of a bundle.
struct Heads {
    diagnosis: Vec<HeadEntry>,
    priority: PriorityEntry,
    context: Option<ContextHeads>,
    shared: Vec<SharedHead>,
}

/// Adds the files of all heads: one per head, or one per input when they are shared.
fn plan_heads(
    sizes: &PrimaConfig,
    context_dimension: Option<usize>,
    files: &mut Vec<FilePlan>,
) -> Heads {
    let classes = ["none", "low", "high"].map(str::to_owned).to_vec();
    let mut shared = Vec::new();
    let mut share = |file: &str, extra: usize, outputs: usize, files: &mut Vec<FilePlan>| {
        let file = file.to_owned();
        files.push((file.clone(), head_tensors(sizes, extra, outputs)));
        shared.push(SharedHead { file, outputs });
    };
    let (mut offset, mut file) = (0, "heads/priority.safetensors".to_owned());
    let (diagnosis, context) = if is_student(sizes) {
        (offset, file) = (DIAGNOSES.len(), "heads/shared.safetensors".to_owned());
        share(&file, 0, offset + classes.len(), files);
        let diagnosis = label_entries(|_, _| file.clone());
        let context = context_dimension.map(|dimension| {
            let file = "heads/context.safetensors";
            share(file, dimension, DIAGNOSES.len(), files);
            label_entries(|_, _| file.to_owned())
        });
        (diagnosis, context)
    } else {
        let mut alone = |set: &str, extra: usize| {
            label_entries(|output_index, name| {
                let file = format!("heads/{set}/{output_index:02}_{name}.safetensors");
                files.push((file.clone(), head_tensors(sizes, extra, 1)));
                file
            })
        };
        let diagnosis = alone("diagnosis", 0);
        // The order of the files in the manifest.
        let context = context_dimension.map(|dimension| alone("context", dimension));
        files.push((file.clone(), head_tensors(sizes, 0, classes.len())));
        (diagnosis, context)
    };
    let context = context_dimension.zip(context).map(|(dimension, diagnosis)| ContextHeads {
        dimension,
        encoder: ENCODER.to_owned(),
        sentences: None,
        diagnosis,
    });
    let priority = PriorityEntry { classes, file, offset, temperature: None };
    Heads { diagnosis, priority, context, shared }
}

/// One entry a diagnosis.
fn label_entries(mut file: impl FnMut(usize, &str) -> String) -> Vec<HeadEntry> {
    let entry = |(output_index, name): (usize, &str)| HeadEntry {
        name: name.to_owned(),
        output_index,
        threshold: 0.0,
        file: file(output_index, name),
        calibration: None,
    };
    DIAGNOSES.into_iter().enumerate().map(entry).collect()
}

/// Students have the tokenizer that only they have.
fn is_student(sizes: &PrimaConfig) -> bool {
    matches!(sizes.tokenizer, TokenizerConfig::Mixer(_))
}

fn head_tensors(sizes: &PrimaConfig, extra: usize, outputs: usize) -> Vec<TensorSpec> {
    let half = is_student(sizes) || sizes.head_hidden == PrimaConfig::prima().head_hidden;
    let widths = [sizes.embedding() + extra, sizes.head_hidden[0], sizes.head_hidden[1], outputs];
    let layers = LAYERS.iter().zip(widths.windows(2));
    layers
        .flat_map(|(layer, io)| {
            let dtype = if half { Dtype::F16 } else { Dtype::F32 };
            let weight = format!("{layer}.weight");
            let bias = format!("{layer}.bias");
            [
                TensorSpec { name: weight, dtype, shape: vec![io[1], io[0]] },
                TensorSpec { name: bias, dtype: Dtype::F32, shape: vec![io[1]] },
            ]
        })
        .collect()
}

/// Streams one tensor's values.
fn fill(
    source: &Seeded,
    file: &str,
    spec: &TensorSpec,
    sink: &mut TensorSink<'_>,
) -> Result<(), SafetensorsWriteError> {
    let mut values = source.values(&format!("{file}/{}", spec.name), &spec.shape);
    let mut bytes = Vec::with_capacity(CHUNK_BYTES);
    loop {
        bytes.clear();
        let chunk = values.by_ref().take(CHUNK_BYTES / 4);
        match spec.dtype {
            Dtype::F16 => bytes.extend(chunk.flat_map(|v| f16::from_f32(v).to_le_bytes())),
            _ => bytes.extend(chunk.flat_map(f32::to_le_bytes)),
        }
        if bytes.is_empty() {
            return Ok(());
        }
        sink.write(&bytes)?;
    }
}
