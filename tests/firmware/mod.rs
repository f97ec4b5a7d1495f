//! What is rendered from the settings of a box, given to the programs that read it, and seen at
//! work: a packet that is dropped, a clock that is told, a battery that runs down.

mod firewall;
mod install;
mod layer;
mod machine;
mod models;
mod parts;
mod readers;
mod settings;
mod update;
mod ups;

use std::fs;
use std::path::{Path, PathBuf};

use firmware_config::settings::Checked;
use firmware_config::trial::Place;
use tempfile::TempDir;

/// The files of a box below a folder that stands for `/`.
struct Rendered {
    root: TempDir,
}

impl Rendered {
    #[track_caller]
    fn of(settings: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let checked = Checked::parse(settings, "site.toml");
        let checked = checked.unwrap_or_else(|why| panic!("{why}: {why:?}\n{settings}"));
        let place = Place { root: root.path().to_owned() };
        place.write(&checked).expect("files");
        Self { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    /// Empty programs, where a unit names some: that they are there is checked too.
    fn stub(&self, paths: &[&str]) {
        for path in paths {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
            fs::write(&path, "#!/bin/sh\n").expect("a file");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).expect("a program");
        }
    }
}
