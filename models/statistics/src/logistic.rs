//! Logistic regression with an L2 penalty, by limited-memory BFGS (Nocedal and Wright, Numerical
//! Optimization, algorithms 7.4 and 7.5).

use std::collections::VecDeque;

use crate::calibration::{sigmoid, softplus};
use crate::rows::Rows;

/// Pairs of steps that stand for the curvature.
const MEMORY: usize = 10;
const MOST_ITERATIONS: usize = 200;
/// Largest component of the gradient at the end.
const TOLERANCE: f64 = 1e-7;
/// Share of the predicted decrease that a step must reach.
const ARMIJO: f64 = 1e-4;

/// Mean and standard deviation of every feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    mean: Vec<f64>,
    /// 0 for a constant feature.
    inverse_deviation: Vec<f64>,
}

impl Standard {
    /// Over `studies`, values that are not numbers left out.
    #[must_use]
    pub fn of(features: Rows<'_>, studies: &[usize]) -> Self {
        let mut moments = vec![[0.0; 3]; features.width()];
        for study in studies {
            for (moment, value) in moments.iter_mut().zip(features.row(*study)) {
                let value = f64::from(*value);
                if value.is_finite() {
                    *moment = [moment[0] + 1.0, moment[1] + value, moment[2] + value * value];
                }
            }
        }
        let mean: Vec<f64> = moments.iter().map(|[n, sum, _]| sum / n.max(1.0)).collect();
        let inverse_deviation = moments.iter().zip(&mean).map(|([n, _, square], mean)| {
            let variance = square / n.max(1.0) - mean * mean;
            // What rounding leaves of a constant is no variance.
            if variance > 1e-12 * (mean * mean + 1e-12) { variance.sqrt().recip() } else { 0.0 }
        });
        Self { inverse_deviation: inverse_deviation.collect(), mean }
    }

    /// Standardised values; absent ones are average.
    #[expect(clippy::cast_possible_truncation, reason = "features are single precision")]
    pub fn apply(&self, row: &[f32]) -> impl Iterator<Item = f32> {
        row.iter().zip(&self.mean).zip(&self.inverse_deviation).map(|((value, mean), scale)| {
            let value = (f64::from(*value) - mean) * scale;
            if value.is_finite() { value as f32 } else { 0.0 }
        })
    }
}

/// The logit of a row; the last value of the model is the intercept.
///
/// # Panics
/// When the model has fewer values than the row has and one.
#[must_use]
pub fn score(model: &[f64], row: &[f32]) -> f64 {
    // Four sums, so that the additions need not wait for each other.
    let (values, values_rest) = row.as_chunks::<4>();
    let (weights, _) = model.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (values, weights) in values.iter().zip(weights) {
        for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
            *sum += f64::from(*value) * weight;
        }
    }
    let weights_rest = &model[row.len() - values_rest.len()..row.len()];
    let rest: f64 = values_rest.iter().zip(weights_rest).map(|(v, w)| f64::from(*v) * w).sum();
    sums.iter().sum::<f64>() + rest + model[row.len()]
}

/// Minimises mean cross entropy + `penalty` / 2 * squared length of the weights without the
/// intercept, starting from `model`, which holds the result: a weight for each column, then the intercept.
///
/// # Panics
/// When `model` has another length, or there are not as many rows as labels.
pub fn fit(rows: Rows<'_>, labels: &[bool], penalty: f64, model: &mut Vec<f64>) {
    let mut memory: VecDeque<Pair> = VecDeque::new();
    let (mut loss, mut gradient) = objective(rows, labels, penalty, model);
    for _ in 0..MOST_ITERATIONS {
        if gradient.iter().all(|g| g.abs() < TOLERANCE) {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut step = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt() } else { 1.0 };
        let accepted = (0..40).find_map(|_| {
            let next: Vec<f64> = model.iter().zip(&direction).map(|(w, d)| w + step * d).collect();
            let (next_loss, next_gradient) = objective(rows, labels, penalty, &next);
            if next_loss <= loss + ARMIJO * step * slope {
                return Some((next, next_loss, next_gradient));
            }
            step /= 2.0;
            None
        });
        // The loss is as low as its rounding shows.
        let Some((next, next_loss, next_gradient)) = accepted else { break };
        let change = difference(&next, model);
        let bend = difference(&next_gradient, &gradient);
        let curvature = dot(&change, &bend);
        if curvature > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Pair { change, bend, curvature });
        }
        (*model, loss, gradient) = (next, next_loss, next_gradient);
    }
}

/// A step taken, and how the gradient changed along it.
struct Pair {
    change: Vec<f64>,
    bend: Vec<f64>,
    /// Their product.
    curvature: f64,
}

/// The two-loop recursion.
fn direction(gradient: &[f64], memory: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::new();
    for pair in memory.iter().rev() {
        let share = dot(&pair.change, &direction) / pair.curvature;
        add(&mut direction, -share, &pair.bend);
        shares.push(share);
    }
    if let Some(newest) = memory.back() {
        let scale = newest.curvature / dot(&newest.bend, &newest.bend);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, share) in memory.iter().zip(shares.iter().rev()) {
        let correction = dot(&pair.bend, &direction) / pair.curvature;
        add(&mut direction, share - correction, &pair.change);
    }
    direction
}

fn objective(rows: Rows<'_>, labels: &[bool], penalty: f64, model: &[f64]) -> (f64, Vec<f64>) {
    let width = rows.width();
    let share = 1.0 / labels.len() as f64;
    let mut loss = 0.0;
    let mut gradient = vec![0.0; width + 1];
    for (row, label) in rows.iter().zip(labels) {
        let logit = score(model, row);
        let target = f64::from(u8::from(*label));
        loss += softplus(logit) - target * logit;
        let error = (sigmoid(logit) - target) * share;
        for (slot, value) in gradient.iter_mut().zip(row) {
            *slot += error * f64::from(*value);
        }
        gradient[width] += error;
    }
    let weights = &model[..width];
    add(&mut gradient[..width], penalty, weights);
    (loss * share + penalty / 2.0 * dot(weights, weights), gradient)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::example;

    #[test]
    fn fit_equals_scikit_learn() {
        let (_, labels) = example();
        let features: Vec<f32> = (0..60_u32)
            .flat_map(|i| (0..4_u32).map(move |j| (f64::from(i), f64::from(j))))
            .map(|(i, j)| {
                let shift = if j == 0.0 && labels[i as usize] { 0.8 } else { 0.0 };
                ((0.37 * i * (j + 1.0) + j).sin() + shift) as f32
            })
            .collect();
        let mut model = vec![0.0; 5];
        fit(Rows::new(&features, 4), &labels, 0.02, &mut model);
        let expected = [
            1.216_067_725_892_589_2,
            -0.088_324_068_345_192_98,
            0.083_374_477_713_585_53,
            -0.048_494_751_548_497_944,
            0.304_549_760_624_516_94,
        ];
        for (found, expected) in model.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
