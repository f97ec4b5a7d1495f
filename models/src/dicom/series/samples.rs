//! The sample type of a stack, and the rescale of stored values into it.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rescaled values are cut to the sample type on purpose"
)]

use rayon::prelude::*;

use super::header::Slice;
use super::stack::{Loaded, Pixels};
use crate::dicom::pixels::Frame;
use crate::study::Samples;

/// The types of [`Samples`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dicom) enum SampleType {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F64,
}

impl SampleType {
    fn of(samples: &Samples) -> Self {
        match samples {
            Samples::I8(_) => Self::I8,
            Samples::U8(_) => Self::U8,
            Samples::I16(_) => Self::I16,
            Samples::U16(_) => Self::U16,
            Samples::I32(_) => Self::I32,
            Samples::U32(_) => Self::U32,
            Samples::F64(_) => Self::F64,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }

    /// The smallest integer type for a range, unsigned unless the range goes below zero.
    fn smallest(min: f64, max: f64) -> Self {
        let unsigned = [
            (Self::U8, f64::from(u8::MAX)),
            (Self::U16, f64::from(u16::MAX)),
            (Self::U32, f64::from(u32::MAX)),
        ];
        let signed = [
            (Self::I8, f64::from(i8::MIN), f64::from(i8::MAX)),
            (Self::I16, f64::from(i16::MIN), f64::from(i16::MAX)),
            (Self::I32, f64::from(i32::MIN), f64::from(i32::MAX)),
        ];
        let found = if min >= 0.0 {
            unsigned.iter().find(|(_, top)| max <= *top).map(|(kind, _)| *kind)
        } else {
            let fits = |(_, bottom, top): &&(Self, f64, f64)| min >= *bottom && max <= *top;
            signed.iter().find(fits).map(|(kind, ..)| *kind)
        };
        found.unwrap_or(Self::F64)
    }

    /// The type that holds all slices of a stack.
    pub(super) fn of_slices(pixels: &Pixels) -> Self {
        let Some(first) = pixels.slices.first() else { return Self::F64 };
        let stored = Self::of(&pixels.frames[first.frame].values);
        let as_stored = |loaded: &Loaded| {
            identity(&loaded.slice) && Self::of(&pixels.frames[loaded.frame].values) == stored
        };
        if pixels.slices.iter().all(as_stored) {
            return stored;
        }
        if !pixels.slices.iter().all(|loaded| whole(&loaded.slice)) {
            return Self::F64;
        }
        let (min, max) = pixels.slices.iter().fold((0.0_f64, 0.0_f64), |(min, max), loaded| {
            let (low, high) = loaded.slice.range();
            (min.min(low), max.max(high))
        });
        Self::smallest(min, max)
    }

    /// The type GDCM gives one image: `None` where it would need a type smaller than the stored
    /// one, which GDCM refuses [measured].
    pub(in crate::dicom) fn of_image(slice: &Slice, frame: &Frame) -> Option<Self> {
        let stored = Self::of(&frame.values);
        if identity(slice) {
            return Some(stored);
        }
        if !whole(slice) {
            return Some(Self::F64);
        }
        let (min, max) = slice.range();
        Some(Self::smallest(min, max)).filter(|kind| kind.bytes() >= stored.bytes())
    }

    /// All slices, rescaled, one after the other in this type.
    pub(in crate::dicom) fn gather(self, pixels: &Pixels) -> Samples {
        match self {
            Self::I8 => Samples::I8(gather(pixels)),
            Self::U8 => Samples::U8(gather(pixels)),
            Self::I16 => Samples::I16(gather(pixels)),
            Self::U16 => Samples::U16(gather(pixels)),
            Self::I32 => Samples::I32(gather(pixels)),
            Self::U32 => Samples::U32(gather(pixels)),
            Self::F64 => Samples::F64(gather(pixels)),
        }
    }
}

fn identity(slice: &Slice) -> bool {
    (slice.slope - 1.0).abs() < f64::EPSILON && slice.intercept.abs() < f64::EPSILON
}

fn whole(slice: &Slice) -> bool {
    let within = |value: f64| value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX);
    within(slice.slope) && within(slice.intercept)
}

/// A voxel type that frames may hold and rescaled values are brought into.
trait Voxel: Copy + Default + Send + Sync {
    /// Rounds towards zero. What does not fit wraps around, as it does in ITK [measured]; it can
    /// only happen where the first file of a series sets the type for others.
    fn from_f64(value: f64) -> Self;
    /// The samples, if they are of this type.
    fn view(samples: &Samples) -> Option<&[Self]>;
}

macro_rules! voxel {
    ($($type:ty => $variant:ident: $convert:expr),* $(,)?) => {$(
        impl Voxel for $type {
            fn from_f64(value: f64) -> Self {
                $convert(value)
            }

            fn view(samples: &Samples) -> Option<&[Self]> {
                match samples {
                    Samples::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    )*};
}
voxel! {
    i8 => I8: |value| whole_part(value) as i8,
    u8 => U8: |value| whole_part(value) as u8,
    i16 => I16: |value| whole_part(value) as i16,
    u16 => U16: |value| whole_part(value) as u16,
    i32 => I32: |value| whole_part(value) as i32,
    u32 => U32: |value| whole_part(value) as u32,
    f64 => F64: |value| value,
}

fn whole_part(value: f64) -> i64 {
    value as i64
}

fn gather<T: Voxel>(pixels: &Pixels) -> Vec<T> {
    let Some(first) = pixels.slices.first() else { return Vec::new() };
    let slice_vox = first.slice.columns as usize * first.slice.rows as usize;
    let mut out = vec![T::default(); slice_vox * pixels.slices.len()];
    if slice_vox == 0 {
        return out;
    }
    out.par_chunks_exact_mut(slice_vox)
        .zip(&pixels.slices)
        .for_each(|(out, loaded)| copy_slice(&loaded.slice, &pixels.frames[loaded.frame], out));
    out
}

/// Copies one slice out of its frame line by line, rescaling on the way.
fn copy_slice<T: Voxel>(slice: &Slice, frame: &Frame, out: &mut [T]) {
    let rescale = |value: f64| T::from_f64(value * slice.slope + slice.intercept);
    match (&frame.values, T::view(&frame.values)) {
        (_, Some(values)) if identity(slice) => copy_lines(slice, frame, values, |v| v, out),
        (Samples::I8(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::U8(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::I16(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::U16(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::I32(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::U32(v), _) => copy_lines(slice, frame, v, |v| rescale(v.into()), out),
        (Samples::F64(v), _) => copy_lines(slice, frame, v, rescale, out),
    }
}

fn copy_lines<S: Copy, T>(
    slice: &Slice,
    frame: &Frame,
    values: &[S],
    convert: impl Fn(S) -> T,
    out: &mut [T],
) {
    let (column, row) = slice.tile.map_or((0, 0), |tile| (tile.column, tile.row));
    let line = slice.columns as usize;
    let lines = values.chunks_exact(frame.columns as usize).skip(row as usize);
    for (out, values) in out.chunks_exact_mut(line).zip(lines) {
        for (out, value) in out.iter_mut().zip(values.get(column as usize..).unwrap_or_default()) {
            *out = convert(*value);
        }
    }
}
