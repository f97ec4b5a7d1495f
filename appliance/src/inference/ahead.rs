//! The study whose turn comes next, read and prepared while the graphics card works on this one.
//!
//! Nothing depends on it: what was prepared is used only when the same folder is ordered next with
//! the same rules and nothing in it has changed, and a study that could not be prepared is
//! prepared again in its turn, where its failure is its own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::SystemTime;

use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::prepare::{Prepared, prepare};
use models::volume::Preprocessing;

use super::protocol::Order;

/// Length and time of change of every file below a folder.
type Files = BTreeMap<PathBuf, (u64, SystemTime)>;

/// A study that is being prepared.
pub(super) struct Ahead<'scope> {
    folder: PathBuf,
    selection: String,
    /// As they were before the first was read.
    files: Option<Files>,
    prepared: ScopedJoinHandle<'scope, Option<Prepared>>,
}

impl<'scope> Ahead<'scope> {
    /// Begins with a folder, by the rules of a `series-selection.toml`.
    pub(super) fn begin(
        scope: &'scope Scope<'scope, '_>,
        folder: PathBuf,
        selection: &str,
        version: Preprocessing,
        decoder: &'scope Decoder,
    ) -> Self {
        let files = files(&folder).ok();
        let (from, rules) = (folder.clone(), selection.to_owned());
        let prepared = scope.spawn(move || {
            let rules = Selection::parse(&rules, "the daemon's series selection").ok()?;
            prepare(&from, version, &rules, decoder, |_| {}).ok()
        });
        Self { folder, selection: selection.to_owned(), files, prepared }
    }

    /// Whether it is what this order asks for.
    pub(super) fn is_for(&self, order: &Order) -> bool {
        self.folder == order.folder && self.selection == order.selection
    }

    /// The study as it lies there now; waits until it is prepared. `None` when an image came or
    /// went meanwhile, or it cannot be prepared.
    pub(super) fn finish(self) -> Option<Prepared> {
        let prepared = self.prepared.join().ok().flatten()?;
        let now = files(&self.folder).ok();
        (now.is_some() && now == self.files).then_some(prepared)
    }
}

fn files(folder: &Path) -> io::Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path(), (metadata.len(), metadata.modified()?));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use models::dicom::decoder::DecoderLimits;

    use super::*;

    /// What is ordered after `change` was done to a folder that was prepared ahead.
    fn prepared_after(change: impl FnOnce(&Path)) -> Option<Prepared> {
        let folder = tempfile::tempdir().unwrap();
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/real/brain1_t1c");
        for entry in fs::read_dir(real).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let rules = Selection::built_in().unwrap().text().to_owned();
        let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
        thread::scope(|scope| {
            let path = folder.path().to_owned();
            let ahead = Ahead::begin(scope, path, &rules, Preprocessing::V1, &decoder);
            change(folder.path());
            ahead.finish()
        })
    }

    #[test]
    fn a_study_is_taken_as_prepared_only_while_its_files_are_the_same() {
        let undisturbed = prepared_after(|_| {}).unwrap();
        assert!(!undisturbed.series.is_empty());
        assert!(!undisturbed.patches.series.is_empty());
        let late = |folder: &Path| fs::write(folder.join("late.dcm"), b"an image more").unwrap();
        assert!(prepared_after(late).is_none());
        let gone = |folder: &Path| {
            let first = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
            fs::remove_file(first.path()).unwrap();
        };
        assert!(prepared_after(gone).is_none());
    }

    #[test]
    fn another_folder_or_other_rules_are_another_order() {
        let order = |folder: &str, selection: &str| Order {
            folder: folder.into(),
            selection: selection.to_owned(),
            tokens: PathBuf::new(),
            context: String::new(),
            earlier: None,
            explain: None,
            next: None,
        };
        let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
        thread::scope(|scope| {
            let ahead = Ahead::begin(scope, "a".into(), "rules", Preprocessing::V1, &decoder);
            assert!(ahead.is_for(&order("a", "rules")));
            assert!(!ahead.is_for(&order("b", "rules")));
            assert!(!ahead.is_for(&order("a", "other rules")));
            assert!(ahead.finish().is_none(), "a folder that is not there cannot be prepared");
        });
    }
}
