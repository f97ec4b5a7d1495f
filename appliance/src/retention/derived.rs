//! What was computed from images that are gone: their tokens, and pictures of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::store::Store;
use crate::store::retention::EvictError;

/// Deletes tokens and pictures of studies whose images were deleted, below the data folder `data`;
/// returns how many files. Nothing that was cut off is lost: the next call does it.
///
/// # Errors
///
/// When the database fails or a file cannot be deleted.
pub fn forget_derived(store: &Store, data: &Path) -> Result<u64, EvictError> {
    let evicted = store.evicted_results()?;
    let studies: BTreeSet<i64> = evicted.iter().map(|(study, _)| *study).collect();
    let results: BTreeSet<i64> = evicted.iter().filter_map(|(_, result)| *result).collect();
    let mut files = 0;
    // `tokens/<study>-<generation>-<model>.safetensors`
    let of_study = |name: &str| name.split('-').next().and_then(|id| id.parse().ok());
    files += clear(&data.join("tokens"), &|name| {
        of_study(name).is_some_and(|id| studies.contains(&id))
    })?;
    // `explanations/<result>/`
    files += clear(&data.join("explanations"), &|name| {
        name.parse().is_ok_and(|id| results.contains(&id))
    })?;
    Ok(files)
}

/// Deletes the entries of a folder, which may be missing, that are meant; folders with what is in
/// them.
fn clear(folder: &Path, meant: &dyn Fn(&str) -> bool) -> Result<u64, EvictError> {
    let fails = |path: &Path| {
        let path = path.display().to_string();
        move |source| EvictError::File { path, source }
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(fails(folder))?,
    };
    let mut files = 0;
    for entry in entries {
        let path = entry.map_err(fails(folder))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if !name.is_some_and(|name| meant(&name)) {
            continue;
        }
        if path.is_dir() {
            files += clear(&path, &|_| true)?;
            fs::remove_dir(&path).map_err(fails(&path))?;
        } else {
            fs::remove_file(&path).map_err(fails(&path))?;
            files += 1;
        }
    }
    Ok(files)
}
