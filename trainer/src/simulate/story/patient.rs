//! Who is examined: drawn before any disease, so that nothing here but age and sex, from which
//! diseases are drawn, can say anything about a diagnosis.
//!
//! | attribute | distribution |
//! |---|---|
//! | age | 30 % children, uniform 1–18 years; 25 % uniform 18–45; 45 % normal 60 ± 15, kept in 18–95, written as 90 at most |
//! | sex | 51.7 % female, 48 % male, 0.3 % other |
//! | county | 22 % rural, 38 % suburban, 40 % urban |
//! | insurance, under 18 | 38 % government, 58 % private, 4 % none |
//! | insurance, 18–64 | 26 % government, 66 % private, 8 % none |
//! | insurance, from 65 | 82 % government, 17 % private, 1 % none |
//! | setting | 62 % outpatient, 22 % inpatient, 16 % emergency |
//! | day | uniform over the weeks of the cohort; its first day is a Monday |
//! | weekday, outpatients | 19.2 % each from Monday to Friday, 3 % Saturday, 1 % Sunday |
//! | weekday, others | 15 % each from Monday to Friday, 13 % Saturday, 12 % Sunday |
//!
//! The figures are ours, of the size that a tertiary hospital in the United States would find.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::cohort::record::{Demographics, Density, Insurance, Setting, Sex};

/// Oldest age that is written; who is older is written as this old.
pub const AGE_CAP_YEARS: f32 = 90.0;

/// A simulated patient at the time of the study.
#[derive(Clone, Debug, PartialEq)]
pub struct Patient {
    /// Age, at most [`AGE_CAP_YEARS`].
    pub age_years: f32,
    /// Sex.
    pub sex: Sex,
    /// Where the patient lives.
    pub county_density: Density,
    /// Who pays.
    pub insurance: Insurance,
    /// Where the patient comes from.
    pub setting: Setting,
    /// Day of acquisition since the cohort's first day, a Monday.
    pub day: u32,
}

impl Patient {
    /// Draws a patient examined within the first `weeks` weeks of the cohort (at least one).
    #[must_use]
    pub fn draw(weeks: u32, rng: &mut ChaCha8Rng) -> Self {
        let age_years = age(rng);
        let sex = pick(rng, &[(517, Sex::Female), (480, Sex::Male), (3, Sex::Other)]);
        let county_density =
            pick(rng, &[(22, Density::Rural), (38, Density::Suburban), (40, Density::Urban)]);
        let [government, private, none] = match age_years {
            a if a < 18.0 => [38, 58, 4],
            a if a < 65.0 => [26, 66, 8],
            _ => [82, 17, 1],
        };
        let insurance = pick(
            rng,
            &[
                (government, Insurance::Government),
                (private, Insurance::Private),
                (none, Insurance::Uninsured),
            ],
        );
        let setting = pick(
            rng,
            &[(62, Setting::Outpatient), (22, Setting::Inpatient), (16, Setting::Emergency)],
        );
        let weekday = match setting {
            Setting::Outpatient => {
                pick(rng, &[(192, 0), (192, 1), (192, 2), (192, 3), (192, 4), (30, 5), (10, 6)])
            }
            Setting::Inpatient | Setting::Emergency => {
                pick(rng, &[(15, 0), (15, 1), (15, 2), (15, 3), (15, 4), (13, 5), (12, 6)])
            }
        };
        let day = rng.random_range(0..weeks.max(1)) * 7 + weekday;
        Self { age_years, sex, county_density, insurance, setting, day }
    }

    /// Day of the week, Monday is 0.
    #[must_use]
    pub fn weekday(&self) -> u8 {
        // A remainder of seven fits a byte.
        u8::try_from(self.day % 7).unwrap_or(0)
    }

    /// True on Saturday and Sunday.
    #[must_use]
    pub fn weekend(&self) -> bool {
        self.weekday() >= 5
    }

    /// True below 18 years.
    #[must_use]
    pub fn child(&self) -> bool {
        self.age_years < 18.0
    }

    /// What the cohort says about the patient; the scanner's fields are left to the caller.
    #[must_use]
    pub fn demographics(&self, turnaround_h: f32) -> Demographics {
        Demographics {
            age_years: Some(self.age_years),
            sex: Some(self.sex),
            county_density: Some(self.county_density),
            insurance: Some(self.insurance),
            setting: Some(self.setting),
            weekday: Some(self.weekday()),
            turnaround_h: Some(turnaround_h),
            ..Demographics::default()
        }
    }
}

/// Age in years, to a tenth.
fn age(rng: &mut ChaCha8Rng) -> f32 {
    let years: f32 = match rng.random_range(0..100) {
        0..30 => rng.random_range(1.0..18.0),
        30..55 => rng.random_range(18.0..45.0),
        _ => elderly(rng),
    };
    ((years * 10.0).floor() / 10.0).min(AGE_CAP_YEARS)
}

/// Normal around 60 years, cut at 18 and 95 by drawing again.
fn elderly(rng: &mut ChaCha8Rng) -> f32 {
    let Ok(normal) = Normal::new(60.0_f32, 15.0) else { return 60.0 };
    loop {
        let years = normal.sample(rng);
        if (18.0..95.0).contains(&years) {
            return years;
        }
    }
}

/// One of the values, by weight; the weights' sum must not be zero.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, weighted: &[(u32, T)]) -> T {
    let sum = weighted.iter().map(|(weight, _)| weight).sum();
    let mut left = rng.random_range(0..sum);
    for &(weight, value) in weighted {
        if left < weight {
            return value;
        }
        left -= weight;
    }
    weighted[0].1
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
    fn attributes_follow_the_table() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let patients: Vec<Patient> = (0..20_000).map(|_| Patient::draw(260, &mut rng)).collect();
        let share = |holds: &dyn Fn(&Patient) -> bool| {
            patients.iter().filter(|p| holds(p)).count() as f64 / 20_000.0
        };
        let cases: [(&str, f64, f64); 8] = [
            ("children", share(&|p| p.child()), 0.30),
            ("female", share(&|p| p.sex == Sex::Female), 0.517),
            ("rural", share(&|p| p.county_density == Density::Rural), 0.22),
            ("emergency", share(&|p| p.setting == Setting::Emergency), 0.16),
            ("weekend", share(&|p| p.weekend()), 0.62 * 0.04 + 0.38 * 0.25),
            (
                "uninsured adults under 65",
                share(&|p| p.insurance == Insurance::Uninsured && !p.child() && p.age_years < 65.0)
                    / share(&|p| !p.child() && p.age_years < 65.0),
                0.08,
            ),
            (
                "government from 65",
                share(&|p| p.insurance == Insurance::Government && p.age_years >= 65.0)
                    / share(&|p| p.age_years >= 65.0),
                0.82,
            ),
            ("first half of the cohort", share(&|p| p.day < 910), 0.5),
        ];
        for (name, found, expected) in cases {
            assert!((found - expected).abs() < 0.012, "{name}: {found}, expected {expected}");
        }
        assert!(patients.iter().all(|p| (1.0..=AGE_CAP_YEARS).contains(&p.age_years)));
    }
}
