//! Relaxation, diffusion and susceptibility of the healthy tissues at 1.5 T and at 3 T, and how
//! they vary from patient to patient.
//!
//! White and grey matter, CSF: Rooney 2007, Stanisz 2005 and Wansapura 1999 span a range; the
//! table takes its middle. Fat: Gold 2004, whose transverse time is the longer one that a train of
//! refocusing pulses sees. Muscle, marrow: between the `BrainWeb` phantom and later tables.
//! Susceptibilities are relative to brain.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::simulate::head::{Material, TISSUES, Tissue};

/// Static field of a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// 1.5 T
    OneAndAHalf,
    /// 3 T
    Three,
}

impl Field {
    /// Field strength.
    #[must_use]
    pub fn tesla(self) -> f32 {
        match self {
            Self::OneAndAHalf => 1.5,
            Self::Three => 3.0,
        }
    }

    /// The field of a nominal strength; the nearer of the two.
    #[must_use]
    pub fn from_tesla(tesla: f32) -> Self {
        if tesla < 2.25 { Self::OneAndAHalf } else { Self::Three }
    }

    /// Index into what is given for both fields, such as [`Layer::material`].
    ///
    /// [`Layer::material`]: crate::simulate::head::Layer::material
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::OneAndAHalf => 0,
            Self::Three => 1,
        }
    }
}

/// A row of the table: density; T1, T2, T2* at 1.5 T and at 3 T in ms; apparent diffusion
/// coefficient in µm²/ms; susceptibility in ppm; contrast agent in mmol/l; flow.
struct Row(Tissue, f32, [f32; 3], [f32; 3], f32, f32, f32, f32);

const TABLE: [Row; TISSUES] = {
    use Tissue as T;
    [
        Row(T::Air, 0.0, [1000.0, 10.0, 1.0], [1000.0, 10.0, 1.0], 0.0, 9.4, 0.0, 0.0),
        Row(T::Csf, 1.0, [4070.0, 2000.0, 400.0], [4200.0, 1800.0, 200.0], 3.0, 0.0, 0.0, 0.0),
        Row(T::GreyMatter, 0.84, [1040.0, 96.0, 68.0], [1400.0, 92.0, 52.0], 0.83, 0.0, 0.0, 0.0),
        Row(T::WhiteMatter, 0.73, [665.0, 76.0, 60.0], [880.0, 71.0, 46.0], 0.68, -0.02, 0.0, 0.0),
        Row(T::DeepGrey, 0.80, [860.0, 82.0, 52.0], [1130.0, 73.0, 38.0], 0.74, 0.05, 0.0, 0.0),
        Row(T::IronGrey, 0.75, [780.0, 66.0, 36.0], [1000.0, 55.0, 22.0], 0.72, 0.12, 0.0, 0.0),
        Row(T::Bone, 0.08, [500.0, 4.0, 1.0], [600.0, 4.0, 1.0], 0.1, -2.0, 0.0, 0.0),
        Row(T::Marrow, 0.55, [320.0, 80.0, 16.0], [360.0, 85.0, 10.0], 0.1, 0.3, 0.0, 0.0),
        Row(T::Fat, 0.85, [288.0, 165.0, 40.0], [371.0, 133.0, 28.0], 0.05, 0.6, 0.0, 0.0),
        Row(T::Muscle, 0.80, [930.0, 46.0, 32.0], [1200.0, 43.0, 26.0], 1.4, 0.0, 0.05, 0.0),
        Row(T::Vitreous, 1.0, [3400.0, 900.0, 250.0], [3700.0, 700.0, 150.0], 2.8, 0.0, 0.0, 0.0),
        Row(T::Artery, 0.90, [1441.0, 220.0, 90.0], [1650.0, 150.0, 55.0], 2.5, 0.0, 2.0, 1.0),
        Row(T::Vein, 0.90, [1441.0, 150.0, 26.0], [1650.0, 70.0, 13.0], 2.5, 0.35, 2.0, 0.4),
        Row(T::Enhancing, 0.80, [900.0, 88.0, 55.0], [1180.0, 80.0, 42.0], 1.0, 0.0, 0.7, 0.0),
        Row(T::Brainstem, 0.75, [720.0, 79.0, 60.0], [950.0, 73.0, 46.0], 0.72, 0.0, 0.0, 0.0),
        Row(T::Reserved, 0.0, [1000.0, 10.0, 1.0], [1000.0, 10.0, 1.0], 0.0, 0.0, 0.0, 0.0),
    ]
};

/// Materials of the tissues, indexed by [`Tissue`], of one patient: the table varied by up to
/// about ten per cent, with unmyelinated white matter in the first two years and iron that
/// gathers in the deep grey matter over life.
pub fn materials(field: Field, age_years: f32, rng: &mut ChaCha8Rng) -> [Material; TISSUES] {
    // A patient's T1 and T2 lie off the table by one factor, each tissue a little more.
    let shared = [rng.random_range(0.94..1.06), rng.random_range(0.94..1.06)];
    TABLE.map(|Row(tissue, density, low, high, adc, chi, gadolinium, flow)| {
        let [t1, t2, t2_star] = if field == Field::Three { high } else { low };
        let mut own = || rng.random_range(0.96..1.04_f32);
        let mut material = Material {
            density: (density * own()).min(1.0),
            t1_ms: t1 * shared[0] * own(),
            t2_ms: t2 * shared[1] * own(),
            t2_star_ms: t2_star * shared[1] * own(),
            adc_um2_ms: adc * own(),
            chi_ppm: chi,
            gadolinium_mm: gadolinium * own() * own(),
            flow,
        };
        age(tissue, age_years, &mut material);
        material
    })
}

fn age(tissue: Tissue, years: f32, material: &mut Material) {
    match tissue {
        // Water of unmyelinated white matter falls over the first two years, most of it early.
        Tissue::WhiteMatter | Tissue::Brainstem => {
            let unmyelinated = (-years / 0.6).exp();
            material.t1_ms *= 1.0 + 1.3 * unmyelinated;
            material.t2_ms *= 1.0 + 1.4 * unmyelinated;
            material.density = (material.density * (1.0 + 0.22 * unmyelinated)).min(1.0);
            material.adc_um2_ms *= 1.0 + 0.7 * unmyelinated;
        }
        Tissue::DeepGrey | Tissue::IronGrey => {
            let iron = 1.0 - (-years / 25.0).exp();
            material.t2_ms *= 1.12 - 0.14 * iron;
            material.t2_star_ms *= 1.35 - 0.42 * iron;
            material.chi_ppm *= 0.2 + iron;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn table_stands_in_the_order_of_the_tissues() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
    }

    #[test]
    fn patients_vary_within_a_tenth_and_infants_lack_myelin() {
        for seed in 0..50 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let adult = materials(Field::Three, 40.0, &mut rng);
            let ratio = adult[Tissue::GreyMatter as usize].t1_ms / 1400.0;
            assert!((0.9..1.11).contains(&ratio), "{ratio}");
            let newborn = materials(Field::Three, 0.0, &mut rng);
            let [white, grey] = [Tissue::WhiteMatter, Tissue::GreyMatter].map(|t| t as usize);
            assert!(adult[white].t1_ms < adult[grey].t1_ms);
            assert!(newborn[white].t1_ms > newborn[grey].t1_ms);
        }
    }
}
