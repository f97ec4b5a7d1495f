//! What is acquired: the protocol of a study, its sequences and the scanner.
//!
//! A protocol depends on the patient's age, where the patient comes from, and chance. It must not
//! depend on the diagnosis, or names and headers would give the diagnosis away.

mod names;
mod parameters;
mod recipe;
mod scanner;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::signal::Weighting;
use crate::cohort::record::Setting;

pub use scanner::{Scanner, Vendor};

/// Orientation of the slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    /// Seen from below.
    Axial,
    /// Seen from the front.
    Coronal,
    /// Seen from the left.
    Sagittal,
}

/// What a series shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// T1-weighted slices.
    T1,
    /// T1-weighted volume with thin slices.
    T1Volume,
    /// T2-weighted fast spin echo.
    T2,
    /// Proton density.
    ProtonDensity,
    /// T2-weighted with suppressed fluid.
    Flair,
    /// Diffusion-weighted trace image.
    Diffusion,
    /// The same without diffusion weighting.
    DiffusionB0,
    /// Apparent diffusion coefficient.
    Adc,
    /// Susceptibility-weighted volume.
    Susceptibility,
    /// T2*-weighted gradient echo.
    GradientEcho,
    /// Source images of an inflow angiography of the circle of Willis.
    Angiography,
}

/// Part of the head that a series covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// All of the brain.
    Brain,
    /// A slab around this position, in atlas space.
    Slab([f32; 3]),
}

/// One series as it is prescribed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// What it shows.
    pub kind: Kind,
    /// Series Description (0008,103E).
    pub name: String,
    /// Protocol Name (0018,1030); may be empty.
    pub protocol_name: String,
    /// How it weights tissue.
    pub weighting: Weighting,
    /// Orientation of the slices.
    pub plane: Plane,
    /// What is covered.
    pub target: Target,
    /// Thickness of a slice.
    pub thickness_mm: f32,
    /// Distance between neighbouring slices.
    pub gap_mm: f32,
    /// Slices.
    pub slices: usize,
    /// Acquired samples along the frequency and the phase direction.
    pub matrix: [usize; 2],
    /// Rows and columns of the reconstructed image.
    pub reconstructed: usize,
    /// Edge of the square field of view.
    pub fov_mm: f32,
    /// After the contrast agent.
    pub contrast: bool,
    /// The signal of fat is suppressed.
    pub fat_saturated: bool,
    /// Acquired as a volume: slices without gaps, noise lower.
    pub volume: bool,
}

impl Sequence {
    /// Centre to centre distance of neighbouring slices.
    #[must_use]
    pub fn spacing_mm(&self) -> f32 {
        self.thickness_mm + self.gap_mm
    }

    /// Slice profile: offsets along the normal in mm and weights, a rectangle with soft edges
    /// whose sum is 1.
    #[must_use]
    pub fn profile(&self) -> Vec<(f32, f32)> {
        let thickness = self.thickness_mm;
        let count = if thickness < 2.0 { 2_u8 } else { 6 };
        let reach = if self.volume { 0.5 } else { 0.58 } * thickness;
        let count = f32::from(count);
        let offsets = (0_u8..).map(f32::from).take_while(|i| *i < count);
        let raw: Vec<(f32, f32)> = offsets
            .map(|i| ((i + 0.5) / count * 2.0 - 1.0) * reach)
            .map(|offset| (offset, 1.0 / (1.0 + (2.0 * offset / thickness).powi(8))))
            .collect();
        let total: f32 = raw.iter().map(|(_, weight)| weight).sum();
        raw.into_iter().map(|(offset, weight)| (offset, weight / total)).collect()
    }

    /// What a report calls the series: "axial T1 postcontrast fat-saturated".
    #[must_use]
    pub fn words(&self) -> String {
        let plane = match self.plane {
            Plane::Axial => "axial",
            Plane::Coronal => "coronal",
            Plane::Sagittal => "sagittal",
        };
        let what = match self.kind {
            Kind::T1 => "T1",
            Kind::T1Volume => "T1 volumetric",
            Kind::T2 => "T2",
            Kind::ProtonDensity => "proton density",
            Kind::Flair => "FLAIR",
            Kind::Diffusion | Kind::DiffusionB0 => "diffusion-weighted",
            Kind::Adc => "ADC",
            Kind::Susceptibility => "susceptibility-weighted",
            Kind::GradientEcho => "gradient echo",
            Kind::Angiography => "time-of-flight MRA",
        };
        let contrast = if self.contrast { " postcontrast" } else { "" };
        let fat = match self.kind {
            Kind::T1 | Kind::T1Volume | Kind::T2 if self.fat_saturated => " fat-saturated",
            _ => "",
        };
        format!("{plane} {what}{contrast}{fat}")
    }
}

/// What the study was ordered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Brain.
    Routine,
    /// Brain with and without contrast agent.
    Enhanced,
    /// Suspected stroke.
    Stroke,
    /// Epilepsy.
    Seizure,
    /// Multiple sclerosis.
    Demyelination,
    /// Follow-up of a tumour.
    Tumour,
    /// Pituitary.
    Pituitary,
    /// Internal auditory canals.
    AuditoryCanal,
    /// Children.
    Paediatric,
    /// After an injury.
    Trauma,
    /// Brain and angiography of the head.
    Angiography,
}

/// The series of one study.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// What was ordered.
    pub order: Order,
    /// Study Description (0008,1030).
    pub description: String,
    /// Contrast agent was given.
    pub contrast: bool,
    /// In the order of acquisition.
    pub sequences: Vec<Sequence>,
}

impl Protocol {
    /// The protocol of one study on `scanner`. `volumes` allows thin-slice T1 volumes, which have
    /// many times the slices of the other series.
    pub fn draw(
        age_years: f32,
        setting: Option<Setting>,
        scanner: &Scanner,
        volumes: bool,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let order = recipe::order(age_years, setting, rng);
        let contrast = recipe::contrast(order, age_years, rng);
        let description = describe(order, contrast, rng);
        let choices = recipe::choose(order, contrast, volumes, rng);
        let study = parameters::Study::draw(scanner, age_years, &description, rng);
        let sequences = choices.iter().map(|choice| study.sequence(*choice, rng)).collect();
        Self { order, description, contrast, sequences }
    }
}

/// A description that agrees with what was given.
fn describe(order: Order, contrast: bool, rng: &mut ChaCha8Rng) -> String {
    let agent: &[&str] = if contrast {
        &["W WO CONTRAST", "W WO CONTRAST", "W and WO CONTRAST", "WO and W CONTRAST", "W CONTRAST"]
    } else {
        &["WO CONTRAST", "WO CONTRAST", "WITHOUT CONTRAST", ""]
    };
    let agent = agent.choose(rng).copied().unwrap_or_default();
    let modality = if rng.random_bool(0.7) { "MRI" } else { "MR" };
    let part = match order {
        Order::Pituitary if rng.random_bool(0.7) => "BRAIN PITUITARY",
        Order::AuditoryCanal if rng.random_bool(0.7) => "BRAIN IAC",
        Order::Angiography => "BRAIN AND MRA HEAD",
        Order::Stroke if rng.random_bool(0.2) => "BRAIN STROKE",
        Order::Demyelination if rng.random_bool(0.2) => "BRAIN MS",
        _ => "BRAIN",
    };
    format!("{modality} {part} {agent}").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
