//! Patches and tokens of some studies in one memory-mapped safetensors file.
//!
//! For series `k` of study `id` a shard holds, with `n` unique patches and `t` tokens:
//!
//! | tensor | type and shape | content |
//! |---|---|---|
//! | `id/k/values` | u8 `[n, 4096]` or f16 `[n, 256]` | patches, thin axis first, or their latent values |
//! | `id/k/coordinates` | u16 `[n, 3]` | patch starts, z, y, x |
//! | `id/k/foreground` | u8 `[n]` | per cent of voxels above a tenth of the maximum |
//! | `id/k/components` | u16 `[n]` | bit `c - 1`: lesion component `c` is in the patch |
//! | `id/k/sequence` | u16 `[t]` | tokens as indices into the patches |
//!
//! Patches are stored as the square root of intensity over maximum in 8 bits: an error below
//! 0.002 of the maximum, a quarter of the room. Names and descriptions stand in the metadata.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::PodCastError;
use half::f16;
use memmap2::Mmap;
use models::dims::{IN_PLANE_VOX, PATCH_VOX};
use models::tokens::SeriesPatches;
use models::tokens::patchify::patch_size_vox;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

/// What a shard's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// 4096 voxels as u8.
    Patches,
    /// 256 latent values as f16.
    Latents,
}

/// One study about to be written.
#[derive(Clone, Debug, Default)]
pub struct ShardStudy {
    /// Pseudonym.
    pub id: String,
    /// Study description.
    pub description: String,
    /// Its series.
    pub series: Vec<ShardSeries>,
}

/// One series about to be written.
#[derive(Clone, Debug, Default)]
pub struct ShardSeries {
    /// Series name as the network reads it.
    pub name: String,
    /// Thin axis of its patches.
    pub thin_axis: usize,
    /// u8 or f16 values, little endian.
    pub values: Vec<u8>,
    /// Patch starts.
    pub coordinates: Vec<[u16; 3]>,
    /// Per cent of foreground of each patch.
    pub foreground: Vec<u8>,
    /// Lesion components in each patch.
    pub components: Vec<u16>,
    /// Tokens.
    pub sequence: Vec<u16>,
}

impl ShardSeries {
    /// The same patches of a head mirrored left to right. The volume that they were cut from is
    /// as wide as slices are; along a thin x axis it is taken to end where its patches do.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a slice is 256 voxels wide")]
    pub fn mirrored(&self) -> Self {
        let [.., width] = patch_size_vox(self.thin_axis);
        let starts = || self.coordinates.iter().map(|start| start[2]);
        // First and last place of a patch, together.
        let ends = if self.thin_axis == 2 {
            starts().min().unwrap_or(0) + starts().max().unwrap_or(0)
        } else {
            (IN_PLANE_VOX - width) as u16
        };
        let mut values = Vec::with_capacity(self.values.len());
        for patch in self.values.chunks_exact(PATCH_VOX) {
            // Thin axis first: x leads where it is thin, and is the last axis elsewhere.
            if self.thin_axis == 2 {
                patch.chunks_exact(PATCH_VOX / width).rev().for_each(|x| values.extend(x));
            } else {
                patch.chunks_exact(width).for_each(|row| values.extend(row.iter().rev()));
            }
        }
        let coordinates = self.coordinates.iter().map(|[z, y, x]| [*z, *y, ends - x]).collect();
        Self { values, coordinates, ..self.clone() }
    }
}

/// One series of an opened shard.
#[derive(Clone, Copy, Debug)]
pub struct SeriesView<'a> {
    /// Series name as the network reads it.
    pub name: &'a str,
    /// Thin axis of its patches.
    pub thin_axis: usize,
    /// u8 or f16 values, little endian.
    pub values: &'a [u8],
    /// Patch starts, three to a patch.
    pub coordinates: &'a [[u16; 3]],
    /// Per cent of foreground of each patch.
    pub foreground: &'a [u8],
    /// Lesion components in each patch.
    pub components: &'a [u16],
    /// Tokens.
    pub sequence: &'a [u16],
}

/// A shard or store that is refused.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is something else.
    #[error("{path} is not a shard of {expected}: {reason}; make it again")]
    Content {
        /// The file.
        path: PathBuf,
        /// Patches or tokens.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// No shard at all.
    #[error("{path} holds no {expected}; run {command} first")]
    None {
        /// The folder.
        path: PathBuf,
        /// Patches or tokens.
        expected: &'static str,
        /// What makes them.
        command: &'static str,
    },
    /// A study is not there.
    #[error("{path} does not hold study {id}; make the shards again from this cohort")]
    Study {
        /// The folder.
        path: PathBuf,
        /// The study.
        id: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StudyEntry {
    id: String,
    description: String,
    /// Name and thin axis.
    series: Vec<(String, usize)>,
}

/// Key of the metadata.
const STUDIES: &str = "studies";

impl Values {
    /// What the files' names begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Patches => "patches",
            Self::Latents => "tokens",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Patches => "`trainer prepare`, or `trainer simulate` without tokens,",
            Self::Latents => "`trainer tokens`",
        }
    }

    fn dtype(self) -> (Dtype, usize, usize) {
        match self {
            Self::Patches => (Dtype::U8, PATCH_VOX, 1),
            Self::Latents => (Dtype::F16, models::dims::LATENT, 2),
        }
    }
}

/// Writes a shard; a reader sees all of it or nothing.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_shard(path: &Path, values: Values, studies: &[ShardStudy]) -> Result<(), ShardError> {
    let io = |source| ShardError::Io { path: path.to_owned(), source };
    let content = |e: &dyn std::fmt::Display| ShardError::Content {
        path: path.to_owned(),
        expected: values.prefix(),
        reason: e.to_string(),
    };
    let (dtype, width, _) = values.dtype();
    let mut views = Vec::new();
    let mut entries = Vec::new();
    for study in studies {
        for (k, series) in study.series.iter().enumerate() {
            let n = series.coordinates.len();
            let coordinates: &[u8] = bytemuck::cast_slice(&series.coordinates);
            let components: &[u8] = bytemuck::cast_slice(&series.components);
            let sequence: &[u8] = bytemuck::cast_slice(&series.sequence);
            for (name, dtype, shape, bytes) in [
                ("values", dtype, vec![n, width], series.values.as_slice()),
                ("coordinates", Dtype::U16, vec![n, 3], coordinates),
                ("foreground", Dtype::U8, vec![n], &series.foreground),
                ("components", Dtype::U16, vec![n], components),
                ("sequence", Dtype::U16, vec![series.sequence.len()], sequence),
            ] {
                let view = TensorView::new(dtype, shape, bytes).map_err(|e| content(&e))?;
                views.push((format!("{}/{k:02}/{name}", study.id), view));
            }
        }
        let series = study.series.iter().map(|s| (s.name.clone(), s.thin_axis)).collect();
        let (id, description) = (study.id.clone(), study.description.clone());
        entries.push(StudyEntry { id, description, series });
    }
    let entries = serde_json::to_string(&entries).map_err(|e| content(&e))?;
    let metadata = HashMap::from([(STUDIES.to_owned(), entries)]);
    let partial = path.with_extension("partial");
    safetensors::serialize_to_file(views, Some(metadata), &partial).map_err(|e| content(&e))?;
    std::fs::rename(&partial, path).map_err(io)
}

/// All shards of a folder.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    shards: Vec<Shard>,
    studies: BTreeMap<String, (usize, usize)>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Arc<Mmap>,
    /// Offset of the data and header.
    start: usize,
    metadata: Metadata,
    entries: Vec<StudyEntry>,
    values: Values,
}

impl Store {
    /// Maps every shard of a kind in a folder.
    ///
    /// # Errors
    ///
    /// When there is none, or a file is something else.
    pub fn open(folder: &Path, values: Values) -> Result<Self, ShardError> {
        let io = |source| ShardError::Io { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if name.starts_with(values.prefix()) && name.ends_with(".safetensors") {
                paths.push(path);
            }
        }
        paths.sort();
        if paths.is_empty() {
            let (expected, command) = (values.prefix(), values.command());
            return Err(ShardError::None { path: folder.to_owned(), expected, command });
        }
        let mut store =
            Self { folder: folder.to_owned(), shards: Vec::new(), studies: BTreeMap::new() };
        for path in paths {
            let shard = Shard::open(&path, values)?;
            for (i, entry) in shard.entries.iter().enumerate() {
                store.studies.insert(entry.id.clone(), (store.shards.len(), i));
            }
            store.shards.push(shard);
        }
        Ok(store)
    }

    /// Ids of the studies in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.studies.keys().map(String::as_str)
    }

    /// True when the study is there.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.studies.contains_key(id)
    }

    /// Description and series of a study.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn study(&self, id: &str) -> Result<(&str, Vec<SeriesView<'_>>), ShardError> {
        let &(shard, entry) = self
            .studies
            .get(id)
            .ok_or_else(|| ShardError::Study { path: self.folder.clone(), id: id.to_owned() })?;
        let shard = &self.shards[shard];
        let entry = &shard.entries[entry];
        let series = (0..entry.series.len()).map(|k| shard.series(entry, k)).collect();
        Ok((&entry.description, series))
    }
}

impl Shard {
    fn open(path: &Path, values: Values) -> Result<Self, ShardError> {
        let io = |source| ShardError::Io { path: path.to_owned(), source };
        let content = |reason: String| ShardError::Content {
            path: path.to_owned(),
            expected: values.prefix(),
            reason,
        };
        let file = File::open(path).map_err(io)?;
        #[expect(unsafe_code, reason = "shards are written once, under another name")]
        // SAFETY: a shard is renamed into place when it is whole and never written again.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let (length, metadata) =
            SafeTensors::read_metadata(&map).map_err(|e| content(e.to_string()))?;
        let entries = metadata.metadata().as_ref().and_then(|m| m.get(STUDIES));
        let entries = entries.ok_or_else(|| content("it names no studies".to_owned()))?;
        let entries: Vec<StudyEntry> =
            serde_json::from_str(entries).map_err(|e| content(e.to_string()))?;
        let shard = Self {
            path: path.to_owned(),
            start: length + 8,
            map: Arc::new(map),
            metadata,
            entries,
            values,
        };
        shard.check()?;
        Ok(shard)
    }

    /// Every series is there with the shapes that belong together.
    fn check(&self) -> Result<(), ShardError> {
        let (dtype, width, _) = self.values.dtype();
        for entry in &self.entries {
            for (k, (_, thin_axis)) in entry.series.iter().enumerate() {
                let info = |name: &str| self.metadata.info(&format!("{}/{k:02}/{name}", entry.id));
                let n = info("coordinates").map_or(0, |i| i.shape[0]);
                let right = info("values")
                    .is_some_and(|i| i.dtype == dtype && i.shape == [n, width])
                    && info("coordinates")
                        .is_some_and(|i| i.dtype == Dtype::U16 && i.shape == [n, 3])
                    && info("foreground").is_some_and(|i| i.dtype == Dtype::U8 && i.shape == [n])
                    && info("components").is_some_and(|i| i.dtype == Dtype::U16 && i.shape == [n])
                    && info("sequence").is_some_and(|i| i.dtype == Dtype::U16)
                    && *thin_axis < 3;
                let inside = right
                    && self
                        .tensor::<u16>(&entry.id, k, "sequence")
                        .iter()
                        .all(|&i| usize::from(i) < n);
                if !inside {
                    return Err(ShardError::Content {
                        path: self.path.clone(),
                        expected: self.values.prefix(),
                        reason: format!("series {k} of study {} is not whole", entry.id),
                    });
                }
            }
        }
        Ok(())
    }

    fn series<'a>(&'a self, entry: &'a StudyEntry, k: usize) -> SeriesView<'a> {
        let (name, thin_axis) = &entry.series[k];
        SeriesView {
            name,
            thin_axis: *thin_axis,
            values: self.tensor(&entry.id, k, "values"),
            coordinates: self.tensor(&entry.id, k, "coordinates"),
            foreground: self.tensor(&entry.id, k, "foreground"),
            components: self.tensor(&entry.id, k, "components"),
            sequence: self.tensor(&entry.id, k, "sequence"),
        }
    }

    /// A tensor's values; empty when they do not lie as their type needs, which
    /// [`Self::check`] refuses.
    fn tensor<T: bytemuck::AnyBitPattern>(&self, id: &str, k: usize, name: &str) -> &[T] {
        let Some(info) = self.metadata.info(&format!("{id}/{k:02}/{name}")) else { return &[] };
        let (from, to) = info.data_offsets;
        let bytes = &self.map[self.start + from..self.start + to];
        let cast: Result<&[T], PodCastError> = bytemuck::try_cast_slice(bytes);
        cast.unwrap_or_default()
    }
}

impl SeriesView<'_> {
    /// The same series with other values, to be written.
    #[must_use]
    pub fn with_values(&self, values: Vec<u8>) -> ShardSeries {
        ShardSeries {
            name: self.name.to_owned(),
            thin_axis: self.thin_axis,
            values,
            coordinates: self.coordinates.to_vec(),
            foreground: self.foreground.to_vec(),
            components: self.components.to_vec(),
            sequence: self.sequence.to_vec(),
        }
    }

    /// The patches as the engine reads them: axes back in z, y, x.
    #[must_use]
    pub fn patches(&self) -> SeriesPatches {
        let [depth, height, width] = patch_size_vox(self.thin_axis);
        let mut turned = [depth, height, width];
        turned.swap(0, self.thin_axis);
        // Exchanging the same two axes once more leads back.
        let mut stride = [turned[1] * turned[2], turned[2], 1];
        stride.swap(0, self.thin_axis);
        let mut voxels = Vec::with_capacity(self.values.len());
        for patch in self.values.chunks_exact(PATCH_VOX) {
            for z in 0..depth {
                for y in 0..height {
                    let at = z * stride[0] + y * stride[1];
                    voxels.extend((0..width).map(|x| unpack(patch[at + x * stride[2]])));
                }
            }
        }
        SeriesPatches {
            thin_axis: self.thin_axis,
            voxels,
            coordinates: self.coordinates.iter().map(|c| c.map(u32::from)).collect(),
            sequence: self.sequence.iter().map(|s| u32::from(*s)).collect(),
        }
    }
}

/// A voxel in 0..1 as stored.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
pub fn pack(voxel: f32) -> u8 {
    (voxel.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8
}

/// The way back from [`pack`].
#[must_use]
pub fn unpack(stored: u8) -> f32 {
    let root = f32::from(stored) / 255.0;
    root * root
}

/// Latent values as stored.
#[must_use]
pub fn pack_latents(latents: &[f32]) -> Vec<u8> {
    latents.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
}

/// The way back from [`pack_latents`], one token's values.
pub fn unpack_latents(stored: &[u8], out: &mut [f32]) {
    for (bytes, out) in stored.as_chunks::<2>().0.iter().zip(out) {
        *out = f16::from_le_bytes(*bytes).to_f32();
    }
}
