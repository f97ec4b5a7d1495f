//! Random weights from a seed: for `trainer init`, benches and tests.

use half::f16;

use crate::nn::parameters::{ParameterError, ParameterSource};

/// Parameters that are a function of seed and tensor name: layer norms are the identity, all
/// other values uniform within `fan_in^-0.5`, which keeps activations of order one.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// Any number; equal seeds give equal weights.
    pub seed: u64,
}

impl Seeded {
    /// Values of the tensor `name`.
    pub fn values(&self, name: &str, shape: &[usize]) -> impl Iterator<Item = f32> + use<> {
        let count: usize = shape.iter().product();
        let norm = shape.len() == 1 && name.ends_with("weight");
        let fan_in = shape.iter().skip(1).product::<usize>().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a layer has far fewer than 2^23 inputs")]
        let bound = (fan_in as f32).powf(-0.5);
        let mut state = name.bytes().fold(self.seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (0..count).map(move |_| {
            if norm {
                return 1.0;
            }
            // SplitMix64: one multiply-and-shift chain per value.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            #[expect(clippy::cast_precision_loss, reason = "24 bits fit a f32")]
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / 16_777_216.0;
            bound * (2.0 * unit - 1.0)
        })
    }
}

impl ParameterSource for Seeded {
    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParameterError> {
        Ok(self.values(name, shape).collect())
    }

    /// Everything exists but the optional stored position tables.
    fn contains(&self, name: &str) -> bool {
        !name.ends_with("p_enc")
    }
}

/// Little-endian bytes of values in half precision.
#[must_use]
pub fn half_bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect()
}
