//! The anatomy of one simulated patient: an atlas of a real head, deformed.
//!
//! [`Atlas`] answers where things are in an undeformed head; [`build`] turns it into the voxels of
//! one patient by an inverse warp (size and pose, smooth random shape, age, ventricles, mass
//! effect, malformations). Nothing here knows about pulse sequences.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "indices and 8-bit fractions are computed from values clamped to their range"
)]

mod atlas;
mod distance;
mod folds;
mod raster;
mod region;
mod ventricles;
mod warp;

pub use atlas::{Atlas, AtlasError};
pub use region::{Region, Side};

use crate::simulate::head::{Grid, Head, Push, TISSUES, Tissue};
use folds::Folds;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use raster::{Lattice, Replace};
use warp::{Pose, Warp, add, norm};

/// What shapes a patient's head. [`Default`] is a healthy adult of 35.
#[derive(Clone, Debug)]
pub struct AnatomyParameters {
    /// Age; below 2 years is out of scope and taken as 2.
    pub age_years: f32,
    /// Volume loss beyond that of age: 0 none, 1 severe.
    pub atrophy: f32,
    /// Factor on the volume of the lateral and third ventricles: 1 normal, 4 hydrocephalus.
    pub ventricles: f32,
    /// Extra loss in the temporal lobes and hippocampi: 0 none, 1 severe.
    pub temporal_atrophy: f32,
    /// Closed sulci (swelling, hydrocephalus): 0 none, 1 all.
    pub sulci_effaced: f32,
    /// Factor on the size of the head.
    pub head_size: f32,
    /// Mass effect, atlas space.
    pub pushes: Vec<Push>,
    /// Malformations and herniations.
    pub changes: Vec<Change>,
    /// Edge of a voxel of the result, mm.
    pub grid_mm: f32,
}

impl Default for AnatomyParameters {
    fn default() -> Self {
        Self {
            age_years: 35.0,
            atrophy: 0.0,
            ventricles: 1.0,
            temporal_atrophy: 0.0,
            sulci_effaced: 0.0,
            head_size: 1.0,
            pushes: Vec::new(),
            changes: Vec::new(),
            grid_mm: 1.0,
        }
    }
}

/// A change of the anatomy itself, made before the tissues become voxels. Sides and positions are
/// those of atlas space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Agenesis or dysgenesis of the corpus callosum, with wide-set ventricles and colpocephaly.
    NoCallosum {
        /// 0..1: the part that is missing, from the back.
        extent: f32,
    },
    /// Missing vermis, large fourth ventricle and posterior fossa.
    DandyWalker {
        /// 0..1.
        severity: f32,
    },
    /// Cerebellar tonsils below the foramen magnum.
    TonsilDescent {
        /// Below the foramen magnum.
        mm: f32,
    },
    /// Brainstem and diencephalon sink (low pressure, central herniation).
    BrainSag {
        /// Downward displacement.
        mm: f32,
    },
    /// Structures of the midline move to one side.
    MidlineShift {
        /// Displacement.
        mm: f32,
        /// The side they move to.
        towards: Side,
        /// Where the shift is largest; the septum is at `[0, -5, 12]`.
        centre_mm: [f32; 3],
    },
    /// The medial temporal lobe moves over the edge of the tentorium.
    UncalHerniation {
        /// Its side.
        side: Side,
        /// Medial displacement.
        mm: f32,
    },
    /// Sella turcica wider than normal, bone included.
    EnlargedSella {
        /// Displacement of its walls.
        mm: f32,
        /// Filled with fluid: the gland is a thin layer on the floor.
        empty: bool,
    },
}

/// A patient's head and the way between it and the atlas.
#[derive(Clone, Debug)]
pub struct Built {
    /// Its voxels, without lesions yet.
    pub head: Head,
    /// Factor by which the supratentorial ventricles differ from the atlas' (34 years, 27 ml).
    pub ventricle_factor: f32,
    lattice: Lattice,
    pose: Pose,
}

impl Built {
    /// Where a position of the head was in the atlas.
    #[must_use]
    pub fn to_atlas(&self, head_mm: [f32; 3]) -> [f32; 3] {
        self.lattice.at(head_mm)
    }

    /// Where a position of the atlas went; within 1 mm, except where pushed tissue vanished
    /// against bone (there the nearest place).
    #[must_use]
    pub fn to_head(&self, atlas_mm: [f32; 3]) -> [f32; 3] {
        let error = |p| add(atlas_mm, self.to_atlas(p), -1.0);
        let mut p = self.pose.forward(atlas_mm);
        let mut e = error(p);
        // Newton's method where it helps, else small steps by the pose alone.
        let mut cautious = 0.5;
        for _ in 0..40 {
            let size = norm(e);
            if size < 0.02 || cautious < 0.01 {
                break;
            }
            let newton = solve(&self.lattice.jacobian(p), e);
            let mut better = None;
            for k in [1.0f32, 0.5, 0.25, 0.12] {
                let q = newton.map(|step| add(p, step, k * (8.0 / norm(step).max(8.0))));
                let Some(q) = q else { break };
                if norm(error(q)) < 0.98 * size {
                    better = Some(q);
                    break;
                }
            }
            let q = better.unwrap_or_else(|| add(p, self.pose.direction(e), cautious));
            if norm(error(q)) < size {
                p = q;
                e = error(p);
            } else {
                cautious *= 0.5;
            }
        }
        p
    }
}

/// Solves a 3 by 3 system by Cramer's rule; `None` when it is nearly singular.
fn solve(rows: &[[f32; 3]; 3], right: [f32; 3]) -> Option<[f32; 3]> {
    let cross = |a: [f32; 3], b: [f32; 3]| -> [f32; 3] {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    };
    let [r0, r1, r2] = *rows;
    let (c0, c1, c2) = (cross(r1, r2), cross(r2, r0), cross(r0, r1));
    let determinant: f32 = (0..3).map(|a| r0[a] * c0[a]).sum();
    (determinant.abs() > 1e-3).then(|| {
        std::array::from_fn(|a| {
            (c0[a] * right[0] + c1[a] * right[1] + c2[a] * right[2]) / determinant
        })
    })
}

/// Makes one patient's head. About half a second and 250 MB at 1 mm.
#[must_use]
pub fn build(atlas: &Atlas, parameters: &AnatomyParameters, rng: &mut ChaCha8Rng) -> Built {
    let individual: f32 = rng.random_range(0.85..1.18);
    let ventricle_factor = parameters.ventricles
        * ageing(parameters.age_years)
        * individual
        * (1.0 + 0.9 * parameters.atrophy);
    let warp = Warp::draw(atlas, parameters, ventricle_factor, rng);
    let grid = bounds(atlas, &warp.pose, parameters.grid_mm.clamp(0.5, 4.0));
    let lattice = Lattice::sample(&warp, &grid);
    let replaces = parameters.changes.iter().any(|c| replaced(c, Region::None, [0.0; 3]).0);
    let replace = |region: Region, a: [f32; 3]| {
        parameters.changes.iter().find_map(|change| replaced(change, region, a).1)
    };
    let replace: Option<Replace<'_>> = if replaces { Some(&replace) } else { None };
    let (mut fractions, region) = raster::fill(atlas, &lattice, &grid, replace);
    let age_loss = ((parameters.age_years - 40.0) / 45.0).clamp(0.0, 1.1) * 0.45;
    let young = ((16.0 - parameters.age_years) / 14.0).clamp(0.0, 1.0) * 0.35;
    let folds = Folds {
        all: (age_loss + 0.9 * parameters.atrophy - young) * (1.0 - parameters.sulci_effaced)
            - 1.6 * parameters.sulci_effaced
            + rng.random_range(-0.12..0.12),
        temporal: 0.8 * parameters.temporal_atrophy,
    };
    let per_voxel = 1.0 / grid.spacing_mm;
    let folds = Folds { all: folds.all * per_voxel, temporal: folds.temporal * per_voxel };
    folds::apply(&mut fractions, &region, &grid, folds);
    let head = Head { grid, fractions, region, layers: Vec::new() };
    Built { head, ventricle_factor, lattice, pose: warp.pose }
}

/// Ventricular volume relative to the atlas' by age alone.
fn ageing(age_years: f32) -> f32 {
    let young = 0.72 + 0.28 * ((age_years - 5.0) / 30.0).clamp(0.0, 1.0);
    young + 0.9 * ((age_years - 45.0) / 40.0).clamp(0.0, 1.2)
}

/// Whether a change replaces tissue at all, and by what at this place.
fn replaced(change: &Change, region: Region, a: [f32; 3]) -> (bool, Option<Tissue>) {
    let fluid = |yes: bool| (true, yes.then_some(Tissue::Csf));
    match *change {
        Change::NoCallosum { extent } => {
            // From the splenium (y = 42) to the genu (y = -36).
            fluid(region == Region::CorpusCallosum && a[1] > 42.0 - 80.0 * extent)
        }
        Change::DandyWalker { severity } => {
            let lower = a[2] < -8.0 - 30.0 * (1.0 - severity);
            fluid(lower && (region == Region::Vermis || region == Region::Tonsil))
        }
        Change::EnlargedSella { empty: true, .. } => fluid(region == Region::Sella && a[2] > -31.5),
        _ => (false, None),
    }
}

/// The grid that holds the whole deformed head.
fn bounds(atlas: &Atlas, pose: &Pose, spacing_mm: f32) -> Grid {
    let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    let last = atlas.grid.size.map(|n| n - 1);
    for corner in 0..8usize {
        let voxel = std::array::from_fn(|a| if corner >> a & 1 == 1 { last[a] } else { 0 });
        let p = pose.forward(atlas.grid.position_mm(voxel));
        for a in 0..3 {
            low[a] = low[a].min(p[a]);
            high[a] = high[a].max(p[a]);
        }
    }
    let size = std::array::from_fn(|a| ((high[a] - low[a]) / spacing_mm).ceil() as usize + 1);
    Grid { size, spacing_mm, origin_mm: low }
}

const _: () = assert!(TISSUES == 16, "the atlas stores tissues in four bits");

#[cfg(test)]
mod tests;
