//! What a list of numbers says about itself: mean, spread, quantiles, ranks.
#![expect(clippy::float_cmp, reason = "ties are equal values, exactly")]

/// Mean; not a number without values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Unbiased variance; 0 for a single value.
#[must_use]
pub fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    let sum: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    sum / (values.len().max(2) - 1) as f64
}

/// The value that a share `q` of ascending values lies below, on a straight line between two
/// neighbours (type 7 of Hyndman and Fan 1996, which NumPy and R use unless told otherwise).
///
/// # Panics
/// When there is no value, or `q` is not between 0 and 1.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between the first and the last value"
)]
pub fn quantile(ascending: &[f64], q: f64) -> f64 {
    assert!(!ascending.is_empty() && (0.0..=1.0).contains(&q), "share {q} of no values");
    let place = q * (ascending.len() - 1) as f64;
    let below = place as usize;
    let (low, high) = (ascending[below], ascending[(below + 1).min(ascending.len() - 1)]);
    // Equal infinities have no difference.
    if low == high { low } else { low + (high - low) * (place - below as f64) }
}

/// The values in ascending order.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Ranks from 1; equal values share their mean rank.
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        before += tied.len();
    }
    ranks
}
