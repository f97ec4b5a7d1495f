//! Several hypotheses at once: probabilities adjusted so that each is compared with the level that
//! all of them together shall keep. None is above 1.

/// Bonferroni: each times their number. Bounds the probability of any false alarm.
#[must_use]
pub fn bonferroni(p_values: &[f64]) -> Vec<f64> {
    p_values.iter().map(|p| (p * p_values.len() as f64).min(1.0)).collect()
}

/// Holm (Scandinavian Journal of Statistics 1979): the smallest times their number, the next times
/// one less, and so on, never falling. Bounds what Bonferroni's does, with smaller values.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let left = (1..=p_values.len()).rev().map(|count| count as f64);
    stepwise(p_values, ascending(p_values).into_iter().zip(left), f64::max, 0.0)
}

/// Benjamini and Hochberg (Journal of the Royal Statistical Society B 1995): the share of false
/// alarms among all alarms, for independent hypotheses.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let n = p_values.len() as f64;
    let ranks = (1..=p_values.len()).rev().map(|rank| rank as f64);
    let largest_first = ascending(p_values).into_iter().rev().zip(ranks);
    stepwise(p_values, largest_first.map(|(index, rank)| (index, n / rank)), f64::min, 1.0)
}

fn ascending(p_values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    order
}

/// Multiplies values by their factors, in this order, and never goes back behind the last one.
fn stepwise(
    p_values: &[f64],
    factors: impl IntoIterator<Item = (usize, f64)>,
    further: fn(f64, f64) -> f64,
    mut last: f64,
) -> Vec<f64> {
    let mut adjusted = vec![0.0; p_values.len()];
    for (index, factor) in factors {
        last = further(last, p_values[index] * factor).min(1.0);
        adjusted[index] = last;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_is_at_most_as_strict_as_the_one_before(
            p_values in prop::collection::vec(0.0_f64..1.0, 0..40),
        ) {
            let all = [benjamini_hochberg(&p_values), holm(&p_values), bonferroni(&p_values)];
            for (i, p) in p_values.iter().enumerate() {
                let chain = [*p, all[0][i], all[1][i], all[2][i]];
                prop_assert!(chain.windows(2).all(|pair| pair[0] <= pair[1] + 1e-15), "{:?}", chain);
                prop_assert!(chain[3] <= 1.0);
            }
        }
    }
}
