//! The recorded folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use models::dims::MAX_NAME_CHARS;
use models::nn::config::{PrimaConfig, TokenizerConfig, VqVaeConfig};
use models::nn::parameters::{ParameterError, ParameterSource};
use models::tokens::position::{character_position, position};
use models::tokens::text::char_ids;
use models::weights::import::{Checkpoint, TokenizerCheckpoint, sizes_of};
use models::weights::torch_file::widen;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ABSOLUTE;
use super::report::Report;

/// A folder of recorded inputs and outputs.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Sizes of this set.
    pub(super) sizes: PrimaConfig,
    /// The model by the safetensors path: tensors, head names, indices, thresholds.
    pub(super) model: Checkpoint,
    /// The tokenizer by the same path.
    pub(super) tokenizer: TokenizerCheckpoint,
    /// `config.json` itself.
    pub(super) config: Value,
}

/// A safetensors file of the folder, in memory.
pub(super) struct Tensors {
    name: String,
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct CharTokens {
    text: String,
    ids: Vec<u8>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        ensure!(
            path.is_dir(),
            "{} is not a folder; give one laid out like tests/golden/prima",
            path.display()
        );
        let config_path = path.join("config.json");
        let model = Checkpoint::from_safetensors(
            &path.join("fullmodel_state.safetensors"),
            &config_path,
            &path.join("heads_meta.json"),
        )?;
        let tokenizer = TokenizerCheckpoint::from_safetensors(
            &path.join("vqvae_state.safetensors"),
            &config_path,
        )?;
        let sizes = sizes_of(&model, &tokenizer)?;
        let config: Value = json(&config_path)?;
        let studies = config["names"].as_array().map_or(0, Vec::len);
        ensure!(studies > 0, "{}: \"names\" lists no study", config_path.display());
        Ok(Self { path: path.to_owned(), sizes, model, tokenizer, config })
    }

    /// Sizes of the published tokenizer.
    pub(super) fn tokenizer_sizes(&self) -> Result<&VqVaeConfig> {
        match &self.sizes.tokenizer {
            TokenizerConfig::Conv3d(sizes) => Ok(sizes),
            TokenizerConfig::Mixer(_) => bail!("the recorded tokenizer is not the published one"),
        }
    }

    pub(super) fn tensors(&self, name: &str) -> Result<Tensors> {
        let path = self.path.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        SafeTensors::deserialize(&bytes)
            .with_context(|| format!("{} is not a valid safetensors file", path.display()))?;
        Ok(Tensors { name: name.to_owned(), bytes })
    }

    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        json(&self.path.join(name))
    }

    /// Series names of recorded study `j`, and its description.
    pub(super) fn names(&self, j: usize) -> Result<(Vec<String>, String)> {
        let names = serde_json::from_value(self.config["names"][j].clone())
            .with_context(|| format!("config.json: names[{j}] is not a list of texts"))?;
        let description = self.config["study_descriptions"][j].as_str().unwrap_or_default();
        Ok((names, description.to_owned()))
    }

    /// Number of recorded studies.
    pub(super) fn studies(&self) -> usize {
        self.config["names"].as_array().map_or(0, Vec::len)
    }

    /// Character ids and position tables.
    pub(super) fn text_and_positions(&self, report: &mut Report) -> Result<()> {
        let cases: Vec<CharTokens> = self.json("char_tokens.json")?;
        let found: Vec<u8> = cases.iter().flat_map(|case| char_ids(&case.text).ids).collect();
        let expected: Vec<u8> = cases.into_iter().flat_map(|case| case.ids).collect();
        report.equal("text: character ids", &found, &expected);

        let io = self.tensors("model_io.safetensors")?;
        let table: Vec<f32> = (0..=MAX_NAME_CHARS).flat_map(character_position).collect();
        report.close("text: position table", &table, &io.f32("posenc1d_10")?, ABSOLUTE);
        let index = |row: i64| {
            [row / 10_000, row / 100 % 100, row % 100].map(|v| u32::try_from(v).unwrap_or(u32::MAX))
        };
        let rows = io.i64("posenc3d.rows")?;
        let found: Vec<f32> = rows.into_iter().flat_map(|row| position(index(row))).collect();
        report.close("tokens: position table", &found, &io.f32("posenc3d.values")?, ABSOLUTE);
        Ok(())
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read {}; give a folder laid out like tests/golden/prima", path.display())
    })?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what was expected", path.display()))
}

impl Tensors {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.view(name).is_ok()
    }

    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.view(name)?.shape().to_vec())
    }

    /// Values of a tensor of numbers, as f32.
    pub(super) fn f32(&self, name: &str) -> Result<Vec<f32>> {
        let view = self.view(name)?;
        let mut values = Vec::new();
        widen(view.dtype(), view.data(), &mut values);
        #[expect(clippy::cast_precision_loss, reason = "recorded voxels fit f32")]
        match view.dtype() {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => Ok(values),
            Dtype::I16 => Ok(words(view.data()).map(|w| i16::from_le_bytes(w).into()).collect()),
            Dtype::U16 => Ok(words(view.data()).map(|w| u16::from_le_bytes(w).into()).collect()),
            Dtype::I32 => Ok(words(view.data()).map(|w| i32::from_le_bytes(w) as f32).collect()),
            Dtype::U8 => Ok(view.data().iter().copied().map(f32::from).collect()),
            other => anyhow::bail!("{}: {name} is {other:?}, expected numbers", self.name),
        }
    }

    /// Values of an integer tensor.
    pub(super) fn i64(&self, name: &str) -> Result<Vec<i64>> {
        let view = self.view(name)?;
        match view.dtype() {
            Dtype::I64 => Ok(words(view.data()).map(i64::from_le_bytes).collect()),
            Dtype::I32 => Ok(words(view.data()).map(|w| i32::from_le_bytes(w).into()).collect()),
            Dtype::U8 => Ok(view.data().iter().copied().map(i64::from).collect()),
            other => anyhow::bail!("{}: {name} is {other:?}, expected integers", self.name),
        }
    }

    /// Values of an f64 tensor.
    pub(super) fn f64(&self, name: &str) -> Result<Vec<f64>> {
        let view = self.view(name)?;
        match view.dtype() {
            Dtype::F64 => Ok(words(view.data()).map(f64::from_le_bytes).collect()),
            _ => Ok(self.f32(name)?.into_iter().map(f64::from).collect()),
        }
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        // The header was checked when the file was opened.
        SafeTensors::deserialize(&self.bytes)?
            .tensor(name)
            .with_context(|| format!("{}: tensor {name} is missing", self.name))
    }
}

impl ParameterSource for Tensors {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        let origin = self.name.clone();
        let Ok(found) = self.shape(name) else {
            let (name, expected) = (name.to_owned(), shape.to_vec());
            return Err(ParameterError::Missing { origin, name, expected });
        };
        let values = self.f32(name).map_err(|error| ParameterError::Type {
            origin: origin.clone(),
            name: name.to_owned(),
            found: error.to_string(),
        })?;
        if found != shape {
            let (name, expected) = (name.to_owned(), shape.to_vec());
            return Err(ParameterError::Shape { origin, name, found, expected });
        }
        Ok(values)
    }

    fn contains(&self, name: &str) -> bool {
        Self::contains(self, name)
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
