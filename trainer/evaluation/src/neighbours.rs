//! Whether studies of one diagnosis lie together: the normalised positive rate of the nearest
//! earlier studies (paper, Extended Data Fig. 6c).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statistics::metrics::mean;
use statistics::rows::Rows;

use crate::set::Set;

/// Neighbours looked at.
pub const NEIGHBOURS: usize = 20;

/// Normalised positive rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Earlier studies among which neighbours are looked for.
    pub retrospective: usize,
    /// One a diagnosis, in the order of the outputs.
    pub labels: Vec<PositiveRate>,
}

/// How many times as often as among all earlier studies the neighbours have a diagnosis; 1 is
/// chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositiveRate {
    /// As people say it.
    pub title: String,
    /// Earlier studies that have the diagnosis.
    pub retrospective_positives: usize,
    /// Studies that have it.
    pub positives: usize,
    /// Mean over all studies; none when no earlier study has the diagnosis.
    pub all: Option<f64>,
    /// Mean over the studies that have it.
    pub positive: Option<f64>,
}

/// Rates of the [`NEIGHBOURS`] earlier studies with the largest cosine of the embeddings. A study
/// of the same patient is no neighbour. Ties go to the earlier row.
///
/// # Panics
/// When the embeddings are not one row a study, or of different widths.
#[must_use]
pub fn neighbours(set: &Set, own: Rows<'_>, earlier: &Set, theirs: Rows<'_>) -> Neighbours {
    assert_eq!((own.len(), theirs.len()), (set.studies.len(), earlier.studies.len()), "rows");
    assert_eq!(own.width(), theirs.width(), "values of an embedding");
    let units: Vec<Vec<f32>> = theirs.iter().map(unit).collect();
    let nearest: Vec<Vec<usize>> = set
        .studies
        .par_iter()
        .enumerate()
        .map(|(study, of)| {
            let direction = unit(own.row(study));
            let mut found: Vec<(f32, usize)> = units
                .iter()
                .zip(&earlier.studies)
                .enumerate()
                .filter(|(_, (_, other))| other.patient != of.patient)
                .map(|(row, (other, _))| (dot(&direction, other), row))
                .collect();
            let order =
                |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            if found.len() > NEIGHBOURS {
                found.select_nth_unstable_by(NEIGHBOURS - 1, order);
                found.truncate(NEIGHBOURS);
            }
            found.into_iter().map(|(_, row)| row).collect()
        })
        .collect();
    let labels = set.header.diagnoses.iter().enumerate().map(|(d, output)| {
        let theirs = earlier.has(d);
        let count = theirs.iter().filter(|label| **label).count();
        let rate = count as f64 / theirs.len() as f64;
        let normalised = |rows: &Vec<usize>| {
            let found = rows.iter().filter(|row| theirs[**row]).count() as f64;
            found / rows.len() as f64 / rate
        };
        let rates: Vec<f64> = nearest.iter().map(normalised).collect();
        let with: Vec<f64> =
            rates.iter().zip(set.has(d)).filter(|(_, has)| *has).map(|(rate, _)| *rate).collect();
        let known = |rates: &[f64]| (count > 0 && !rates.is_empty()).then(|| mean(rates));
        PositiveRate {
            title: output.title.clone(),
            retrospective_positives: count,
            positives: with.len(),
            all: known(&rates),
            positive: known(&with),
        }
    });
    Neighbours { retrospective: earlier.studies.len(), labels: labels.collect() }
}

fn unit(row: &[f32]) -> Vec<f32> {
    let length = dot(row, row).sqrt();
    let scale = if length > 0.0 { length.recip() } else { 0.0 };
    row.iter().map(|value| value * scale).collect()
}

/// In eight sums, so that the additions need not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0f32; 8];
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::tests::set;

    #[test]
    fn neighbours_of_one_cluster_share_its_diagnosis() {
        // Every third earlier study has diagnosis 0 and points along the first axis.
        let has = |i: usize| if i.is_multiple_of(3) { vec![0] } else { vec![] };
        let (own, earlier) = (set(9, 2, has), set(90, 2, has));
        let rows = |n: usize| -> Vec<f32> {
            (0..n)
                .flat_map(|i| if i.is_multiple_of(3) { [1.0, i as f32 * 1e-3] } else { [0.0, 1.0] })
                .collect()
        };
        let (a, b) = (rows(9), rows(90));
        let mut other = earlier.clone();
        other.studies.iter_mut().for_each(|study| study.patient.push_str(" earlier"));
        let found = neighbours(&own, Rows::new(&a, 2), &other, Rows::new(&b, 2));
        let [first, second] = &found.labels[..] else { panic!("{found:?}") };
        assert_eq!((first.retrospective_positives, first.positives), (30, 3));
        // All 20 neighbours have what 30 of 90 have; those of the others never.
        assert_eq!(first.positive, Some(3.0));
        assert_eq!(first.all, Some(1.0));
        assert_eq!((second.positive, second.all), (None, None));
        // The patients' own earlier studies do not count.
        let mut few = other.clone();
        few.studies.truncate(9);
        few.studies
            .iter_mut()
            .zip(&own.studies)
            .for_each(|(a, b)| a.patient.clone_from(&b.patient));
        let found = neighbours(&own, Rows::new(&a, 2), &few, Rows::new(&rows(9), 2));
        assert!(found.labels[0].positive < Some(3.0), "{found:?}");
    }
}
