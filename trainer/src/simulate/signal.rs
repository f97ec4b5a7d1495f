//! Signal of a material under a pulse sequence: the steady-state equations of the field's
//! textbooks (Haacke 1999; Hajnal 1992 for FLAIR; Stejskal and Tanner 1965 for diffusion; Rohrer
//! 2005 for the relaxivities of contrast agents in blood).

use crate::simulate::head::Material;

/// Relaxivities of an extracellular gadolinium agent at 37 °C, per second and mmol/l.
const R1: f32 = 4.3;
const R2: f32 = 5.2;

/// How a sequence weights tissue. Times in ms, angles in degrees, b in s/mm².
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weighting {
    /// Spin echo and its fast variants, `te` being the effective echo time.
    SpinEcho {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
    },
    /// Spin echo after an inversion: FLAIR, T1 FLAIR, STIR.
    InversionRecovery {
        /// Repetition time.
        tr: f32,
        /// Inversion time.
        ti: f32,
        /// Echo time.
        te: f32,
    },
    /// Spoiled gradient echo.
    GradientEcho {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
        /// Flip angle.
        flip: f32,
    },
    /// Gradient echo train after an inversion: MPRAGE, BRAVO, 3D TFE.
    Mprage {
        /// Time between inversions.
        tr: f32,
        /// Inversion time to the centre of k-space.
        ti: f32,
        /// Echo time.
        te: f32,
        /// Flip angle.
        flip: f32,
    },
    /// Trace of diffusion-weighted spin-echo EPI.
    Diffusion {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
        /// Diffusion weighting.
        b: f32,
    },
    /// Apparent diffusion coefficient from two images, without and with weighting `b`.
    Adc {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
        /// Larger diffusion weighting.
        b: f32,
    },
    /// Gradient echo made for susceptibility: long echo time, dephasing counts.
    Susceptibility {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
        /// Flip angle.
        flip: f32,
    },
    /// Inflow angiography.
    TimeOfFlight {
        /// Repetition time.
        tr: f32,
        /// Echo time.
        te: f32,
        /// Flip angle.
        flip: f32,
    },
}

impl Weighting {
    /// Repetition time.
    #[must_use]
    pub fn tr(&self) -> f32 {
        match *self {
            Self::SpinEcho { tr, .. }
            | Self::InversionRecovery { tr, .. }
            | Self::GradientEcho { tr, .. }
            | Self::Mprage { tr, .. }
            | Self::Diffusion { tr, .. }
            | Self::Adc { tr, .. }
            | Self::Susceptibility { tr, .. }
            | Self::TimeOfFlight { tr, .. } => tr,
        }
    }

    /// Echo time.
    #[must_use]
    pub fn te(&self) -> f32 {
        match *self {
            Self::SpinEcho { te, .. }
            | Self::InversionRecovery { te, .. }
            | Self::GradientEcho { te, .. }
            | Self::Mprage { te, .. }
            | Self::Diffusion { te, .. }
            | Self::Adc { te, .. }
            | Self::Susceptibility { te, .. }
            | Self::TimeOfFlight { te, .. } => te,
        }
    }

    /// Inversion time, where there is an inversion.
    #[must_use]
    pub fn ti(&self) -> Option<f32> {
        match *self {
            Self::InversionRecovery { ti, .. } | Self::Mprage { ti, .. } => Some(ti),
            _ => None,
        }
    }

    /// Flip angle.
    #[must_use]
    pub fn flip(&self) -> f32 {
        match *self {
            Self::GradientEcho { flip, .. }
            | Self::Mprage { flip, .. }
            | Self::Susceptibility { flip, .. }
            | Self::TimeOfFlight { flip, .. } => flip,
            _ => 90.0,
        }
    }

    /// Diffusion weighting, where the sequence has one.
    #[must_use]
    pub fn b_value(&self) -> Option<f32> {
        match *self {
            Self::Diffusion { b, .. } | Self::Adc { b, .. } => Some(b),
            _ => None,
        }
    }
}

/// Signal of a material, fully relaxed CSF without echo delay being 1. For [`Weighting::Adc`] it
/// is that of the image without diffusion weighting.
#[must_use]
pub fn signal(weighting: &Weighting, material: &Material, contrast_given: bool) -> f32 {
    let dose = if contrast_given { material.gadolinium_mm } else { 0.0 };
    let t1 = 1.0 / (1.0 / material.t1_ms + R1 * dose / 1000.0);
    let t2 = 1.0 / (1.0 / material.t2_ms + R2 * dose / 1000.0);
    let t2_star = 1.0 / (1.0 / material.t2_star_ms + R2 * dose / 1000.0);
    let (density, flow) = (material.density, material.flow);
    match *weighting {
        Weighting::SpinEcho { tr, te } => {
            density * (1.0 - (-tr / t1).exp()) * (-te / t2).exp() * washed_out(flow, te, dose)
        }
        Weighting::InversionRecovery { tr, ti, te } => {
            let recovered = 1.0 - 2.0 * (-ti / t1).exp() + (-tr / t1).exp();
            density * recovered.abs() * (-te / t2).exp() * washed_out(flow, te, dose)
        }
        Weighting::GradientEcho { tr, te, flip } | Weighting::Susceptibility { tr, te, flip } => {
            density * inflow(ernst(tr, flip, t1), flip, 0.4 * flow) * (-te / t2_star).exp()
        }
        Weighting::TimeOfFlight { tr, te, flip } => {
            // The saturation band above the slab takes the slow, that is venous, inflow away.
            density * inflow(ernst(tr, flip, t1), flip, flow.powi(3)) * (-te / t2_star).exp()
        }
        Weighting::Mprage { tr, ti, te, flip } => {
            let inverted = 1.0 - 2.0 * (-ti / t1).exp() / (1.0 + (-tr / t1).exp());
            let at_rest = flip.to_radians().sin() * inverted.abs();
            density * inflow(at_rest, flip, 0.3 * flow) * (-te / t2_star).exp()
        }
        Weighting::Diffusion { tr, te, b } => {
            echo_planar(material, [tr, te], [t1, t2]) * (-b * material.adc_um2_ms / 1000.0).exp()
        }
        Weighting::Adc { tr, te, .. } => echo_planar(material, [tr, te], [t1, t2]),
    }
}

/// True for materials whose protons are those of fat, which fat saturation removes.
#[must_use]
pub fn is_fat(material: &Material) -> bool {
    material.t1_ms < 480.0 && material.adc_um2_ms < 0.2 && material.density > 0.3
}

fn echo_planar(material: &Material, [tr, te]: [f32; 2], [t1, t2]: [f32; 2]) -> f32 {
    let at_rest = (1.0 - 2.0 * material.flow).max(0.0);
    material.density * (1.0 - (-tr / t1).exp()) * (-te / t2).exp() * at_rest
}

/// Steady state of a spoiled gradient echo.
fn ernst(tr: f32, flip: f32, t1: f32) -> f32 {
    let (sin, cos) = flip.to_radians().sin_cos();
    let decay = (-tr / t1).exp();
    sin * (1.0 - decay) / (1.0 - cos * decay)
}

/// Part `fresh` of the spins has not been excited before.
fn inflow(at_rest: f32, flip: f32, fresh: f32) -> f32 {
    at_rest * (1.0 - fresh) + flip.to_radians().sin() * fresh
}

/// What is left of flowing blood after a spin echo: it leaves the slice between the pulses, more
/// of it the longer the echo; contrast agent makes up for some of that at short echo times.
fn washed_out(flow: f32, te: f32, dose: f32) -> f32 {
    let loss = if dose > 0.0 && te < 40.0 { 0.8 } else { (0.9 + te / 60.0).min(2.2) };
    (1.0 - loss * flow).max(0.02)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::head::Tissue::{Artery, Csf, Enhancing, GreyMatter, WhiteMatter};
    use crate::simulate::tissue::{Field, materials};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Every contrast at both fields ranks tissue as every radiology primer has it.
    #[test]
    fn tissues_rank_as_in_a_primer() {
        let t1 = Weighting::SpinEcho { tr: 550.0, te: 12.0 };
        let t2 = Weighting::SpinEcho { tr: 5000.0, te: 100.0 };
        let flair = Weighting::InversionRecovery { tr: 9000.0, ti: 2450.0, te: 120.0 };
        let mprage = Weighting::Mprage { tr: 2000.0, ti: 950.0, te: 3.0, flip: 9.0 };
        let trace = Weighting::Diffusion { tr: 6000.0, te: 85.0, b: 1000.0 };
        let tof = Weighting::TimeOfFlight { tr: 23.0, te: 4.0, flip: 20.0 };
        let rows = [
            (t1, false, [WhiteMatter, GreyMatter, Csf, Artery]),
            (t1, true, [Enhancing, WhiteMatter, GreyMatter, Csf]),
            (t2, false, [Csf, GreyMatter, WhiteMatter, Artery]),
            (flair, false, [GreyMatter, WhiteMatter, Csf, Csf]),
            (mprage, false, [WhiteMatter, GreyMatter, Csf, Csf]),
            (trace, false, [GreyMatter, WhiteMatter, Csf, Artery]),
            (tof, false, [Artery, WhiteMatter, GreyMatter, Csf]),
        ];
        for field in [Field::OneAndAHalf, Field::Three] {
            let table = materials(field, 40.0, &mut ChaCha8Rng::seed_from_u64(1));
            for (weighting, contrast, order) in &rows {
                let values = order.map(|t| signal(weighting, &table[t as usize], *contrast));
                let sorted = values.windows(2).all(|pair| pair[0] >= pair[1]);
                assert!(sorted, "{field:?} {weighting:?}: {order:?} {values:?}");
            }
        }
    }
}
