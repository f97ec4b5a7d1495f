//! Time from acquisition to the final report, with planted disparities.
//!
//! The model is multiplicative and log-normal, so that a fairness tool has a known answer:
//!
//! `hours = setting * acuity * county * weekend * insurance * exp(SIGMA * z)`, z standard normal.
//!
//! | factor | value |
//! |---|---|
//! | setting, median hours | emergency 4, inpatient 12, outpatient 36 |
//! | acuity | high 0.45, medium 0.70, low 0.95, none 1 |
//! | county | rural [`RURAL`], suburban [`SUBURBAN`], urban 1 |
//! | Saturday, Sunday | [`WEEKEND`], else 1 |
//! | insurance | government [`GOVERNMENT`], none [`UNINSURED`], private 1 |
//! | sex, age, manufacturer, diagnosis beyond its acuity | 1: none is planted |
//!
//! Medians therefore differ by exactly these factors between patients who are alike otherwise.
//! Raw medians of groups differ also because the groups are not alike: government insurance is
//! commoner from 65 years on, weekends hold few outpatients.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::patient::Patient;
use crate::cohort::record::{Acuity, Density, Insurance, Setting};

/// Patients of rural counties wait 60 % longer than those of urban ones.
pub const RURAL: f64 = 1.60;
/// Patients of suburban counties wait 10 % longer than those of urban ones.
pub const SUBURBAN: f64 = 1.10;
/// Studies of Saturdays and Sundays wait 50 % longer than those of working days.
pub const WEEKEND: f64 = 1.50;
/// Patients with government insurance wait 15 % longer than those with a private one.
pub const GOVERNMENT: f64 = 1.15;
/// Patients without insurance wait 25 % longer than those with a private one.
pub const UNINSURED: f64 = 1.25;
/// Standard deviation of the logarithm within a group.
pub const SIGMA: f64 = 0.75;

/// Median hours of patients like this one.
#[must_use]
pub fn median_h(patient: &Patient, acuity: Acuity) -> f64 {
    let setting = match patient.setting {
        Setting::Emergency => 4.0,
        Setting::Inpatient => 12.0,
        Setting::Outpatient => 36.0,
    };
    let acuity = match acuity {
        Acuity::High => 0.45,
        Acuity::Medium => 0.70,
        Acuity::Low => 0.95,
        Acuity::None => 1.0,
    };
    let county = match patient.county_density {
        Density::Rural => RURAL,
        Density::Suburban => SUBURBAN,
        Density::Urban => 1.0,
    };
    let weekend = if patient.weekend() { WEEKEND } else { 1.0 };
    let insurance = match patient.insurance {
        Insurance::Government => GOVERNMENT,
        Insurance::Uninsured => UNINSURED,
        Insurance::Private => 1.0,
    };
    setting * acuity * county * weekend * insurance
}

/// Draws the hours from acquisition to the final report, to a hundredth.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "hours need few digits")]
pub fn draw_h(patient: &Patient, acuity: Acuity, rng: &mut ChaCha8Rng) -> f32 {
    let z: f64 = StandardNormal.sample(rng);
    let hours = median_h(patient, acuity) * (SIGMA * z).exp();
    ((hours * 100.0).round() / 100.0).max(0.05) as f32
}

#[cfg(test)]
mod tests;
