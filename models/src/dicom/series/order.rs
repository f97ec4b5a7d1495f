//! Slices of one volume into stacking order by where they lie, and what is odd about the stack.

use super::header::{Slice, dot};
use super::split::{Part, SAME_PLACE_MM};
use crate::study::{LeftOutReason, Remark};

/// Slices closer than this share of the usual distance are the same slice twice.
const DUPLICATE: f64 = 0.01;
/// Distances that differ by more than this share of the usual one are worth a remark.
const UNEVEN: f64 = 0.1;
/// In-plane shift between slices that is worth a remark.
const SHIFT_MM: f64 = 1.0;

/// Slices in order, with remarks.
pub(in crate::dicom) type Ordered = (Vec<Slice>, Vec<Remark>);

/// Orders slices along the normal (row x column) of the first.
///
/// Without positions the slice location decides, without that the instance number; both are
/// remarked on, because neither says which way the stack runs.
///
/// # Errors
/// [`LeftOutReason::Geometry`] without an orientation, and [`LeftOutReason::MissingSlices`] when
/// a third or more of the places between the first and the last slice are empty: what is left
/// would be shown as if it lay side by side.
pub(in crate::dicom) fn order(part: Part) -> Result<Ordered, LeftOutReason> {
    let slices = part.slices;
    let normal = slices.first().and_then(Slice::normal).ok_or_else(|| LeftOutReason::Geometry {
        what: "Image Orientation (Patient) is missing or spans no plane".into(),
    })?;
    let mut remarks = Vec::new();
    let places: Option<Vec<f64>> = slices.iter().map(|slice| slice.along(normal)).collect();
    let places = places.or_else(|| {
        remarks.push(Remark::OrderAssumed { from: "slice location".into() });
        slices.iter().map(|slice| slice.location).collect()
    });
    let Some(places) = places else {
        let mut slices = slices;
        slices.sort_by_key(|slice| (slice.instance, slice.source.frame));
        return Ok((slices, vec![Remark::OrderAssumed { from: "instance number".into() }]));
    };
    let mut placed: Vec<(f64, Slice)> = places.into_iter().zip(slices).collect();
    placed.sort_by(|(a, s), (b, t)| {
        let later = || (s.instance, &s.source.path, s.source.frame);
        a.total_cmp(b).then_with(|| later().cmp(&(t.instance, &t.source.path, t.source.frame)))
    });
    let usual_mm = usual_distance(&placed);
    remarks.extend(drop_duplicates(&mut placed, usual_mm));
    remarks.extend(gaps(&placed, usual_mm)?);
    remarks.extend(shift(&placed, normal));
    Ok((placed.into_iter().map(|(_, slice)| slice).collect(), remarks))
}

/// The median distance between neighbours that are not the same slice; 0 when there is none.
fn usual_distance(placed: &[(f64, Slice)]) -> f64 {
    let mut apart: Vec<f64> = distances(placed).filter(|mm| *mm > SAME_PLACE_MM).collect();
    apart.sort_by(f64::total_cmp);
    apart.get(apart.len() / 2).copied().unwrap_or(0.0)
}

fn distances(placed: &[(f64, Slice)]) -> impl Iterator<Item = f64> {
    placed.windows(2).map(|pair| pair[1].0 - pair[0].0)
}

/// Keeps the slice with the lowest instance number at each place.
fn drop_duplicates(placed: &mut Vec<(f64, Slice)>, usual_mm: f64) -> Option<Remark> {
    let before = placed.len();
    let limit_mm = DUPLICATE * usual_mm;
    let mut groups: Vec<(f64, Slice)> = Vec::with_capacity(before);
    for (place, slice) in placed.drain(..) {
        match groups.last_mut() {
            Some((at, first)) if place - *at <= limit_mm => {
                if slice.instance < first.instance {
                    *first = slice;
                }
            }
            _ => groups.push((place, slice)),
        }
    }
    *placed = groups;
    let count = before - placed.len();
    (count > 0).then_some(Remark::DuplicateSlices { count })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of missing slices, bounded before the cast"
)]
fn gaps(placed: &[(f64, Slice)], usual_mm: f64) -> Result<Option<Remark>, LeftOutReason> {
    const BOUND: f64 = 1e6;
    if usual_mm <= 0.0 {
        return Ok(None);
    }
    let empty = |mm: f64| ((mm / usual_mm).round() - 1.0).clamp(0.0, BOUND) as usize;
    let missing = distances(placed).map(empty).fold(0_usize, usize::saturating_add);
    let found = placed.len();
    if missing * 2 >= found {
        return Err(LeftOutReason::MissingSlices { missing, found });
    }
    let min_mm = distances(placed).fold(f64::INFINITY, f64::min);
    let max_mm = distances(placed).filter(|mm| empty(*mm) == 0).fold(0.0, f64::max);
    Ok(if missing > 0 {
        Some(Remark::MissingSlices { count: missing })
    } else if max_mm - min_mm > UNEVEN * usual_mm {
        Some(Remark::UnevenSpacing { min_mm, max_mm })
    } else {
        None
    })
}

/// Slices that lie beside, not above, each other: the volume is read as if they did not.
fn shift(placed: &[(f64, Slice)], normal: [f64; 3]) -> Option<Remark> {
    let first = placed.first()?.1.position_mm?;
    let beside = |slice: &Slice| {
        let at = slice.position_mm?;
        let way: [f64; 3] = std::array::from_fn(|axis| at[axis] - first[axis]);
        let along = dot(way, normal);
        Some((dot(way, way) - along * along).max(0.0).sqrt())
    };
    let largest_mm = placed.iter().filter_map(|(_, slice)| beside(slice)).fold(0.0, f64::max);
    (largest_mm > SHIFT_MM).then_some(Remark::ShiftedSlices { largest_mm })
}
