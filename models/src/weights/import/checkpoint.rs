//! What a checkpoint holds, whichever files it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::Metadata;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ImportError;
use super::modules::{self, VISUAL};
use crate::nn::config::ConvConfig;
use crate::weights::pickle::NodeId;
use crate::weights::torch_file::{SourceFile, StoredTensor, TorchFile};

/// Longest header of a safetensors file; the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Width of an attention head where a training configuration does not name it: the default of
/// the published constructors.
pub(super) const DEFAULT_DIM_HEAD: usize = 64;

/// Sizes of an attention layer that its tensors do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Heads.
    pub heads: usize,
    /// Width of one head.
    pub dim_head: usize,
}

/// One diagnosis or referral head, of which one output is used.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSource {
    /// Label.
    pub name: String,
    /// Beginning of its tensors' names.
    pub prefix: String,
    /// Row of the last layer that is used.
    pub output_index: usize,
    /// Logit from which the label counts as positive.
    pub threshold: f32,
}

/// The published model: tensors under the names `state_dict()` gives them, and what stands only
/// in the pickled objects.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The file, for messages.
    pub path: PathBuf,
    /// All tensors but the duplicate `clipvisualmodel.*`.
    pub tensors: BTreeMap<String, StoredTensor>,
    /// Position tables of the name encoders; plain attributes, so not among the tensors.
    pub position_tables: BTreeMap<String, StoredTensor>,
    /// Attention layers by module path.
    pub attention: BTreeMap<String, Attention>,
    /// Attention heads of the report encoder.
    pub report_heads: Option<usize>,
    /// Diagnosis heads in the order of the labels.
    pub diagnosis: Vec<HeadSource>,
    /// Referral heads.
    pub referral: Vec<HeadSource>,
}

/// The VQ-VAE's state.
#[derive(Clone, Debug)]
pub struct TokenizerCheckpoint {
    /// The file, for messages.
    pub path: PathBuf,
    /// All tensors.
    pub tensors: BTreeMap<String, StoredTensor>,
    /// Down- and up-sampling layers where a configuration names them; their strides and paddings
    /// do not show in the tensors.
    pub sampling: Option<[Vec<ConvConfig>; 2]>,
}

impl Checkpoint {
    /// Reads a whole pickled model (`primafullmodel*.pt`).
    ///
    /// # Errors
    ///
    /// When the file is damaged or not laid out like the published one.
    pub fn from_pickle(path: &Path) -> Result<Self, ImportError> {
        modules::checkpoint(&TorchFile::open(path)?)
    }

    /// Reads the same model as `state` (safetensors), `config` and `heads` (JSON), the layout of
    /// the reference vectors.
    ///
    /// # Errors
    ///
    /// When a file is damaged or lacks a field.
    pub fn from_safetensors(
        state: &Path,
        config: &Path,
        heads: &Path,
    ) -> Result<Self, ImportError> {
        let (config_json, heads): (Value, HeadsJson) = (read_json(config)?, read_json(heads)?);
        let mut attention = BTreeMap::new();
        let tensors = modules::once(read_safetensors(state)?);
        let mut add = |module: &str, at: &str| -> Result<(), ImportError> {
            let heads = count(config, &config_json, &format!("{at}/heads"))?;
            let dim_head = match config_json.pointer(&format!("{at}/dim_head")) {
                None => DEFAULT_DIM_HEAD,
                Some(_) => count(config, &config_json, &format!("{at}/dim_head"))?,
            };
            attention.insert(layer(module, 0), Attention { heads, dim_head });
            Ok(())
        };
        add("innerViT", "/clip/model/visual/inner")?;
        add("outerViT", "/clip/model/visual/outer")?;
        let pretrained = tensors.contains_key(&format!("{VISUAL}serieencoder.0.embed.weight"));
        let series = if pretrained { "serieencoder.0" } else { "serieencoder" };
        add(series, "/name_encoder")?;
        add("studyencoder", "/name_encoder")?;
        Ok(Self {
            path: state.to_owned(),
            tensors,
            position_tables: BTreeMap::new(),
            attention,
            report_heads: count(config, &config_json, "/gpt2/n_head").ok(),
            diagnosis: json_heads(heads.diagnosis, "m1"),
            referral: json_heads(heads.referral, "m2"),
        })
    }
}

impl TokenizerCheckpoint {
    /// Reads a pickled `state_dict` (`vqvae_model_step*.pth`), also one that lies inside a
    /// training checkpoint or carries a wrapper's prefix.
    ///
    /// # Errors
    ///
    /// When the file is damaged or no VQ-VAE's state.
    pub fn from_pickle(path: &Path) -> Result<Self, ImportError> {
        let file = TorchFile::open(path)?;
        let mut root = file.pickle().root();
        for key in ["state_dict", "model_state_dict", "model", "vqvae"] {
            root = file.pickle().get(root, key).unwrap_or(root);
        }
        Ok(Self { path: path.to_owned(), tensors: state_dict(&file, root)?, sampling: None })
    }

    /// Reads the same state as safetensors, with the reference vectors' configuration.
    ///
    /// # Errors
    ///
    /// When a file is damaged or lacks a field.
    pub fn from_safetensors(state: &Path, config: &Path) -> Result<Self, ImportError> {
        let json: Value = read_json(config)?;
        let levels = |field: &str| -> Result<Vec<ConvConfig>, ImportError> {
            let at = format!("/vqvae/{field}");
            let wrong = |found: &Value| {
                let expected = "a list of [stride, kernel, dilation, padding, ..] with dilation 1";
                ImportError::field(config, &at, found.to_string(), expected)
            };
            let list = json.pointer(&at).unwrap_or(&Value::Null);
            let level = |level: &Value| {
                let numbers: Option<Vec<usize>> = level
                    .as_array()?
                    .iter()
                    .map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()))
                    .collect();
                match numbers?.as_slice() {
                    [stride, kernel, 1, padding] | [stride, kernel, 1, padding, 0] => {
                        Some(ConvConfig { kernel: *kernel, stride: *stride, padding: *padding })
                    }
                    _ => None,
                }
            };
            let levels = list.as_array().ok_or_else(|| wrong(list))?;
            levels.iter().map(|l| level(l).ok_or_else(|| wrong(l))).collect()
        };
        let sampling = Some([levels("downsample_parameters")?, levels("upsample_parameters")?]);
        Ok(Self { path: state.to_owned(), tensors: read_safetensors(state)?, sampling })
    }
}

/// Path of the attention layer in block `index` of a transformer of the visual model.
pub(super) fn layer(module: &str, index: usize) -> String {
    format!("{VISUAL}{module}.transformer.layers.{index}.0.fn")
}

/// Tensors of a pickled dictionary, without the prefix a wrapper put before every name.
fn state_dict(
    file: &TorchFile,
    root: NodeId,
) -> Result<BTreeMap<String, StoredTensor>, ImportError> {
    let pickle = file.pickle();
    let wrong = |found: String| {
        let expected = "a state_dict with encoder.blocks.0.conv.weight: a tokenizer checkpoint";
        ImportError::field(file.path(), "the pickled value", found, expected)
    };
    let entries = pickle.entries(root).ok_or_else(|| wrong(pickle.describe(root)))?;
    let named = entries.iter().filter_map(|(key, value)| Some((pickle.text(*key)?, *value)));
    let first = "encoder.blocks.0.conv.weight";
    let prefix = named.clone().find_map(|(name, _)| name.strip_suffix(first));
    let prefix = prefix.ok_or_else(|| wrong(pickle.describe(root)))?;
    let mut tensors = BTreeMap::new();
    for (name, value) in named {
        if let Some(name) = name.strip_prefix(prefix).filter(|_| file.is_tensor(value)) {
            let tensor = file.tensor(value);
            let tensor =
                tensor.map_err(|e| ImportError::field(file.path(), name, e.found, e.expected))?;
            tensors.insert(name.to_owned(), tensor);
        }
    }
    Ok(tensors)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ImportError> {
    let read = |source| ImportError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    serde_json::from_str(&text).map_err(|source| read(source.into()))
}

fn count(path: &Path, json: &Value, pointer: &str) -> Result<usize, ImportError> {
    let value = json.pointer(pointer).unwrap_or(&Value::Null);
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| ImportError::field(path, pointer, value.to_string(), "a number"))
}

/// Output index and threshold of every head, in the order of the file: it is the order of the
/// tensors, which a map sorted by name would lose.
#[derive(Deserialize)]
struct HeadsJson {
    #[serde(deserialize_with = "in_order")]
    diagnosis: Vec<(String, HeadJson)>,
    #[serde(deserialize_with = "in_order")]
    referral: Vec<(String, HeadJson)>,
}

#[derive(Deserialize)]
struct HeadJson {
    output_index: usize,
    thresh: f32,
}

fn in_order<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<(String, HeadJson)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, HeadJson)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of heads")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    input.deserialize_map(Pairs)
}

fn json_heads(heads: Vec<(String, HeadJson)>, list: &str) -> Vec<HeadSource> {
    let head = |(i, (name, head)): (usize, (String, HeadJson))| HeadSource {
        name,
        prefix: format!("{list}.{i}"),
        output_index: head.output_index,
        threshold: head.thresh,
    };
    heads.into_iter().enumerate().map(head).collect()
}

/// Names and places of the tensors of a safetensors file.
fn read_safetensors(path: &Path) -> Result<BTreeMap<String, StoredTensor>, ImportError> {
    let read = |source| ImportError::Read { path: path.to_owned(), source };
    let file = Arc::new(SourceFile::open(path).map_err(read)?);
    let mut length = [0; 8];
    file.read_at(&mut length, 0).map_err(read)?;
    let length = u64::from_le_bytes(length);
    let limit = MAX_HEADER_BYTES.min(file.length());
    let header_length = usize::try_from(length).ok().filter(|_| length <= limit);
    let expected = "a safetensors file";
    let Some(header_length) = header_length else {
        let found = format!("{length} bytes");
        return Err(ImportError::field(path, "the header", found, expected));
    };
    let mut header = vec![0; header_length];
    file.read_at(&mut header, 8).map_err(read)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| read(e.into()))?;
    let mut tensors = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let start = 8 + length + info.data_offsets.0 as u64;
        let tensor =
            StoredTensor::in_order(Arc::clone(&file), info.dtype, info.shape.clone(), start);
        let tensor = tensor.ok_or_else(|| {
            ImportError::field(path, &name, format!("shape {:?}", info.shape), "a shorter tensor")
        })?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
