//! How many studies a trial needs.

use serde::{Deserialize, Serialize};

use crate::distribution::{normal_above, normal_quantile};

/// A difference that needs more studies than this is the margin, but for rounding.
const MOST_STUDIES: f64 = 1e15;

/// A trial that compares the shares of successes of two groups, and shall show that the treated
/// one's is better by more than a margin.
///
/// The one-sided normal test of Chow, Shao and Wang ("Sample Size Calculations in Clinical
/// Research", section 4.2), as `epi.sssupb` of R's package epiR has it. Only the distance of the
/// expected difference from the margin counts, not its sign: the paper expects no difference at
/// all, beyond a margin of 2 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Superiority {
    /// Expected share of successes with the treatment.
    pub treatment: f64,
    /// Expected share of successes of the control.
    pub control: f64,
    /// Least difference that counts.
    pub margin: f64,
    /// Probability of a false success, on one side.
    pub alpha: f64,
    /// Studies of the treatment for each one of the control.
    pub ratio: f64,
}

/// Studies that a trial needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// With the treatment.
    pub treatment: u64,
    /// Without it.
    pub control: u64,
}

impl Size {
    /// Both groups together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.treatment + self.control
    }
}

impl Superiority {
    /// Studies with which the trial succeeds with this probability; either group is rounded up.
    /// `None` when the expected difference is the margin, or a share is not between 0 and 1.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive and below the limit"
    )]
    pub fn size(&self, power: f64) -> Option<Size> {
        let z = normal_quantile(1.0 - self.alpha) + normal_quantile(power);
        let variance = variance(self.treatment) / self.ratio + variance(self.control);
        let control = (variance * (z / self.distance()).powi(2)).ceil();
        let treatment = (control * self.ratio).ceil();
        let found = self.is_sound() && power > 0.0 && power < 1.0 && treatment < MOST_STUDIES;
        found.then_some(Size { treatment: treatment as u64, control: control as u64 })
    }

    /// Probability that a trial of this size succeeds. `None` as for [`Self::size`].
    #[must_use]
    pub fn power(&self, size: Size) -> Option<f64> {
        let part = |share: f64, count: u64| variance(share) / count as f64;
        let error = part(self.treatment, size.treatment) + part(self.control, size.control);
        let z = self.distance() / error.sqrt() - normal_quantile(1.0 - self.alpha);
        (self.is_sound() && self.distance() > 0.0).then(|| normal_above(-z))
    }

    /// Of the expected difference from the margin.
    fn distance(&self) -> f64 {
        (self.treatment - self.control - self.margin).abs()
    }

    fn is_sound(&self) -> bool {
        let within = |share: f64| share > 0.0 && share < 1.0;
        [self.treatment, self.control, self.alpha].into_iter().all(within) && self.ratio > 0.0
    }
}

fn variance(share: f64) -> f64 {
    share * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_trial_needs_22338_studies() {
        let trial =
            Superiority { treatment: 0.78, control: 0.78, margin: 0.02, alpha: 0.01, ratio: 1.0 };
        let size = trial.size(0.9).unwrap();
        assert_eq!((size.treatment, size.control, size.total()), (11_169, 11_169, 22_338));
        // The cohort that was tested.
        let tested = trial.power(Size { treatment: 14_718, control: 14_717 }).unwrap();
        assert!((tested - 0.965_261_241).abs() < 1e-9, "{tested}");
    }

    #[test]
    fn examples_of_the_package_come_out() {
        let trial =
            Superiority { treatment: 0.6, control: 0.5, margin: 0.2, alpha: 0.025, ratio: 1.0 };
        assert_eq!(trial.size(0.9).unwrap(), Size { treatment: 515, control: 515 });
        assert_eq!(Superiority { margin: 0.1, ..trial }.size(0.9), None);
        assert_eq!(Superiority { alpha: 0.0, ..trial }.size(0.9), None);
    }

    proptest! {
        #[test]
        fn the_size_has_the_power_and_no_study_too_many(
            treatment in 0.1_f64..0.9, control in 0.1_f64..0.9, margin in 0.0_f64..0.1,
            power in 0.5_f64..0.99,
        ) {
            let trial = Superiority { treatment, control, margin, alpha: 0.025, ratio: 1.0 };
            prop_assume!(trial.distance() > 0.01);
            let size = trial.size(power).unwrap();
            prop_assert!(trial.power(size).unwrap() >= power - 1e-12);
            prop_assume!(size.control > 2);
            let less = Size { treatment: size.treatment - 1, control: size.control - 1 };
            prop_assert!(trial.power(less).unwrap() < power);
        }
    }
}
