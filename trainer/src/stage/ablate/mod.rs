//! `ablate`: the networks that Prima is compared with, trained one after another on the same
//! cohort, seed, steps and batch, and measured on the same test studies (paper, Methods, "Model
//! Design Ablations", "MLP Probing of 2D CLIP models"; Fig. 2c, Extended Data Fig. 5b–g, 6b).
//!
//! ```text
//! DIR/rows/<name>/clip/      a run of `trainer clip`; of `trainer slices` for an image encoder
//! DIR/rows/<name>/heads/     a run of `trainer heads` on it: the same probe for every row
//! DIR/rows/<name>/           entry.json, and the predictions as a set of crate `evaluation`
//! DIR/comparison.json        crate `evaluation`, module `comparison`
//! ```
//!
//! What is there is left out and what was begun goes on, so that rows can be added later.

mod cost;
mod measure;
mod rows;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use evaluation::comparison::{Comparison, Entry, FILE, Kind};
use evaluation::set::Set;
use serde::{Deserialize, Serialize};
use statistics::threshold::OperatingPoint;

use self::measure::ENTRY;
pub use self::rows::Ablation;
use super::clip::{self, ClipRun, ImagesConfig};
use super::group::Group;
use super::heads::{self, AcuityObjective, CalibrationMethod, ContextConfig, HeadsRun};
use super::learner::OptimizerConfig;
use super::run::finished;
use super::slices::{self, SlicesRun};
use super::subset::TrainingShare;

/// Configuration of `trainer ablate`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblateRun {
    /// The reference, as `trainer clip` reads it; every other network is this with one thing
    /// changed. Its sizes are taken without peaks, which the paper's networks do not have.
    pub clip: ClipRun,
    /// The probe on every network.
    pub probe: ProbeConfig,
    /// Which networks, beside the reference.
    #[serde(default = "Ablation::all")]
    pub ablations: Vec<Ablation>,
    /// What the CNNs read.
    #[serde(default)]
    pub images: ImagesConfig,
    /// The reference on less data and with less training.
    #[serde(default)]
    pub scaling: ScalingConfig,
    /// Image encoders that only get a probe.
    #[serde(default)]
    pub encoders: Vec<EncoderConfig>,
    /// Test studies that one is told from in retrieval, itself included; all, where there are fewer.
    #[serde(default = "group")]
    pub group: usize,
    /// Resamples of the patients behind every interval.
    #[serde(default = "resamples")]
    pub resamples: usize,
}

fn group() -> usize {
    100
}

fn resamples() -> usize {
    1000
}

/// The perceptron of `heads` that every network is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeConfig {
    /// Passes over the training studies.
    pub epochs: u64,
    /// Studies per step.
    pub batch: usize,
    /// Hidden widths.
    pub hidden: [usize; 2],
    /// Standard deviation of the noise on embeddings, in units of their own.
    pub noise: f32,
    /// How weights change.
    pub optimizer: OptimizerConfig,
}

/// Points of the curves; the reference itself is the last of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingConfig {
    /// Shares of the training patients, for network and probe; the reference's own are 1.
    pub shares: Vec<f64>,
    /// Numbers of steps, each with a schedule of its own.
    pub steps: Vec<u64>,
}

/// An image encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Name of its row and folder: letters, digits, `_` and `-`.
    pub name: String,
    /// ONNX file, with its `.toml` beside it ([`SlicesRun::encoder`]).
    pub encoder: PathBuf,
}

/// One row before it is made.
struct Job {
    name: String,
    title: String,
    kind: Kind,
    work: Work,
}

/// What embeds the studies of a row.
enum Work {
    Clip(Box<ClipRun>),
    Slices(SlicesRun),
}

/// Makes every row that is missing, and compares all of them; `progress` is told each row's name,
/// its number from 1, and how many there are.
///
/// # Errors
///
/// When a configuration is refused, a run of another configuration is in a row's folder, or what
/// the stages say.
pub fn ablate(
    config: &AblateRun,
    out: &Path,
    progress: &dyn Fn(&str, usize, usize),
) -> anyhow::Result<Comparison> {
    let jobs = jobs(config)?;
    let mut networks = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        progress(&job.name, number + 1, jobs.len());
        let folder = out.join("rows").join(&job.name);
        make(config, job, &folder).with_context(|| format!("row {}", job.name))?;
        let path = folder.join(ENTRY);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let entry: Entry = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no entry; remove it", path.display()))?;
        networks.push((entry, Set::open(&folder)?));
    }
    let (reference, _) = Ablation::Prima.words();
    let found = Comparison::of(&networks, reference, config.resamples, config.clip.seed)?;
    let path = out.join(FILE);
    fs::write(&path, serde_json::to_vec_pretty(&found)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(found)
}

/// Every row, the reference first.
fn jobs(config: &AblateRun) -> anyhow::Result<Vec<Job>> {
    let AblateRun { clip, ablations, images, scaling, encoders, .. } = config;
    anyhow::ensure!(
        clip.variant.is_prima() && clip.training.is_all() && clip.start.is_none(),
        "clip.variant, clip.training and clip.start are what `ablate` varies or cannot keep; leave them out"
    );
    let mut reference = clip.clone();
    reference.sizes.sequence_vit.peaks = None;
    reference.sizes.study_vit.peaks = None;
    let of = |(name, title): (&str, &str), kind, run: ClipRun| Job {
        name: name.to_owned(),
        title: title.to_owned(),
        kind,
        work: Work::Clip(Box::new(run)),
    };
    let mut jobs = vec![of(Ablation::Prima.words(), Kind::Ablation, reference.clone())];
    for ablation in ablations.iter().filter(|ablation| **ablation != Ablation::Prima) {
        let mut run = reference.clone();
        ablation.change(&mut run, images);
        jobs.push(of(ablation.words(), Kind::Ablation, run));
    }
    for &share in &scaling.shares {
        let training = TrainingShare { share, ..reference.training };
        training.check().context("scaling.shares")?;
        let words = (format!("patients_{share}"), format!("Prima, {share} of the patients"));
        let run = ClipRun { training, ..reference.clone() };
        jobs.push(of((words.0.as_str(), words.1.as_str()), Kind::Scaling, run));
    }
    for &steps in &scaling.steps {
        let words = (format!("steps_{steps}"), format!("Prima, {steps} steps"));
        let run = ClipRun { steps, ..reference.clone() };
        jobs.push(of((words.0.as_str(), words.1.as_str()), Kind::Scaling, run));
    }
    for EncoderConfig { name, encoder } in encoders {
        let run = SlicesRun { encoder: encoder.clone(), cohort: clip.cohort.clone() };
        let (title, kind) = (format!("{name}, mean of slices"), Kind::Baseline);
        jobs.push(Job { name: name.clone(), title, kind, work: Work::Slices(run) });
    }
    let mut names = HashSet::new();
    for Job { name, .. } in &jobs {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        anyhow::ensure!(
            !name.is_empty() && !name.starts_with('.') && name.chars().all(plain),
            "{name:?} cannot name a row: take letters, digits, `_` and `-`"
        );
        anyhow::ensure!(names.insert(name), "two rows are called {name}; leave one out");
    }
    Ok(jobs)
}

/// Trains and measures a row, as far as that was not done.
fn make(config: &AblateRun, job: &Job, folder: &Path) -> anyhow::Result<()> {
    let embedder = folder.join("clip");
    let resume = embedder.join("config.toml").exists();
    let (training, seed, device) = match &job.work {
        Work::Clip(run) => {
            if !finished(&embedder, run.as_ref(), clip::SIZES)? {
                clip::train(run, &embedder, resume, None, Group::alone(), None)?;
            }
            (run.training, run.seed, run.device)
        }
        Work::Slices(run) => {
            if !finished(&embedder, run, slices::SUMMARY)? {
                slices::embed(run, &embedder, resume, &|_, _| {})?;
            }
            (TrainingShare::default(), config.clip.seed, config.clip.device)
        }
    };
    let ProbeConfig { epochs, batch, hidden, noise, optimizer } = config.probe;
    let probe = HeadsRun {
        cohort: config.clip.cohort.clone(),
        clip: embedder,
        device,
        seed,
        epochs,
        batch,
        hidden,
        noise,
        single_series: 0.0,
        optimizer,
        acuity: AcuityObjective::default(),
        operating_point: OperatingPoint::Youden,
        calibration: CalibrationMethod::default(),
        context: ContextConfig::default(),
        feedback: None,
        training,
    };
    let heads = folder.join("heads");
    if !finished(&heads, &probe, "heads.toml")? {
        heads::train(&probe, &heads, heads.join("config.toml").exists())?;
    }
    if !folder.join(ENTRY).exists() {
        measure::measure(job, &probe, folder, config.group)?;
    }
    Ok(())
}

impl Job {
    /// The network that a row trains, if any.
    fn run(&self) -> Option<&ClipRun> {
        match &self.work {
            Work::Clip(run) => Some(run.as_ref()),
            Work::Slices(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::clip::{Architecture, ReportText};

    fn config(more: &str) -> AblateRun {
        let text = format!(
            r#"
            {more}
            [clip]
            cohort = "cohort"
            text = "text"
            steps = 8
            batch = 4
            part = 2
            sizes = "tiny"
            [probe]
            epochs = 1
            batch = 4
            hidden = [8, 8]
            noise = 0.0
            optimizer = {{}}
            "#
        );
        toml::from_str(&text).unwrap()
    }

    /// Keys of the resolved configurations that differ.
    fn changed(reference: &ClipRun, run: &ClipRun) -> Vec<String> {
        fn walk(path: &str, a: Option<&toml::Value>, b: Option<&toml::Value>) -> Vec<String> {
            let inner = |value: Option<&toml::Value>| {
                value.map_or_else(toml::Table::new, |v| v.as_table().cloned().unwrap_or_default())
            };
            let tables = [a, b].iter().any(|v| v.is_some_and(toml::Value::is_table));
            if !tables {
                return if a == b { Vec::new() } else { vec![path.to_owned()] };
            }
            let (a, b) = (inner(a), inner(b));
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let each = keys.into_iter().flat_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, a.get(key), b.get(key))
            });
            each.collect()
        }
        let [a, b] = [reference, run].map(|run| {
            let mut run = run.clone();
            // Written even where it is Prima's, so that single keys can be compared.
            let variant = std::mem::take(&mut run.variant);
            let mut table = toml::Table::try_from(run).unwrap();
            table.insert("variant".to_owned(), toml::Value::try_from(variant).unwrap());
            toml::Value::Table(table)
        });
        walk("", Some(&a), Some(&b))
    }

    #[test]
    fn every_row_changes_what_its_name_says_and_nothing_else() {
        let config = config(
            "encoders = [{ name = \"untrained\", encoder = \"model.onnx\" }]\n\
             scaling = { shares = [0.5], steps = [4] }",
        );
        let jobs = jobs(&config).unwrap();
        let reference = jobs[0].run().unwrap();
        assert_eq!(
            (reference.sizes.sequence_vit.peaks, reference.variant.is_prima()),
            (None, true)
        );
        let changes: Vec<(&str, Vec<String>)> = jobs[1..]
            .iter()
            .map(|job| {
                (job.name.as_str(), job.run().map_or(Vec::new(), |run| changed(reference, run)))
            })
            .collect();
        let expected: [(&str, &[&str]); 11] = [
            ("no_series_names", &["variant.series_names"]),
            ("no_study_description", &["variant.study_description"]),
            ("flat_vit", &["variant.architecture"]),
            ("cnn_2d", &["variant.architecture"]),
            ("cnn_3d", &["variant.architecture"]),
            ("long_reports", &["variant.report"]),
            ("no_patient_discrimination", &["objective.patient_discrimination"]),
            (
                "plain_vit",
                &[
                    "augmentation.series_dropout",
                    "augmentation.token_dropout",
                    "objective.patient_discrimination",
                    "variant.architecture",
                    "variant.series_names",
                    "variant.study_description",
                ],
            ),
            ("patients_0.5", &["training"]),
            ("steps_4", &["steps"]),
            ("untrained", &[]),
        ];
        assert_eq!(changes.len(), expected.len());
        for ((name, found), (expected, keys)) in changes.iter().zip(expected) {
            assert_eq!(*name, expected);
            let found: Vec<&str> = found
                .iter()
                .map(|key| key.trim_end_matches(".seed").trim_end_matches(".share"))
                .collect();
            let found: Vec<&str> = found.into_iter().fold(Vec::new(), |mut keys, key| {
                if keys.last() != Some(&key) {
                    keys.push(key);
                }
                keys
            });
            assert_eq!(found, keys, "{name}");
        }
        let of = |name: &str| jobs.iter().find(|job| job.name == name).unwrap().run().unwrap();
        assert_eq!(of("cnn_3d").variant.architecture, Architecture::Cnn3d);
        assert_eq!(of("long_reports").variant.report, ReportText::Long);
        for job in jobs.iter().filter_map(Job::run) {
            job.variant.check(job).unwrap();
        }
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let refusal =
            |more: &str| jobs(&config(more)).err().map_or_else(String::new, |e| e.to_string());
        assert_eq!(refusal(""), "");
        let name = |name: &str| format!("encoders = [{{ name = {name:?}, encoder = \"m.onnx\" }}]");
        assert!(refusal(&name("../x")).contains("cannot name a row"));
        assert_eq!(refusal(&name("cnn_2d")), "two rows are called cnn_2d; leave one out");
        assert_eq!(refusal("scaling = { shares = [0.0] }"), "scaling.shares");
    }
}
