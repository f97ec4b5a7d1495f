//! Where in the head a position is: the regions that reports, lesion tables and truth name.

/// Left or right of the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// x > 0.
    Left,
    /// x < 0.
    Right,
}

impl Side {
    /// Side of a position in atlas space.
    #[must_use]
    pub fn of(position_mm: [f32; 3]) -> Self {
        if position_mm[0] >= 0.0 { Self::Left } else { Self::Right }
    }

    /// Sign of x on this side.
    #[must_use]
    pub fn sign(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }

    /// The word a report uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

macro_rules! regions {
    ($($name:ident = $words:literal,)*) => {
        /// A part of the head. Regions carry no side; see [`Side::of`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Region {
            $(#[doc = concat!("In reports: \"", $words, "\".")] $name,)*
        }

        impl Region {
            /// Every region, in the order of the atlas file.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The words a report uses.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }

            /// The region with this identifier, as tables spell it: `"DeepWhite"`.
            #[must_use]
            pub fn from_identifier(identifier: &str) -> Option<Self> {
                match identifier { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

regions! {
    None = "outside of the head",
    Frontal = "frontal lobe",
    Parietal = "parietal lobe",
    Temporal = "temporal lobe",
    Occipital = "occipital lobe",
    Insula = "insula",
    Cingulate = "cingulate gyrus",
    DeepWhite = "deep white matter",
    PeriventricularWhite = "periventricular white matter",
    CorpusCallosum = "corpus callosum",
    Caudate = "caudate nucleus",
    Putamen = "putamen",
    Pallidum = "globus pallidus",
    Thalamus = "thalamus",
    InternalCapsule = "internal capsule",
    Hippocampus = "hippocampus",
    Amygdala = "amygdala",
    LateralVentricle = "lateral ventricle",
    ThirdVentricle = "third ventricle",
    Aqueduct = "cerebral aqueduct",
    FourthVentricle = "fourth ventricle",
    ForamenOfMonro = "foramen of Monro",
    ChoroidPlexus = "choroid plexus",
    Midbrain = "midbrain",
    Pons = "pons",
    Medulla = "medulla",
    CervicalCord = "cervical cord",
    CerebellarHemisphere = "cerebellar hemisphere",
    Vermis = "cerebellar vermis",
    Tonsil = "cerebellar tonsil",
    CerebellopontineAngle = "cerebellopontine angle",
    InternalAuditoryCanal = "internal auditory canal",
    Sella = "sella",
    Suprasellar = "suprasellar cistern",
    Pineal = "pineal region",
    CavernousSinus = "cavernous sinus",
    CircleOfWillis = "circle of Willis",
    SylvianFissure = "Sylvian fissure",
    BasalCistern = "basal cisterns",
    PosteriorFossaCsf = "posterior fossa subarachnoid space",
    CisternaMagna = "cisterna magna",
    ConvexityCsf = "cerebral convexity",
    SpinalCsf = "cervical subarachnoid space",
    Falx = "falx",
    Tentorium = "tentorium",
    VenousSinus = "dural venous sinuses",
    Skull = "calvarium",
    Clivus = "clivus",
    Orbit = "orbit",
    Eye = "globe",
    OpticNerve = "optic nerve",
    ParanasalSinus = "paranasal sinuses",
    Mastoid = "mastoid",
    Scalp = "scalp",
    Neck = "soft tissues of the neck",
    Face = "facial soft tissues",
}

impl Region {
    /// The region an atlas byte stands for; unknown bytes are [`Region::None`].
    #[must_use]
    pub fn of(byte: u8) -> Self {
        Self::ALL.get(usize::from(byte)).copied().unwrap_or(Self::None)
    }

    /// True inside of the dura, spinal canal included.
    #[must_use]
    pub fn is_intradural(self) -> bool {
        let byte = self as u8;
        (Self::Frontal as u8..Self::Sella as u8).contains(&byte)
            || (Self::Suprasellar as u8..Self::Skull as u8).contains(&byte)
                && self != Self::CavernousSinus
    }

    /// True for cerebral and cerebellar parenchyma whose folds open and close.
    #[must_use]
    pub fn has_folds(self) -> bool {
        matches!(
            self,
            Self::Frontal
                | Self::Parietal
                | Self::Temporal
                | Self::Occipital
                | Self::Insula
                | Self::Cingulate
                | Self::Hippocampus
                | Self::Amygdala
                | Self::CerebellarHemisphere
                | Self::Vermis
                | Self::SylvianFissure
                | Self::ConvexityCsf
        )
    }

    /// True for the fluid that the ventricle parameter enlarges.
    #[must_use]
    pub fn is_supratentorial_ventricle(self) -> bool {
        matches!(
            self,
            Self::LateralVentricle
                | Self::ThirdVentricle
                | Self::ForamenOfMonro
                | Self::ChoroidPlexus
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Region;

    #[test]
    fn bytes_and_identifiers_round_trip() {
        for (i, region) in Region::ALL.iter().enumerate() {
            assert_eq!(*region as usize, i);
            assert_eq!(Region::from_identifier(&format!("{region:?}")), Some(*region));
        }
        assert_eq!(Region::of(200), Region::None);
    }

    #[test]
    fn dura_separates_brain_from_skull() {
        for inside in [Region::Frontal, Region::Tonsil, Region::SpinalCsf, Region::Falx] {
            assert!(inside.is_intradural(), "{inside:?}");
        }
        for outside in [Region::None, Region::Sella, Region::Skull, Region::CavernousSinus] {
            assert!(!outside.is_intradural(), "{outside:?}");
        }
    }
}
