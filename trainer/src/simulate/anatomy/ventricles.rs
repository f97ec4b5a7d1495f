//! Lateral and third ventricles of a chosen volume.

use super::distance::SignedDistance;
use super::warp::{Point, add, norm, smoothstep};

/// Tissue farther from the ventricles than this does not feel them grow.
const REACH_MM: f32 = 24.0;
/// Displacements of the wall for which the volume is tabulated.
const WALLS_MM: [f32; 13] = [-3.0, -2.0, -1.2, -0.6, 0.0, 0.7, 1.5, 2.5, 4.0, 5.5, 7.5, 10.0, 13.0];

/// Outward displacement of the ventricles' walls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walls {
    pub(super) wall_mm: f32,
    /// Extra at the temporal horns.
    pub(super) temporal_mm: f32,
    /// Extra at the atria and occipital horns.
    pub(super) posterior_mm: f32,
}

/// The ventricles of the atlas and how their volume follows their walls.
#[derive(Clone, Debug)]
pub(super) struct Ventricles {
    /// Distance to the wall, negative inside.
    distance: SignedDistance,
    /// Volume relative to the atlas at each of [`WALLS_MM`].
    volumes: [f32; WALLS_MM.len()],
}

impl Ventricles {
    pub(super) fn new(distance: SignedDistance) -> Self {
        let near: Vec<Point> = distance.positions_below(WALLS_MM[WALLS_MM.len() - 1] + 3.0);
        let mut this = Self { distance, volumes: [0.0; WALLS_MM.len()] };
        let volume = |wall_mm: f32| -> f32 {
            let walls = Walls { wall_mm, temporal_mm: 0.0, posterior_mm: 0.0 };
            // A ramp of one coarse voxel instead of a step keeps the curve smooth.
            near.iter()
                .map(|p| (0.5 - this.distance.at(this.before(walls, *p)) / 2.0).clamp(0.0, 1.0))
                .sum()
        };
        let unmoved = volume(0.0).max(1.0);
        this.volumes = WALLS_MM.map(|wall| volume(wall) / unmoved);
        this
    }

    /// How far the walls must move for the volume to change by a factor.
    pub(super) fn wall_for(&self, factor: f32) -> f32 {
        let above = self.volumes.iter().position(|v| *v >= factor);
        let high = above.unwrap_or(WALLS_MM.len() - 1).max(1);
        let (v0, v1) = (self.volumes[high - 1], self.volumes[high]);
        let t = ((factor - v0) / (v1 - v0).max(1e-3)).clamp(0.0, 1.0);
        WALLS_MM[high - 1] + t * (WALLS_MM[high] - WALLS_MM[high - 1])
    }

    /// Where the tissue at `p` was before the walls moved.
    pub(super) fn before(&self, walls: Walls, p: Point) -> Point {
        let s = self.distance.at(p);
        let temporal = smoothstep((-2.0 - p[2]) / 8.0) * smoothstep((p[0].abs() - 16.0) / 8.0);
        let posterior = smoothstep((p[1] - 25.0) / 15.0);
        let wall = walls.wall_mm + walls.temporal_mm * temporal + walls.posterior_mm * posterior;
        let reach = REACH_MM + wall.max(0.0);
        if s >= reach || wall.abs() < 1e-3 {
            return p;
        }
        // Monotone; fixed at the reach and at the centre of the fluid; `wall` goes to 0.
        let centre = (-3.5f32).min(wall - 1.0);
        let before = if s >= wall {
            (s - wall) * reach / (reach - wall)
        } else if s > centre {
            (s - wall) * centre / (centre - wall)
        } else {
            s
        };
        // The third ventricle is held by the thalami: it widens half as much.
        let held =
            1.0 - 0.5 * smoothstep((9.0 - p[0].abs()) / 6.0) * smoothstep((8.0 - p[2]) / 6.0);
        let away = self.distance.gradient(p);
        add(p, away, (before - s) * held / norm(away).max(0.6))
    }
}
