//! `slices`: study embeddings by any 2-D image encoder, the mean over all slices of all series
//! (paper, Methods, "MLP Probing of 2D CLIP models"). `heads` reads the run as it reads one of
//! `clip`.
//!
//! Slices come from the patches of the cohort, which are there already and need no decoding: air
//! is black, and brightness is a share of the volume's maximum, rounded to 8 bits of its root.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use models::dims::IN_PLANE_VOX;
use models::nn::parameters::ParameterSource;
use models::weights::mapped::WeightFile;
use serde::{Deserialize, Serialize};

use super::run::Run;
use super::weights::{NamedTensor, write};
use crate::cohort::shard::{SeriesView, Store, Values};
use crate::export::onnx::image::ImageEncoder;

/// Configuration of `trainer slices`, from its arguments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlicesRun {
    /// ONNX file of the encoder; beside it, with the ending `.toml`, an [`InputConfig`].
    pub encoder: PathBuf,
    /// Cohort folder with patch shards.
    pub cohort: PathBuf,
}

/// What an encoder expects of its images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// Edge of an image in pixels.
    pub size: usize,
    /// 1, or 3 that are equal.
    pub channels: usize,
    /// What is taken from each channel of an image of 0 to 1.
    pub mean: Vec<f32>,
    /// What it is then divided by.
    pub std: Vec<f32>,
}

/// `slices.toml`, written last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlicesSummary {
    /// Values of an embedding.
    pub width: usize,
    /// Numbers in the encoder's weights.
    pub parameters: u64,
    /// Studies embedded.
    pub studies: usize,
}

/// How a run's folder says that it is whole.
pub(super) const SUMMARY: &str = "slices.toml";

impl InputConfig {
    /// Reads the file beside an encoder.
    ///
    /// # Errors
    ///
    /// Names file and key.
    pub fn beside(encoder: &Path) -> anyhow::Result<Self> {
        let path = encoder.with_extension("toml");
        let config: Self = super::run::config(&path, "slices")?;
        let Self { size, channels, mean, std } = &config;
        let file = path.display();
        anyhow::ensure!(*size > 0, "{file}: size is 0: give the edge of an image in pixels");
        anyhow::ensure!([1, 3].contains(channels), "{file}: channels is {channels}: give 1 or 3");
        for (key, values) in [("mean", mean), ("std", std)] {
            anyhow::ensure!(
                values.len() == *channels,
                "{file}: {key} has {} values: give one for each of {channels} channels",
                values.len()
            );
        }
        anyhow::ensure!(
            std.iter().all(|value| *value > 0.0),
            "{file}: std is {std:?}: give values above 0"
        );
        Ok(config)
    }

    /// A slice of `edge` voxels as the encoder reads it, `[channels, size, size]`.
    fn image(&self, slice: &[f32], edge: usize) -> Vec<f32> {
        let resized = resize(slice, edge, self.size);
        let channels = self.mean.iter().zip(&self.std);
        channels.flat_map(|(mean, std)| resized.iter().map(move |v| (v - mean) / std)).collect()
    }
}

/// Bilinear, with the edges of both images in the same place; the border is repeated.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clamped place")]
fn resize(slice: &[f32], from: usize, to: usize) -> Vec<f32> {
    let scale = from as f32 / to as f32;
    let places: Vec<(usize, usize, f32)> = (0..to)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(from - 1), at.fract())
        })
        .collect();
    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
    let pixel = |(top, bottom, down): (usize, usize, f32), (left, right, along)| {
        let row = |row: usize| mix(slice[row * from + left], slice[row * from + right], along);
        mix(row(top), row(bottom), down)
    };
    places.iter().flat_map(|row| places.iter().map(|column| pixel(*row, *column))).collect()
}

/// Embeds every study of a cohort that has patches; returns the run's folder. `progress` is told
/// how many of how many are done.
///
/// # Errors
///
/// When encoder or cohort are refused, or the disk is full.
pub fn embed(
    config: &SlicesRun,
    folder: &Path,
    resume: bool,
    progress: &dyn Fn(u64, u64),
) -> anyhow::Result<PathBuf> {
    const STUDIES_PER_PART: usize = 64;
    let input = InputConfig::beside(&config.encoder)?;
    let encoder = ImageEncoder::open(&config.encoder, input.channels, input.size)?;
    let store = Store::open(&config.cohort, Values::Patches)?;
    let inputs = [config.encoder.as_path(), config.cohort.as_path()];
    let mut run = Run::begin(folder, "slices", config, 0, &inputs, resume)?;
    let ids: Vec<&str> = store.ids().collect();
    for (number, part) in ids.chunks(STUDIES_PER_PART).enumerate() {
        let path = folder.join(format!("embeddings-{number:04}.safetensors"));
        // A file is there when it is whole.
        if !path.exists() {
            let started = Instant::now();
            let mut rows = Vec::new();
            for id in part {
                let (_, series) = store.study(id)?;
                rows.extend(study(id, &series, &encoder, &input)?);
            }
            write(&path, &rows, false)?;
            run.log(number as u64, &[("part_seconds", started.elapsed().as_secs_f64())])?;
        }
        progress((number * STUDIES_PER_PART + part.len()) as u64, ids.len() as u64);
    }
    let summary = SlicesSummary {
        width: encoder.width(),
        parameters: encoder.parameters(),
        studies: ids.len(),
    };
    std::fs::write(folder.join(SUMMARY), toml::to_string_pretty(&summary)?)?;
    Ok(folder.to_owned())
}

/// Mean embedding of all slices that show anything; nothing of a study without one.
fn study(
    id: &str,
    series: &[SeriesView<'_>],
    encoder: &ImageEncoder,
    input: &InputConfig,
) -> anyhow::Result<Option<NamedTensor>> {
    let mut sums = vec![0.0f64; encoder.width()];
    let mut count = 0.0;
    for view in series {
        let slices = view.slices(1, 0);
        let images = slices.values.chunks_exact(IN_PLANE_VOX * IN_PLANE_VOX);
        let images: Vec<f32> = images.flat_map(|slice| input.image(slice, IN_PLANE_VOX)).collect();
        let rows = encoder.embed(&images).with_context(|| format!("study {id}"))?;
        for row in rows.chunks_exact(encoder.width()) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            count += 1.0;
        }
    }
    if count <= 0.0 {
        return Ok(None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "embeddings are f32")]
    let values: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
    anyhow::ensure!(
        values.iter().all(|value| value.is_finite()),
        "study {id}: the encoder gives values that are not finite; check mean and std beside it"
    );
    Ok(Some(NamedTensor { name: id.to_owned(), shape: vec![values.len()], values }))
}

/// The embeddings of a finished run.
pub(super) struct SliceEmbeddings {
    files: Vec<WeightFile>,
    /// Which file has a study.
    places: HashMap<String, usize>,
    width: usize,
}

impl SliceEmbeddings {
    /// Opens a run's folder; `None` when it is one of another stage.
    ///
    /// # Errors
    ///
    /// When a file is damaged.
    pub(super) fn open(run: &Path) -> anyhow::Result<Option<Self>> {
        let path = run.join(SUMMARY);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let summary: SlicesSummary = toml::from_str(&text)
            .with_context(|| format!("{} is no summary of embeddings", path.display()))?;
        let (mut files, mut places) = (Vec::new(), HashMap::new());
        while let Some(path) = Some(run.join(format!("embeddings-{:04}.safetensors", files.len())))
            .filter(|path| path.exists())
        {
            let file = WeightFile::open(&path)?;
            places.extend(file.tensors().map(|(id, _)| (id, files.len())));
            files.push(file);
        }
        Ok(Some(Self { files, places, width: summary.width }))
    }

    /// Values of an embedding.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Appends the embedding of a study.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub(super) fn read(&self, id: &str, rows: &mut Vec<f32>) -> anyhow::Result<()> {
        let file = self.places.get(id).with_context(|| {
            format!("`trainer slices` has no embedding of study {id}; run it again on this cohort")
        })?;
        rows.extend(self.files[*file].read(id, &[self.width])?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_resized_and_normalised() {
        // A ramp stays the ramp wherever its neighbours are inside.
        let ramp: Vec<f32> = (0..64).map(|i| (i % 8) as f32 / 8.0 + (i / 8) as f32).collect();
        for size in [4, 8, 12] {
            let found = resize(&ramp, 8, size);
            let scale = 8.0 / size as f32;
            for (i, value) in found.iter().enumerate() {
                let at = |i: usize| ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, 7.0);
                let expected = at(i % size) / 8.0 + at(i / size);
                assert!((value - expected).abs() < 1e-5, "{size}: {value} {expected}");
            }
        }
        let input = InputConfig {
            size: 1,
            channels: 3,
            mean: vec![0.5, 0.0, 1.0],
            std: vec![0.5, 1.0, 2.0],
        };
        assert_eq!(input.image(&[0.25; 4], 2), [-0.5, 0.25, -0.375]);
    }

    #[test]
    fn what_an_encoder_expects_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |text: &str| {
            std::fs::write(folder.path().join("model.toml"), text).unwrap();
            let found = InputConfig::beside(&folder.path().join("model.onnx"));
            found.err().map_or_else(String::new, |error| error.to_string())
        };
        let good = "size = 32\nchannels = 1\nmean = [0.5]\nstd = [0.5]\n";
        assert_eq!(refusal(good), "");
        for (from, to, said) in [
            ("size = 32", "size = 0", "size is 0: give the edge of an image in pixels"),
            ("channels = 1", "channels = 2", "channels is 2: give 1 or 3"),
            ("mean = [0.5]", "mean = []", "mean has 0 values: give one for each of 1 channels"),
            ("std = [0.5]", "std = [0.0]", "std is [0.0]: give values above 0"),
        ] {
            let found = refusal(&good.replace(from, to));
            assert!(found.ends_with(said), "{found}");
        }
    }
}
