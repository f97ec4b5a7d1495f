//! `simulate`: whole clinical studies from physics, because no public corpus pairs brain MRI
//! with reports.
//!
//! One patient goes through, in this order:
//!
//! 1. [`story`] who is examined, by whom, when;
//! 2. [`disease`] what is wrong, planned in atlas space;
//! 3. [`anatomy`] the head: an atlas deformed by age, chance, mass effect and malformation;
//! 4. [`disease`] again: lesions replace tissue;
//! 5. [`acquire`] a protocol of sequences on a scanner: signal equations, slices, artefacts;
//! 6. [`dicom`] files as that vendor writes them, read back by the path that serving takes;
//! 7. [`story`] again: the report, labels and truth.
//!
//! [`head`] holds what the parts agree on. Nothing is ever painted on an image.

pub mod acquire;
pub mod anatomy;
pub mod dicom;
pub mod disease;
pub mod head;
mod mirror;
pub mod nifti;
pub mod protocol;
pub mod signal;
pub mod story;
pub mod tissue;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::engine::DeviceChoice;
use models::labels::DIAGNOSES;
use models::nn::config::TokenizerConfig;
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::acquire::{Series, Session};
use self::anatomy::{AnatomyParameters, Atlas};
use self::dicom::StudyHeader;
use self::disease::{Person, Table};
use self::protocol::{Protocol, Scanner};
use self::story::{Acquired, Examination, Patient, Writer};
use crate::cohort::prepare::{Mask, patches};
use crate::cohort::record::{Sex, Split, StudyLabels, StudyRecord, StudyTruth};
use crate::cohort::shard::{ShardStudy, Values, write_shard};
use crate::cohort::{
    CohortHeader, CohortKind, files, note_selection, read_lines, seen_selection, write, write_lines,
};
use crate::reports::mapping::ReferralTable;
use crate::stage::run::rng;
use crate::stage::tokenizer::PatchCoder;

/// Configuration of `trainer simulate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateRun {
    /// Equal seeds give equal cohorts.
    pub seed: u64,
    /// Training studies.
    pub train: usize,
    /// Validation studies.
    pub validation: usize,
    /// Test studies.
    pub test: usize,
    /// Studies whose DICOM files and masks are kept; the others only as patches.
    #[serde(default)]
    pub keep: usize,
    /// Weeks over which studies are spread.
    #[serde(default = "weeks")]
    pub weeks: u32,
    /// Edge of the head's voxels.
    #[serde(default = "grid_mm")]
    pub grid_mm: f32,
    /// Thin-slice T1 volumes, of four times the tokens of other series, may be acquired.
    #[serde(default)]
    pub volumes: bool,
    /// Only patients with this diagnosis.
    #[serde(default)]
    pub only: Option<String>,
    /// Every training study comes a second time, mirrored left to right, as another study of its
    /// patient.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
    /// Share of training studies whose heads are crowded, with four to eight primary diagnoses in
    /// place of none to four: more lesions to learn from in the same time.
    #[serde(default, skip_serializing_if = "is_none")]
    pub crowded: f64,
    /// The cohort holds tokens, and patches of the first `keep` studies only, in an eighth of the
    /// room: for thousands of studies, once some hundred with patches have trained a tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// By which tokenizer patches become tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Weights of the tokenizer.
    pub tokenizer: PathBuf,
    /// Its sizes.
    #[serde(deserialize_with = "crate::stage::sizes::tokenizer")]
    pub sizes: TokenizerConfig,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(share: &f64) -> bool {
    *share <= 0.0
}

fn weeks() -> u32 {
    52
}

fn grid_mm() -> f32 {
    1.0
}

/// Studies of a shard.
const STUDIES_PER_SHARD: usize = 32;

/// Seeds that have room in an id, which is also an Accession Number (0008,0050) of at most 16
/// characters: the letter, eight digits of the seed, a hyphen and six digits of the study.
const SEEDS: u64 = 100_000_000;

/// Everything that every study needs.
struct Simulator<'a> {
    config: &'a SimulateRun,
    /// The atlas and its mirror image, each with a table that remembers its places.
    anatomies: [(Atlas, Table); 2],
    writer: Writer,
    triage: ReferralTable,
    only: Option<usize>,
    selection: Selection,
    decoder: &'a Decoder,
    folder: &'a Path,
    coder: Option<PatchCoder>,
}

/// A finished study.
struct Simulated {
    record: StudyRecord,
    labels: StudyLabels,
    truth: StudyTruth,
    patches: ShardStudy,
}

impl Simulated {
    /// Its patches, and what is known of it.
    fn part(self) -> (ShardStudy, Part) {
        let Self { record, labels, truth, patches } = self;
        (patches, Part { record, labels, truth })
    }
}

/// Simulates a cohort into `folder`; goes on where an earlier call was stopped.
///
/// # Errors
///
/// When the configuration or a built-in table is refused, or the disk is full.
pub fn simulate(
    config: &SimulateRun,
    folder: &Path,
    decoder: &Decoder,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> anyhow::Result<CohortHeader> {
    let (total, only) = check(config)?;
    std::fs::create_dir_all(folder)?;
    let coder = config.tokens.as_ref();
    let coder = coder.map(|t| PatchCoder::open(&t.tokenizer, &t.sizes, DeviceChoice::Cpu));
    let atlas = Atlas::load()?;
    let simulator = Simulator {
        config,
        anatomies: [(atlas.mirrored(), Table::load()?), (atlas, Table::load()?)],
        writer: Writer::load()?,
        triage: ReferralTable::built_in()?,
        only,
        selection: Selection::built_in()?,
        decoder,
        folder,
        coder: coder.transpose()?,
    };
    begin(config, folder, &simulator.selection)?;
    let header = CohortHeader {
        kind: CohortKind::Simulated,
        source: format!(
            "{total} simulated studies, seed {}{}",
            config.seed,
            if config.mirrored { ", those for training also mirrored" } else { "" }
        ),
        program: format!("trainer {}", env!("CARGO_PKG_VERSION")),
        seed: Some(config.seed),
        studies: BTreeMap::new(),
    };
    let done = AtomicUsize::new(0);
    let shards: Vec<usize> = (0..total.div_ceil(STUDIES_PER_SHARD)).collect();
    for shard in &shards {
        let first = shard * STUDIES_PER_SHARD;
        let indices = first..(first + STUDIES_PER_SHARD).min(total);
        let lines = folder.join(format!("part-{shard:04}.jsonl"));
        if !lines.exists() {
            let studies: Vec<Vec<Simulated>> = indices
                .clone()
                .into_par_iter()
                .map(|index| {
                    let studies = simulator.studies(index);
                    progress(first + done.fetch_add(1, Ordering::Relaxed) + 1, total);
                    studies
                })
                .collect::<anyhow::Result<_>>()?;
            done.store(0, Ordering::Relaxed);
            let kept = config.keep.saturating_sub(first);
            let kept = studies.iter().take(kept).map(Vec::len).sum();
            let studies = studies.into_iter().flatten();
            let (mut shown, parts): (Vec<ShardStudy>, Vec<Part>) =
                studies.map(Simulated::part).unzip();
            let write = |values: Values, studies: &[ShardStudy]| {
                let name = format!("{}-{shard:04}.safetensors", values.prefix());
                write_shard(&folder.join(name), values, studies)
            };
            if let Some(coder) = &simulator.coder {
                // What follows knows by a few studies' patches whose tokens these are.
                if kept > 0 {
                    write(Values::Patches, &shown[..shown.len().min(kept)])?;
                }
                let series = shown.par_iter_mut().flat_map(|study| &mut study.series);
                series.for_each(|s| s.values = coder.latents(&s.values, s.thin_axis));
                write(Values::Latents, &shown)?;
            } else {
                write(Values::Patches, &shown)?;
            }
            write_lines(&lines, &parts)?;
        }
        progress(indices.end, total);
    }
    gather(folder, shards.len(), header)
}

/// Notes what the cohort is made with; refuses a folder that was begun with something else.
fn begin(config: &SimulateRun, folder: &Path, selection: &Selection) -> anyhow::Result<()> {
    let begun = folder.join("simulate.toml");
    let text = toml::to_string_pretty(config)?;
    if begun.exists() {
        anyhow::ensure!(
            std::fs::read_to_string(&begun)? == text,
            "{} was begun with another configuration; name another folder",
            folder.display()
        );
    } else {
        std::fs::write(&begun, text)?;
    }
    let begun = seen_selection(folder)?;
    anyhow::ensure!(
        begun.is_none_or(|begun| begun.difference(selection).is_none()),
        "{} was begun with other rules for series; name another folder",
        folder.display()
    );
    Ok(note_selection(folder, selection)?)
}

/// Writes what is known of all studies, shard after shard, as one cohort.
fn gather(folder: &Path, shards: usize, mut header: CohortHeader) -> anyhow::Result<CohortHeader> {
    let mut parts: Vec<Part> = Vec::new();
    for shard in 0..shards {
        parts.extend(read_lines::<Part>(&folder.join(format!("part-{shard:04}.jsonl")))?);
    }
    let records: Vec<StudyRecord> = parts.iter().map(|p| p.record.clone()).collect();
    for record in &records {
        *header.studies.entry(format!("{:?}", record.split).to_lowercase()).or_default() += 1;
    }
    let labels: Vec<StudyLabels> = parts.iter().map(|p| p.labels.clone()).collect();
    let truth: Vec<StudyTruth> = parts.into_iter().map(|p| p.truth).collect();
    write_lines(&folder.join(files::LABELS), &labels)?;
    write_lines(&folder.join(files::TRUTH), &truth)?;
    write(folder, &header, &records)?;
    Ok(header)
}

/// Number of studies and of the only diagnosis, of a configuration that can work.
fn check(config: &SimulateRun) -> anyhow::Result<(usize, Option<usize>)> {
    let only = config.only.as_ref().map(|name| {
        DIAGNOSES.iter().position(|d| d == name).ok_or_else(|| {
            anyhow::anyhow!(
                "only = {name:?} is no diagnosis; names stand in models::labels, for example {:?}",
                DIAGNOSES[7]
            )
        })
    });
    let SimulateRun { seed, train, validation, test, keep, weeks, grid_mm, crowded, .. } = config;
    let total = train + validation + test;
    anyhow::ensure!(total > 0, "train, validation and test are 0: there is nothing to simulate");
    anyhow::ensure!(
        *keep <= total,
        "keep is {keep}, but train, validation and test are {total} studies together: keep at \
         most these"
    );
    anyhow::ensure!(
        *weeks > 0,
        "weeks is 0, which leaves no day for a study: give at least 1, or leave it out for 52"
    );
    anyhow::ensure!(
        *seed < SEEDS,
        "seed is {seed}, but it stands in the studies' ids, which have room for seeds below {SEEDS}"
    );
    anyhow::ensure!(
        (0.0..=1.0).contains(crowded),
        "crowded is {crowded}: it is a share, give 0 to 1"
    );
    anyhow::ensure!((0.5..=3.0).contains(grid_mm), "grid_mm is {grid_mm}, expected 0.5 to 3.0");
    Ok((total, only.transpose()?))
}

/// What is known of one study, kept beside its shard until the cohort is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    record: StudyRecord,
    labels: StudyLabels,
    truth: StudyTruth,
}

impl Simulator<'_> {
    fn split(&self, index: usize) -> Split {
        let SimulateRun { train, validation, .. } = *self.config;
        if index < train {
            Split::Train
        } else if index < train + validation {
            Split::Validation
        } else {
            Split::Test
        }
    }

    /// The study of an index and, where it is asked for, its mirror image.
    fn studies(&self, index: usize) -> anyhow::Result<Vec<Simulated>> {
        let study = self.study(index)?;
        let mirrored = self.config.mirrored && study.record.split == Split::Train;
        let mirrored = mirrored.then(|| mirror::mirrored(&study));
        Ok(std::iter::once(study).chain(mirrored).collect())
    }

    #[expect(clippy::too_many_lines, reason = "a study from the patient to the report, in order")]
    fn study(&self, index: usize) -> anyhow::Result<Simulated> {
        // The seed keeps ids and patients of several simulated cohorts apart.
        let name = format!("{:04}-{index:06}", self.config.seed);
        let id = format!("s{name}");
        let mut rng = rng(self.config.seed, index as u64);
        let patient = Patient::draw(self.config.weeks, &mut rng);
        let person = Person { age_years: patient.age_years, female: patient.sex == Sex::Female };
        let (atlas, table) = &self.anatomies[usize::from(rng.random_bool(0.5))];
        let crowded = self.config.crowded;
        let crowded =
            crowded > 0.0 && self.split(index) == Split::Train && rng.random_bool(crowded);
        let mut plan = match self.only {
            None => disease::plan(atlas, table, person, crowded, &mut rng),
            Some(label) => disease::plan_with(atlas, table, person, &[label], &mut rng),
        };
        let parameters = AnatomyParameters {
            age_years: patient.age_years,
            atrophy: plan.atrophy,
            ventricles: plan.ventricles,
            temporal_atrophy: plan.temporal_atrophy,
            sulci_effaced: plan.sulci_effaced,
            head_size: rng.random_range(0.94..1.06) * if person.female { 0.98 } else { 1.01 },
            pushes: plan.pushes.clone(),
            changes: plan.changes.clone(),
            grid_mm: self.config.grid_mm,
        };
        let mut built = anatomy::build(atlas, &parameters, &mut rng);
        let lesions = plan.apply(&mut built);
        let scanner = Scanner::draw(&mut rng);
        let protocol = Protocol::draw(
            patient.age_years,
            Some(patient.setting),
            &scanner,
            self.config.volumes,
            &mut rng,
        );
        let mut session = Session::new(&built.head, &scanner, patient.age_years, &mut rng);
        let series: Vec<Series> =
            protocol.sequences.iter().map(|s| session.acquire(s, &mut rng)).collect();
        let header = StudyHeader {
            study: id.clone(),
            patient: format!("p{name}"),
            seed: self.config.seed,
            sex: Some(patient.sex),
            age_years: Some(patient.age_years),
            day: patient.day,
            description: protocol.description.clone(),
            scanner: scanner.clone(),
        };
        let (folder, _scratch) = self.place(index, &id)?;
        let mut contrast_to_noise: BTreeMap<u8, BTreeMap<String, f32>> = BTreeMap::new();
        let mut masks: BTreeMap<String, Mask> = BTreeMap::new();
        for (i, series) in series.iter().enumerate() {
            let name = series.folder(i + 1);
            dicom::write(&folder.join(&name), &header, series, i + 1)?;
            if index < self.config.keep {
                let masks = self.folder.join("masks").join(&id);
                std::fs::create_dir_all(&masks)?;
                nifti::write_mask(&masks.join(format!("{name}.nii.gz")), series)?;
            }
            for (component, value) in series.contrast_to_noise() {
                contrast_to_noise.entry(component).or_default().insert(name.clone(), value);
            }
            masks.insert(name, mask(series));
        }
        let patches =
            patches(&id, &folder, &self.selection, self.decoder, |name| masks.get(name).cloned())?;
        let acquired: Vec<Acquired> = series.iter().map(|s| Acquired::from(&s.sequence)).collect();
        let examination = Examination {
            patient: &patient,
            findings: &plan.findings,
            incidentals: &plan.incidentals,
            series: &acquired,
            field_t: scanner.field.tesla(),
        };
        let report = self.writer.report(&examination, &mut rng);
        let labels = story::labels(&id, &plan.findings, |present| {
            (self.triage.acuity(present), self.triage.referrals(present))
        });
        let turnaround_h = story::turnaround::draw_h(&patient, labels.acuity, &mut rng);
        let mut demographics = patient.demographics(turnaround_h);
        demographics.manufacturer = Some(scanner.manufacturer.to_owned());
        demographics.model = Some(scanner.model.to_owned());
        demographics.field_t = Some(scanner.field.tesla());
        let truth =
            story::truth(&id, self.config.seed, &plan.findings, &lesions, &contrast_to_noise);
        let record = StudyRecord {
            id,
            patient: header.patient,
            split: self.split(index),
            day: patient.day,
            description: protocol.description,
            report,
            demographics,
        };
        Ok(Simulated { record, labels, truth, patches })
    }

    /// Where a study's DICOM files go: into the cohort, or into a folder that vanishes.
    fn place(
        &self,
        index: usize,
        id: &str,
    ) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
        if index < self.config.keep {
            return Ok((self.folder.join(files::STUDIES).join(id), None));
        }
        // Memory, where there is a file system in it: nothing of this needs a disk.
        let memory = Path::new("/dev/shm");
        let scratch =
            if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
        Ok((scratch.path().join(id), Some(scratch)))
    }
}

/// The lesion mask in the geometry of the images as they are read back: slices in ascending
/// order along their normal.
fn mask(series: &Series) -> Mask {
    let wide = |v: [f32; 3]| v.map(f64::from);
    let [row, column, normal] = [wide(series.row), wide(series.column), wide(series.normal)];
    let cross = [
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    ];
    let along: f64 = (0..3).map(|a| cross[a] * normal[a]).sum();
    let spacing = f64::from(series.sequence.spacing_mm());
    let plane = series.rows * series.columns;
    let mut component = series.mask.clone();
    let mut origin_mm = wide(series.origin_mm);
    let mut towards = normal;
    if along < 0.0 {
        component = series.mask.chunks_exact(plane).rev().flatten().copied().collect();
        let span = spacing * (series.slices - 1) as f64;
        origin_mm = std::array::from_fn(|a| origin_mm[a] + span * normal[a]);
        towards = normal.map(|v| -v);
    }
    Mask {
        component,
        size_vox: [series.columns, series.rows, series.slices],
        spacing_mm: [f64::from(series.spacing_mm[1]), f64::from(series.spacing_mm[0]), spacing],
        origin_mm,
        direction: [row, column, towards],
    }
}

#[cfg(test)]
mod tests {
    use super::{SimulateRun, check};

    #[test]
    fn what_cannot_work_is_said() {
        let complaint = |more: &str| {
            let text = format!("seed = 1\ntrain = 2\nvalidation = 1\ntest = 1\n{more}");
            let config: SimulateRun = toml::from_str(&text).unwrap();
            check(&config).err().map_or_else(String::new, |error| error.to_string())
        };
        assert_eq!(complaint("keep = 4"), "");
        assert_eq!(
            complaint("keep = 5"),
            "keep is 5, but train, validation and test are 4 studies together: keep at most these"
        );
        assert_eq!(
            complaint("weeks = 0"),
            "weeks is 0, which leaves no day for a study: give at least 1, or leave it out for 52"
        );
        assert_eq!(complaint("crowded = 2.0"), "crowded is 2: it is a share, give 0 to 1");
        assert_eq!(complaint("grid_mm = 4.0"), "grid_mm is 4, expected 0.5 to 3.0");
    }
}
