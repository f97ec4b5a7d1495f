//! What an acquisition gives.

use std::collections::BTreeMap;

use crate::simulate::protocol::Sequence;

/// Distance in pixels within which a lesion's surroundings are looked for.
const RING: usize = 6;

/// One acquired series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What was prescribed.
    pub sequence: Sequence,
    /// Pixels of a row.
    pub columns: usize,
    /// Rows of a slice.
    pub rows: usize,
    /// Slices.
    pub slices: usize,
    /// Distance between rows, between columns.
    pub spacing_mm: [f32; 2],
    /// Centre of the first voxel, in the scanner (LPS).
    pub origin_mm: [f32; 3],
    /// Direction in which the columns are counted.
    pub row: [f32; 3],
    /// Direction in which the rows are counted.
    pub column: [f32; 3],
    /// Direction in which the slices are counted.
    pub normal: [f32; 3],
    /// Centre of the first voxel in the space of the head.
    pub head_origin_mm: [f32; 3],
    /// `row`, `column` and `normal` in the space of the head.
    pub head_axes: [[f32; 3]; 3],
    /// Stored values, `[slice][row][column]`.
    pub pixels: Vec<u16>,
    /// Component of the same voxels, 0 for none. Echo-planar images are distorted, this is not.
    pub mask: Vec<u8>,
    /// Standard deviation of the noise in stored values; 0 for computed maps.
    pub noise_sd: f32,
    /// Rescale Slope (0028,1053).
    pub slope: f32,
    /// Phase is encoded from row to row.
    pub phase_down: bool,
}

impl Series {
    /// Folder of the series below that of its study, such as `03_ax_t2_flair`.
    #[must_use]
    pub fn folder(&self, number: usize) -> String {
        let mut words = String::new();
        for letter in self.sequence.name.to_lowercase().chars() {
            match letter {
                'a'..='z' | '0'..='9' => words.push(letter),
                '+' => words.push_str("plus"),
                '*' => words.push_str("star"),
                _ if !words.ends_with('_') => words.push('_'),
                _ => {}
            }
        }
        format!("{number:02}_{}", words.trim_matches('_'))
    }

    /// Contrast to noise of every component: mean of the lesion less the median of what lies
    /// around it in the same slices, over the noise. A lesion inside another is compared with
    /// that one. Computed maps take the spread of the surroundings for noise.
    #[must_use]
    pub fn contrast_to_noise(&self) -> BTreeMap<u8, f32> {
        let mut found: BTreeMap<u8, Surroundings> = BTreeMap::new();
        for (index, &component) in self.mask.iter().enumerate().filter(|(_, c)| **c > 0) {
            let entry = found.entry(component).or_default();
            entry.sum += f64::from(self.pixels[index]);
            entry.count += 1;
            let [column, row] = [index % self.columns, index / self.columns % self.rows];
            let neighbours = [
                (column >= RING).then(|| index - RING),
                (column + RING < self.columns).then(|| index + RING),
                (row >= RING).then(|| index - RING * self.columns),
                (row + RING < self.rows).then(|| index + RING * self.columns),
            ];
            for neighbour in neighbours.into_iter().flatten() {
                match self.mask[neighbour] {
                    0 => entry.healthy.push(self.pixels[neighbour]),
                    other if other != component => entry.other.push(self.pixels[neighbour]),
                    _ => {}
                }
            }
        }
        found
            .into_iter()
            .filter_map(|(component, around)| Some((component, around.contrast(self.noise_sd)?)))
            .collect()
    }
}

/// Stored values of a lesion and around it.
#[derive(Default)]
struct Surroundings {
    sum: f64,
    count: usize,
    healthy: Vec<u16>,
    /// Of other lesions.
    other: Vec<u16>,
}

impl Surroundings {
    fn contrast(self, noise_sd: f32) -> Option<f32> {
        let mut around = if self.healthy.is_empty() { self.other } else { self.healthy };
        around.sort_unstable();
        let quantile = |part: usize| {
            let last = around.len().checked_sub(1)?;
            Some(f64::from(around[last * part / 100]))
        };
        let spread = (quantile(75)? - quantile(25)?) / 1.349;
        let noise = if noise_sd > 0.0 { f64::from(noise_sd) } else { spread };
        let contrast = self.sum / self.count as f64 - quantile(50)?;
        Some((contrast / noise.max(1.0)) as f32)
    }
}
