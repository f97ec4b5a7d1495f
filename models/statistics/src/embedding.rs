//! Whether two sets of embeddings of the same studies agree: linear CKA and retrieval.

use std::cmp::Ordering;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;

/// Linear centred kernel alignment (Kornblith et al., ICML 2019) of two embeddings of the same
/// studies: 1 when one is the other turned and scaled. `None` when one of them is constant.
///
/// # Panics
/// When the numbers of studies differ.
#[must_use]
pub fn linear_cka(x: Rows<'_>, y: Rows<'_>) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "one row of each per study");
    let (a, b) = (centred(x), centred(y));
    // The kernels' inner products, without keeping kernels of n x n. Sums over a row are added
    // up in row order, so that the number of threads does not show.
    let rows: Vec<[f64; 3]> = (0..x.len())
        .into_par_iter()
        .map(|i| {
            let mut sums = [0.0; 3];
            for j in 0..=i {
                let weight = if i == j { 1.0 } else { 2.0 };
                let k = dot(row(&a, x.width(), i), row(&a, x.width(), j));
                let l = dot(row(&b, y.width(), i), row(&b, y.width(), j));
                for (sum, product) in sums.iter_mut().zip([k * l, k * k, l * l]) {
                    *sum += weight * product;
                }
            }
            sums
        })
        .collect();
    let sum = |index: usize| rows.iter().map(|sums| sums[index]).sum::<f64>();
    let scale = sum(1) * sum(2);
    (scale > 0.0).then(|| sum(0) / scale.sqrt())
}

/// How often a study's own report, or image, is among the first ones found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Pairs in a group.
    pub group: usize,
    /// Groups looked at; what is left over does not count.
    pub groups: usize,
    /// Share of images whose report is among the first `k`, as `(k, share)`.
    pub image_to_text: Vec<(usize, f64)>,
    /// Share of reports whose image is among the first `k`, as `(k, share)`.
    pub text_to_image: Vec<(usize, f64)>,
}

/// Retrieval by cosine within groups of `group` consecutive pairs; row `i` of both is one study.
/// A tie counts as missed, so that constant embeddings find nothing. `None` when there is no
/// whole group.
///
/// # Panics
/// When the two differ in shape.
#[must_use]
pub fn retrieval(
    images: Rows<'_>,
    texts: Rows<'_>,
    group: usize,
    ks: &[usize],
) -> Option<Retrieval> {
    assert_eq!((images.len(), images.width()), (texts.len(), texts.width()), "pairs of rows");
    let groups = images.len().checked_div(group).filter(|groups| *groups > 0)?;
    let (images_unit, texts_unit) = (unit(images), unit(texts));
    let width = images.width();
    let found = |from: &[f64], to: &[f64]| {
        let ranks: Vec<usize> = (0..groups * group)
            .into_par_iter()
            .map(|own| {
                let first = own / group * group;
                let similarity = |other| dot(row(from, width, own), row(to, width, other));
                let best = similarity(own);
                // What cannot be compared is ahead too.
                let ahead = |other: usize| {
                    other != own && similarity(other).partial_cmp(&best) != Some(Ordering::Less)
                };
                (first..first + group).filter(|&other| ahead(other)).count()
            })
            .collect();
        let share = |k: usize| ranks.iter().filter(|rank| **rank < k).count() as f64;
        ks.iter().map(|&k| (k, share(k) / ranks.len() as f64)).collect()
    };
    Some(Retrieval {
        group,
        groups,
        image_to_text: found(&images_unit, &texts_unit),
        text_to_image: found(&texts_unit, &images_unit),
    })
}

fn row(values: &[f64], width: usize, index: usize) -> &[f64] {
    &values[index * width..][..width]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn centred(rows: Rows<'_>) -> Vec<f64> {
    let mut means = vec![0.0; rows.width()];
    for row in rows.iter() {
        for (mean, value) in means.iter_mut().zip(row) {
            *mean += f64::from(*value);
        }
    }
    // Divided last: a constant column becomes exactly 0.
    means.iter_mut().for_each(|mean| *mean /= rows.len() as f64);
    rows.iter()
        .flat_map(|row| row.iter().zip(&means).map(|(value, mean)| f64::from(*value) - mean))
        .collect()
}

fn unit(rows: Rows<'_>) -> Vec<f64> {
    rows.iter()
        .flat_map(|row| {
            let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            row.iter().map(move |value| f64::from(*value) / length)
        })
        .collect()
}

#[cfg(test)]
mod tests;
