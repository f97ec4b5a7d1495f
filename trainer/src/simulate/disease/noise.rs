//! Smooth random fields and random choices.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lattice indices wrap on purpose; coordinates are a few thousand at most"
)]

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// Value in -1..1 of a lattice point.
fn lattice(seed: u32, [x, y, z]: [i32; 3]) -> f32 {
    let mut h = seed
        ^ (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^= h >> 15;
    (h >> 8) as f32 / 8_388_608.0 - 1.0
}

/// Smooth noise, about -1..1, that varies over `scale_mm`.
pub(super) fn smooth(seed: u32, position_mm: [f32; 3], scale_mm: f32) -> f32 {
    let p = position_mm.map(|v| v / scale_mm);
    let base = p.map(|v| v.floor() as i32);
    let t: [f32; 3] = std::array::from_fn(|a| {
        let f = p[a] - base[a] as f32;
        f * f * (3.0 - 2.0 * f)
    });
    let mut sum = 0.0;
    for corner in 0..8_i32 {
        let bit = [corner & 1, (corner >> 1) & 1, (corner >> 2) & 1];
        let weight: f32 = (0..3).map(|a| if bit[a] == 1 { t[a] } else { 1.0 - t[a] }).product();
        sum += weight * lattice(seed, std::array::from_fn(|a| base[a].wrapping_add(bit[a])));
    }
    sum
}

/// Two octaves of [`smooth`].
pub(super) fn rough(seed: u32, position_mm: [f32; 3], scale_mm: f32) -> f32 {
    0.65 * smooth(seed, position_mm, scale_mm)
        + 0.35 * smooth(seed ^ 0x5bd1_e995, position_mm, scale_mm * 0.45)
}

/// Uniform in a range.
pub(super) fn uniform(rng: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low + (high - low) * rng.random::<f32>()
}

/// Uniform in the logarithm; both ends positive.
pub(super) fn log_uniform(rng: &mut ChaCha8Rng, [low, high]: [f32; 2]) -> f32 {
    low * (high / low).powf(rng.random::<f32>())
}

/// True with a probability.
pub(super) fn chance(rng: &mut ChaCha8Rng, probability: f32) -> bool {
    rng.random::<f32>() < probability
}

/// Index drawn by weight; 0 when all weights are zero.
pub(super) fn pick(rng: &mut ChaCha8Rng, weights: impl Iterator<Item = f32> + Clone) -> usize {
    let total: f32 = weights.clone().sum();
    let mut left = rng.random::<f32>() * total;
    let mut last = 0;
    for (i, w) in weights.enumerate() {
        if w > 0.0 {
            last = i;
            if left < w {
                return i;
            }
        }
        left -= w;
    }
    last
}

/// A direction, evenly on the sphere.
pub(super) fn direction(rng: &mut ChaCha8Rng) -> [f32; 3] {
    let z = uniform(rng, [-1.0, 1.0]);
    let (sin, cos) = uniform(rng, [0.0, std::f32::consts::TAU]).sin_cos();
    let r = (1.0 - z * z).max(0.0).sqrt();
    [r * cos, r * sin, z]
}
