//! Times, angles and geometry of a series, as far as they follow from the scanner, the patient's
//! age and the site's habits.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of slices and samples are small and positive"
)]

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::recipe::Choice;
use super::{Kind, Plane, Scanner, Sequence, Target, Vendor, names};
use crate::simulate::signal::Weighting;
use crate::simulate::tissue::Field;

/// What the series of a study have in common.
pub(super) struct Study<'a> {
    scanner: &'a Scanner,
    description: &'a str,
    high: bool,
    /// Extent to cover with axial slices; smaller in children.
    height_mm: f32,
    fov_mm: f32,
    thickness_mm: f32,
    gap_mm: f32,
    reconstructed: usize,
    /// T1 weighting by an inversion (many 3 T sites) or by a gradient echo.
    t1: T1,
    /// Repetition and echo time, matrix and reconstructed matrix of the one diffusion acquisition
    /// that gives the images of all weightings and the map.
    diffusion: ([f32; 2], usize, usize),
}

#[derive(Clone, Copy, PartialEq)]
enum T1 {
    SpinEcho,
    Inversion,
    Gradient,
}

impl<'a> Study<'a> {
    pub(super) fn draw(
        scanner: &'a Scanner,
        age_years: f32,
        description: &'a str,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let high = scanner.field == Field::Three;
        // The head has 3/4 of its adult size at birth's end of the scale and is full grown at 12.
        let growth = (0.74 + 0.26 * (age_years.max(0.0) / 10.0).powf(0.45)).min(1.0);
        let draw: f32 = rng.random();
        let t1 = match (scanner.vendor, high) {
            (Vendor::Siemens, true) if draw < 0.5 => T1::Gradient,
            (Vendor::Ge | Vendor::Philips, true) if draw < 0.7 => T1::Inversion,
            (Vendor::Ge, false) if draw < 0.4 => T1::Inversion,
            _ => T1::SpinEcho,
        };
        let thickness = *[4.0, 5.0, 5.0, 5.0, 5.0, 6.0].choose(rng).unwrap_or(&5.0);
        let gap = *[0.0, 0.5, 1.0, 1.0, 1.25, 1.5].choose(rng).unwrap_or(&1.0);
        let times = [
            (rng.random_range(42.0..80.0_f32)).round() * 100.0,
            rng.random_range(64.0..92.0_f32).round(),
        ];
        let acquired = *[128, 128, 144, 160].choose(rng).unwrap_or(&128);
        let interpolated = scanner.vendor == Vendor::Ge || rng.random_bool(0.5);
        Self {
            diffusion: (times, acquired, if interpolated { 256 } else { 192 }),
            scanner,
            description,
            high,
            height_mm: rng.random_range(140.0..152.0) * growth,
            fov_mm: (rng.random_range(22..=24) as f32) * 10.0 * growth.max(0.8),
            thickness_mm: if growth < 0.85 { 4.0 } else { thickness },
            gap_mm: gap,
            reconstructed: *[256, 256, 256, 288, 320].choose(rng).unwrap_or(&256),
            t1,
        }
    }

    pub(super) fn sequence(&self, choice: Choice, rng: &mut ChaCha8Rng) -> Sequence {
        let Choice { kind, plane, contrast, fat_saturated, .. } = choice;
        let weighting = self.weighting(kind, contrast, rng);
        let subject = names::Subject {
            scanner: self.scanner,
            kind,
            plane,
            contrast,
            fat_saturated,
            gradient: matches!(weighting, Weighting::GradientEcho { .. }),
            b_value: weighting.b_value().unwrap_or_default(),
        };
        let name = names::series(&subject, rng);
        let protocol_name = names::protocol(self.scanner, &name, self.description);
        let volume = matches!(kind, Kind::T1Volume | Kind::Susceptibility | Kind::Angiography);
        let diffusion = matches!(kind, Kind::Diffusion | Kind::DiffusionB0 | Kind::Adc);
        let (thickness_mm, gap_mm, slices) = self.stack(choice, rng);
        let (matrix, reconstructed) = self.matrix(kind, rng);
        let wide = if plane == Plane::Axial { 1.0 } else { 1.04 };
        Sequence {
            kind,
            name,
            protocol_name,
            weighting,
            plane,
            target: choice.slab.map_or(Target::Brain, Target::Slab),
            thickness_mm,
            gap_mm,
            slices,
            matrix,
            reconstructed,
            fov_mm: if choice.slab.is_some() && kind != Kind::Angiography {
                self.fov_mm * 0.8
            } else {
                (self.fov_mm * wide / 5.0).round() * 5.0
            },
            contrast,
            fat_saturated: fat_saturated || diffusion,
            volume,
        }
    }

    /// Thickness, gap and number of slices.
    fn stack(&self, choice: Choice, rng: &mut ChaCha8Rng) -> (f32, f32, usize) {
        let Choice { kind, plane, slab, .. } = choice;
        match (kind, slab) {
            (Kind::Angiography, _) => (1.5, 0.0, rng.random_range(36..=44)),
            (_, Some(_)) => (3.0, 0.0, rng.random_range(14..=18)),
            (Kind::T1Volume, _) => (1.0, 0.0, (self.height_mm * 1.12) as usize),
            (Kind::Susceptibility, _) => {
                let thickness = rng.random_range(3..=4) as f32;
                (thickness, 0.0, ((self.height_mm / thickness) as usize).min(44))
            }
            _ => {
                let extent = match plane {
                    Plane::Axial => self.height_mm,
                    Plane::Coronal => self.height_mm * 1.1,
                    Plane::Sagittal => self.height_mm * 0.92,
                };
                // One axial series in six is planned anew.
                let diffusion = matches!(kind, Kind::Diffusion | Kind::DiffusionB0 | Kind::Adc);
                let own = plane != Plane::Axial || (!diffusion && rng.random_bool(0.16));
                let thickness =
                    if own { rng.random_range(4..=5) as f32 } else { self.thickness_mm };
                let slices = (extent / (thickness + self.gap_mm)).round() as usize;
                let most = if plane == Plane::Axial { 28 } else { 26 };
                (thickness, self.gap_mm, slices.clamp(20, most))
            }
        }
    }

    /// Acquired samples along frequency and phase, and the reconstructed matrix.
    fn matrix(&self, kind: Kind, rng: &mut ChaCha8Rng) -> ([usize; 2], usize) {
        let diffusion = matches!(kind, Kind::Diffusion | Kind::DiffusionB0 | Kind::Adc);
        if diffusion {
            let (_, acquired, reconstructed) = self.diffusion;
            return ([acquired, acquired], reconstructed);
        }
        let frequency = match kind {
            Kind::T2 | Kind::ProtonDensity => *[256, 288, 320].choose(rng).unwrap_or(&256),
            Kind::Susceptibility | Kind::Angiography => 256,
            _ => *[224, 256, 256, 288].choose(rng).unwrap_or(&256),
        }
        .min(self.reconstructed);
        let share = rng.random_range(0.68..0.95_f32);
        let phase = (frequency as f32 * share / 4.0).round() as usize * 4;
        ([frequency, phase], self.reconstructed)
    }

    fn weighting(&self, kind: Kind, contrast: bool, rng: &mut ChaCha8Rng) -> Weighting {
        let mut between =
            |low: f32, high: f32, step: f32| (rng.random_range(low..=high) / step).round() * step;
        let by_field = |low: f32, high: f32| if self.high { high } else { low };
        match kind {
            Kind::T1 => match (self.t1, contrast) {
                (T1::Inversion, _) => Weighting::InversionRecovery {
                    tr: between(1900.0, 2400.0, 50.0),
                    ti: by_field(860.0, 1030.0) + between(-30.0, 30.0, 5.0),
                    te: between(8.0, 14.0, 0.5),
                },
                (T1::Gradient, _) => Weighting::GradientEcho {
                    tr: between(230.0, 300.0, 10.0),
                    te: 2.5,
                    flip: between(65.0, 75.0, 5.0),
                },
                (T1::SpinEcho, _) => Weighting::SpinEcho {
                    tr: between(450.0, 650.0, 10.0),
                    te: between(8.0, 13.0, 0.5),
                },
            },
            Kind::T1Volume => Weighting::Mprage {
                tr: between(1900.0, 2300.0, 50.0),
                ti: by_field(950.0, 930.0) + between(-40.0, 40.0, 10.0),
                te: between(2.3, 3.4, 0.1),
                flip: between(8.0, 12.0, 1.0),
            },
            Kind::T2 => Weighting::SpinEcho {
                tr: between(3800.0, 6000.0, 50.0),
                te: between(84.0, 112.0, 1.0),
            },
            Kind::ProtonDensity => Weighting::SpinEcho {
                tr: between(2300.0, 3200.0, 50.0),
                te: between(14.0, 30.0, 1.0),
            },
            Kind::Flair => {
                let tr = between(8500.0, 10000.0, 100.0);
                // The inversion time that nulls fluid, up to the rounding of the user interface.
                let csf = by_field(4070.0, 4200.0);
                let null = csf * (2.0 / (1.0 + (-tr / csf).exp())).ln();
                let ti = ((null + between(-40.0, 40.0, 10.0)) / 10.0).round() * 10.0;
                Weighting::InversionRecovery { tr, ti, te: between(92.0, 135.0, 1.0) }
            }
            Kind::Diffusion | Kind::DiffusionB0 | Kind::Adc => {
                let [tr, te] = self.diffusion.0;
                match kind {
                    Kind::Adc => Weighting::Adc { tr, te, b: 1000.0 },
                    Kind::Diffusion => Weighting::Diffusion { tr, te, b: 1000.0 },
                    _ => Weighting::Diffusion { tr, te, b: 0.0 },
                }
            }
            Kind::Susceptibility => Weighting::Susceptibility {
                tr: by_field(49.0, 28.0),
                te: by_field(38.0, 20.0) + between(-2.0, 2.0, 0.5),
                flip: 15.0,
            },
            Kind::GradientEcho => Weighting::Susceptibility {
                tr: between(550.0, 850.0, 10.0),
                te: by_field(25.0, 18.0) + between(-3.0, 3.0, 0.5),
                flip: 20.0,
            },
            Kind::Angiography => Weighting::TimeOfFlight {
                tr: between(21.0, 27.0, 1.0),
                te: by_field(6.0, 3.6),
                flip: between(18.0, 25.0, 1.0),
            },
        }
    }
}
