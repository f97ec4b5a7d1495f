//! What a plan paints: a shape in atlas space, the tissue it may replace, and its material.

use super::vector::Vec3;
use crate::simulate::head::Material;

/// One thing to paint.
#[derive(Clone, Debug)]
pub(super) struct Brush {
    pub(super) shape: Shape,
    /// What may be replaced.
    pub(super) gate: Gate,
    /// Half-spaces that bound it, in atlas space.
    pub(super) planes: Vec<Plane>,
    /// At 1.5 T and 3 T.
    pub(super) material: [Material; 2],
    /// Largest opacity.
    pub(super) opacity: f32,
    /// The finding it belongs to.
    pub(super) finding: Option<usize>,
}

/// Keeps the side that `normal` points to: `normal · p > offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    pub(super) normal: Vec3,
    pub(super) offset: f32,
    /// Width of the transition; its edge is ragged where this is more than 2 mm.
    pub(super) soft_mm: f32,
}

/// Where, in atlas space; sizes are in head space.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// An ellipsoid with a ragged surface.
    Blob(Blob),
    /// A bent cylinder.
    Tube { path: Vec<Vec3>, radius_mm: f32 },
    /// A sheet along the inside of the skull, thickest at `centre`.
    Sheet { centre: Vec3, thickness_mm: f32, spread_mm: f32, seed: u32 },
    /// Along the walls of the lateral ventricles.
    Halo { width_mm: f32, seed: u32, ragged: f32 },
    /// Surface of a ball cut through bone: the edge of a bone flap.
    Shell { centre: Vec3, radius_mm: f32, width_mm: f32 },
}

/// An ellipsoid.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) centre: Vec3,
    pub(super) radii_mm: Vec3,
    pub(super) axes: [Vec3; 3],
    /// Raggedness, as a part of the smallest radius.
    pub(super) rough: f32,
    pub(super) seed: u32,
    /// Size of its lobules.
    pub(super) grain_mm: f32,
    pub(super) edge_mm: f32,
    /// Holes: keeps only where noise of this scale is above the threshold.
    pub(super) holes: Option<(f32, f32)>,
}

/// Which tissue may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gate {
    /// Everything.
    Any,
    /// What lies inside the skull.
    Intracranial,
    /// Brain of any kind.
    Brain,
    /// White matter, a little of deep grey matter and brainstem.
    White,
    /// Cortex and deep grey matter.
    Grey,
    /// Fluid outside of the ventricles.
    Subarachnoid,
    /// Fluid in the ventricles.
    Ventricle,
    /// The border of brain and subarachnoid fluid.
    Pia,
    /// Skull.
    Bone,
    /// Scalp.
    Scalp,
    /// Arteries.
    Artery,
    /// Spinal cord and medulla.
    Cord,
    /// Sinuses and mastoid cells.
    Air,
}

impl Blob {
    /// A ball with a soft edge.
    pub(super) fn ball(centre: Vec3, radius_mm: f32, seed: u32) -> Self {
        Self {
            centre,
            radii_mm: [radius_mm; 3],
            axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            rough: 0.1,
            seed,
            grain_mm: (radius_mm * 0.9).max(2.0),
            edge_mm: 1.2,
            holes: None,
        }
    }
}

impl Plane {
    /// Keeps one side of the head.
    pub(super) fn side(left: bool) -> Self {
        Self { normal: [if left { 1.0 } else { -1.0 }, 0.0, 0.0], offset: 0.5, soft_mm: 1.5 }
    }
}
