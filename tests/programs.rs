//! Running the programs the way their users do, and what several tests give them: a bundle, a
//! series, a folder for results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use serde_json::Value;
use tempfile::TempDir;
use tests::phantom::{Plane, SeriesSpec, write_series};
use tests::program;

/// What a program left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().expect("a program that starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run {
        code: output.status.code().expect("a program that is not killed by a signal"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// `appliance triage STUDY --model MODEL`.
pub(crate) fn triage(study: &Path, model: &Path) -> Command {
    let mut command = Command::new(program("appliance"));
    command.arg("triage").arg(study).arg("--model").arg(model);
    command
}

/// `trainer`, with its first argument.
pub(crate) fn trainer(subcommand: &str) -> Command {
    let mut command = Command::new(program("trainer"));
    command.arg(subcommand);
    command
}

/// A folder with an untrained bundle of tiny sizes in `bundle`, shared by the tests that run at
/// the same time and removed by the last of them.
pub(crate) fn shared_bundle() -> Arc<TempDir> {
    static SHARED: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().expect("no test failed while it made the bundle");
    shared.upgrade().unwrap_or_else(|| {
        let made = Arc::new(TempDir::new().expect("a folder"));
        let mut init = trainer("init");
        init.args(["--preset", "tiny", "--seed", "1", "--out"]).arg(made.path().join("bundle"));
        let ran = run(&mut init);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        *shared = Arc::downgrade(&made);
        made
    })
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// A message with every folder that differs from run to run under its fixed name.
pub(crate) fn placed(text: &str, folders: &[(&Path, &str)]) -> String {
    folders.iter().fold(text.to_owned(), |text, (folder, name)| {
        text.replace(&folder.display().to_string(), name)
    })
}

/// A place with a model, and a folder for studies and results.
pub(crate) struct Clinic {
    pub(crate) folder: TempDir,
    shared: Arc<TempDir>,
}

impl Clinic {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder"), shared: shared_bundle() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder of this name, made if absent.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.shared.path().join("bundle")
    }

    pub(crate) fn triage(&self, study: &Path) -> Command {
        triage(study, &self.model())
    }

    /// Triage with `--json`; the run and what it wrote.
    pub(crate) fn json(&self, study: &Path) -> (Run, Value) {
        let path = self.path("result.json");
        let ran = run(self.triage(study).arg("--json").arg(&path));
        let json = fs::read(&path).unwrap_or_else(|_| panic!("no JSON; {}", ran.stderr));
        (ran, serde_json::from_slice(&json).expect("JSON"))
    }

    /// What went to standard error, with fixed folder names.
    pub(crate) fn stderr(&self, ran: &Run) -> String {
        placed(&ran.stderr, &[(self.folder.path(), "DIR"), (self.shared.path(), "MODELS")])
    }
}

/// A small series of one plane.
pub(crate) fn series(number: i64, description: &str, plane: Plane) -> SeriesSpec {
    SeriesSpec {
        uid: format!("2.25.1000.{number}"),
        number,
        description: description.into(),
        plane,
        seed: number.unsigned_abs(),
        ..SeriesSpec::default()
    }
}

/// Writes a series and returns its files.
pub(crate) fn write(dir: &Path, spec: &SeriesSpec) -> Vec<PathBuf> {
    write_series(dir, spec).expect("a written series")
}
