//! Studies with the reports, labels and lesions that the objectives compare them with.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context;
use models::labels::DIAGNOSES;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::cohort::record::{Split, StudyRecord};
use crate::cohort::shard::{Store, Values};
use crate::cohort::{Cohort, read_lines};
use crate::reports::command::StudySummary;
use crate::stage::batch::{Augmentation, Example, example, shuffle_items};
use crate::stage::run::rng;
use crate::stage::subset::TrainingShare;
use crate::stage::text::Vocabulary;

use super::variant::{Architecture, ReportText, Variant};

/// A study with everything the objectives compare it with.
pub(in crate::stage) struct Pair {
    pub(in crate::stage) example: Example,
    pub(in crate::stage) report: Vec<i64>,
    /// 52 values, 0 or 1.
    pub(in crate::stage) labels: Vec<f32>,
    /// Diagnoses of each lesion component, from 1.
    pub(in crate::stage) components: HashMap<u8, Vec<usize>>,
}

/// Data of a run.
pub(in crate::stage) struct Data {
    pub(in crate::stage) store: Store,
    pub(in crate::stage) ids: BTreeMap<Split, Vec<String>>,
    reports: HashMap<String, String>,
    pub(in crate::stage) labels: HashMap<String, Vec<f32>>,
    components: HashMap<String, HashMap<u8, Vec<usize>>>,
    pub(in crate::stage) cohort: Cohort,
    variant: Variant,
    /// Patches, for networks that read images.
    images: Option<Store>,
}

impl Data {
    pub(in crate::stage) fn open(folder: &Path) -> anyhow::Result<Self> {
        let cohort = Cohort::open(folder)?;
        let store = Store::open(folder, Values::Latents)?;
        let mut ids: BTreeMap<Split, Vec<String>> = BTreeMap::new();
        for record in &cohort.records {
            let seen = store.study(&record.id).is_ok_and(|(_, series)| !series.is_empty());
            if seen {
                ids.entry(record.split).or_default().push(record.id.clone());
            }
        }
        // A study without a label is not a negative one.
        ids.iter_mut().for_each(|(_, ids)| {
            ids.retain(|id| cohort.labels.is_empty() || cohort.labels.contains_key(id));
        });
        let path = folder.join("summaries.jsonl");
        let reports = if path.exists() {
            let lines: Vec<StudySummary> = read_lines(&path)?;
            lines.into_iter().map(|s| (s.id, s.summary)).collect()
        } else {
            cohort.records.iter().map(|r| (r.id.clone(), r.report.impression.clone())).collect()
        };
        let float = |b: &bool| f32::from(u8::from(*b));
        let labels = cohort.labels.values();
        let labels = labels.map(|l| (l.id.clone(), l.diagnoses.iter().map(float).collect()));
        let labels = labels.collect();
        let components = cohort.truth.values().map(|t| (t.id.clone(), t.by_component())).collect();
        let (variant, images) = (Variant::default(), None);
        Ok(Self { store, ids, reports, labels, components, cohort, variant, images })
    }

    /// The same studies as a network reads them.
    pub(in crate::stage) fn seen_by(mut self, variant: &Variant) -> anyhow::Result<Self> {
        if variant.report == ReportText::Long {
            let records = self.cohort.records.iter();
            // The texts that the language model learnt from.
            let long = |r: &StudyRecord| format!("{}\n{}", r.report.findings, r.report.impression);
            self.reports = records.map(|r| (r.id.clone(), long(r))).collect();
        }
        if variant.architecture.reads_images() {
            self.images = Some(Store::open(&self.cohort.folder, Values::Patches)?);
        }
        self.variant = variant.clone();
        Ok(self)
    }

    /// With a share of the training patients.
    pub(in crate::stage) fn with_share(mut self, training: TrainingShare) -> anyhow::Result<Self> {
        training.check()?;
        let kept = training.studies(&self.cohort.records);
        if let Some(ids) = self.ids.get_mut(&Split::Train) {
            ids.retain(|id| kept.contains(id.as_str()));
        }
        anyhow::ensure!(
            self.split(Split::Train).len() > 1,
            "training.share is {}, which leaves fewer than two training studies of {}; give more",
            training.share,
            self.cohort.folder.display()
        );
        Ok(self)
    }

    /// A cohort to learn from.
    pub(in crate::stage) fn to_learn_from(folder: &Path) -> anyhow::Result<Self> {
        let data = Self::open(folder)?;
        anyhow::ensure!(
            data.split(Split::Train).len() > 1,
            "{}: fewer than two training studies have tokens; run `trainer tokens`",
            folder.display()
        );
        Ok(data)
    }

    /// A study as the network reads it, disturbed.
    pub(in crate::stage) fn example(
        &self,
        id: &str,
        augmentation: &Augmentation,
        rng: &mut rand_chacha::ChaCha8Rng,
    ) -> anyhow::Result<Example> {
        let Variant { architecture, series_names, study_description, images, .. } = &self.variant;
        let mut augmentation = *augmentation;
        if !series_names {
            augmentation.unknown_name = 1.0;
        }
        let mut example = example(&self.store, id, &augmentation, rng)?;
        if !study_description {
            example.description.clear();
        }
        if *architecture == Architecture::PlainVit {
            example.series.iter_mut().for_each(|series| series.name.clear());
        }
        let Some(store) = &self.images else { return Ok(example) };
        let (_, views) = store.study(id)?;
        for series in &mut example.series {
            let view = views.get(series.index).with_context(|| {
                format!(
                    "study {id} has fewer series as patches than as tokens; run `trainer tokens`"
                )
            })?;
            series.slices = view.slices(images.shrink, images.most_slices);
            // Slices are the tokens of this network.
            if *architecture == Architecture::Cnn2d && augmentation.token_dropout > 0.0 {
                series.slices.retain(|| !rng.random_bool(augmentation.token_dropout));
            }
        }
        Ok(example)
    }

    pub(in crate::stage) fn pair(
        &self,
        id: &str,
        vocabulary: &Vocabulary,
        augmentation: &Augmentation,
        rng: &mut rand_chacha::ChaCha8Rng,
    ) -> anyhow::Result<Pair> {
        let example = self.example(id, augmentation, rng)?;
        let report = self.reports.get(id).map_or("", String::as_str);
        // Only summaries are lists of items.
        let shuffle = augmentation.shuffle_report && self.variant.report == ReportText::Summary;
        let report = if shuffle {
            vocabulary.encode(&shuffle_items(report, rng))?
        } else {
            vocabulary.encode(report)?
        };
        let labels = self.labels.get(id).cloned();
        Ok(Pair {
            example,
            report,
            labels: labels.unwrap_or_else(|| vec![0.0; DIAGNOSES.len()]),
            components: self.components.get(id).cloned().unwrap_or_default(),
        })
    }

    /// Whole studies of a split, a few at a time.
    pub(super) fn parts(
        &self,
        split: Split,
        vocabulary: &Vocabulary,
    ) -> impl Iterator<Item = anyhow::Result<Vec<Pair>>> {
        self.split(split).chunks(8).map(move |part| {
            let mut rng = rng(0, 0);
            let pairs =
                part.iter().map(|id| self.pair(id, vocabulary, &Augmentation::none(), &mut rng));
            pairs.collect()
        })
    }

    /// Reports of the training studies, as the report encoder reads them.
    pub(in crate::stage) fn reports(
        &self,
        vocabulary: &Vocabulary,
    ) -> anyhow::Result<Vec<Vec<i64>>> {
        let reports = self.split(Split::Train).iter().filter_map(|id| self.reports.get(id));
        Ok(reports.map(|report| vocabulary.encode(report)).collect::<Result<_, _>>()?)
    }

    pub(in crate::stage) fn split(&self, split: Split) -> &[String] {
        self.ids.get(&split).map_or(&[], Vec::as_slice)
    }

    /// Training studies with copies of abnormal ones, in the order of an epoch.
    pub(in crate::stage) fn epoch(&self, seed: u64, epoch: u64, copies: usize) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for id in self.split(Split::Train) {
            let abnormal = self.labels.get(id).is_some_and(|l| l.iter().any(|v| *v > 0.5));
            ids.extend(std::iter::repeat_n(id.as_str(), 1 + if abnormal { copies } else { 0 }));
        }
        ids.shuffle(&mut rng(seed, (1 << 40) + epoch));
        ids
    }
}
