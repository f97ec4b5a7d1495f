//! Tails and quantiles of the usual distributions.
//!
//! The error function and the incomplete gamma function are those of `statrs`. Its incomplete
//! beta function stops after 140 terms and takes the factor before them from differences of
//! large logarithms, which is wrong in the ninth digit for ten thousands of studies; ours is here.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::erf::{erfc, erfc_inv};
use statrs::function::gamma::{gamma_ur, ln_gamma};

/// Half the width of a 95 % interval in standard errors.
pub const Z95: f64 = 1.959_963_984_540_054;

/// Probability that a standard normal value lies above `x`.
#[must_use]
pub fn normal_above(x: f64) -> f64 {
    0.5 * erfc(x / SQRT_2)
}

/// Probability that a standard normal value lies at least as far from 0 as `x`.
#[must_use]
pub fn normal_two_sided(x: f64) -> f64 {
    erfc(x.abs() / SQRT_2).min(1.0)
}

/// The standard normal value that a share `p` lies below.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// Probability that Student's t lies at least as far from 0 as `t`.
pub(crate) fn student_two_sided(t: f64, freedom: f64) -> f64 {
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    let sum = freedom + square;
    beta_below(freedom / 2.0, 0.5, freedom / sum, square / sum)
}

/// The value that Student's t exceeds with probability `above`, at most one half.
pub(crate) fn student_quantile(above: f64, freedom: f64) -> f64 {
    let mut high = 1.0;
    while student_two_sided(high, freedom) > 2.0 * above && high < 1e300 {
        high *= 2.0;
    }
    root(0.0, high, |t| 2.0 * above - student_two_sided(t, freedom))
}

/// Probability that chi-squared lies above `x`.
pub(crate) fn chi_squared_above(x: f64, freedom: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() { 0.0 } else { gamma_ur(freedom / 2.0, x / 2.0) }
}

/// Probability that a beta distributed value lies below `x`; `y` is 1 - `x`, given apart so that
/// neither loses digits. The continued fraction is DLMF 8.17.22, by Lentz's method.
pub(crate) fn beta_below(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_below(b, a, y, x);
    }
    let tiny = f64::MIN_POSITIVE / f64::EPSILON;
    let apart = |value: f64| if value.abs() < tiny { tiny } else { value };
    let (mut c, mut d) = (1.0, 1.0 / apart(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for term in 1..100_000 {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for numerator in [even, odd] {
            d = 1.0 / apart(1.0 + numerator * d);
            c = apart(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() <= f64::EPSILON * fraction.abs() {
            break;
        }
    }
    beta_factor(a, b, x, y) / a * fraction
}

/// `x^a y^b / B(a, b)`, by Loader's saddle point ("Fast and accurate computation of binomial
/// probabilities", 2000), whose terms stay small where the value is not.
fn beta_factor(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    let exponent = stirling_error(n)
        - stirling_error(a)
        - stirling_error(b)
        - deviance(a, n * x)
        - deviance(b, n * y);
    (a * b / (2.0 * PI * n)).sqrt() * exponent.exp()
}

/// What Stirling's formula for `ln(n!)` leaves out.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        return ln_gamma(n + 1.0) - (n + 0.5) * n.ln() + n - (2.0 * PI).ln() / 2.0;
    }
    let s = (n * n).recip();
    (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / n
}

/// `x ln(x / m) + m - x` without cancellation where both are close.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() > 0.1 * (x + m) {
        return x * (x / m).ln() - difference;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    for j in 1..1000 {
        power *= v * v;
        let next = sum + power / f64::from(2 * j + 1);
        if (next - sum).abs() <= f64::EPSILON * sum.abs() {
            break;
        }
        sum = next;
    }
    sum
}

/// Where a rising function between `low` and `high` crosses 0, by halving until no number lies
/// between.
pub(crate) fn root(mut low: f64, mut high: f64, rising: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..2000 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if rising(middle) < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
