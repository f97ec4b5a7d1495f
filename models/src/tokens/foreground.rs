//! Which patches are kept: those with enough foreground, and those that lie enclosed by patches
//! of nearly equal foreground (specification §2.6, §4).

/// Bins of one percent; the last holds patches that are foreground throughout.
const BINS: usize = 101;
/// Holes are looked for in bins up to this one.
const LAST_BIN_WITH_HOLES: usize = 20;
/// Smallest share of foreground, in percent, that the filter tries first.
const FIRST_PERCENT: usize = 5;
/// The filter lowers the share until more tokens than this are found.
const ENOUGH_TOKENS: usize = 25;

/// What the filter decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Patches by bin, then by id. A patch that lies in one bin and fills a hole of another stands
    /// here twice, as in the published token sequence.
    pub ids: Vec<u32>,
    /// Smallest share of foreground accepted, in percent: 5, or less when few patches reach it.
    pub percent_used: usize,
    /// How many of `ids` are there because they fill a hole.
    pub infill: usize,
}

/// Filters patches by their share of foreground.
///
/// `percent[id]` is the foreground share of the patch that starts at `coordinates[id]`
/// (`[z, y, x]` voxels) in a volume of `padded_vox`, cut into patches of `patch_vox`.
///
/// # Panics
/// When a coordinate lies outside the padded volume or the two lists differ in length.
#[must_use]
pub fn foreground(
    percent: &[f64],
    coordinates: &[[u32; 3]],
    padded_vox: [usize; 3],
    patch_vox: [usize; 3],
) -> Kept {
    assert_eq!(percent.len(), coordinates.len(), "one coordinate per patch");
    let grid = PatchIds::new(coordinates, padded_vox, patch_vox);
    let mut outfill = vec![Vec::new(); BINS];
    for (id, &percent) in (0..).zip(percent) {
        outfill[bin_of(percent)].push(id);
    }
    let infill: Vec<Vec<u32>> = outfill[..=LAST_BIN_WITH_HOLES]
        .iter()
        .map(|bin| if bin.is_empty() { Vec::new() } else { grid.enclosed_by(bin) })
        .collect();

    let mut percent_used = FIRST_PERCENT;
    loop {
        let holes: usize = infill[percent_used..].iter().map(Vec::len).sum();
        let patches: usize = outfill[percent_used..].iter().map(Vec::len).sum();
        if holes + patches > ENOUGH_TOKENS || percent_used == 0 {
            let ids = (percent_used..BINS)
                .flat_map(|bin| outfill[bin].iter().chain(infill.get(bin).into_iter().flatten()))
                .copied()
                .collect();
            return Kept { ids, percent_used, infill: holes };
        }
        percent_used -= 1;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share in percent is between 0 and 100; anything else saturates and is clamped"
)]
fn bin_of(percent: f64) -> usize {
    (percent as usize).min(BINS - 1)
}

/// Patch ids on the patch grid. Filling holes here gives the same patches as filling them voxel
/// by voxel, because every patch is painted wholly or not at all.
struct PatchIds {
    /// Patches along z, y, x.
    size: [usize; 3],
    /// The cell of each patch.
    cell: Vec<usize>,
}

impl PatchIds {
    fn new(coordinates: &[[u32; 3]], padded_vox: [usize; 3], patch_vox: [usize; 3]) -> Self {
        let size: [usize; 3] = std::array::from_fn(|a| padded_vox[a] / patch_vox[a]);
        let cell = coordinates
            .iter()
            .map(|start| {
                let at: [usize; 3] = std::array::from_fn(|a| start[a] as usize / patch_vox[a]);
                assert!(
                    at.iter().zip(size).all(|(&i, n)| i < n),
                    "patch at {start:?} lies outside the padded volume {padded_vox:?}"
                );
                (at[0] * size[1] + at[1]) * size[2] + at[2]
            })
            .collect();
        Self { size, cell }
    }

    /// Patches, by id, that the patches of `wall` cut off from the border of the volume.
    fn enclosed_by(&self, wall: &[u32]) -> Vec<u32> {
        let mut reached = vec![false; self.size.iter().product()];
        let mut is_wall = reached.clone();
        for &id in wall {
            is_wall[self.cell[id as usize]] = true;
        }
        let mut front: Vec<usize> = (0..reached.len()).filter(|&c| self.on_border(c)).collect();
        while let Some(cell) = front.pop() {
            if is_wall[cell] || reached[cell] {
                continue;
            }
            reached[cell] = true;
            front.extend(self.neighbours(cell));
        }
        (0..).zip(&self.cell).filter(|&(_, &c)| !is_wall[c] && !reached[c]).map(|p| p.0).collect()
    }

    fn on_border(&self, cell: usize) -> bool {
        self.axes(cell).any(|(at, count, _)| at == 0 || at + 1 == count)
    }

    /// The cells that share a face with `cell`.
    fn neighbours(&self, cell: usize) -> impl Iterator<Item = usize> {
        self.axes(cell).flat_map(move |(at, count, stride)| {
            let before = (at > 0).then(|| cell - stride);
            let after = (at + 1 < count).then(|| cell + stride);
            before.into_iter().chain(after)
        })
    }

    /// Index of `cell`, number of cells and distance between cells, for each axis.
    fn axes(&self, cell: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let [planes, rows, columns] = self.size;
        [
            (cell / (rows * columns), planes, rows * columns),
            (cell / columns % rows, rows, columns),
            (cell % columns, columns, 1),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "golden coordinates are small and not negative"
    )]

    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;
    use crate::tokens::golden::{doubles, integers, read};

    fn ids(ids: &[i64]) -> Vec<u32> {
        ids.iter().map(|&id| u32::try_from(id).unwrap()).collect()
    }

    #[test]
    fn published_cases_are_kept_alike() {
        let bytes = read("filter_cases.safetensors");
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        // Hole, broken shell, repeated patches, fallback to 0 %.
        let infills = [1, 0, 6, 4];
        for (case, infill) in infills.into_iter().enumerate() {
            let of = |name: &str| integers(&golden, &format!("f{case}.{name}"));
            let size = |name: &str| std::array::from_fn(|a| usize::try_from(of(name)[a]).unwrap());
            let coordinates: Vec<[u32; 3]> =
                of("coords").as_chunks().0.iter().map(|c: &[i64; 3]| c.map(|v| v as u32)).collect();
            let percent = doubles(&golden, &format!("f{case}.percent"));
            let kept =
                foreground(&percent, &coordinates, size("padded_shape"), size("patch_shape"));
            assert_eq!(kept.ids, ids(&of("kept_ids")), "f{case}");
            assert_eq!(kept.percent_used as i64, of("percent_used")[0], "f{case}");
            assert_eq!(kept.infill, infill, "f{case}");
        }
    }

    /// Fills holes voxel by voxel: background that no chain of background voxels, face to face, ties
    /// to the outside becomes foreground. Deliberately naive: sweeps until nothing changes.
    fn filled_voxels(wall: &[bool], [planes, rows, columns]: [usize; 3]) -> Vec<bool> {
        let at = |z: usize, y: usize, x: usize| (z * rows + y) * columns + x;
        let mut outside = vec![false; wall.len()];
        loop {
            let before = outside.clone();
            for z in 0..planes {
                for y in 0..rows {
                    for x in 0..columns {
                        let border = z == 0
                            || y == 0
                            || x == 0
                            || z + 1 == planes
                            || y + 1 == rows
                            || x + 1 == columns;
                        let touches = border
                            || outside[at(z - 1, y, x)]
                            || outside[at(z + 1, y, x)]
                            || outside[at(z, y - 1, x)]
                            || outside[at(z, y + 1, x)]
                            || outside[at(z, y, x - 1)]
                            || outside[at(z, y, x + 1)];
                        outside[at(z, y, x)] |= touches && !wall[at(z, y, x)];
                    }
                }
            }
            if outside == before {
                return outside.iter().map(|&o| !o).collect();
            }
        }
    }

    proptest! {
        #[test]
        fn holes_on_the_patch_grid_are_holes_in_voxels(
            wall in proptest::collection::vec(proptest::bool::weighted(0.7), 4 * 5 * 6),
        ) {
            const SIZE: [usize; 3] = [4, 5, 6];
            const PATCH: [usize; 3] = [2, 3, 2];
            let padded: [usize; 3] = std::array::from_fn(|a| SIZE[a] * PATCH[a]);
            let cells = || (0..wall.len()).map(|c| [c / 30, c / 6 % 5, c % 6]);
            let coordinates: Vec<[u32; 3]> =
                cells().map(|c| std::array::from_fn(|a| (c[a] * PATCH[a]) as u32)).collect();
            let painted: Vec<u32> = (0..).zip(&wall).filter(|w| *w.1).map(|w| w.0).collect();
            let found = PatchIds::new(&coordinates, padded, PATCH).enclosed_by(&painted);

            let voxel_wall: Vec<bool> = (0..padded.iter().product())
                .map(|v: usize| [v / (padded[1] * padded[2]), v / padded[2] % padded[1], v % padded[2]])
                .map(|v| wall[(v[0] / PATCH[0] * 5 + v[1] / PATCH[1]) * 6 + v[2] / PATCH[2]])
                .collect();
            let filled = filled_voxels(&voxel_wall, padded);
            let expected: Vec<u32> = (0..).zip(cells()).filter(|(id, c)| {
                let whole = (0..PATCH.iter().product()).all(|v: usize| {
                    let [z, y, x] = [v / 6, v / 2 % 3, v % 2];
                    let voxel = [c[0] * PATCH[0] + z, c[1] * PATCH[1] + y, c[2] * PATCH[2] + x];
                    filled[(voxel[0] * padded[1] + voxel[1]) * padded[2] + voxel[2]]
                });
                whole && !wall[*id as usize]
            }).map(|p| p.0).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
