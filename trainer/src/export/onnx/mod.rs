//! A bundle's networks as three ONNX graphs, for the CPU path of the appliance and for any other
//! runtime (opset 20, attention in elementary operators, any number of tokens).
//!
//! | file | inputs | outputs |
//! |---|---|---|
//! | `tokenizer.onnx` | `patches` `[N, 4096]` f32, thin axis first | `latents` `[N, 256]` |
//! | `sequence.onnx` | `tokens` `[T, 289]` f32, `name_ids` `[L]` i64 | `series` `[D]` |
//! | `study.onnx` | `series` `[S, D]` f32, `description_ids` `[L]` i64 | `embedding` `[R * D]`, `logits` of the shared head |
//!
//! The graphs hold no weights: they point into the bundle's safetensors files (module `graph`), so
//! they belong in the bundle's folder and are a few tens of kilobytes.

mod graph;
pub mod image;
mod layers;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use models::dims::{LATENT, PATCH_VOX, TOKEN_FEATURES};
use models::nn::config::{MixerConfig, PrimaConfig, TokenizerConfig};
use models::nn::parameters::ParameterError;
use models::weights::bundle::{Bundle, BundleError, hex};
use models::weights::manifest::{FileEntry, MANIFEST, NETWORK, OnnxParts, SharedHead, TOKENIZER};
use models::weights::mapped::WeightFile;
use sha2::{Digest, Sha256};
use tract_onnx::pb::tensor_proto::DataType;

use graph::{Axis, Graph, Weights, as_i64};

/// File names inside a bundle.
const FILES: [&str; 3] = ["tokenizer.onnx", "sequence.onnx", "study.onnx"];

/// ONNX parts that were not written.
#[derive(Debug, thiserror::Error)]
pub enum OnnxExportError {
    /// The bundle is refused.
    #[error("cannot use the bundle that ONNX parts are made for")]
    Bundle(#[from] BundleError),
    /// A tensor is not what the sizes promise.
    #[error("a tensor of the bundle does not fit its sizes")]
    Parameter(#[from] ParameterError),
    /// A tokenizer that no emitter knows.
    #[error(
        "{path}: the tokenizer is made of 3-D convolutions, which the CPU runs faster without \
         ONNX; only bundles with the mixer tokenizer get ONNX parts"
    )]
    Tokenizer {
        /// The manifest.
        path: PathBuf,
    },
    /// The bundle has them already.
    #[error("{path} has ONNX parts already; export the bundle again to change them")]
    Present {
        /// The manifest.
        path: PathBuf,
    },
    /// A file was not written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is no TOML.
    #[error("the manifest cannot be written as TOML")]
    Manifest(#[from] toml::ser::Error),
}

/// Writes the three graphs of a bundle beside its weights and enters them into its manifest.
///
/// # Errors
///
/// When the bundle is refused, has such parts or another tokenizer, or the disk is full.
pub fn add_parts(folder: &Path) -> Result<(), OnnxExportError> {
    let bundle = Bundle::open(folder)?;
    let mut manifest = bundle.manifest().clone();
    let path = folder.join(MANIFEST);
    if manifest.onnx.is_some() {
        return Err(OnnxExportError::Present { path });
    }
    let TokenizerConfig::Mixer(mixer) = &manifest.sizes.tokenizer else {
        return Err(OnnxExportError::Tokenizer { path });
    };
    let network = bundle.open_file(NETWORK)?;
    let head = main_head(&bundle)?;
    let head = head.as_ref().map(|(shared, file)| (*shared, file));
    let graphs = [
        tokenizer(&bundle.open_file(TOKENIZER)?, mixer)?,
        sequence(&network, &manifest.sizes)?,
        study(&network, &manifest.sizes, head)?,
    ];
    let [tokenizer, sequence, study] = FILES.map(|file| Some(file.to_owned()));
    manifest.onnx = Some(OnnxParts { tokenizer, sequence, study });
    let write = |path: PathBuf, bytes: &[u8]| {
        fs::write(&path, bytes).map_err(|source| OnnxExportError::Write { path, source })
    };
    for (file, graph) in FILES.into_iter().zip(&graphs) {
        write(folder.join(file), graph)?;
        let sha256 = hex(&Sha256::digest(graph));
        manifest.files.push(FileEntry { path: file.to_owned(), bytes: graph.len() as u64, sha256 });
    }
    write(path, toml::to_string_pretty(&manifest)?.as_bytes())
}

/// The shared head that reads the study embedding alone.
fn main_head(bundle: &Bundle) -> Result<Option<(&SharedHead, WeightFile)>, BundleError> {
    let manifest = bundle.manifest();
    let context = manifest.context.iter().flat_map(|context| &context.diagnosis);
    let context: Vec<&str> = context.map(|head| head.file.as_str()).collect();
    let mut shared = manifest.shared_heads.iter();
    let Some(head) = shared.find(|head| !context.contains(&head.file.as_str())) else {
        return Ok(None);
    };
    Ok(Some((head, bundle.open_file(&head.file)?)))
}

fn tokenizer(file: &WeightFile, sizes: &MixerConfig) -> Result<Vec<u8>, ParameterError> {
    let weights = Weights::new(file, TOKENIZER)?;
    let mut graph = Graph::default();
    let shape = [Axis::Named("N"), Axis::Fixed(PATCH_VOX)];
    let patches = graph.input("patches", DataType::Float, &shape);
    let latents = layers::mixer(&mut graph, &weights.root(), &patches, sizes)?;
    graph.output("latents", &latents, &[Axis::Named("N"), Axis::Fixed(LATENT)]);
    Ok(graph.finish("tokenizer"))
}

fn sequence(file: &WeightFile, sizes: &PrimaConfig) -> Result<Vec<u8>, ParameterError> {
    let weights = Weights::new(file, NETWORK)?;
    let at = weights.root().at("visual_model");
    let mut graph = Graph::default();
    let shape = [Axis::Named("T"), Axis::Fixed(TOKEN_FEATURES)];
    let mut tokens = graph.input("tokens", DataType::Float, &shape);
    let ids = graph.input("name_ids", DataType::Int64, &[Axis::Named("L")]);
    let vit = &sizes.sequence_vit;
    let dim = vit.transformer.dim;
    if dim > TOKEN_FEATURES {
        let pads = graph.integers(&[0, 0, 0, as_i64(dim - TOKEN_FEATURES)]);
        tokens = graph.node("Pad", &[&tokens, &pads], Vec::new());
    }
    let name = layers::name_encoder(&mut graph, &at.at("serieencoder"), &ids, &sizes.series_name)?;
    let inner = at.at("innerViT");
    let pooled = layers::register_vit(&mut graph, &inner, &name, &tokens, vit)?;
    let widths = [vit.pooled(), vit.output];
    let series = layers::linear(&mut graph, &inner.at("mlp_head.0"), &pooled, widths)?;
    let series = graph.reshape(&series, &[as_i64(vit.output)]);
    graph.output("series", &series, &[Axis::Fixed(vit.output)]);
    Ok(graph.finish("sequence"))
}

fn study(
    file: &WeightFile,
    sizes: &PrimaConfig,
    shared: Option<(&SharedHead, &WeightFile)>,
) -> Result<Vec<u8>, ParameterError> {
    let weights = Weights::new(file, NETWORK)?;
    let at = weights.root().at("visual_model");
    let mut graph = Graph::default();
    let vit = &sizes.study_vit;
    let shape = [Axis::Named("S"), Axis::Fixed(vit.transformer.dim)];
    let series = graph.input("series", DataType::Float, &shape);
    let ids = graph.input("description_ids", DataType::Int64, &[Axis::Named("L")]);
    let name = layers::name_encoder(&mut graph, &at.at("studyencoder"), &ids, &sizes.study_name)?;
    let pooled = layers::register_vit(&mut graph, &at.at("outerViT"), &name, &series, vit)?;
    let width = sizes.embedding();
    let embedding = graph.reshape(&pooled, &[as_i64(width)]);
    graph.output("embedding", &embedding, &[Axis::Fixed(width)]);
    if let Some((head, file)) = shared {
        let weights = Weights::new(file, &head.file)?;
        let [first, second] = sizes.head_hidden;
        let widths = [width, first, second, head.outputs];
        let logits = layers::head(&mut graph, &weights.root(), &pooled, widths)?;
        let logits = graph.reshape(&logits, &[as_i64(head.outputs)]);
        graph.output("logits", &logits, &[Axis::Fixed(head.outputs)]);
    }
    Ok(graph.finish("study"))
}
