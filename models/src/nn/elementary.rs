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
pub(super) fn is_at_home<const D: usize>(x: &Tensor<Compute, D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device(), DispatchDevice::Flex(_))
}

/// The same with a derivative.
pub(super) fn is_trained_at_home<const D: usize>(x: &Tensor<Compute, D>) -> bool {
    let DispatchDevice::Autodiff(device) = x.device() else { return false };
    x.dtype() == DType::F32 && matches!(*device, DispatchDevice::Flex(_))
}

/// `x` times the share of a standard normal distribution that lies below it.
pub(super) fn gelu<const D: usize>(x: Tensor<Compute, D>) -> Tensor<Compute, D> {
    if is_trained_at_home(&x) {
        return linearised(x, Gelu);
    }
    if !is_at_home(&x) {
        return activation::gelu(x);
    }
    let (shape, device) = (x.dims(), x.device());
    let mut values = x.into_data().into_vec::<f32>().unwrap_or_default();
    values.par_chunks_mut(PART).for_each(gelu_of);
    Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32))
}

/// [`gelu`] in place, on this thread.
pub(super) fn gelu_of(values: &mut [f32]) {
    Arch::new().dispatch(Values(values, Gelu));
}

/// [`gelu`] of every value in place, and its slope there; on this thread.
pub(super) fn gelu_and_slope(values: &mut [f32], slopes: &mut [f32]) {
    Arch::new().dispatch(Slopes { values, slopes, function: Gelu });
}

/// GPT-2's approximation of [`gelu`], by the hyperbolic tangent.
pub(super) fn gelu_by_tanh<const D: usize>(x: Tensor<Compute, D>) -> Tensor<Compute, D> {
    if is_trained_at_home(&x) { linearised(x, GeluByTanh) } else { activation::gelu_approximate(x) }
}

/// A function of single values, and its derivative.
trait Function: Copy + Sync {
    fn value_and_slope(self, x: f32) -> [f32; 2];
}

/// A function as a line through each of its values, `slope * x + rest`, of which the graph keeps
/// the slopes: value and derivative are those of the function, for two operations of burn's in
/// place of a dozen.
fn linearised<const D: usize>(
    x: Tensor<Compute, D>,
    function: impl Function,
) -> Tensor<Compute, D> {
    let inner = x.clone().inner();
    let (shape, device) = (inner.dims(), inner.device());
    let mut rests = inner.into_data().into_vec::<f32>().unwrap_or_default();
    let (mut slopes, arch) = (vec![0.0; rests.len()], Arch::new());
    let parts = rests.par_chunks_mut(PART).zip(slopes.par_chunks_mut(PART));
    parts.for_each(|(rests, slopes)| arch.dispatch(Lines { rests, slopes, function }));
    let fixed = |values: Vec<f32>| {
        let data = TensorData::new(values, shape);
        Tensor::from_inner(Tensor::from_data(data, (&device, DType::F32)))
    };
    x * fixed(slopes) + fixed(rests)
}

#[derive(Clone, Copy)]
struct Gelu;

impl Function for Gelu {
    #[inline(always)]
    fn value_and_slope(self, x: f32) -> [f32; 2] {
        const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
        let below = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
        [x * below, below + x * DENSITY * exp(-0.5 * x * x)]
    }
}

#[derive(Clone, Copy)]
struct GeluByTanh;

impl Function for GeluByTanh {
    #[inline(always)]
    fn value_and_slope(self, x: f32) -> [f32; 2] {
        const CUBE: f32 = 0.044_715;
        const SCALE: f32 = 0.797_884_6; // sqrt(2 / pi)
        let inner = SCALE * (x + CUBE * x * x * x);
        let small = exp(-2.0 * inner.abs());
        let tanh = ((1.0 - small) / (1.0 + small)).copysign(inner);
        let below = 0.5 * (1.0 + tanh);
        let slope = 0.5 * (1.0 - tanh * tanh) * SCALE * (1.0 + 3.0 * CUBE * x * x);
        [x * below, below + x * slope]
    }
}

/// A function of every value, in place.
struct Values<'a, F>(&'a mut [f32], F);

impl<F: Function> WithSimd for Values<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for x in self.0 {
            [*x, _] = self.1.value_and_slope(*x);
        }
    }
}

/// A function of every value, in place, and its slope there.
struct Slopes<'a, F> {
    values: &'a mut [f32],
    slopes: &'a mut [f32],
    function: F,
}

impl<F: Function> WithSimd for Slopes<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, slopes, function } = self;
        for (value, slope) in values.iter_mut().zip(slopes) {
            [*value, *slope] = function.value_and_slope(*value);
        }
    }
}

/// The line through every value: from values to what is left of them.
struct Lines<'a, F> {
    rests: &'a mut [f32],
    slopes: &'a mut [f32],
    function: F,
}

impl<F: Function> WithSimd for Lines<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rests, slopes, function } = self;
        for (rest, to) in rests.iter_mut().zip(slopes) {
            let [value, slope] = function.value_and_slope(*rest);
            *rest = value - slope * *rest;
            *to = slope;
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
/// `e^r` is a Taylor polynomial of degree 7, whose error is below 2^-27. A number that is added to
/// 1.5 * 2^23 is rounded to a whole one, which then stands in its lowest bits: a conversion to an
/// integer would be checked for each value by itself.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    /// 1.5 * 2^23.
    const SHIFT: f32 = 12_582_912.0;
    // A NaN passes: both comparisons with it are false.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * HIGH) - n * LOW;
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + coefficient;
    }
    sum * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
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

    /// Values and derivatives of both, by differences of the formula in double precision.
    #[test]
    fn lines_have_value_and_derivative() {
        let erf = |x: f64| {
            let step = x / 2000.0;
            let at = |i: f64| (-(i * step).powi(2)).exp();
            let odd: f64 = (0..1000).map(|i| at(f64::from(2 * i + 1))).sum();
            let even: f64 = (1..1000).map(|i| at(f64::from(2 * i))).sum();
            let integral = step / 3.0 * (at(0.0) + 4.0 * odd + 2.0 * even + at(2000.0));
            2.0 / std::f64::consts::PI.sqrt() * integral
        };
        let by_erf = move |x: f64| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()));
        let by_tanh = |x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        };
        type Found = fn(Tensor<Compute, 2>) -> Tensor<Compute, 2>;
        type Formula = Box<dyn Fn(f64) -> f64>;
        let cases: [(Found, Formula); 2] =
            [(gelu::<2>, Box::new(by_erf)), (gelu_by_tanh::<2>, Box::new(by_tanh))];
        let device = DispatchDevice::autodiff(DispatchDevice::Flex(Default::default()));
        let values: Vec<f32> = (-300..300).map(|i| i as f32 * 0.02).collect();
        for (function, formula) in cases {
            let data = TensorData::new(values.clone(), [6, 100]);
            let x = Tensor::<Compute, 2>::from_data(data, &device).require_grad();
            assert!(is_trained_at_home(&x));
            let y = function(x.clone());
            let slopes = x.grad(&y.clone().sum().backward()).unwrap().into_data();
            let both = y.into_data().iter::<f64>().zip(slopes.iter::<f64>()).collect::<Vec<_>>();
            for (x, (value, slope)) in values.iter().map(|x| f64::from(*x)).zip(both) {
                let expected = (formula(x + 1e-4) - formula(x - 1e-4)) / 2e-4;
                assert!((value - formula(x)).abs() < 1e-6, "value at {x}: {value}");
                assert!((slope - expected).abs() < 1e-6, "slope at {x}: {slope}, {expected}");
            }
        }
    }
}
