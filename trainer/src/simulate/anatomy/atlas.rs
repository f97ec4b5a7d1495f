//! The head that every patient is deformed from, and questions about it.
//!
//! Atlas space is patient space (LPS, millimetres, AC as origin) of an undeformed head. Sources
//! and licences: `assets/ATTRIBUTION.md`; how it was made: `ops/trainer/make_atlas.py`.

use super::distance::SignedDistance;
use super::region::{Region, Side};
use super::ventricles::Ventricles;
use crate::simulate::head::{Grid, TISSUES};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::io::Read;

const FILE: &[u8] = include_bytes!("../../../assets/atlas.bin.gz");
const MAGIC: &[u8; 8] = b"HEADATL1";
const HEADER: usize = 20;

/// Why the atlas cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AtlasError {
    /// The packed file is damaged.
    #[error(
        "The head atlas assets/atlas.bin.gz cannot be unpacked ({0}). Restore it from the \
         repository or rebuild it with ops/trainer/make_atlas.py."
    )]
    Unpack(#[from] std::io::Error),
    /// The unpacked bytes are no atlas.
    #[error(
        "The head atlas assets/atlas.bin.gz holds {found} bytes where its header asks for \
         {expected}. Rebuild it with ops/trainer/make_atlas.py."
    )]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// The file starts with something else.
    #[error(
        "The head atlas assets/atlas.bin.gz does not start with HEADATL1. Rebuild it with \
         ops/trainer/make_atlas.py."
    )]
    Magic,
}

/// Tissue fractions and regions of an undeformed adult head, 1 mm.
#[derive(Clone, Debug)]
pub struct Atlas {
    /// Its voxels.
    pub grid: Grid,
    /// Per voxel: first tissue (4 bits), second tissue (4 bits), share of the second (4 bits).
    pub(super) codes: Vec<u16>,
    /// Per voxel: a [`Region`].
    pub(super) region: Vec<u8>,
    /// Fractions that a code stands for.
    pub(super) table: Vec<[u8; TISSUES]>,
    /// Distance to the dura, negative inside.
    pub(super) dura: SignedDistance,
    /// Lateral and third ventricles.
    pub(super) ventricles: Ventricles,
}

impl Atlas {
    /// Unpacks the built-in atlas; about 0.3 s.
    ///
    /// # Errors
    /// When the built-in file is damaged.
    pub fn load() -> Result<Self, AtlasError> {
        Self::read(FILE)
    }

    pub(super) fn read(packed: &[u8]) -> Result<Self, AtlasError> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes)?;
        let Some((header, planes)) = bytes.split_at_checked(HEADER) else {
            return Err(AtlasError::Length { found: bytes.len(), expected: HEADER });
        };
        if !header.starts_with(MAGIC) {
            return Err(AtlasError::Magic);
        }
        let field = |i: usize| [header[8 + 2 * i], header[9 + 2 * i]];
        let size: [usize; 3] = std::array::from_fn(|a| usize::from(u16::from_le_bytes(field(a))));
        let origin_mm = std::array::from_fn(|a| f32::from(i16::from_le_bytes(field(3 + a))));
        let grid = Grid { size, spacing_mm: 1.0, origin_mm };
        let n = grid.len();
        if n == 0 || planes.len() != 3 * n {
            return Err(AtlasError::Length { found: bytes.len(), expected: HEADER + 3 * n });
        }
        let [pair, share, region] = std::array::from_fn(|i| {
            let mut plane = planes[i * n..(i + 1) * n].to_vec();
            for row in plane.chunks_exact_mut(size[0]) {
                for x in 1..row.len() {
                    row[x] = row[x].wrapping_add(row[x - 1]);
                }
            }
            plane
        });
        let codes = pair.iter().zip(&share).map(|(p, s)| u16::from(*p) << 4 | u16::from(*s & 15));
        Ok(Self::assemble(grid, codes.collect(), region))
    }

    fn assemble(grid: Grid, codes: Vec<u16>, region: Vec<u8>) -> Self {
        let mask = |inside: fn(Region) -> bool| -> [bool; 256] {
            std::array::from_fn(|b| u8::try_from(b).is_ok_and(|b| inside(Region::of(b))))
        };
        let dura = SignedDistance::of(&grid, &region, &mask(Region::is_intradural));
        let ventricles = Ventricles::new(SignedDistance::of(
            &grid,
            &region,
            &mask(Region::is_supratentorial_ventricle),
        ));
        Self { grid, codes, region, table: table(), dura, ventricles }
    }

    /// The same head with left and right exchanged: a second anatomy.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let nx = self.grid.size[0];
        let mut grid = self.grid;
        let (mut codes, mut region) = (self.codes.clone(), self.region.clone());
        codes.chunks_exact_mut(nx).for_each(<[u16]>::reverse);
        region.chunks_exact_mut(nx).for_each(<[u8]>::reverse);
        grid.origin_mm[0] = -self.grid.position_mm([nx - 1, 0, 0])[0];
        Self::assemble(grid, codes, region)
    }

    /// Index of the voxel nearest to a position; `None` outside.
    pub(super) fn nearest(&self, position_mm: [f32; 3]) -> Option<usize> {
        let v = self.grid.voxel(position_mm);
        let mut voxel = [0usize; 3];
        for a in 0..3 {
            let r = v[a] + 0.5;
            if r < 0.0 {
                return None;
            }
            voxel[a] = r as usize;
            if voxel[a] >= self.grid.size[a] {
                return None;
            }
        }
        Some(self.grid.index(voxel))
    }

    /// Region at a position in atlas space.
    #[must_use]
    pub fn region(&self, position_mm: [f32; 3]) -> Region {
        self.nearest(position_mm).map_or(Region::None, |i| Region::of(self.region[i]))
    }

    /// Fractions of each tissue at a position, 0 to 1, of the nearest voxel.
    #[must_use]
    pub fn fractions(&self, position_mm: [f32; 3]) -> [f32; TISSUES] {
        let code = self.nearest(position_mm).map_or(0, |i| self.codes[i]);
        self.table[usize::from(code)].map(|parts| f32::from(parts) / 255.0)
    }

    /// Distance to the dura in mm, negative inside of it; exact to about 2 mm.
    #[must_use]
    pub fn distance_to_dura(&self, position_mm: [f32; 3]) -> f32 {
        self.dura.at(position_mm)
    }

    /// Volume of a region in ml, both sides.
    #[must_use]
    pub fn volume_ml(&self, region: Region) -> f32 {
        self.region.iter().filter(|&&r| r == region as u8).count() as f32 / 1000.0
    }

    /// A random position inside a region, `margin_mm` away from its border where the region is
    /// that thick (else as deep as some of its voxels are). Falls back to the origin when the
    /// region has no voxel on that side.
    #[must_use]
    pub fn place(
        &self,
        region: Region,
        side: Option<Side>,
        margin_mm: f32,
        rng: &mut ChaCha8Rng,
    ) -> [f32; 3] {
        let [nx, ny, _] = self.grid.size;
        let candidates: Vec<usize> = (0..self.region.len())
            .filter(|&i| {
                let x = self.grid.origin_mm[0] + (i % nx) as f32;
                self.region[i] == region as u8 && side.is_none_or(|s| x * s.sign() > 0.0)
            })
            .collect();
        let Some(last) = candidates.len().checked_sub(1) else {
            return [0.0; 3];
        };
        let position = |i: usize| self.grid.position_mm([i % nx, i / nx % ny, i / nx / ny]);
        let mut best = (0.0f32, position(candidates[rng.random_range(0..=last)]));
        for _ in 0..64 {
            let p = position(candidates[rng.random_range(0..=last)]);
            let clear = self.clearance(p, region, margin_mm);
            if clear > best.0 {
                best = (clear, p);
            }
            if clear >= margin_mm {
                break;
            }
        }
        let jitter: [f32; 3] = std::array::from_fn(|_| rng.random_range(-0.5..0.5));
        std::array::from_fn(|a| best.1[a] + jitter[a])
    }

    /// How far a ball round a position can grow inside a region, in steps of 1 mm up to `limit`.
    fn clearance(&self, p: [f32; 3], region: Region, limit: f32) -> f32 {
        let mut radius = 1.0f32;
        while radius <= limit.max(1.0) {
            for x in [-1.0f32, 0.0, 1.0] {
                for y in [-1.0f32, 0.0, 1.0] {
                    for z in [-1.0f32, 0.0, 1.0] {
                        let norm = (x * x + y * y + z * z).sqrt().max(1.0);
                        let k = radius / norm;
                        let q = [p[0] + k * x, p[1] + k * y, p[2] + k * z];
                        if self.region(q) != region {
                            return radius - 1.0;
                        }
                    }
                }
            }
            radius += 1.0;
        }
        radius - 1.0
    }
}

/// Fractions of every code; each row sums to 255.
fn table() -> Vec<[u8; TISSUES]> {
    (0..4096usize)
        .map(|code| {
            let (first, second, share) = (code >> 8, code >> 4 & 15, code & 15);
            let mut row = [0u8; TISSUES];
            let second_parts = (share * 17) as u8;
            row[first] = 255 - second_parts;
            row[second] += second_parts;
            row
        })
        .collect()
}
