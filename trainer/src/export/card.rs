//! The model card: what a model is, what it was trained on, how well it does and where it must not
//! be used. Every number comes from the run; the words around them are the same for every model.

use std::path::{Path, PathBuf};

use models::labels::display_name;
use models::weights::bundle::{Bundle, BundleError};
use models::weights::manifest::{Manifest, ProvenanceKind};

/// File name of the card inside a bundle.
pub const MODEL_CARD: &str = "MODEL_CARD.md";
/// Stands at the top of every card.
const INTENDED_USE: &str = "Research use only; not a medical device.";

/// What a card says beyond the bundle's manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCard {
    /// Name of the model that was imitated; `None` for a model that learned from labels alone.
    pub teacher: Option<String>,
    /// Sentences on the training data: what they are, how many, what they lack.
    pub data: String,
    /// How it was trained, one step a line.
    pub recipe: Vec<String>,
    /// Studies of the evaluation, in words.
    pub evaluated_on: String,
    /// Area under the ROC curve of each label, in the order they are shown.
    pub labels: Vec<LabelMetrics>,
    /// The same over groups of patients or studies.
    pub subgroups: Vec<SubgroupMetrics>,
    /// Other results: name and value.
    pub results: Vec<(String, String)>,
    /// Where the model fails or was never tried.
    pub limits: Vec<String>,
}

/// How one label did.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMetrics {
    /// Label, as the bundle spells it.
    pub name: String,
    /// Studies that have it.
    pub positives: usize,
    /// Studies that do not.
    pub negatives: usize,
    /// Area under the ROC curve; `None` where one class is empty.
    pub auroc: Option<f64>,
    /// 95 % interval.
    pub interval: Option<[f64; 2]>,
}

/// How one group did.
#[derive(Clone, Debug, PartialEq)]
pub struct SubgroupMetrics {
    /// What divides the groups (`sex`, `lesion size`).
    pub attribute: String,
    /// The group.
    pub group: String,
    /// Its studies.
    pub studies: usize,
    /// Mean over the labels that have both classes in the group.
    pub mean_auroc: Option<f64>,
}

/// A card that was not written.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The bundle is refused.
    #[error("cannot write a model card for the bundle")]
    Bundle(#[from] BundleError),
    /// A section that nobody filled in.
    #[error("the model card of {id} has no {section}; a card without it would mislead")]
    Empty {
        /// Model.
        id: String,
        /// Section.
        section: &'static str,
    },
    /// The file was not written.
    #[error("cannot write {path}")]
    Write {
        /// The card.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Writes the card into a bundle's folder.
///
/// # Errors
///
/// When the bundle is refused, a section is empty, or the file cannot be written.
pub fn write(folder: &Path, card: &ModelCard) -> Result<(), CardError> {
    let bundle = Bundle::open(folder)?;
    let text = card.markdown(bundle.manifest())?;
    let path = folder.join(MODEL_CARD);
    std::fs::write(&path, text).map_err(|source| CardError::Write { path, source })
}

impl ModelCard {
    /// The card as Markdown.
    ///
    /// # Errors
    ///
    /// When it does not say what the model was trained on or where its limits are.
    pub fn markdown(&self, manifest: &Manifest) -> Result<String, CardError> {
        for (section, empty) in [
            ("statement on its data", self.data.trim().is_empty()),
            ("limits", self.limits.is_empty()),
            ("evaluation", self.evaluated_on.trim().is_empty()),
        ] {
            if empty {
                return Err(CardError::Empty { id: manifest.id.clone(), section });
            }
        }
        let mut text = format!("# {}\n\n**{INTENDED_USE}**\n\n", manifest.id);
        text += &self.overview(manifest);
        section(&mut text, "Intended use", &manifest.intended_use);
        section(&mut text, "Data", &self.data);
        section(&mut text, "Training", &list(&self.recipe));
        section(&mut text, "Evaluation", &self.evaluated_on);
        text += &self.metrics();
        section(&mut text, "Limits", &list(&self.limits));
        section(&mut text, "Provenance", &provenance(manifest));
        Ok(text)
    }

    fn overview(&self, manifest: &Manifest) -> String {
        let trained = match manifest.provenance.kind {
            ProvenanceKind::Untrained => "nothing: random weights, results mean nothing",
            ProvenanceKind::Imported => "the data of the published checkpoint it was imported from",
            ProvenanceKind::TrainedOnSimulatedData => "simulated studies; not for clinical use",
            ProvenanceKind::TrainedOnClinicalData => "a hospital's own studies",
        };
        let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        let sizes = &manifest.sizes;
        let [sequence, study] = [&sizes.sequence_vit, &sizes.study_vit].map(|vit| {
            let blocks = &vit.transformer;
            format!("{} blocks of width {}", blocks.depth, blocks.dim)
        });
        let rows = [
            ("Trained on", trained.to_owned()),
            ("Teacher", self.teacher.clone().unwrap_or_else(|| "none".to_owned())),
            ("Outputs", outputs(manifest)),
            ("Sequence transformer", sequence),
            ("Study transformer", study),
            ("Study embedding", format!("{} values", sizes.embedding())),
            ("Size on disk", format!("{bytes} bytes in {} files", manifest.files.len())),
        ];
        let mut text = "| | |\n|---|---|\n".to_owned();
        for (name, value) in rows {
            text += &format!("| {name} | {} |\n", cell(&value));
        }
        text
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        if !self.results.is_empty() {
            text += "\n| Result | Value |\n|---|---|\n";
            for (name, value) in &self.results {
                text += &format!("| {} | {} |\n", cell(name), cell(value));
            }
        }
        if !self.labels.is_empty() {
            text += "\n### By label\n\n| Label | Positives | Negatives | AUROC | 95 % interval |\n";
            text += "|---|---:|---:|---:|---|\n";
            for label in &self.labels {
                let LabelMetrics { name, positives, negatives, auroc, interval } = label;
                let name = cell(&display_name(name));
                let interval = interval.map(|[low, high]| format!("{low:.3} to {high:.3}"));
                let interval = interval.unwrap_or_default();
                let auroc = number(*auroc);
                text += &format!("| {name} | {positives} | {negatives} | {auroc} | {interval} |\n");
            }
        }
        if !self.subgroups.is_empty() {
            text += "\n### By subgroup\n\n| Attribute | Group | Studies | Mean AUROC |\n";
            text += "|---|---|---:|---:|\n";
            for row in &self.subgroups {
                let (attribute, group) = (cell(&row.attribute), cell(&row.group));
                let mean = number(row.mean_auroc);
                text += &format!("| {attribute} | {group} | {} | {mean} |\n", row.studies);
            }
        }
        text
    }
}

fn outputs(manifest: &Manifest) -> String {
    let classes = manifest.priority.as_ref().map_or(0, |priority| priority.classes.len());
    let (diagnoses, referrals) = (manifest.diagnosis.len(), manifest.referral.len());
    let age = if manifest.age.is_some() { ", age" } else { "" };
    format!("{diagnoses} diagnoses, {referrals} referrals, {classes} classes of priority{age}")
}

fn provenance(manifest: &Manifest) -> String {
    let mut text = format!("{}\n", manifest.provenance.statement);
    if !manifest.provenance.sources.is_empty() {
        text += &format!("\n{}\n", list(&manifest.provenance.sources));
    }
    text += "\n| File | Bytes | SHA-256 |\n|---|---:|---|\n";
    for file in &manifest.files {
        text += &format!("| {} | {} | `{}` |\n", cell(&file.path), file.bytes, file.sha256);
    }
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    *text += &format!("\n## {title}\n\n{}\n", body.trim_end());
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.3}"))
}

/// Text that does not break a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
