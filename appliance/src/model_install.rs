//! Putting a model bundle into the data folder: copied, every byte checked, tried on the golden
//! study. It is not used before somebody promotes it.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use minisign::{PublicKey, SignatureBox};
use models::engine::golden::SelfTest;
use models::engine::{DeviceChoice, Engine, EngineError, Precision};
use models::weights::bundle::{Bundle, BundleError};
use models::weights::manifest::{MANIFEST, Manifest};
use sha2::{Digest, Sha256};

use crate::hex;
use crate::store::models::{Mode, Model};
use crate::store::{Store, StoreError};
use crate::triage::{RulesError, Tables};

/// Signature of the manifest, which pins every other file by its digest.
const SIGNATURE: &str = exchange::offer::SIGNATURE;
/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// Why a model was not installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The bundle is refused.
    #[error("{path} is no usable model bundle")]
    Bundle {
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// Nobody we know vouches for it.
    #[error(
        "{path} is not signed by any of analysis.model_keys ({reason}); ask whoever sent the bundle \
         for a signed one, and do not use this"
    )]
    Signature {
        /// Where the signature is, or should be.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An earlier bundle than one that is here.
    #[error(
        "the bundle has serial {found}, and {name} with serial {newest} is installed; to go back to \
         a model that is installed, use `appliance model rollback`"
    )]
    Serial {
        /// Of the bundle.
        found: u64,
        /// The highest that is here.
        newest: u64,
        /// Whose it is.
        name: String,
    },
    /// A file cannot be copied.
    #[error("cannot copy {path} into the data folder")]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what the manifest promises.
    #[error("{path} has SHA-256 {found}, the manifest promises {expected}; copy the bundle again")]
    Content {
        /// The file.
        path: PathBuf,
        /// Found.
        found: String,
        /// Promised.
        expected: String,
    },
    /// The model does not work here.
    #[error("the model cannot be loaded")]
    Engine(#[from] EngineError),
    /// The golden study came out wrong.
    #[error(
        "the self-test failed: the golden study differs by {worst:.4}, at most {tolerance:.4} is \
         accepted; this program and the bundle do not fit together"
    )]
    SelfTest {
        /// Largest difference.
        worst: f32,
        /// What is accepted.
        tolerance: f32,
    },
    /// The clinical tables and the model's labels or classes differ.
    #[error("the clinical tables do not fit this model")]
    Rules(#[from] RulesError),
    /// The database failed.
    #[error("the model was not registered")]
    Store(#[from] StoreError),
}

/// A model as installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// As registered.
    pub model: Model,
    /// How the golden study went on the CPU.
    pub self_test: SelfTest,
    /// How this box selects series otherwise than its training did, where that is known.
    pub selects_otherwise: Option<String>,
}

/// Installs the bundle in `source` below the data folder `data`. One that is installed already is
/// tested again and left as it is. With `keys`, one of them must have signed it, and its serial must
/// not be lower than that of an installed bundle.
///
/// # Errors
///
/// When the bundle, its files, the clinical tables or the database are not in order.
pub fn install(
    source: &Path,
    data: &Path,
    store: &Store,
    gates: (&Tables, &[String]),
    actor: &str,
) -> Result<Installed, InstallError> {
    let model = place(source, data, store, gates)?;
    let path = data.join(&model.folder);
    let bundle = Bundle::open(&path).map_err(refused(&path))?;
    let seen = bundle.manifest().selection.as_ref();
    let selects_otherwise = seen.and_then(|seen| seen.difference(&gates.0.selection));
    let self_test = Engine::open(bundle, DeviceChoice::Cpu, Precision::Full)?.self_test()?;
    let model = register(store, model, &self_test, actor)?;
    Ok(Installed { model, self_test, selects_otherwise })
}

/// Whether a bundle would be taken, as far as its manifest and signature tell; the other files need
/// not be in `source` yet.
///
/// # Errors
///
/// As [`install`].
pub fn vet(
    source: &Path,
    data: &Path,
    store: &Store,
    (tables, keys): (&Tables, &[String]),
) -> Result<Manifest, InstallError> {
    let manifest = Bundle::read_manifest(source).map_err(refused(source))?;
    if !keys.is_empty() {
        check_signature(source, keys)?;
        check_serial(&manifest, data, store)?;
    }
    let diagnoses: Vec<&str> = manifest.diagnosis.iter().map(|head| head.name.as_str()).collect();
    let classes = manifest.priority.iter().flat_map(|head| &head.classes);
    tables.check(&diagnoses, &classes.map(String::as_str).collect::<Vec<_>>())?;
    Ok(manifest)
}

/// Copies a bundle into the data folder, every byte checked; it is not registered yet, and its
/// golden study not tried.
///
/// # Errors
///
/// As [`install`].
pub fn place(
    source: &Path,
    data: &Path,
    store: &Store,
    gates: (&Tables, &[String]),
) -> Result<Model, InstallError> {
    Bundle::open(source).map_err(refused(source))?;
    let manifest = vet(source, data, store, gates)?;
    let copy = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Copy { path, source }
    };
    let path = source.join(MANIFEST);
    let digest = hex::lower(&Sha256::digest(fs::read(&path).map_err(copy(&path))?));
    let folder = format!("models/{}", digest.get(..16).unwrap_or(&digest));
    let target = data.join(&folder);
    if !target.exists() {
        let partial = data.join(format!("{folder}.partial"));
        drop(fs::remove_dir_all(&partial));
        fs::create_dir_all(&partial).map_err(copy(&partial))?;
        for file in &manifest.files {
            let from = source.join(&file.path);
            let found = copy_file(&from, &partial.join(&file.path)).map_err(copy(&from))?;
            if found != file.sha256 {
                let expected = file.sha256.clone();
                return Err(InstallError::Content { path: from, found, expected });
            }
        }
        copy_file(&path, &partial.join(MANIFEST)).map_err(copy(&path))?;
        let signature = source.join(SIGNATURE);
        if signature.exists() {
            copy_file(&signature, &partial.join(SIGNATURE)).map_err(copy(&signature))?;
        }
        if !gates.1.is_empty() {
            // What lies here now, whatever the stick says by now.
            check_signature(&partial, gates.1)?;
        }
        fs::rename(&partial, &target).map_err(copy(&target))?;
        // The name must survive a power cut as the content does.
        let parent = data.join("models");
        File::open(&parent).and_then(|folder| folder.sync_all()).map_err(copy(&parent))?;
    }
    Ok(Model {
        name: manifest.id,
        folder,
        mode: Mode::Off,
        installed_at: store.clock().now(),
        promoted_at: None,
        killed_at: None,
        context_encoder: manifest.context.map(|c| c.encoder).unwrap_or_default(),
        self_test: None,
        provenance: manifest.provenance.statement,
        digest,
    })
}

/// Registers a model that was placed, once its golden study came out right.
///
/// # Errors
///
/// When it did not, or the database fails.
pub fn register(
    store: &Store,
    model: Model,
    self_test: &SelfTest,
    actor: &str,
) -> Result<Model, InstallError> {
    if !self_test.passed {
        let worst = self_test.worst.unwrap_or(f32::INFINITY);
        return Err(InstallError::SelfTest { worst, tolerance: self_test.tolerance });
    }
    let model = Model { self_test: serde_json::to_string(self_test).ok(), ..model };
    store.install_model(&model, actor)?;
    Ok(model)
}

fn refused(path: &Path) -> impl FnOnce(BundleError) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::Bundle { path, source }
}

/// Copies a file to the disk for good; returns its SHA-256 in hexadecimal.
fn copy_file(from: &Path, to: &Path) -> io::Result<String> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let mut sha = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = source.read(&mut chunk)?;
        if count == 0 {
            target.sync_all()?;
            return Ok(hex::lower(&sha.finalize()));
        }
        let bytes = chunk.get(..count).unwrap_or_default();
        sha.update(bytes);
        target.write_all(bytes)?;
    }
}

/// One of the keys signed this very manifest.
fn check_signature(source: &Path, keys: &[String]) -> Result<(), InstallError> {
    let path = source.join(SIGNATURE);
    let refused = |reason: String| InstallError::Signature { path: path.clone(), reason };
    let text = fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
    let signature = SignatureBox::from_string(&text).map_err(|error| refused(error.to_string()))?;
    let manifest = fs::read(source.join(MANIFEST)).map_err(|error| refused(error.to_string()))?;
    let mut reason = String::new();
    for key in keys {
        let verified = PublicKey::from_base64(key).and_then(|key| {
            minisign::verify(&key, &signature, Cursor::new(&manifest), true, false, false)
        });
        match verified {
            Ok(()) => return Ok(()),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(refused(reason))
}

/// No bundle here has a higher serial.
fn check_serial(manifest: &Manifest, data: &Path, store: &Store) -> Result<(), InstallError> {
    for model in store.models()? {
        let Ok(bundle) = Bundle::open(&data.join(&model.folder)) else { continue };
        let newest = bundle.manifest().serial;
        if newest > manifest.serial {
            return Err(InstallError::Serial { found: manifest.serial, newest, name: model.name });
        }
    }
    Ok(())
}
