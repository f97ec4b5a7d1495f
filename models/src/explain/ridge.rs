//! Weighted ridge regression with an intercept, by Cholesky factors in 64 bits.
//!
//! The intercept is not penalised: columns and targets are centred at their weighted means first,
//! as scikit-learn's `Ridge` does. With more columns than rows the dual system is solved, which
//! has one unknown per row, so the work grows with the shorter side only.

use rayon::prelude::*;

use super::lime::Masks;

/// A fitted linear model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    /// One coefficient per column.
    pub(super) coefficients: Vec<f64>,
    /// Prediction for a row of zeros.
    pub(super) intercept: f64,
    /// Weighted coefficient of determination; 0 where the targets do not vary.
    pub(super) r2: f64,
}

/// Fits `targets` on the 0/1 rows of `masks` with one positive weight per row and penalty `alpha`.
pub(super) fn fit(masks: &Masks, targets: &[f64], weights: &[f64], alpha: f64) -> Fit {
    let (rows, columns) = (masks.samples(), masks.n_tokens());
    let total: f64 = weights.iter().sum();
    let target_mean = dot(targets, weights) / total;
    let mut column_means = vec![0.0; columns];
    for (row, weight) in masks.rows().zip(weights) {
        for (mean, &kept) in column_means.iter_mut().zip(row) {
            *mean += if kept { weight / total } else { 0.0 };
        }
    }

    let roots: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
    let centred: Vec<f64> =
        targets.iter().zip(&roots).map(|(t, root)| (t - target_mean) * root).collect();
    let entry = |row: usize, column: usize| {
        (f64::from(u8::from(masks.row(row)[column])) - column_means[column]) * roots[row]
    };
    let coefficients = if columns <= rows {
        let design = matrix(columns, rows, |column, row| entry(row, column));
        let right: Vec<f64> = design.par_chunks(rows).map(|line| dot(line, &centred)).collect();
        solve(gram(&design, columns, rows, alpha), right, alpha)
    } else {
        let design = matrix(rows, columns, entry);
        let dual = solve(gram(&design, rows, columns, alpha), centred, alpha);
        let mut coefficients = vec![0.0; columns];
        for (line, factor) in design.chunks(columns).zip(dual) {
            add_scaled(&mut coefficients, line, factor);
        }
        coefficients
    };

    let intercept = target_mean - dot(&column_means, &coefficients);
    let (mut residual, mut variation) = (0.0, 0.0);
    for ((row, target), weight) in masks.rows().zip(targets).zip(weights) {
        let kept = row.iter().zip(&coefficients).filter(|(kept, _)| **kept);
        let predicted = intercept + kept.map(|(_, coefficient)| coefficient).sum::<f64>();
        residual += weight * (target - predicted).powi(2);
        variation += weight * (target - target_mean).powi(2);
    }
    let r2 = if variation > 0.0 { 1.0 - residual / variation } else { 0.0 };
    Fit { coefficients, intercept, r2 }
}

/// A row-major `[height, width]` matrix of `entry(row, column)`.
fn matrix(height: usize, width: usize, entry: impl Fn(usize, usize) -> f64 + Sync) -> Vec<f64> {
    let mut matrix = vec![0.0; height * width];
    matrix.par_chunks_mut(width).enumerate().for_each(|(row, line)| {
        for (column, value) in line.iter_mut().enumerate() {
            *value = entry(row, column);
        }
    });
    matrix
}

/// Lines taken together, so that the lines they are multiplied with stay in the cache.
const BLOCK: usize = 32;

/// Lower triangle of `design · designᵀ + alpha · I`, row-major `[height, height]`.
fn gram(design: &[f64], height: usize, width: usize, alpha: f64) -> Vec<f64> {
    let mut gram = vec![0.0; height * height];
    gram.par_chunks_mut(height * BLOCK).enumerate().for_each(|(block, lines)| {
        let first = block * BLOCK;
        for column in 0..height.min(first + BLOCK) {
            let other = &design[column * width..][..width];
            for (offset, line) in lines.chunks_mut(height).enumerate() {
                if column <= first + offset {
                    line[column] = dot(&design[(first + offset) * width..][..width], other);
                }
            }
        }
        for (offset, line) in lines.chunks_mut(height).enumerate() {
            line[first + offset] += alpha;
        }
    });
    gram
}

/// Solves `a · x = right`, `a` given by its lower triangle; `alpha` is the part of its diagonal
/// that the penalty added.
fn solve(mut a: Vec<f64>, mut right: Vec<f64>, alpha: f64) -> Vec<f64> {
    let n = right.len();
    for first in (0..n).step_by(BLOCK) {
        let end = n.min(first + BLOCK);
        factor_block(&mut a[..end * n], n, first, alpha);
        let (above, below) = a.split_at_mut(end * n);
        below.par_chunks_mut(n).for_each(|line| {
            for column in first..end {
                eliminate(line, &above[column * n..][..=column], column);
            }
        });
    }
    for row in 0..n {
        let known = dot(&a[row * n..][..row], &right[..row]);
        right[row] = (right[row] - known) / a[row * n + row];
    }
    for row in (0..n).rev() {
        right[row] /= a[row * n + row];
        let (open, solved) = right.split_at_mut(row);
        add_scaled(open, &a[row * n..][..row], -solved[0]);
    }
    right
}

/// Replaces the lines of `a` from `first` on by those of its Cholesky factor.
fn factor_block(a: &mut [f64], n: usize, first: usize, alpha: f64) {
    for row in first..a.len() / n {
        let (above, line) = a.split_at_mut(row * n);
        for column in first..row {
            eliminate(line, &above[column * n..][..=column], column);
        }
        // A Gram matrix plus alpha on the diagonal has no pivot below alpha; only rounding could
        // bring one there.
        let pivot = (line[row] - dot(&line[..row], &line[..row])).max(alpha);
        line[row] = pivot.sqrt();
    }
}

/// Turns `line[column]` into the factor's entry, given the factor's row `column`.
fn eliminate(line: &mut [f64], factor: &[f64], column: usize) {
    let known = dot(&line[..column], &factor[..column]);
    line[column] = (line[column] - known) / factor[column];
}

/// Sum of products. Eight independent sums let the compiler use vector registers, and fix the
/// order of additions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// `sums += factor · line`.
fn add_scaled(sums: &mut [f64], line: &[f64], factor: f64) {
    for (sum, value) in sums.iter_mut().zip(line) {
        *sum += factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lime::masks;
    use super::*;

    /// The normal equations, written out and solved by Gauss-Jordan: slow and obvious.
    fn reference(masks: &Masks, targets: &[f64], weights: &[f64], alpha: f64) -> Vec<f64> {
        let n = masks.n_tokens() + 1;
        let mut system = vec![vec![0.0; n + 1]; n];
        for (row, line) in system.iter_mut().enumerate().take(n - 1) {
            line[row] = alpha;
        }
        for ((mask, target), weight) in masks.rows().zip(targets).zip(weights) {
            let mut x: Vec<f64> = mask.iter().map(|&kept| f64::from(u8::from(kept))).collect();
            x.push(1.0);
            for row in 0..n {
                for column in 0..n {
                    system[row][column] += weight * x[row] * x[column];
                }
                system[row][n] += weight * x[row] * target;
            }
        }
        for pivot in 0..n {
            let line = system[pivot].clone();
            for (row, other) in system.iter_mut().enumerate() {
                let factor =
                    if row == pivot { 1.0 - 1.0 / line[pivot] } else { other[pivot] / line[pivot] };
                for (value, pivot_value) in other.iter_mut().zip(&line) {
                    *value -= factor * pivot_value;
                }
            }
        }
        system.iter().map(|line| line[n]).collect()
    }

    fn check(n_tokens: usize, samples: usize, alpha: f64) {
        let masks = masks(n_tokens, samples, 7);
        let targets: Vec<f64> = (0..samples).map(|i| ((i * i) as f64 * 0.37).sin()).collect();
        let weights: Vec<f64> = (0..samples).map(|i| 0.1 + (i % 5) as f64).collect();
        let fit = fit(&masks, &targets, &weights, alpha);
        let expected = reference(&masks, &targets, &weights, alpha);
        for (found, expected) in fit.coefficients.iter().chain([&fit.intercept]).zip(&expected) {
            assert!((found - expected).abs() < 1e-9, "{n_tokens}x{samples}: {found} {expected}");
        }
    }

    #[test]
    fn both_forms_equal_the_written_out_equations() {
        check(1, 3, 1.0);
        check(9, 40, 1.0);
        check(70, 71, 0.5);
        check(71, 70, 0.5);
        check(90, 20, 1.0);
    }
}
