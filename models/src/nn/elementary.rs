//! Functions of single values on a CPU, in the widest instructions there are; flex computes them
//! one value after another.

use burn::DispatchDevice;
use burn::tensor::{DType, Tensor, TensorData, activation};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Compute;

/// Values that one thread takes at a time.
const PART: usize = 1 << 14;

/// True where slices stand in for burn's operations: single precision on a CPU, without a
/// derivative.
pub(super) fn is_at_home(x: &Tensor<Compute, 2>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device(), DispatchDevice::Flex(_))
}

/// `x` times the share of a standard normal distribution that lies below it.
pub(super) fn gelu(x: Tensor<Compute, 2>) -> Tensor<Compute, 2> {
    if !is_at_home(&x) {
        return activation::gelu(x);
    }
    let (shape, device) = (x.dims(), x.device());
    let mut values = x.into_data().into_vec::<f32>().unwrap_or_default();
    let arch = Arch::new();
    values.par_chunks_mut(PART).for_each(|part| arch.dispatch(Gelu(part)));
    Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32))
}

struct Gelu<'a>(&'a mut [f32]);

impl WithSimd for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.0 {
            *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
        }
    }
}

/// The error function to 2e-7 (Abramowitz and Stegun 1964, 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let mut sum = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        sum = sum * t + coefficient;
    }
    (1.0 - sum * t * exp(-x * x)).copysign(x)
}

/// `e^x` for `x <= 0`, to 2e-7 of its value; below -87, where single precision ends, 1e-38.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, so `e^x = 2^n e^r`; `ln 2` is split in two, of which
/// the first has so few digits that its products with `n` are exact (Cody and Waite 1980), and
/// `e^r` is a Taylor polynomial of degree 7, whose error is below 2^-27.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "n lies between -126 and 0")]
#[expect(clippy::cast_sign_loss, reason = "the exponent of a normal number is positive")]
pub(super) fn exp(x: f32) -> f32 {
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // A NaN passes: both comparisons with it are false.
    let x = if x < -87.0 { -87.0 } else { x };
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (x - n * HIGH) - n * LOW;
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + coefficient;
    }
    sum * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_of_everything_below_zero() {
        let worst = (0..870_000).map(|i| -(i as f32) * 1e-4).map(|x| {
            let expected = f64::from(x).exp();
            ((f64::from(exp(x)) - expected) / expected).abs()
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 2e-7, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_is_that_of_burn() {
        let device = DispatchDevice::Flex(Default::default());
        let values: Vec<f32> = (-40_000..40_000).map(|i| i as f32 * 5e-4).collect();
        let tensor = |dtype| {
            let data = TensorData::new(values.clone(), [80, 1000]);
            Tensor::<Compute, 2>::from_data(data, (&device, dtype))
        };
        let found = gelu(tensor(DType::F32)).into_data().into_vec::<f32>().unwrap();
        let expected = activation::gelu(tensor(DType::F64)).into_data();
        for ((found, expected), x) in found.iter().zip(expected.iter::<f64>()).zip(&values) {
            let bound = 2e-7 * f64::from(x.abs().max(1.0));
            assert!((f64::from(*found) - expected).abs() < bound, "{x}: {found}, {expected}");
        }
    }
}
