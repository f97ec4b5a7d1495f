//! From a [`Volume`](crate::volume::Volume) to the patches that become tokens, with their
//! positions, and from names to character ids (specification §2, §4–6).

pub mod context;
pub mod foreground;
pub mod patchify;
pub mod position;
pub mod text;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// The patches of one series that survive the foreground filter.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPatches {
    /// Thin axis of every patch: 0 (4,32,32), 1 (32,4,32), 2 (32,32,4).
    pub thin_axis: usize,
    /// Intensities divided by the volume's maximum, one patch after the other, each C-ordered
    /// `[z, y, x]`: `[unique, 4096]`.
    pub voxels: Vec<f32>,
    /// Patch starts in the padded volume, `[z, y, x]` voxels, one per unique patch.
    pub coordinates: Vec<[u32; 3]>,
    /// The token sequence as indices into the unique patches; the published filter repeats some
    /// (specification §4), `v1` never does.
    pub sequence: Vec<u32>,
}

/// The kept patches of every usable series of a study.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StudyPatches {
    /// One entry per series.
    pub series: Vec<SeriesPatches>,
}
