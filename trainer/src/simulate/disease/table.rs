//! The declarative table of diseases: `diagnoses.toml`, checked.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use models::labels::DIAGNOSES;
use serde::Deserialize;
use thiserror::Error;

use super::{
    brush::Gate,
    finding::{Detail, Diffusion, Enhancement, Intensity, Stage},
    places::Places,
};
use crate::simulate::{
    anatomy::{Atlas, Region},
    head::Material,
};

/// The table that ships with the program.
const SHIPPED: &str = include_str!("diagnoses.toml");

/// Why a table of diseases cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TableError {
    /// No TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("the table of diagnoses cannot be read: {0}")]
    Parse(String),
    /// A diagnosis has no table.
    #[error(
        "[label.{0}] is missing from the table of diagnoses; every one of the 52 needs a table"
    )]
    MissingLabel(&'static str),
    /// A table for something that is no diagnosis.
    #[error("[label.{0}] is none of the 52 diagnoses; take the spelling of models::labels")]
    UnknownLabel(String),
    /// A value that cannot be.
    #[error("[label.{label}] {key}: {problem}")]
    Value {
        /// The diagnosis.
        label: String,
        /// The key in its table.
        key: &'static str,
        /// What was found and what is expected.
        problem: String,
    },
    /// A material with impossible properties.
    #[error("[material.{material}] {key}: {problem}")]
    Material {
        /// The material.
        material: String,
        /// The key in its table.
        key: &'static str,
        /// What was found and what is expected.
        problem: String,
    },
}

/// All diseases.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the order of `models::labels::DIAGNOSES`.
    pub(super) entries: Vec<Entry>,
    materials: BTreeMap<String, [Material; 2]>,
    /// Made at first use, for one atlas.
    places: OnceLock<Arc<Places>>,
}

/// One diagnosis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Relative frequency as a primary diagnosis; 0 for what only follows from others.
    pub(super) weight: f32,
    /// Age in years where it begins, becomes full, begins to fall, ends.
    pub(super) ages: [f32; 4],
    /// Share of women.
    #[serde(default = "half")]
    pub(super) female: f32,
    /// Acuity word of the referral table, for the reader of this one.
    pub(super) acuity: String,
    /// Services of the referral table.
    pub(super) referral: Vec<String>,
    /// How its lesions are put into the head.
    pub(super) layout: Layout,
    /// Regions and their weights.
    #[serde(default)]
    pub(super) places: BTreeMap<String, f32>,
    /// Fewest and most lesions.
    #[serde(default = "one")]
    pub(super) count: [u32; 2],
    /// Longest diameter, or thickness or displacement where the layout says so.
    #[serde(default)]
    pub(super) size_mm: [f32; 2],
    /// Longest by shortest diameter.
    #[serde(default = "round")]
    pub(super) elongation: [f32; 2],
    /// Raggedness of the surface, part of the radius.
    #[serde(default)]
    pub(super) rough: f32,
    /// Displacement of the surroundings, part of the radius; negative pulls.
    #[serde(default)]
    pub(super) push: [f32; 2],
    /// Width of the vasogenic oedema around a lesion.
    #[serde(default)]
    pub(super) oedema_mm: [f32; 2],
    /// Factor on the volume of the ventricles where the lesion blocks them.
    #[serde(default = "unchanged")]
    pub(super) ventricles: [f32; 2],
    /// What else is often there.
    #[serde(default)]
    pub(super) with: BTreeMap<String, f32>,
    /// Primary diagnoses through which an implied one comes about.
    #[serde(default)]
    pub(super) through: Vec<String>,
    /// Appearances.
    #[serde(default, rename = "variant")]
    pub(super) variants: Vec<Variant>,
}

/// How lesions are put into the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    /// Bodies inside a region.
    Body,
    /// A body whose base lies on the dura of the convexity, falx or tentorium.
    Dural,
    /// A body centred on a small structure of the midline or skull base.
    Fixed,
    /// Follows from other findings.
    Implied,
    /// A planner of its own.
    Special,
}

/// One appearance of a diagnosis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    #[serde(default = "unchanged_one")]
    pub(super) weight: f32,
    /// Painted in this order.
    #[serde(default)]
    pub(super) parts: Vec<Part>,
    #[serde(default)]
    pub(super) stage: Stage,
    #[serde(default)]
    pub(super) enhancement: Enhancement,
    #[serde(default)]
    pub(super) diffusion: Diffusion,
    #[serde(default)]
    pub(super) t1: Intensity,
    #[serde(default)]
    pub(super) t2: Intensity,
    #[serde(default)]
    pub(super) flair: Intensity,
    #[serde(default)]
    pub(super) blooming: bool,
    #[serde(default)]
    pub(super) flow_voids: bool,
    #[serde(default)]
    pub(super) cystic: bool,
    #[serde(default)]
    pub(super) details: Vec<Detail>,
}

/// One material of a lesion.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Name of the material.
    pub(super) material: String,
    /// Part of the lesion's radius.
    #[serde(default = "unchanged_one")]
    pub(super) scale: f32,
    /// Added to the radius.
    #[serde(default)]
    pub(super) add_mm: f32,
    /// Shifted from the centre, part of the radius, in a random direction.
    #[serde(default)]
    pub(super) shift: f32,
    /// What may be replaced.
    #[serde(default = "brain")]
    pub(super) gate: Gate,
    #[serde(default = "unchanged_one")]
    pub(super) opacity: f32,
    /// Width of the edge.
    #[serde(default = "edge")]
    pub(super) edge_mm: f32,
    /// Raggedness instead of the entry's.
    pub(super) rough: Option<f32>,
    /// Kept only where noise of this scale is above the threshold.
    pub(super) holes: Option<(f32, f32)>,
    /// Probability of being there.
    #[serde(default = "unchanged_one")]
    pub(super) chance: f32,
}

/// A material as written: pairs are values at 1.5 T and 3 T.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMaterial {
    density: f32,
    t1_ms: [f32; 2],
    t2_ms: [f32; 2],
    t2_star_ms: [f32; 2],
    adc_um2_ms: f32,
    #[serde(default)]
    chi_ppm: f32,
    #[serde(default)]
    gadolinium_mm: f32,
    #[serde(default)]
    flow: f32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    material: BTreeMap<String, RawMaterial>,
    label: BTreeMap<String, Entry>,
}

fn half() -> f32 {
    0.5
}
fn one() -> [u32; 2] {
    [1, 1]
}
fn round() -> [f32; 2] {
    [1.0, 1.25]
}
fn unchanged() -> [f32; 2] {
    [1.0, 1.0]
}
fn unchanged_one() -> f32 {
    1.0
}
fn edge() -> f32 {
    1.2
}
fn brain() -> Gate {
    Gate::Intracranial
}

/// Number of a diagnosis.
pub(super) fn number(label: &str) -> Option<usize> {
    DIAGNOSES.iter().position(|d| *d == label)
}

impl Table {
    /// The table that ships with the program.
    ///
    /// # Errors
    /// When it is wrong; a test keeps it right.
    pub fn load() -> Result<Self, TableError> {
        Self::parse(SHIPPED)
    }

    /// A table from its text.
    ///
    /// # Errors
    /// The first thing that is wrong, with its label and key.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let raw: RawTable =
            toml::from_str(text).map_err(|e| TableError::Parse(e.to_string().trim().to_owned()))?;
        if let Some(label) = raw.label.keys().find(|label| number(label).is_none()) {
            return Err(TableError::UnknownLabel(label.clone()));
        }
        for (name, material) in &raw.material {
            check_material(name, material)?;
        }
        let mut labels = raw.label;
        let mut entries = Vec::with_capacity(DIAGNOSES.len());
        for label in DIAGNOSES {
            let entry = labels.remove(label).ok_or(TableError::MissingLabel(label))?;
            check_entry(label, &entry, &raw.material)?;
            entries.push(entry);
        }
        let materials =
            raw.material.into_iter().map(|(name, raw)| (name, raw.at_both_fields())).collect();
        Ok(Self { entries, materials, places: OnceLock::new() })
    }

    /// Where the regions of an atlas are; kept for the first atlas that is asked for.
    pub(super) fn places(&self, atlas: &Atlas) -> Arc<Places> {
        let kept = self.places.get_or_init(|| Arc::new(Places::of(atlas)));
        if kept.is_of(atlas) { Arc::clone(kept) } else { Arc::new(Places::of(atlas)) }
    }

    /// A material by name; brain-like water where the name is unknown, which checking rules out.
    pub(super) fn material(&self, name: &str) -> [Material; 2] {
        debug_assert!(self.materials.contains_key(name), "no material {name}");
        self.materials.get(name).copied().unwrap_or(
            [Material {
                density: 0.85,
                t1_ms: 1200.0,
                t2_ms: 100.0,
                t2_star_ms: 60.0,
                adc_um2_ms: 0.9,
                chi_ppm: 0.0,
                gadolinium_mm: 0.0,
                flow: 0.0,
            }; 2],
        )
    }
}

impl RawMaterial {
    fn at_both_fields(&self) -> [Material; 2] {
        [0, 1].map(|field| Material {
            density: self.density,
            t1_ms: self.t1_ms[field],
            t2_ms: self.t2_ms[field],
            t2_star_ms: self.t2_star_ms[field],
            adc_um2_ms: self.adc_um2_ms,
            chi_ppm: self.chi_ppm,
            gadolinium_mm: self.gadolinium_mm,
            flow: self.flow,
        })
    }
}

fn check_material(name: &str, material: &RawMaterial) -> Result<(), TableError> {
    let wrong = |key, problem: String| {
        Err(TableError::Material { material: name.to_owned(), key, problem })
    };
    if !(0.0..=1.1).contains(&material.density) {
        return wrong(
            "density",
            format!("found {}, expected 0 to 1.1 (water is 1)", material.density),
        );
    }
    for field in 0..2 {
        let [t1, t2, star] =
            [material.t1_ms[field], material.t2_ms[field], material.t2_star_ms[field]];
        if !(star > 0.0 && star <= t2 && t2 <= t1) {
            return wrong(
                "t2_ms",
                format!("T2* {star}, T2 {t2}, T1 {t1} ms must rise in this order"),
            );
        }
    }
    if !(0.0..=3.5).contains(&material.adc_um2_ms) {
        let found = material.adc_um2_ms;
        return wrong("adc_um2_ms", format!("found {found}, expected 0 to 3.5 µm²/ms"));
    }
    Ok(())
}

fn check_entry(
    label: &str,
    entry: &Entry,
    materials: &BTreeMap<String, RawMaterial>,
) -> Result<(), TableError> {
    let wrong =
        |key, problem: String| Err(TableError::Value { label: label.to_owned(), key, problem });
    if entry.weight < 0.0 || !entry.weight.is_finite() {
        return wrong("weight", format!("found {}, expected 0 or more", entry.weight));
    }
    if !entry.ages.is_sorted() || entry.ages[3] > 105.0 {
        return wrong(
            "ages",
            format!("found {:?}, expected four rising ages in years", entry.ages),
        );
    }
    if !(0.0..=1.0).contains(&entry.female) {
        return wrong("female", format!("found {}, expected a share of 0 to 1", entry.female));
    }
    if !["none", "low", "medium", "high"].contains(&entry.acuity.as_str()) {
        let found = &entry.acuity;
        return wrong("acuity", format!("found \"{found}\", expected none, low, medium or high"));
    }
    if entry.referral.iter().any(String::is_empty) {
        return wrong("referral", "a service has no name".to_owned());
    }
    if entry.count[0] == 0 || entry.count[0] > entry.count[1] {
        return wrong("count", format!("found {:?}, expected [fewest, most]", entry.count));
    }
    let lesion = matches!(entry.layout, Layout::Body | Layout::Dural | Layout::Fixed);
    if entry.size_mm[0] > entry.size_mm[1] || (lesion && entry.size_mm[0] < 3.0) {
        let found = entry.size_mm;
        let problem = format!("found {found:?}, expected [smallest, largest] of at least 3 mm");
        return wrong("size_mm", problem);
    }
    if lesion && (entry.places.is_empty() || entry.variants.is_empty()) {
        let problem = "a lesion needs at least one place and one variant".to_owned();
        return wrong("places", problem);
    }
    if (entry.layout == Layout::Implied) == entry.through.is_empty() {
        let problem = "names the primary diagnoses of an implied one, and of no other".to_owned();
        return wrong("through", problem);
    }
    for (name, &weight) in &entry.places {
        if Region::from_identifier(name).is_none() || weight <= 0.0 {
            return wrong("places", format!("\"{name}\" = {weight}: no such region, or no weight"));
        }
    }
    for other in entry.with.keys().chain(&entry.through) {
        if number(other).is_none() || other == label {
            return wrong("with", format!("\"{other}\" is no other diagnosis"));
        }
    }
    for part in entry.variants.iter().flat_map(|v| &v.parts) {
        if !materials.contains_key(&part.material) {
            return wrong("parts", format!("there is no [material.{}]", part.material));
        }
    }
    if entry.variants.iter().any(|v| v.details.len() > 3) {
        return wrong("details", "at most three, the most important first".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(from: &str, to: &str) -> String {
        assert!(SHIPPED.contains(from), "{from}");
        Table::parse(&SHIPPED.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_table_is_right_and_a_wrong_one_names_label_and_key() {
        assert_eq!(Table::load().map(|t| t.entries.len()), Ok(52));
        let renamed = SHIPPED.replace("cyst_colloid_cyst", "cyst_coloid_cyst");
        assert_eq!(
            Table::parse(&renamed).unwrap_err().to_string(),
            "[label.cyst_coloid_cyst] is none of the 52 diagnoses; take the spelling of \
             models::labels"
        );
        assert_eq!(
            broken("ForamenOfMonro = 1", "ForamenMonro = 1"),
            "[label.cyst_colloid_cyst] places: \"ForamenMonro\" = 1: no such region, or no weight"
        );
        assert_eq!(
            broken("ages = [12, 20, 60, 90]", "ages = [12, 20, 90, 60]"),
            "[label.cyst_colloid_cyst] ages: found [12.0, 20.0, 90.0, 60.0], expected four \
             rising ages in years"
        );
        assert_eq!(
            broken("{ material = \"colloid_bright\"", "{ material = \"coloid\""),
            "[label.cyst_colloid_cyst] parts: there is no [material.coloid]"
        );
    }
}
