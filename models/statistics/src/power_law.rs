//! Power laws through few points: how a figure grows with data or compute.

use serde::{Deserialize, Serialize};

use crate::distribution::{root, student_quantile};
use crate::interval::TAIL;
use crate::sample::mean;

/// Exponents beyond are not looked for.
const MOST_EXPONENT: f64 = 8.0;
/// Steps between 0 and there at which a minimum is looked for first.
const STEPS: i32 = 400;

/// `scale * x^exponent + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Factor of the power.
    pub scale: f64,
    /// The power.
    pub exponent: f64,
    /// Value that the curve leaves, or comes to.
    pub offset: f64,
    /// Lower end of the exponent's 95 % confidence interval.
    pub lower: f64,
    /// Upper end of it.
    pub upper: f64,
    /// Root mean square distance of the points, in the units that were fitted.
    pub residual: f64,
}

impl PowerLaw {
    /// The curve's value.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.scale * x.powf(self.exponent) + self.offset
    }

    /// The straight line through `ln x` and `ln |y - offset|`, by least squares: each point counts
    /// by its relative distance. The interval is Student's. `None` for fewer than three points, equal
    /// or negative `x`, or points on both sides of the offset.
    ///
    /// # Panics
    /// When there are not as many `x` as `y`.
    #[must_use]
    pub fn with_offset(x: &[f64], y: &[f64], offset: f64) -> Option<Self> {
        assert_eq!(x.len(), y.len(), "pairs of numbers");
        let logarithms = logarithms(x)?;
        let heights: Vec<f64> = y.iter().map(|y| y - offset).collect();
        let sign = heights.first()?.signum();
        let heights: Vec<f64> = heights.iter().map(|height| (sign * height).ln()).collect();
        let line = Line::through(&logarithms, &heights)?;
        let freedom = x.len().checked_sub(2).filter(|freedom| *freedom > 0)? as f64;
        let error = (line.squares / freedom / line.spread).sqrt();
        let margin = student_quantile(TAIL, freedom) * error;
        heights.iter().all(|height| height.is_finite()).then(|| Self {
            scale: sign * line.intercept.exp(),
            exponent: line.slope,
            offset,
            lower: line.slope - margin,
            upper: line.slope + margin,
            residual: (line.squares / x.len() as f64).sqrt(),
        })
    }

    /// All three numbers by least squares. For a given exponent the other two are a straight line
    /// (variable projection, Golub and Pereyra 1973), so that one number is looked for, between -8
    /// and 8. The interval is Student's, with the curve taken for straight around the minimum.
    /// `None` for fewer than four points, equal or negative `x`, or no minimum.
    ///
    /// # Panics
    /// When there are not as many `x` as `y`.
    #[must_use]
    pub fn fit(x: &[f64], y: &[f64]) -> Option<Self> {
        assert_eq!(x.len(), y.len(), "pairs of numbers");
        let freedom = x.len().checked_sub(3).filter(|freedom| *freedom > 0)? as f64;
        let logarithms = logarithms(x)?;
        // Around the middle of the points powers stay near 1.
        let middle = mean(&logarithms);
        let t: Vec<f64> = logarithms.iter().map(|logarithm| logarithm - middle).collect();
        let exponent = best_exponent(&t, y)?;
        let line = Line::through(&powers(&t, exponent), y)?;
        let scale = line.slope / exponent;
        // How the curve moves with its exponent, less what a line takes of it.
        let moves: Vec<f64> = t.iter().map(|t| scale * t * (exponent * t).exp()).collect();
        let spread = Line::through(&powers(&t, exponent), &moves)?.squares;
        let margin = student_quantile(TAIL, freedom) * (line.squares / freedom / spread).sqrt();
        Some(Self {
            scale: scale * (-exponent * middle).exp(),
            exponent,
            offset: line.intercept - scale,
            lower: exponent - margin,
            upper: exponent + margin,
            residual: (line.squares / x.len() as f64).sqrt(),
        })
    }
}

/// `None` unless all are finite and not all the same.
fn logarithms(x: &[f64]) -> Option<Vec<f64>> {
    let logarithms: Vec<f64> = x.iter().map(|x| x.ln()).collect();
    let differ = logarithms.iter().any(|l| (l - logarithms[0]).abs() > 1e-12);
    (differ && logarithms.iter().all(|l| l.is_finite())).then_some(logarithms)
}

/// `(e^(exponent t) - 1) / exponent`, which is `t` for an exponent of 0 (Box and Cox 1964).
fn powers(t: &[f64], exponent: f64) -> Vec<f64> {
    let power = |t: &f64| if exponent == 0.0 { *t } else { (exponent * t).exp_m1() / exponent };
    t.iter().map(power).collect()
}

/// What a power gains with its exponent, over the square of the logarithm: `z` is the product of
/// both. Near 0, where the difference cancels, its series.
fn bend(z: f64) -> f64 {
    if z.abs() < 0.01 {
        0.5 + z * (1.0 / 3.0 + z * (1.0 / 8.0 + z * (1.0 / 30.0 + z / 144.0)))
    } else {
        (z * z.exp() - z.exp_m1()) / (z * z)
    }
}

/// The exponent of the least sum of squares.
fn best_exponent(t: &[f64], y: &[f64]) -> Option<f64> {
    let at = |step: i32| f64::from(step) * MOST_EXPONENT / f64::from(STEPS);
    let squares = |step: &i32| {
        Line::through(&powers(t, at(*step)), y).map_or(f64::INFINITY, |line| line.squares)
    };
    let best = (-STEPS..=STEPS).min_by(|a, b| squares(a).total_cmp(&squares(b)))?;
    // Half the derivative.
    let rising = |exponent: f64| {
        let line = Line::through(&powers(t, exponent), y);
        line.map_or(0.0, |line| {
            let residuals =
                powers(t, exponent).into_iter().zip(y).map(|(u, y)| line.residual(u, *y));
            let terms = residuals.zip(t).map(|(residual, t)| residual * t * t * bend(exponent * t));
            -line.slope * terms.sum::<f64>()
        })
    };
    (best.abs() < STEPS).then(|| root(at(best - 1), at(best + 1), rising))
}

/// A straight line by least squares.
struct Line {
    slope: f64,
    intercept: f64,
    /// Sum of squared distances of the abscissas from their mean.
    spread: f64,
    /// Sum of squared residuals.
    squares: f64,
}

impl Line {
    /// `None` when the abscissas are equal, or a number is not finite.
    fn through(x: &[f64], y: &[f64]) -> Option<Self> {
        let (mean_x, mean_y) = (mean(x), mean(y));
        let spread: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
        let product: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let slope = product / spread;
        let mut line = Self { slope, intercept: mean_y - slope * mean_x, spread, squares: 0.0 };
        line.squares = x.iter().zip(y).map(|(x, y)| line.residual(*x, *y).powi(2)).sum();
        (line.squares.is_finite() && spread > 0.0).then_some(line)
    }

    fn residual(&self, x: f64, y: f64) -> f64 {
        y - self.intercept - self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const X: [f64; 6] = [1e3, 3e3, 1e4, 3e4, 1e5, 2.2e5];

    proptest! {
        #[test]
        fn points_on_a_curve_give_it_back(
            scale in 0.1_f64..3.0, falls: bool, exponent in 0.1_f64..1.5, offset in -1.0_f64..1.0,
        ) {
            let exponent = if falls { -exponent } else { exponent };
            let scale = scale * 1e4_f64.powf(-exponent);
            let law = PowerLaw { scale, exponent, offset, lower: 0.0, upper: 0.0, residual: 0.0 };
            let y = X.map(|x| law.at(x));
            for found in [PowerLaw::with_offset(&X, &y, offset), PowerLaw::fit(&X, &y)] {
                let found = found.unwrap();
                prop_assert!((found.exponent - exponent).abs() < 1e-5, "{:?}", found);
                prop_assert!((found.at(1e6) / law.at(1e6) - 1.0).abs() < 1e-3, "{:?}", found);
                prop_assert!(found.lower <= found.exponent && found.exponent <= found.upper);
            }
        }
    }

    #[test]
    fn curves_that_are_none() {
        assert_eq!(PowerLaw::fit(&X[..3], &[1.0, 2.0, 3.0]), None);
        assert_eq!(PowerLaw::with_offset(&X[..3], &[1.0, 2.0, 3.0], 2.5), None);
        assert_eq!(PowerLaw::with_offset(&[5.0; 3], &[1.0, 2.0, 3.0], 0.0), None);
        assert_eq!(PowerLaw::with_offset(&[-1.0, 1.0, 2.0], &[1.0, 2.0, 3.0], 0.0), None);
    }
}
