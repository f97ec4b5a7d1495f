//! Tokens in the images as they were acquired, for those who show these and not our volume.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::TokenBox;
use crate::dicom::parse::read_header;
use crate::dicom::pixels::layout;
use crate::study::{Remark, Series};
use crate::volume::AcquiredGrid;

/// An acquired slice with the places of tokens in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionSlice {
    /// Name of its file.
    pub file: String,
    /// Zero-based frame of a multi-frame file; else `0`.
    pub frame: u32,
    /// Columns and rows of each place.
    pub boxes: Vec<[Range<usize>; 2]>,
}

/// The slices of a series that show these tokens, in stacking order. None where slices and images
/// do not correspond (some could not be read, or are tiles of a mosaic), or nobody knows where the
/// slices lie.
#[must_use]
pub fn region(series: &Series, grid: &AcquiredGrid, tokens: &[TokenBox]) -> Vec<RegionSlice> {
    let [columns, rows, slices] = grid.size_vox;
    let is_image = || {
        let file = read_header(&series.slices.first()?.path).ok()?;
        let layout = layout(&file).ok()?;
        Some([layout.columns as usize, layout.rows as usize] == [columns, rows])
    };
    let placed = !series.remarks.iter().any(|r| matches!(r, Remark::OrderAssumed { .. }));
    if placed && series.slices.len() == slices && is_image() == Some(true) {
        slices_of(series, grid, tokens)
    } else {
        Vec::new()
    }
}

fn slices_of(series: &Series, grid: &AcquiredGrid, tokens: &[TokenBox]) -> Vec<RegionSlice> {
    let mut boxes: BTreeMap<usize, Vec<[Range<usize>; 2]>> = BTreeMap::new();
    for token in tokens {
        let [columns, rows, slices] = grid.acquired(token.first_vox, token.end_vox);
        // A slice of few voxels may have none in the box.
        if columns.is_empty() || rows.is_empty() {
            continue;
        }
        for slice in slices {
            boxes.entry(slice).or_default().push([columns.clone(), rows.clone()]);
        }
    }
    let named = |(slice, boxes): (usize, _)| {
        let source = series.slices.get(slice)?;
        let file = source.path.file_name()?.to_string_lossy().into_owned();
        Some(RegionSlice { file, frame: source.frame, boxes })
    };
    boxes.into_iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::SliceSource;

    #[test]
    fn tokens_become_places_of_slices() {
        let slice = |number| SliceSource { path: format!("a/{number}.dcm").into(), frame: 0 };
        let series = Series {
            uid: "1".into(),
            number: None,
            description: None,
            protocol: None,
            name: "T2".into(),
            part: None,
            slices: (0..6).map(slice).collect(),
            remarks: Vec::new(),
        };
        // Columns to posterior, rows to inferior, slices to the left.
        let direction = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]];
        let grid = AcquiredGrid { size_vox: [128, 512, 6], direction };
        // [z, y, x]: half of the columns, twice the rows, from the last row on.
        let token = |first_vox, end_vox| TokenBox {
            first_vox,
            end_vox,
            low_mm: [0.0; 3],
            high_mm: [0.0; 3],
        };
        let tokens = [token([224, 64, 0], [256, 96, 2]), token([192, 64, 1], [224, 96, 5])];
        let found = slices_of(&series, &grid, &tokens);
        let upper = [32..48, 0..63];
        let lower = [32..48, 63..127];
        let expected: Vec<(String, Vec<[Range<usize>; 2]>)> = vec![
            ("0.dcm".into(), vec![upper.clone()]),
            ("1.dcm".into(), vec![upper, lower.clone()]),
            ("2.dcm".into(), vec![lower.clone()]),
            ("3.dcm".into(), vec![lower.clone()]),
            ("4.dcm".into(), vec![lower]),
        ];
        let found: Vec<_> = found.into_iter().map(|slice| (slice.file, slice.boxes)).collect();
        assert_eq!(found, expected);
        // Without a file nobody knows whether its slices are images of their own.
        assert!(region(&series, &grid, &tokens).is_empty());
    }
}
