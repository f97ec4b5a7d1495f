//! All files below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Import, ImportError, open_regular};

/// Levels of folders; a loop of mounts ends here, links are not followed at all.
const DEEPEST: usize = 64;
/// Files and folders of one import.
const MOST: usize = 2_000_000;

impl Import<'_> {
    pub(super) fn folder(&mut self, root: &Path) -> Result<(), ImportError> {
        let fails = |source| ImportError::Read { path: root.to_owned(), source };
        let mut budget = MOST;
        let mut open = vec![(root.to_owned(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let entries = match entries(&folder, &mut budget) {
                Ok(entries) => entries,
                Err(error) if folder == root => return Err(fails(error)),
                Err(error) => {
                    self.report.skip(&relative(root, &folder), format!("cannot be read: {error}"));
                    continue;
                }
            };
            let mut below = Vec::new();
            for (path, kind) in entries {
                let name = relative(root, &path);
                if kind.is_dir() && depth < DEEPEST {
                    below.push((path, depth + 1));
                } else if kind.is_dir() {
                    self.report.skip(&name, "it lies too deep in folders");
                } else if kind.is_file() {
                    match open_regular(&path) {
                        Ok(mut file) => self.file(&name, &mut file)?,
                        Err(error) => self.report.skip(&name, format!("cannot be read: {error}")),
                    }
                } else {
                    self.report.skip(&name, "it is a link or a device, which is not followed");
                }
            }
            if budget == 0 {
                let why = format!("more than {MOST} files; the rest was not looked at");
                return Err(ImportError::Container { path: root.to_owned(), why });
            }
            // The last one is popped first.
            open.extend(below.into_iter().rev());
        }
        Ok(())
    }
}

/// What is in a folder, sorted; not more than the budget allows.
fn entries(folder: &Path, budget: &mut usize) -> std::io::Result<Vec<(PathBuf, fs::FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)?.take(*budget) {
        let entry = entry?;
        entries.push((entry.path(), entry.file_type()?));
    }
    *budget -= entries.len();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
