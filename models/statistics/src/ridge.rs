//! Linear regression with an L2 penalty, by conjugate gradients on the normal equations (Golub and
//! Van Loan, Matrix Computations, 4th edition, algorithm 11.3.3). Their matrix is never written
//! out, so that wide rows take no more room than they have.

use crate::logistic::score;
use crate::rows::Rows;

const MOST_ITERATIONS: usize = 2000;
/// Length of what is left of the right side at the end, relative to it.
const TOLERANCE: f64 = 1e-10;

/// Minimises half the mean squared error + `penalty` / 2 * squared length of the weights without
/// the intercept, starting from `model`, which holds the result: a weight for each column, then
/// the intercept. [`score`] applies it. Without rows the model stays as it is.
///
/// # Panics
/// When `model` has another length, or there are not as many rows as targets.
pub fn fit(rows: Rows<'_>, targets: &[f64], penalty: f64, model: &mut [f64]) {
    assert_eq!(
        (rows.len(), rows.width() + 1),
        (targets.len(), model.len()),
        "a target a row and a weight a column"
    );
    if rows.is_empty() {
        return;
    }
    let right = transposed(rows, targets.iter().copied());
    let enough = TOLERANCE * TOLERANCE * square(&right);
    let mut rest: Vec<f64> =
        right.iter().zip(product(rows, penalty, model)).map(|(b, ax)| b - ax).collect();
    let mut direction = rest.clone();
    let mut left = square(&rest);
    for _ in 0..MOST_ITERATIONS {
        if left <= enough {
            break;
        }
        let turned = product(rows, penalty, &direction);
        let step = left / direction.iter().zip(&turned).map(|(d, t)| d * t).sum::<f64>();
        // The least that numbers of this size can tell apart.
        if !step.is_finite() {
            break;
        }
        for (((weight, rest), direction), turned) in
            model.iter_mut().zip(&mut rest).zip(&direction).zip(&turned)
        {
            *weight += step * direction;
            *rest -= step * turned;
        }
        let before = std::mem::replace(&mut left, square(&rest));
        for (direction, rest) in direction.iter_mut().zip(&rest) {
            *direction = rest + left / before * *direction;
        }
    }
}

/// The matrix of the normal equations times a model.
fn product(rows: Rows<'_>, penalty: f64, model: &[f64]) -> Vec<f64> {
    let mut product = transposed(rows, rows.iter().map(|row| score(model, row)));
    for (value, weight) in product.iter_mut().zip(&model[..rows.width()]) {
        *value += penalty * weight;
    }
    product
}

/// Mean over the rows of each row, and a one for the intercept, times its value.
fn transposed(rows: Rows<'_>, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let share = 1.0 / rows.len() as f64;
    let mut sums = vec![0.0; rows.width() + 1];
    for (row, value) in rows.iter().zip(values) {
        let value = share * value;
        for (sum, feature) in sums.iter_mut().zip(row) {
            *sum += value * f64::from(*feature);
        }
        sums[rows.width()] += value;
    }
    sums
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More rows than columns and fewer; expected values are those of scikit-learn's `Ridge`, whose
    /// `alpha` is the penalty times the number of rows.
    #[test]
    fn fit_equals_scikit_learn() {
        let row = |i: u32, width: u32, phase: fn(f64) -> f64| {
            (0..width).map(move |j| {
                let j = f64::from(j);
                (0.37 * f64::from(i) * (j + 1.0) + phase(j)).sin() as f32
            })
        };
        let tall: Vec<f32> = (0..60).flat_map(|i| row(i, 4, |j| j)).collect();
        let target = |(i, row): (u32, &[f32])| {
            40.0 + 10.0 * f64::from(row[0]) - 3.0 * f64::from(row[1]) + (1.7 * f64::from(i)).cos()
        };
        let targets: Vec<f64> = (0..).zip(tall.chunks_exact(4)).map(target).collect();
        let wide: Vec<f32> = (0..5).flat_map(|i| row(i, 9, |j| j * j)).collect();
        let few = [30.0, 41.0, 52.0, 77.0, 18.0];
        let tall_expected = [
            9.600_330_455_383_553,
            -2.880_435_449_411_803,
            0.023_239_083_775_494_09,
            0.023_561_537_549_462_597,
            40.049_842_626_054_19,
        ];
        let wide_expected = [
            2.368_971_166_665_411,
            0.839_437_675_447_483,
            4.978_457_530_004_366,
            -0.320_550_781_712_623_4,
            12.250_296_100_162_522,
            -5.893_921_930_896_907,
            -4.211_563_523_287_226,
            7.739_010_918_473_273,
            -7.880_918_823_023_371_5,
            47.865_869_418_037_19,
        ];
        check(&tall, &targets, 0.02, &tall_expected);
        check(&wide, &few, 0.1, &wide_expected);
    }

    fn check(values: &[f32], targets: &[f64], penalty: f64, expected: &[f64]) {
        let rows = Rows::new(values, expected.len() - 1);
        for start in [0.0, 5.0] {
            let mut model = vec![start; expected.len()];
            fit(rows, targets, penalty, &mut model);
            for (found, expected) in model.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-7, "{found} {expected}");
            }
        }
    }
}
