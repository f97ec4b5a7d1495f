//! A bundle on disk: opened only when it is exactly what its manifest promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::{
    FORMAT_VERSION, FileEntry, MANIFEST, Manifest, ManifestFault, NETWORK, OnnxParts, TOKENIZER,
};
use super::mapped::{Tracked, WeightFile, WeightFileError};
use crate::nn::config::ConfigError;
use crate::nn::head::{HeadWeights, LAYERS};
use crate::nn::parameters::{ParameterError, ParameterSource};

/// An opened bundle.
#[derive(Debug)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
}

/// A bundle that is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}; a bundle is a folder with {MANIFEST} in it")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A promised file is missing or unreadable.
    #[error("{path} is promised in [[files]] but cannot be read; copy the bundle again")]
    Promised {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is not what this build reads.
    #[error("{path} is not a valid manifest; export the bundle again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Field and reason.
        #[source]
        source: toml::de::Error,
    },
    /// Another format version.
    #[error(
        "{path}: format_version is {found}, this program reads {FORMAT_VERSION}; update it or export the bundle again"
    )]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// A value makes no sense.
    #[error("{path}: {field} is {found}, expected {expected}; export the bundle again")]
    Value {
        /// The manifest.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Sizes contradict each other.
    #[error("{path}: [sizes] contradict each other; export the bundle again")]
    Sizes {
        /// The manifest.
        path: PathBuf,
        /// Which.
        #[source]
        source: ConfigError,
    },
    /// A path that leads out of the bundle.
    #[error("{path}: [[files]] names {file:?}; paths must stay inside the bundle")]
    Path {
        /// The manifest.
        path: PathBuf,
        /// The path at fault.
        file: String,
    },
    /// A file that is used but not listed, or listed twice.
    #[error("{path}: {file} is {problem} in [[files]]; export the bundle again")]
    Listing {
        /// The manifest.
        path: PathBuf,
        /// The file.
        file: String,
        /// `not listed` or `listed twice`.
        problem: &'static str,
    },
    /// A file in the folder that the manifest does not promise.
    #[error("{path} is not promised by the manifest; remove it or export the bundle again")]
    Unpromised {
        /// The file.
        path: PathBuf,
    },
    /// Another size than promised.
    #[error("{path} has {found} bytes, the manifest promises {expected}; copy the bundle again")]
    Size {
        /// The file.
        path: PathBuf,
        /// Size found.
        found: u64,
        /// Size promised.
        expected: u64,
    },
    /// Another content than promised.
    #[error("{path} has SHA-256 {found}, the manifest promises {expected}; copy the bundle again")]
    Digest {
        /// The file.
        path: PathBuf,
        /// Digest found.
        found: String,
        /// Digest promised.
        expected: String,
    },
    /// A weight file is damaged.
    #[error("a weight file of the bundle cannot be used")]
    Weights(#[from] WeightFileError),
    /// A tensor is not what the sizes promise.
    #[error("a tensor of the bundle does not fit its manifest")]
    Parameter(#[from] ParameterError),
}

impl Bundle {
    /// Reads the manifest and checks that exactly the promised files are there, with their sizes.
    /// Contents are hashed when a file is first used ([`Self::open_file`]), so that a large
    /// bundle opens at once.
    ///
    /// # Errors
    ///
    /// Names the file and the field at fault.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let bundle = Self::promised(folder)?;
        bundle.check_folder()?;
        Ok(bundle)
    }

    /// The manifest alone, as far as it can be checked while the files that it promises are not
    /// there.
    ///
    /// # Errors
    ///
    /// Names the field at fault.
    pub fn read_manifest(folder: &Path) -> Result<Manifest, BundleError> {
        Ok(Self::promised(folder)?.manifest)
    }

    fn promised(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(MANIFEST);
        let read = |source| BundleError::Read { path: path.clone(), source };
        let text = fs::read_to_string(&path).map_err(read)?;
        let invalid = |source| BundleError::Manifest { path: path.clone(), source };
        // A newer format may have fields this build does not know; its number says more.
        let Version { format_version } = toml::from_str(&text).map_err(invalid)?;
        if format_version != FORMAT_VERSION {
            return Err(BundleError::Version { path, found: format_version });
        }
        let manifest: Manifest = toml::from_str(&text).map_err(invalid)?;
        manifest.validate().map_err(|ManifestFault { field, found, expected }| {
            BundleError::Value { path: path.clone(), field, found, expected }
        })?;
        manifest
            .sizes
            .validate()
            .map_err(|source| BundleError::Sizes { path: path.clone(), source })?;
        let bundle = Self { folder: folder.to_owned(), manifest };
        bundle.check_listing(&path)?;
        Ok(bundle)
    }

    /// What the bundle promises.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The bundle's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same bundle served without its ONNX parts, to compare engines.
    #[must_use]
    pub fn without_onnx(mut self) -> Self {
        self.manifest.onnx = None;
        self
    }

    /// Maps a promised file after checking its SHA-256.
    ///
    /// # Errors
    ///
    /// When the file is not promised, has another content, or is no weight file.
    pub fn open_file(&self, file: &str) -> Result<WeightFile, BundleError> {
        let entry = self.entry(file)?;
        let weights = WeightFile::open(&self.folder.join(file))?;
        self.check_digest(entry, weights.bytes())?;
        Ok(weights)
    }

    /// Maps a promised file whose content was checked before by [`Self::open_file`].
    ///
    /// # Errors
    ///
    /// When the file is not promised or no weight file.
    pub fn reopen_file(&self, file: &str) -> Result<WeightFile, BundleError> {
        self.entry(file)?;
        Ok(WeightFile::open(&self.folder.join(file))?)
    }

    /// The content of a promised file that is no weight file, after checking its SHA-256.
    ///
    /// # Errors
    ///
    /// When the file is not promised, unreadable, or has another content.
    pub fn read_file(&self, file: &str) -> Result<Vec<u8>, BundleError> {
        let entry = self.entry(file)?;
        let path = self.folder.join(file);
        let bytes = fs::read(&path).map_err(|source| BundleError::Read { path, source })?;
        self.check_digest(entry, &bytes)?;
        Ok(bytes)
    }

    fn check_digest(&self, entry: &FileEntry, bytes: &[u8]) -> Result<(), BundleError> {
        let found = hex(&Sha256::digest(bytes));
        if found == entry.sha256 {
            return Ok(());
        }
        let path = self.folder.join(&entry.path);
        Err(BundleError::Digest { path, found, expected: entry.sha256.clone() })
    }

    fn entry(&self, file: &str) -> Result<&FileEntry, BundleError> {
        self.manifest.files.iter().find(|e| e.path == file).ok_or_else(|| BundleError::Listing {
            path: self.folder.join(MANIFEST),
            file: file.to_owned(),
            problem: "not listed",
        })
    }

    /// Every used file is listed once, by a path inside the bundle.
    fn check_listing(&self, manifest: &Path) -> Result<(), BundleError> {
        let mut seen = BTreeSet::new();
        for entry in &self.manifest.files {
            let inside = |c: Component<'_>| matches!(c, Component::Normal(_));
            if entry.path.is_empty() || !Path::new(&entry.path).components().all(inside) {
                let file = entry.path.clone();
                return Err(BundleError::Path { path: manifest.to_owned(), file });
            }
            if !seen.insert(entry.path.as_str()) {
                let (path, file) = (manifest.to_owned(), entry.path.clone());
                return Err(BundleError::Listing { path, file, problem: "listed twice" });
            }
        }
        let onnx = self.manifest.onnx.iter().flat_map(OnnxParts::files);
        let sentences = self.manifest.context.iter().flat_map(|context| &context.sentences);
        let sentences =
            sentences.flat_map(|files| [files.graph.as_str(), files.tokenizer.as_str()]);
        let heads = self.manifest.head_files();
        for file in [TOKENIZER, NETWORK].into_iter().chain(heads).chain(onnx).chain(sentences) {
            self.entry(file)?;
        }
        Ok(())
    }

    /// Every listed file is there with its size, and no other one.
    fn check_folder(&self) -> Result<(), BundleError> {
        for entry in &self.manifest.files {
            let path = self.folder.join(&entry.path);
            let found = match fs::metadata(&path) {
                Ok(metadata) => metadata.len(),
                Err(source) => return Err(BundleError::Promised { path, source }),
            };
            if found != entry.bytes {
                return Err(BundleError::Size { path, found, expected: entry.bytes });
            }
        }
        let promised: BTreeSet<PathBuf> =
            self.manifest.files.iter().map(|e| self.folder.join(&e.path)).collect();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            let read = |source| BundleError::Read { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(read)? {
                let path = entry.map_err(read)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if is_weights(&path) && !promised.contains(&path) {
                    return Err(BundleError::Unpromised { path });
                }
            }
        }
        Ok(())
    }
}

/// The part of a manifest that every format has.
#[derive(serde::Deserialize)]
struct Version {
    format_version: u32,
}

/// Files that could change a result; a README or a signature beside them could not.
fn is_weights(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "safetensors" || e == "onnx")
}

/// Views of one head's layers.
///
/// # Errors
///
/// When a tensor is missing or does not have the shape that `widths` promises.
pub fn head_weights(
    file: &WeightFile,
    widths: [usize; 4],
) -> Result<HeadWeights<'_>, ParameterError> {
    let layer = |i: usize| {
        let weight = format!("{}.weight", LAYERS[i]);
        let bias = format!("{}.bias", LAYERS[i]);
        Ok((file.matrix(&weight, [widths[i + 1], widths[i]])?, file.read(&bias, &[widths[i + 1]])?))
    };
    let layers = [layer(0)?, layer(1)?, layer(2)?];
    Tracked::new(file)
        .nothing_else(&["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"])?;
    Ok(HeadWeights { layers })
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
