//! Real studies under disturbed acquisitions: does a tumour rank above normal heads, and does its
//! explanation point at it?
//!
//! Every study is read from its DICOM files, disturbed as if it had been acquired on another day
//! ([`Acquisition`]), and then takes the path of serving.

mod acquisition;
mod mask;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::engine::{DeviceChoice, Engine, Precision, StudyInput, StudyScores, Target};
use models::explain::lime::{LimeConfig, explain};
use models::prepare::open_study;
use models::study::{Samples, Stack};
use models::tokens::StudyPatches;
use models::tokens::patchify::patchify;
use models::volume::{Preprocessing, preprocess};
use models::weights::bundle::Bundle;
use serde::Serialize;

pub use self::acquisition::Acquisition;
use crate::cohort::prepare::{Mask, components};
use crate::stage::heads::expected_class;
use crate::stage::run::rng;

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct Question {
    /// Folder of the study with a tumour.
    pub tumour: PathBuf,
    /// Its mask (NRRD) on the grid of that study's only series.
    pub mask: PathBuf,
    /// Folders of studies that look normal.
    pub normal: Vec<PathBuf>,
    /// Disturbed acquisitions of each.
    pub acquisitions: usize,
    /// Perturbed inputs of each explanation.
    pub lime_samples: usize,
    /// Of the disturbances.
    pub seed: u64,
}

/// `robustness.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Robustness {
    /// Identity of the model.
    pub model: String,
    /// Share of pairs of disturbed acquisitions, tumour against normal, in which the tumour's
    /// largest score of a mass is higher.
    pub mass_above: f64,
    /// The same of the expected acuity.
    pub acuity_above: f64,
    /// Share of the tumour's acquisitions in which one of LIME's first three tokens touches the
    /// mask.
    pub lime_touches: f64,
    /// Share of tokens that touch the mask: what a blind choice of one token would reach.
    pub tokens_in_mask: f64,
    /// Everything that was scored.
    pub scored: Vec<Scored>,
}

/// One disturbed acquisition.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// Folder of the study.
    pub study: PathBuf,
    /// What was done to it.
    pub acquisition: Acquisition,
    /// Mass with the largest score.
    pub mass: String,
    /// Its calibrated probability, or its margin where there is no calibration.
    pub mass_score: f64,
    /// Expected class, 0 none to 3 high.
    pub acuity: f64,
    /// Whether one of LIME's first three tokens touches the mask, and the share of tokens that do.
    pub lime: Option<(bool, f64)>,
}

/// Diagnoses that are masses begin with this.
const MASS: &str = "tumor_";
/// Tokens that a reader is shown.
const SHOWN: usize = 3;

/// Scores every study under every acquisition.
///
/// # Errors
///
/// When bundle, studies or mask are refused.
pub fn measure(
    bundle: &Path,
    question: &Question,
    device: DeviceChoice,
    decoder: &Decoder,
    progress: &dyn Fn(u64),
) -> anyhow::Result<Robustness> {
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    let mask = mask::read(&question.mask)?;
    let mut scored = Vec::new();
    for (number, folder) in std::iter::once(&question.tumour).chain(&question.normal).enumerate() {
        let study = Acquired::read(folder, decoder)?;
        let mask = (number == 0).then(|| study.matching(&mask, &question.mask)).transpose()?;
        let each = (0..question.acquisitions).map(|i| {
            let mut rng = rng(question.seed, ((number as u64) << 32) + i as u64);
            let acquisition = Acquisition::draw(&mut rng);
            let scored = study.scored(&engine, acquisition, mask.as_ref(), question.lime_samples);
            progress(1);
            scored
        });
        scored.extend(each.collect::<anyhow::Result<Vec<_>>>()?);
    }
    let (tumour, normal) = scored.split_at(question.acquisitions);
    let above = |of: fn(&Scored) -> f64| {
        let pairs = tumour.iter().flat_map(|t| normal.iter().map(move |n| of(t) > of(n)));
        share(pairs)
    };
    let lime = || tumour.iter().filter_map(|t| t.lime);
    Ok(Robustness {
        model: engine.bundle().manifest().id.clone(),
        mass_above: above(|s| s.mass_score),
        acuity_above: above(|s| s.acuity),
        lime_touches: share(lime().map(|(touches, _)| touches)),
        tokens_in_mask: lime().map(|(_, share)| share).sum::<f64>() / lime().count().max(1) as f64,
        scored,
    })
}

fn share(answers: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0f64);
    for answer in answers {
        yes += f64::from(u8::from(answer));
        all += 1.0;
    }
    yes / all.max(1.0)
}

/// A study as acquired.
struct Acquired {
    folder: PathBuf,
    description: String,
    series: Vec<(String, Stack)>,
}

impl Acquired {
    fn read(folder: &Path, decoder: &Decoder) -> anyhow::Result<Self> {
        let study = open_study(folder, Preprocessing::V1, &Selection::built_in()?)
            .with_context(|| format!("{} cannot be read as a study", folder.display()))?;
        let mut series = Vec::new();
        for found in &study.series {
            let (stack, _) = read_stack(found, decoder)?;
            series.push((found.name.clone(), stack));
        }
        ensure!(!series.is_empty(), "{} has no usable series", folder.display());
        let description = study.description.unwrap_or_default();
        Ok(Self { folder: folder.to_owned(), description, series })
    }

    /// The mask in the slice order of the study's only series.
    fn matching(&self, mask: &Stack, path: &Path) -> anyhow::Result<Stack> {
        let [(_, stack)] = &self.series[..] else {
            anyhow::bail!("{}: a mask belongs to a study of one series", self.folder.display());
        };
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        let same_grid = stack.size_vox == mask.size_vox
            && stack.spacing_mm.iter().zip(mask.spacing_mm).all(|(a, b)| near(*a, b))
            && stack.origin_mm.iter().zip(mask.origin_mm).all(|(a, b)| near(*a, b))
            && stack
                .direction
                .iter()
                .flatten()
                .zip(mask.direction.as_flattened())
                .all(|(a, b)| near(*a, *b));
        ensure!(
            same_grid,
            "{} is not on the grid of {}: {:?} voxels at {:?} against {:?} at {:?}",
            path.display(),
            self.folder.display(),
            mask.size_vox,
            mask.origin_mm,
            stack.size_vox,
            stack.origin_mm
        );
        Ok(mask.clone())
    }

    fn scored(
        &self,
        engine: &Engine,
        acquisition: Acquisition,
        mask: Option<&Stack>,
        lime_samples: usize,
    ) -> anyhow::Result<Scored> {
        let mut patches = StudyPatches { series: Vec::new() };
        for (_, stack) in &self.series {
            let volume = preprocess(&acquisition.image(stack), Preprocessing::V1)?;
            patches.series.push(patchify(&volume, Preprocessing::V1)?);
        }
        let input = StudyInput {
            tokens: engine.encode(&patches, |_| {})?,
            series_names: self.series.iter().map(|(name, _)| name.clone()).collect(),
            study_description: self.description.clone(),
            clinical_context: None,
        };
        let scores = engine.score(&input)?;
        let (mass, mass_score) = largest_mass(&scores)?;
        let priority: Vec<f64> = scores.priority.iter().map(|c| f64::from(c.logit)).collect();
        let lime = mask.map(|mask| {
            let scorer = engine.masked_scorer(&input, 0, &Target::Diagnosis(mass.clone()))?;
            let config = LimeConfig { samples: lime_samples, ..LimeConfig::default() };
            let tokens = input.tokens.series[0].len();
            let explanation = explain(&config, tokens, |masks| scorer.scores(masks))?;
            let mask = component(&acquisition.mask(mask));
            let touched = components(&mask, &patches.series[0]);
            let touches = |token: usize| touched[patches.series[0].sequence[token] as usize] != 0;
            let first = explanation.ranked().into_iter().take(SHOWN);
            let any = first.map(|t| t.token).any(touches);
            anyhow::Ok((any, share((0..tokens).map(touches))))
        });
        Ok(Scored {
            study: self.folder.clone(),
            acquisition,
            mass,
            mass_score,
            acuity: expected_class(&priority),
            lime: lime.transpose()?,
        })
    }
}

fn component(stack: &Stack) -> Mask {
    let Samples::U8(component) = &stack.samples else { unreachable!("a mask is of bytes") };
    Mask {
        component: component.clone(),
        size_vox: stack.size_vox,
        spacing_mm: stack.spacing_mm,
        origin_mm: stack.origin_mm,
        direction: stack.direction,
    }
}

fn largest_mass(scores: &StudyScores) -> anyhow::Result<(String, f64)> {
    let masses = scores.diagnosis.iter().filter(|d| d.name.starts_with(MASS));
    let score = |d: &models::engine::LabelScore| f64::from(d.probability.unwrap_or(d.margin));
    let largest = masses.max_by(|a, b| score(a).total_cmp(&score(b)));
    let largest = largest.context("the bundle has no diagnosis of a mass (tumor_...)")?;
    Ok((largest.name.clone(), score(largest)))
}

impl fmt::Display for Robustness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: real studies under disturbed acquisitions", self.model)?;
        writeln!(f, "  tumour above normal, largest score of a mass   {:.2}", self.mass_above)?;
        writeln!(f, "  tumour above normal, expected acuity           {:.2}", self.acuity_above)?;
        write!(
            f,
            "  LIME: one of the first three tokens in the mask {:.2} ({:.2} of all tokens are)",
            self.lime_touches, self.tokens_in_mask
        )
    }
}
