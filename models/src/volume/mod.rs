//! From an acquired [`Stack`](crate::study::Stack) to a volume in LPS order with 256 x 256
//! in-plane voxels (paper, Methods; specification §1a, §1b, §2).

mod appearance;
mod inverse;
mod orient;
mod preprocess;
mod resample;

#[cfg(test)]
mod tests;

pub use appearance::{Appearance, appearance};
pub use preprocess::{AcquiredGrid, PreprocessError, preprocess, untruncated};

/// A preprocessed volume in raw intensity units.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// C-ordered `[z, y, x]`: z to superior, y to posterior, x to left.
    pub voxels: Vec<f32>,
    /// Voxels along z, y, x.
    pub size_vox: [usize; 3],
    /// The stacking axis of the acquisition as an index into `size_vox`: 0 axial, 1 coronal,
    /// 2 sagittal.
    pub thin_axis: usize,
    /// Distance between voxels along x, y, z.
    pub spacing_mm: [f64; 3],
    /// Centre of the first voxel, `[x, y, z]` in LPS.
    pub origin_mm: [f64; 3],
    /// `direction[a]` is the unit vector along volume axis x, y, z for `a` = 0, 1, 2.
    pub direction: [[f64; 3]; 3],
}

impl std::fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::V1 => "v1",
        })
    }
}

/// Which preprocessing a bundle was made for; named in its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preprocessing {
    /// Every quirk of the published pipeline (specification §1–4); what `trainer parity` runs.
    Published,
    /// The product's default: the same features with the quirks repaired.
    V1,
}
