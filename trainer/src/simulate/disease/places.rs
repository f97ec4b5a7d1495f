//! Positions of each region of the atlas, listed once: drawing one is then cheap.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{
    finding::Side,
    vector::{Vec3, add},
};
use crate::simulate::anatomy::{Atlas, Region};

/// Tries to find a position far enough from the border.
const TRIES: usize = 24;

/// Voxel centres by region, left and right.
#[derive(Debug)]
pub(super) struct Places {
    origin_mm: Vec3,
    left: Vec<Vec<Vec3>>,
    right: Vec<Vec<Vec3>>,
}

impl Places {
    pub(super) fn of(atlas: &Atlas) -> Self {
        let count = Region::ALL.len();
        let mut places = Self {
            origin_mm: atlas.grid.origin_mm,
            left: vec![Vec::new(); count],
            right: vec![Vec::new(); count],
        };
        let [nx, ny, nz] = atlas.grid.size;
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    let p = atlas.grid.position_mm([x, y, z]);
                    let region = atlas.region(p);
                    // Large regions need not be listed in full.
                    let large = matches!(
                        region,
                        Region::None | Region::Scalp | Region::Face | Region::Neck | Region::Skull
                    );
                    if !large {
                        let side = if p[0] > 0.0 { &mut places.left } else { &mut places.right };
                        side[region as usize].push(p);
                    }
                }
            }
        }
        places
    }

    /// True when the atlas is the one listed.
    pub(super) fn is_of(&self, atlas: &Atlas) -> bool {
        self.origin_mm.iter().zip(&atlas.grid.origin_mm).all(|(a, b)| a.total_cmp(b).is_eq())
    }

    fn lists(&self, region: Region, side: Option<Side>) -> [&[Vec3]; 2] {
        let [left, right] = [&self.left[region as usize], &self.right[region as usize]];
        match side {
            Some(Side::Left) => [left, &[]],
            Some(Side::Right) => [&[], right],
            _ => [left, right],
        }
    }

    /// A position inside a region, where possible away from its border.
    pub(super) fn draw(
        &self,
        atlas: &Atlas,
        region: Region,
        side: Option<Side>,
        margin_mm: f32,
        rng: &mut ChaCha8Rng,
    ) -> Vec3 {
        let [left, right] = self.lists(region, side);
        let count = left.len() + right.len();
        if count == 0 {
            return [0.0; 3];
        }
        let mut best = (-1.0, [0.0; 3]);
        for _ in 0..TRIES {
            let i = rng.random_range(0..count);
            let p = left.get(i).copied().unwrap_or_else(|| right[i - left.len()]);
            let clear = clearance(atlas, region, p, margin_mm);
            if clear > best.0 {
                best = (clear, p);
            }
            if clear >= margin_mm {
                break;
            }
        }
        let jitter: Vec3 = std::array::from_fn(|_| rng.random_range(-0.5..0.5));
        add(best.1, jitter, 1.0)
    }

    /// Mean position of a region.
    pub(super) fn middle(&self, region: Region, side: Option<Side>) -> Vec3 {
        let [left, right] = self.lists(region, side);
        let sum = left.iter().chain(right).fold([0.0; 3], |sum, &p| add(sum, p, 1.0));
        let count = (left.len() + right.len()).max(1) as f32;
        sum.map(|v| v / count)
    }
}

/// How far the six neighbours along the axes stay inside a region, up to a limit.
fn clearance(atlas: &Atlas, region: Region, p: Vec3, limit_mm: f32) -> f32 {
    let mut clear = 0.0_f32;
    while clear < limit_mm {
        let reach = (clear + 2.0).min(limit_mm);
        let inside = (0..6).all(|n| {
            let mut q = p;
            q[n / 2] += if n % 2 == 0 { reach } else { -reach };
            atlas.region(q) == region
        });
        if !inside {
            break;
        }
        clear = reach;
    }
    clear
}
