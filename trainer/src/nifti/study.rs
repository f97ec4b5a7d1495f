//! A folder of NIfTI files to a study: every image a series, named as people name it.

use std::fs;
use std::path::{Path, PathBuf};

use models::dicom::read::Limits;
use models::dicom::series::series_name;
use models::prepare::Prepared;
use models::study::{LeftOut, LeftOutReason, Remark, Samples, Series, SliceSource};
use models::volume::Preprocessing;
use serde::Deserialize;

use super::{NiftiError, of_any_type, read};

/// Fewest slices of a volume, as in DICOM studies.
const MIN_SLICES: usize = 3;
/// Images have more different values; label maps have one a structure.
const FEW_VALUES: usize = 16;
/// Largest sidecar that is read.
const SIDECAR_BYTES: u64 = 1 << 20;

/// The NIfTI files below a folder in the order of their paths; links are not followed.
///
/// # Errors
///
/// When a folder cannot be listed, or holds more files than [`Limits`] allows.
pub fn images(folder: &Path) -> Result<Vec<PathBuf>, NiftiError> {
    let limit = Limits::default().files;
    let (mut images, mut folders, mut seen) = (Vec::new(), vec![folder.to_owned()], 0);
    while let Some(inner) = folders.pop() {
        let failed = |source| NiftiError::Read { path: inner.clone(), source };
        for entry in fs::read_dir(&inner).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
            seen += 1;
            if seen > limit {
                let what = format!("more than {limit} files; give the folder of one study");
                return Err(NiftiError::Content { path: folder.to_owned(), what });
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && stem(&path).is_some() {
                images.push(path);
            }
        }
    }
    images.sort();
    Ok(images)
}

/// File name without its extension, of a NIfTI file; hidden files are none.
fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let stem = [".nii.gz", ".nii"].iter().find_map(|end| lower.strip_suffix(end))?;
    (!stem.is_empty() && !stem.starts_with('.')).then(|| name.get(..stem.len()))?.map(str::to_owned)
}

/// Reads, preprocesses and cuts the images of a study, one at a time. What cannot be used is
/// listed in [`Prepared::left_out`].
#[must_use]
pub fn prepare(folder: &Path, images: &[PathBuf], version: Preprocessing) -> Prepared {
    let mut prepared = Prepared::default();
    for path in images {
        let series = series(folder, path);
        let name = series.name.clone();
        if let Err(reason) = add(&mut prepared, series, path, version) {
            prepared.left_out.push(LeftOut { series_number: None, name, files: 1, reason });
        }
    }
    prepared
}

fn add(
    prepared: &mut Prepared,
    series: Series,
    path: &Path,
    version: Preprocessing,
) -> Result<(), LeftOutReason> {
    let stack = read(path).map_err(|error| {
        let what = match error {
            NiftiError::Read { source, .. } => format!("cannot be read: {source}"),
            NiftiError::Content { what, .. } => what,
        };
        LeftOutReason::Unreadable { file: file_name(path), what }
    })?;
    if is_label_map(&stack.samples) {
        return Err(LeftOutReason::Derived { what: "label map".to_owned() });
    }
    let found = stack.size_vox[2];
    if found < MIN_SLICES {
        return Err(LeftOutReason::TooFewSlices { found, needed: MIN_SLICES });
    }
    prepared.add_stack(series, &stack, version)
}

/// Masks and segmentations would tell a probe what the images are to tell it.
fn is_label_map(samples: &Samples) -> bool {
    fn few<T: PartialEq>(values: &[T]) -> bool {
        let mut different: Vec<&T> = Vec::new();
        for value in values {
            if !different.contains(&value) {
                different.push(value);
            }
            if different.len() > FEW_VALUES {
                return false;
            }
        }
        true
    }
    of_any_type!(samples, values => few(values))
}

/// What stands beside an image (Brain Imaging Data Structure 1.10, and `dcm2niix`).
#[derive(Default, Deserialize)]
struct Sidecar {
    #[serde(rename = "SeriesDescription")]
    description: Option<String>,
    #[serde(rename = "ProtocolName")]
    protocol: Option<String>,
}

/// The series of an image. Its name is what its sidecar says, else what its file is called.
fn series(folder: &Path, path: &Path) -> Series {
    let stem = stem(path).unwrap_or_default();
    let sidecar = path.with_file_name(format!("{stem}.json"));
    let (Sidecar { description, protocol }, remark) = match read_sidecar(&sidecar) {
        Ok(sidecar) => (sidecar, None),
        Err(what) => {
            let remark = Remark::FileIgnored { file: file_name(&sidecar), what };
            (Sidecar::default(), Some(remark))
        }
    };
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (description, protocol) = (filled(description), filled(protocol));
    let called = called(&file_name(folder), &stem);
    let said = description.as_deref().or(protocol.is_none().then_some(called.as_str()));
    Series {
        uid: String::new(),
        number: None,
        name: series_name(said, protocol.as_deref(), ""),
        description,
        protocol,
        part: None,
        slices: vec![SliceSource { path: path.to_owned(), frame: 0 }],
        remarks: remark.into_iter().collect(),
    }
}

/// A sidecar; nothing where there is none.
fn read_sidecar(path: &Path) -> Result<Sidecar, String> {
    match fs::metadata(path) {
        Err(_) => return Ok(Sidecar::default()),
        Ok(found) if found.len() > SIDECAR_BYTES => {
            return Err(format!("{} bytes, at most {SIDECAR_BYTES} are read", found.len()));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| format!("no JSON of a sidecar: {error}"))
}

/// What an image is called, without the words for its study: of `sub-01_acq-mprage_ce-gd_T1w` the
/// suffix with acquisition and contrast agent, of `BraTS_0001_t1ce` in `BraTS_0001` the `t1ce`.
fn called(study: &str, stem: &str) -> String {
    let parts: Vec<&str> = stem.split('_').collect();
    if let [first, .., suffix] = parts[..]
        && first.starts_with("sub-")
    {
        let entity = |key: &str| parts.iter().find_map(|part| part.strip_prefix(key));
        let said = [Some(suffix), entity("acq-"), entity("ce-")];
        return said.into_iter().flatten().collect::<Vec<_>>().join("_");
    }
    let rest = stem.strip_prefix(study).unwrap_or(stem);
    rest.trim_start_matches(['_', '-', '.', ' ']).to_owned()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
