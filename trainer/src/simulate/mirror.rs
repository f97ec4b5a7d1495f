//! The same study of a head mirrored left to right: a second one to learn from at no cost of
//! anatomy or acquisition. Every diagnosis has two sides; the words of reports change theirs.

use crate::cohort::record::{Report, StudyLabels, StudyRecord, StudyTruth};
use crate::cohort::shard::{ShardSeries, ShardStudy};

use super::Simulated;

/// A study as another one of the same patient.
pub(super) fn mirrored(study: &Simulated) -> Simulated {
    let id = format!("{}m", study.record.id);
    let Report { indication, technique, comparison, findings, impression } = &study.record.report;
    let report = Report {
        indication: other_side(indication),
        technique: technique.clone(),
        comparison: other_side(comparison),
        findings: other_side(findings),
        impression: other_side(impression),
    };
    let mut truth = StudyTruth { id: id.clone(), ..study.truth.clone() };
    for lesion in &mut truth.lesions {
        lesion.place = other_side(&lesion.place);
    }
    Simulated {
        record: StudyRecord { id: id.clone(), report, ..study.record.clone() },
        labels: StudyLabels { id: id.clone(), ..study.labels.clone() },
        truth,
        patches: ShardStudy {
            id,
            description: study.patches.description.clone(),
            series: study.patches.series.iter().map(ShardSeries::mirrored).collect(),
        },
    }
}

/// Text in which every left is right and every right is left; "bright" has no side.
fn other_side(text: &str) -> String {
    const SIDES: [[&str; 2]; 4] =
        [["left", "right"], ["right", "left"], ["Left", "Right"], ["Right", "Left"]];
    let words = text.split_inclusive(|c: char| !c.is_alphabetic());
    let turned = words.map(|word| {
        let sides = SIDES.iter().find_map(|[side, other]| Some((word.strip_prefix(side)?, *other)));
        sides.map_or_else(|| word.to_owned(), |(rest, other)| format!("{other}{rest}"))
    });
    turned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::dims::PATCH_VOX;

    #[test]
    fn sides_of_words_change_and_brightness_stays() {
        let text = "Left frontal mass, bright on T2, leftward of the right-sided catheter.";
        let other = "Right frontal mass, bright on T2, rightward of the left-sided catheter.";
        assert_eq!(other_side(text), other);
        assert_eq!(other_side(other), text);
    }

    /// A voxel goes to the place on the other side, of the patch on the other side.
    #[test]
    fn voxels_change_sides_whatever_the_thin_axis() {
        for thin_axis in 0..3 {
            let mut values = vec![0; 2 * PATCH_VOX];
            // In the first patch, z = 1, y = 2, x = 0 or 3.
            let at = |x: usize| match thin_axis {
                0 => (32 + 2) * 32 + x,
                1 => (2 * 32 + 1) * 32 + x,
                _ => (x * 32 + 2) * 32 + 1,
            };
            (values[at(0)], values[at(3)]) = (1, 2);
            let width = if thin_axis == 2 { 4 } else { 32 };
            let series = ShardSeries {
                thin_axis,
                values,
                coordinates: vec![[4, 64, 0], [4, 64, width]],
                foreground: vec![9, 5],
                components: vec![1, 2],
                sequence: vec![1, 0],
                ..ShardSeries::default()
            };
            let other = series.mirrored();
            assert_eq!(other.values[at(usize::from(width) - 1)], 1);
            assert_eq!(other.values[at(usize::from(width) - 4)], 2);
            let last = if thin_axis == 2 { 4 } else { 256 - 32 };
            assert_eq!(other.coordinates, [[4, 64, last], [4, 64, last - width]]);
            assert_eq!(other.sequence, series.sequence);
            assert_eq!(other.mirrored().values, series.values);
            assert_eq!(other.mirrored().coordinates, series.coordinates);
        }
    }
}
