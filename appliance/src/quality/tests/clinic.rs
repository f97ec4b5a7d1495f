//! Figures and scores as a scanner makes them. Spreads are those of routine MR: brightness has no
//! unit and varies by an eighth from patient to patient.

use std::collections::BTreeMap;

use crate::store::quality::{Measured, MeasuredSeries};

/// Scores of a study.
pub(super) const OUTPUTS: usize = 20;
/// Outputs that an upgrade shifts.
const SHIFTED: usize = 3;

/// The same numbers for the same seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// From 0 to below 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A scanner and its patients.
pub(super) struct Clinic {
    random: Random,
    upgraded: bool,
}

/// Names of the model's outputs.
pub(super) fn outputs() -> Vec<String> {
    (0..OUTPUTS)
        .map(|i| if i < SHIFTED { format!("shifted{i}") } else { format!("steady{i}") })
        .collect()
}

impl Clinic {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random(seed), upgraded: false }
    }

    /// Brighter images with less noise, a series more that cannot be used, and three labels whose
    /// scores rise.
    pub(super) fn upgrade(&mut self) {
        self.upgraded = true;
    }

    pub(super) fn software(&self) -> &'static str {
        if self.upgraded { "V2" } else { "V1" }
    }

    /// The next study.
    pub(super) fn measured(&mut self) -> Measured {
        let new = f64::from(u8::from(self.upgraded));
        let random = &mut self.random;
        let patient = 0.12 * random.normal();
        let head = 0.08 * random.normal();
        let kinds = [("t1", 600.0), ("t2", 900.0), ("flair", 400.0), ("diffusion", 250.0)];
        let series = kinds.into_iter().map(|(kind, brightness)| {
            let mut about = |value: f64, sd: f64| value * (sd * random.normal()).exp();
            let foreground = about(0.27, 0.05) * head.exp();
            MeasuredSeries {
                kind: kind.to_owned(),
                slices: 25.0,
                slice_mm: 5.5,
                tokens: (1600.0 * foreground).round(),
                brightness: about(brightness, 0.06) * (patient + 0.28 * new).exp(),
                contrast: about(0.4, 0.08),
                noise: about(0.012, 0.15) * (-0.1 * new).exp(),
                foreground,
            }
        });
        let series = series.collect();
        let unusable = u32::from(random.uniform() < 0.2 + 0.6 * new);
        let left_out =
            BTreeMap::from([("localiser".to_owned(), 1), ("geometry".to_owned(), unusable)]);
        let illness = random.normal();
        let scores = (0..OUTPUTS).map(|i| {
            let shift = if i < SHIFTED { 1.8 * new } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, reason = "a score of a few units")]
            let score = (-2.0 + 0.5 * illness + random.normal() + shift) as f32;
            score
        });
        Measured { series, left_out, scores: scores.collect(), outputs: outputs() }
    }
}
