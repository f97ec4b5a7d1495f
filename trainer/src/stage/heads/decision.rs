//! From an output's logits to its threshold and probability, on studies that it was not fitted on.

use models::weights::manifest::Calibration;
use serde::{Deserialize, Serialize};

use statistics::calibration::Calibration as Fit;
use statistics::threshold::OperatingPoint;

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMethod {
    /// A factor and a summand of the logit.
    #[default]
    Platt,
    /// A factor of the logit.
    Temperature,
    /// A rising polyline; wants hundreds of positives.
    Isotonic,
}

impl CalibrationMethod {
    #[expect(clippy::cast_possible_truncation, reason = "bundles hold f32")]
    fn fit(self, scores: &[f64], labels: &[bool]) -> Calibration {
        let fit = match self {
            Self::Platt => Fit::platt(scores, labels),
            Self::Temperature => Fit::temperature(scores, labels),
            Self::Isotonic => Fit::isotonic(scores, labels),
        };
        match fit {
            Fit::Platt { slope, intercept } => {
                Calibration::Sigmoid { scale: slope as f32, offset: intercept as f32 }
            }
            Fit::Temperature { temperature } => {
                Calibration::Sigmoid { scale: (1.0 / temperature) as f32, offset: 0.0 }
            }
            Fit::Isotonic { knots } => {
                let mut knots: Vec<[f32; 2]> =
                    knots.into_iter().map(|knot| knot.map(|value| value as f32)).collect();
                // Logits that a f32 cannot tell apart.
                knots.dedup_by_key(|knot| knot[0]);
                Calibration::Isotonic { knots }
            }
        }
    }
}

/// Threshold and calibration of scores; a label without positives keeps 0 and none.
#[expect(clippy::cast_possible_truncation, reason = "bundles hold f32")]
pub(in crate::stage) fn decision(
    scores: &[f64],
    labels: &[bool],
    point: OperatingPoint,
    method: CalibrationMethod,
) -> (f32, Option<Calibration>) {
    let threshold = point.threshold(scores, labels).unwrap_or(0.0) as f32;
    let both = labels.iter().any(|l| *l) && labels.iter().any(|l| !*l);
    (threshold, both.then(|| method.fit(scores, labels)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_ranks_as_the_logits_do() {
        let scores = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0];
        let labels = [false, false, true, false, true, false, true, true];
        let point = OperatingPoint::Youden;
        for method in
            [CalibrationMethod::Platt, CalibrationMethod::Temperature, CalibrationMethod::Isotonic]
        {
            let (_, calibration) = decision(&scores, &labels, point, method);
            let calibration = calibration.unwrap();
            let found = scores.map(|score| calibration.probability(score as f32));
            assert!(found.is_sorted(), "{method:?}: {found:?}");
            assert!(found[0] < 0.5 && found[7] > 0.5, "{method:?}: {found:?}");
        }
        assert_eq!(decision(&scores, &[false; 8], point, CalibrationMethod::Platt).1, None);
    }
}
