//! The run folder of a stage.
//!
//! | file | content |
//! |---|---|
//! | `config.toml` | the configuration as it was resolved, every default written out |
//! | `run.toml` | stage, seed, program, revision, inputs with their digests |
//! | `metrics.jsonl` | one JSON object a line: step, seconds, values |
//! | `checkpoints/step-NNNNNNNN/` | everything that continuing needs; the newest two are kept |
//! | stage's own results | weights, pictures, tables |
//!
//! Randomness is a function of seed and step ([`Run::rng`]), so a run that was killed and goes on
//! draws the same numbers as one that was not.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Newest checkpoints that are kept.
const KEPT: usize = 2;

/// A configuration or run folder that is refused.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error("{path} is not a configuration of `trainer {stage}`; correct the key it names")]
    Config {
        /// The file.
        path: PathBuf,
        /// The subcommand.
        stage: &'static str,
        /// Line, key and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{path}: {key} is {found}, expected {expected}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The folder holds a run already.
    #[error("{path} already holds a run; add --resume to go on with it, or name another folder")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Another configuration than the run was begun with.
    #[error(
        "{path} was begun with another configuration; go on with the one in it, or name another folder"
    )]
    Other {
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint is damaged.
    #[error("{path} cannot be used: {reason}; remove that checkpoint to go on from the one before")]
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What `run.toml` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    stage: String,
    seed: u64,
    program: String,
    revision: String,
    inputs: Vec<String>,
}

/// A run in progress.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    seed: u64,
    /// `None` for the ranks that only follow.
    metrics: Option<File>,
    started: Instant,
    /// Seconds of earlier parts of this run.
    before_s: f64,
    bar: ProgressBar,
}

/// Reads a stage's configuration.
///
/// # Errors
///
/// Names line and key.
pub fn config<C: DeserializeOwned>(path: &Path, stage: &'static str) -> Result<C, RunError> {
    let text = fs::read_to_string(path)
        .map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let refused = |e| RunError::Config { path: path.to_owned(), stage, source: Box::new(e) };
    let config = toml::from_str(&text).map_err(refused)?;
    match zero(&toml::from_str(&text).map_err(refused)?) {
        None => Ok(config),
        Some(key) => Err(RunError::Value {
            path: path.to_owned(),
            key,
            found: "0".to_owned(),
            expected: "at least 1".to_owned(),
        }),
    }
}

/// True when a run of this configuration has left `result`, the last thing it writes, in a folder.
///
/// # Errors
///
/// When the result is there, but of another configuration.
pub fn finished<C: Serialize>(folder: &Path, config: &C, result: &str) -> Result<bool, RunError> {
    if !folder.join(result).exists() {
        return Ok(false);
    }
    let path = folder.join("config.toml");
    let there = fs::read_to_string(&path)
        .map_err(|source| RunError::Read { path: path.clone(), source })?;
    let text = toml::to_string_pretty(config).map_err(std::io::Error::other);
    let text = text.map_err(|source| RunError::Write { path, source })?;
    if there == text { Ok(true) } else { Err(RunError::Other { path: folder.to_owned() }) }
}

/// The first key that counts something and counts nothing.
fn zero(table: &toml::Table) -> Option<String> {
    const COUNTS: [&str; 5] = ["batch", "part", "epochs", "checkpoint_steps", "validate_steps"];
    table.iter().find_map(|(key, value)| match value {
        toml::Value::Integer(0) if COUNTS.contains(&key.as_str()) => Some(key.clone()),
        toml::Value::Table(inner) => zero(inner).map(|found| format!("{key}.{found}")),
        _ => None,
    })
}

impl Run {
    /// Begins a run, or goes on with one when `resume`.
    ///
    /// # Errors
    ///
    /// When the folder holds another run, or cannot be written.
    pub fn begin<C: Serialize>(
        folder: &Path,
        stage: &'static str,
        config: &C,
        seed: u64,
        inputs: &[&Path],
        resume: bool,
    ) -> Result<Self, RunError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Write { path, source }
        };
        fs::create_dir_all(folder.join("checkpoints")).map_err(write(folder))?;
        let text = toml::to_string_pretty(config).map_err(std::io::Error::other);
        let path = folder.join("config.toml");
        let text = text.map_err(write(&path))?;
        if path.exists() {
            let there = fs::read_to_string(&path)
                .map_err(|source| RunError::Read { path: path.clone(), source })?;
            if !resume {
                return Err(RunError::Occupied { path: folder.to_owned() });
            }
            if there != text {
                return Err(RunError::Other { path: folder.to_owned() });
            }
        } else {
            let about = About {
                stage: stage.to_owned(),
                seed,
                program: format!("trainer {}", env!("CARGO_PKG_VERSION")),
                revision: revision(),
                inputs: inputs.iter().map(|path| described(path)).collect(),
            };
            let about = toml::to_string_pretty(&about).map_err(std::io::Error::other);
            let about_path = folder.join("run.toml");
            let written = about.and_then(|about| fs::write(&about_path, about));
            written.map_err(write(&about_path))?;
            fs::write(&path, text).map_err(write(&path))?;
        }
        let path = folder.join("metrics.jsonl");
        let metrics = OpenOptions::new().create(true).append(true).open(&path);
        let metrics = metrics.map_err(write(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            seed,
            metrics: Some(metrics),
            started: Instant::now(),
            before_s: 0.0,
            bar: bar(stage),
        })
    }

    /// The run as the other ranks see it: they read its checkpoints and write nothing.
    #[must_use]
    pub fn follow(folder: &Path, stage: &'static str, seed: u64) -> Self {
        let bar = bar(stage);
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        Self {
            folder: folder.to_owned(),
            seed,
            metrics: None,
            started: Instant::now(),
            before_s: 0.0,
            bar,
        }
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Random numbers of one step.
    #[must_use]
    pub fn rng(&self, step: u64) -> ChaCha8Rng {
        rng(self.seed, step)
    }

    /// Writes a line of metrics and shows it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn log(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), RunError> {
        let Some(metrics) = &mut self.metrics else { return Ok(()) };
        let mut line = Map::new();
        line.insert("step".to_owned(), step.into());
        let seconds = self.before_s + self.started.elapsed().as_secs_f64();
        line.insert("seconds".to_owned(), rounded(seconds));
        let mut shown = String::new();
        for (name, value) in values {
            line.insert((*name).to_owned(), rounded(*value));
            shown.push_str(&format!("{name} {value:.4}  "));
        }
        self.bar.set_message(shown);
        let path = self.folder.join("metrics.jsonl");
        let written = writeln!(metrics, "{}", Value::Object(line));
        written.map_err(|source| RunError::Write { path, source })
    }

    /// Shows how far the run is.
    pub fn progress(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Seconds of training, earlier parts of the run included.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.before_s + self.started.elapsed().as_secs_f64()
    }

    /// Writes a checkpoint: `fill` puts its files into a folder that appears under its name only
    /// when it is complete. Older checkpoints beyond the newest two are removed.
    ///
    /// # Errors
    ///
    /// Those of `fill`, and when the disk is full.
    pub fn checkpoint<E: From<RunError>>(
        &self,
        step: u64,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.metrics.is_none() {
            return Ok(());
        }
        let name = format!("step-{step:08}");
        let (to, partial) = (self.checkpoints().join(&name), self.checkpoints().join("partial"));
        let write = |source| RunError::Write { path: partial.clone(), source };
        drop(fs::remove_dir_all(&partial));
        fs::create_dir_all(&partial).map_err(write)?;
        let state = State { step, seconds: self.seconds() };
        let state = serde_json::to_vec(&state).map_err(|e| write(e.into()))?;
        fs::write(partial.join("state.json"), state).map_err(write)?;
        fill(&partial)?;
        drop(fs::remove_dir_all(&to));
        fs::rename(&partial, &to).map_err(write)?;
        let names = self.names()?;
        for old in names.iter().rev().skip(KEPT) {
            drop(fs::remove_dir_all(self.checkpoints().join(old)));
        }
        Ok(())
    }

    /// The newest checkpoint, with its step; metrics of later steps are cut off, because they
    /// will be written again.
    ///
    /// # Errors
    ///
    /// When it is damaged.
    pub fn resume(&mut self) -> Result<Option<(u64, PathBuf)>, RunError> {
        let Some(name) = self.names()?.pop() else { return Ok(None) };
        let path = self.checkpoints().join(name);
        let state = fs::read(path.join("state.json"))
            .map_err(|source| RunError::Read { path: path.clone(), source })?;
        let State { step, seconds } = serde_json::from_slice(&state)
            .map_err(|e| RunError::Checkpoint { path: path.clone(), reason: e.to_string() })?;
        self.before_s = seconds;
        self.started = Instant::now();
        self.forget_after(step)?;
        Ok(Some((step, path)))
    }

    /// Cuts all metrics off, in a stage that has no checkpoints.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn begin_anew(&mut self) -> Result<(), RunError> {
        let path = self.folder.join("metrics.jsonl");
        let metrics = File::create(&path).map_err(|source| RunError::Write { path, source })?;
        self.metrics = Some(metrics);
        Ok(())
    }

    fn forget_after(&mut self, step: u64) -> Result<(), RunError> {
        if self.metrics.is_none() {
            return Ok(());
        }
        let path = self.folder.join("metrics.jsonl");
        let read = |source| RunError::Read { path: path.clone(), source };
        let lines = BufReader::new(File::open(&path).map_err(read)?).lines();
        let lines: Vec<String> = lines.collect::<Result<_, _>>().map_err(read)?;
        let keep = lines.into_iter().filter(|line| {
            let line: Result<Value, _> = serde_json::from_str(line);
            line.is_ok_and(|line| line["step"].as_u64().is_some_and(|at| at <= step))
        });
        let text: String = keep.map(|line| line + "\n").collect();
        let write = |source| RunError::Write { path: path.clone(), source };
        fs::write(&path, text).map_err(write)?;
        self.metrics = Some(OpenOptions::new().append(true).open(&path).map_err(write)?);
        Ok(())
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// Names of complete checkpoints, oldest first.
    fn names(&self) -> Result<Vec<String>, RunError> {
        let path = self.checkpoints();
        let read = |source| RunError::Read { path: path.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(read)? {
            let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
            if name.starts_with("step-") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    step: u64,
    seconds: f64,
}

/// Random numbers that depend on seed and index only.
#[must_use]
pub fn rng(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// Seven digits say enough, and equal runs then have equal files but for their times.
fn rounded(value: f64) -> Value {
    let text = format!("{value:.6e}");
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::from)
}

/// Path with the digest of what it holds: a file itself, a folder's header or manifest.
fn described(path: &Path) -> String {
    let files = ["manifest.toml", "cohort.toml", "run.toml"];
    let file = files.iter().map(|name| path.join(name)).find(|file| file.is_file());
    let bytes = fs::read(file.as_deref().unwrap_or(path)).unwrap_or_default();
    let digest: String =
        Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{name} (sha256 {digest}...)")
}

/// The source revision, when the program runs inside its repository.
fn revision() -> String {
    let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let described = git.ok().filter(|out| out.status.success());
    described.map_or_else(
        || option_env!("PRIMA_REVISION").unwrap_or("unknown").to_owned(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}

/// A bar on standard error with the time left, hidden when that is no terminal.
fn bar(stage: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let template = "{prefix} {wide_bar} {pos}/{len} {elapsed} +{eta}\n{msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(stage);
    bar
}
