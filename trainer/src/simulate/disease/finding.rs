//! What a planned disease tells the report writer and the truth file. Plain data.

use serde::Deserialize;

/// Something present in the study that has one of the 52 labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Index into `models::labels::DIAGNOSES`.
    pub diagnosis: usize,
    /// Index, in the same list of findings, of the finding this one follows from: oedema, mass
    /// effect, shift, herniation, ventriculomegaly, "glioma" of a high-grade glioma.
    pub cause: Option<usize>,
    /// Component of the voxel mask; `None` where the shape of the anatomy is the finding.
    pub component: Option<u8>,
    /// Where, the largest lesion first, each place once; empty where no place need be said
    /// (atrophy, intracranial hypotension).
    pub places: Vec<Place>,
    /// Number of separate lesions; 1 for a diffuse process.
    pub count: u32,
    /// Extent of the largest lesion, the longest axis first; zeros where none is measured. For
    /// structural findings only the first is set: millimetres of shift, of tonsillar descent.
    pub size_mm: [f32; 3],
    /// Mild, moderate or severe, as a reader grades it.
    pub severity: Severity,
    /// Age of the process, where that can be seen.
    pub stage: Stage,
    /// Pattern after contrast agent; only of use where the study has a post-contrast series.
    pub enhancement: Enhancement,
    /// On diffusion-weighted images and the ADC map.
    pub diffusion: Diffusion,
    /// On T1-weighted images without contrast agent, against grey matter.
    pub t1: Intensity,
    /// On T2-weighted images, against grey matter.
    pub t2: Intensity,
    /// On FLAIR, against grey matter.
    pub flair: Intensity,
    /// Blood products or mineral that bloom on T2* and SWI.
    pub blooming: bool,
    /// Flow voids belong to the lesion.
    pub flow_voids: bool,
    /// Has a cystic or necrotic part.
    pub cystic: bool,
    /// Vasogenic oedema around it.
    pub oedema: Severity,
    /// Largest displacement of neighbouring tissue.
    pub mass_effect_mm: f32,
    /// What else a reader would name, such as "dural tail"; at most three, most important first.
    pub details: Vec<Detail>,
}

/// A place in the head as a report names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Without its side: "frontal lobe", "pons", "foramen of Monro".
    pub words: &'static str,
    /// Side, where the structure is paired and the lesion is off the midline.
    pub side: Option<Side>,
}

impl Place {
    /// The place with its side in front: "left frontal lobe".
    #[must_use]
    pub fn text(&self) -> String {
        match self.side {
            Some(side) => format!("{} {}", side.word(), self.words),
            None => self.words.to_owned(),
        }
    }
}

/// Side of the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The patient's left, x > 0.
    Left,
    /// The patient's right, x < 0.
    Right,
    /// Both.
    Bilateral,
}

impl Side {
    /// "left", "right" or "bilateral".
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Bilateral => "bilateral",
        }
    }
}

/// Grade of a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Absent.
    #[default]
    None,
    /// Seen on careful reading.
    Mild,
    /// Plain.
    Moderate,
    /// Marked.
    Severe,
}

/// Age of blood, infarcts, plaques.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not a thing that is staged.
    #[default]
    None,
    /// Hours to three days.
    Acute,
    /// About three days to three weeks.
    Subacute,
    /// Older.
    Chronic,
    /// Several at once.
    Mixed,
}

/// Pattern of enhancement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enhancement {
    /// None.
    #[default]
    None,
    /// Faint or only in parts.
    Patchy,
    /// The whole lesion, evenly.
    Homogeneous,
    /// The whole lesion, unevenly.
    Heterogeneous,
    /// A ring, thin and smooth.
    ThinRing,
    /// A ring, thick and irregular.
    ThickRing,
    /// A nodule in the wall of a cyst.
    MuralNodule,
    /// Along the pia, into the sulci and cisterns.
    Leptomeningeal,
    /// Along the dura.
    Pachymeningeal,
    /// Some lesions enhance, others do not.
    Some,
    /// Less than its surroundings (an adenoma in the gland).
    Reduced,
}

/// Diffusion of water.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diffusion {
    /// Nothing to say.
    #[default]
    Unremarkable,
    /// Restricted: bright on DWI, dark on ADC.
    Restricted,
    /// Restricted in parts.
    PartlyRestricted,
    /// Facilitated: bright on ADC.
    Facilitated,
}

/// Signal against grey matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    /// Nothing to say.
    #[default]
    Unremarkable,
    /// Hypointense.
    Dark,
    /// Isointense.
    Iso,
    /// Hyperintense.
    Bright,
    /// Hypo- and hyperintense parts.
    Mixed,
    /// As cerebrospinal fluid.
    Csf,
}

/// What else a reader would name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Broad dural base with a dural tail.
    DuralTail,
    /// Cleft of fluid between the lesion and the brain.
    CsfCleft,
    /// Calcified parts.
    Calcification,
    /// Extends into the internal auditory canal.
    CanalExtension,
    /// Extends through the outlets of the fourth ventricle.
    ForaminalExtension,
    /// Infiltrates the corpus callosum.
    CallosalExtension,
    /// Ovoid plaques perpendicular to the ventricles.
    DawsonFingers,
    /// Plaques below the tentorium.
    Infratentorial,
    /// "Popcorn" core.
    Popcorn,
    /// Rim of haemosiderin.
    HaemosiderinRim,
    /// Enlarged draining vein.
    DrainingVein,
    /// Fluid level in a ventricle or cavity.
    FluidLevel,
    /// Shrinkage: the neighbouring ventricle or sulci are enlarged.
    ExVacuo,
    /// Rim of gliosis.
    Gliosis,
    /// Remodelled inner table of the skull.
    BoneRemodelling,
    /// Chiasm lifted.
    ChiasmCompression,
    /// Grows into the cavernous sinus.
    CavernousInvasion,
    /// Colpocephaly.
    Colpocephaly,
    /// Parallel lateral ventricles.
    ParallelVentricles,
    /// Enlarged posterior fossa with a high tentorium.
    LargePosteriorFossa,
    /// Small cerebellar vermis.
    SmallVermis,
    /// Descended cerebellar tonsils, pointed.
    PeggedTonsils,
    /// Sagging brainstem.
    SaggingBrainstem,
    /// Full pituitary gland.
    FullPituitary,
    /// Subdural collections.
    SubduralCollections,
    /// Collateral vessels in the basal ganglia.
    BasalCollaterals,
    /// Narrow or occluded artery of the circle of Willis.
    ArterialNarrowing,
    /// Loss of the flow void of a vessel.
    AbsentFlowVoid,
    /// Haemorrhagic transformation.
    HaemorrhagicTransformation,
    /// Anterior temporal (mesial) predominance.
    MesialTemporal,
    /// Periventricular caps and halo.
    PeriventricularCaps,
    /// Fluid seeping through the wall of the ventricles.
    TransependymalFlow,
    /// Frontal and temporal predominance.
    FrontotemporalPredominance,
    /// Parietal predominance.
    ParietalPredominance,
    /// Hippocampi smaller than the rest.
    HippocampalAtrophy,
    /// Subfalcine herniation.
    Subfalcine,
    /// Uncal herniation.
    Uncal,
    /// Tonsillar herniation.
    Tonsillar,
    /// Dural thickening and enhancement at the operation.
    DuralEnhancement,
    /// Artefact of plates, clips or a valve.
    MetalArtefact,
    /// Residual tumour at the margin of a cavity.
    ResidualTumour,
    /// Contents of a sac are fluid only.
    MeningealSac,
    /// Contents of a sac include brain.
    BrainInSac,
    /// Partly thrombosed.
    Thrombosed,
    /// Territory of the middle cerebral artery.
    MiddleCerebralTerritory,
    /// Territory of the anterior cerebral artery.
    AnteriorCerebralTerritory,
    /// Territory of the posterior cerebral artery.
    PosteriorCerebralTerritory,
    /// Territory of a cerebellar artery.
    CerebellarTerritory,
    /// Lies in the convexity sulci.
    Sulcal,
    /// Lies in the basal cisterns.
    Cisternal,
}

/// Seen, but none of the 52 labels: readers mention it or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Incidental {
    /// What it is.
    pub kind: IncidentalKind,
    /// Where, if a place need be said.
    pub place: Option<Place>,
}

/// Normal variants and trifles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentalKind {
    /// A few punctate spots in the white matter, below any grade.
    WhiteMatterSpots,
    /// Volume loss as expected for the age.
    VolumeLossForAge,
    /// Mega cisterna magna.
    MegaCisternaMagna,
    /// One lateral ventricle larger than the other, within the norm.
    AsymmetricVentricles,
    /// Arachnoid granulation in a dural sinus.
    ArachnoidGranulation,
    /// Pineal cyst under 10 mm.
    PinealCyst,
    /// Enlarged perivascular spaces in the basal ganglia.
    PerivascularSpaces,
    /// Mucosal thickening or retention cyst of a paranasal sinus.
    SinusMucosa,
    /// Fluid in the mastoid cells.
    MastoidFluid,
    /// Developmental venous anomaly.
    VenousAnomaly,
    /// Small choroid plexus cyst.
    ChoroidCyst,
    /// Lipoma or sebaceous cyst of the scalp.
    ScalpLesion,
    /// Tonsils below the foramen magnum by less than five millimetres.
    LowTonsils,
}

/// A lesion as it stands in the head, for the truth file.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesion {
    /// Component of the voxel mask.
    pub component: u8,
    /// Index into `models::labels::DIAGNOSES`.
    pub diagnosis: usize,
    /// "left frontal lobe".
    pub place: String,
    /// Volume of all its parts.
    pub volume_ml: f32,
    /// Longest axis of its largest part.
    pub diameter_mm: f32,
}
