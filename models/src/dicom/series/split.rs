//! One series into volumes, as a radiologist would hang them: a stack for each matrix size,
//! plane, kind of image, b-value and echo; of volumes that only repeat each other (time points of
//! a perfusion series, gradient directions of one b-value) the first.

use std::collections::BTreeMap;

use super::header::{Slice, dot};

/// Slices of one volume, not yet in order.
#[derive(Debug)]
pub(in crate::dicom) struct Part {
    /// What tells this volume from the others of its series (`b=1000`, `phase`).
    pub(in crate::dicom) labels: Vec<String>,
    pub(in crate::dicom) slices: Vec<Slice>,
}

/// The volumes of a series.
#[derive(Debug, Default)]
pub(in crate::dicom) struct Split {
    pub(in crate::dicom) parts: Vec<Part>,
    /// Volumes that repeat a part, with the attribute in which they differ from it.
    pub(in crate::dicom) repeats: Vec<(Part, &'static str)>,
    /// Number of clearly different planes (more than 30 degrees apart) in the whole series.
    pub(in crate::dicom) planes: usize,
}

/// Two slices lie at the same place when they are closer than this along the normal; exporters
/// write positions with more digits.
pub(super) const SAME_PLACE_MM: f64 = 0.01;
/// Largest difference of a direction cosine between slices of one stack (about 0.6 degrees).
const SAME_PLANE: f64 = 0.01;

/// What Image Type (value 3 on), Frame Type or Complex Image Component call a kind of image.
/// The first row with a match counts, so maps come before the part of the complex signal.
const KINDS: [(&str, &[&str]); 13] = [
    ("ADC", &["ADC", "ADC_UNSPECIFIED", "ADC MAP", "AVERAGE DC", "DIFFUSION_ADC"]),
    ("exponential ADC", &["EADC", "EXPONENTIAL", "EXP_ADC"]),
    ("trace", &["TRACE", "TRACEW", "ISOTROPIC", "TRACE_UNSPECIFIED"]),
    ("FA", &["FA", "FRACTIONAL_ANISOTROPY", "FRACT_ANISO"]),
    ("minimum projection", &["MNIP", "MINIP", "MIN_IP"]),
    ("water", &["W", "WATER", "DIXON_WATER"]),
    ("fat", &["F", "FAT", "DIXON_FAT"]),
    ("in phase", &["IP", "IN_PHASE", "INPHASE", "DIXON_INPHASE"]),
    ("opposed phase", &["OP", "OUT_PHASE", "OPP_PHASE", "OPPOSED_PHASE", "DIXON_OPPPHASE"]),
    ("phase", &["P", "PHASE", "PHASE MAP", "PHASE_MAP"]),
    ("real", &["R", "REAL"]),
    ("imaginary", &["I", "IMAGINARY"]),
    ("magnitude", &["M", "MAGNITUDE", "M_SE", "M_FFE", "M_IR", "M_TSE", "MIXED"]),
];

/// The kind of an image, from its Image or Frame Type, its complex component, and GE's code.
pub(super) fn kind(
    image_type: &[String],
    component: Option<&String>,
    ge_component: Option<&str>,
) -> Option<&'static str> {
    let words = image_type.iter().skip(2).chain(component).map(String::as_str).chain(ge_component);
    let found = |names: &[&str]| words.clone().any(|word| names.contains(&word));
    KINDS.iter().find(|(_, names)| found(names)).map(|(kind, _)| *kind)
}

/// A value that sets volumes apart: volumes are sorted by `order`, then by instance.
type Facet = (i64, String);
/// Reads the value off a slice.
type Key = fn(&Slice) -> Facet;

/// What always makes separate volumes.
const ALWAYS: [Key; 5] = [
    |s| (0, format!("{}x{}", s.columns, s.rows)),
    |s| match s.pixel_spacing_mm {
        Some([column, row]) => (0, format!("{column:.2}x{row:.2} mm")),
        None => (0, "no pixel spacing".into()),
    },
    |s| (0, s.facets.kind.unwrap_or("other images").into()),
    |s| match s.facets.b_value.map(nominal) {
        Some(b) => (b, format!("b={b}")),
        None => (-1, "no b-value".into()),
    },
    |s| (s.facets.echo.unwrap_or(0), format!("echo {}", s.facets.echo.unwrap_or(0))),
];

/// What to do with volumes that one of [`REPEATS`] tells apart.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    All,
    First(&'static str),
}

/// What tells volumes apart that cover the same places, tried in this order. Such attributes may
/// also vary from slice to slice of one volume, so they count only where slices repeat.
///
/// Of gradient directions, an isotropic image comes first. The first time point is taken because
/// it is free of bolus and of T1 saturation differences within the volume.
const REPEATS: [(Keep, Key); 6] = [
    (Keep::All, |s| {
        let microseconds = nearest(s.facets.echo_time_ms.unwrap_or(0.0) * 1e3);
        (microseconds, format!("TE {} ms", s.facets.echo_time_ms.unwrap_or(0.0)))
    }),
    (Keep::All, |s| (0, s.facets.image_type.join(" ").to_lowercase())),
    (Keep::First("gradient direction"), |s| {
        (i64::from(s.facets.direction.is_some()), s.facets.direction.clone().unwrap_or_default())
    }),
    (Keep::First("time point"), |s| facet(s.facets.time_point)),
    (Keep::First("acquisition"), |s| facet(s.facets.acquisition)),
    (Keep::First("trigger time"), |s| facet(s.facets.trigger_time_ms.map(|ms| nearest(ms * 1e3)))),
];

fn facet(value: Option<i64>) -> Facet {
    (value.unwrap_or(0), value.map(|v| v.to_string()).unwrap_or_default())
}

/// b-values as prescribed: scanners write 995 or 1005 where 1000 was asked for.
fn nominal(b_value: f64) -> i64 {
    let step = if b_value < 100.0 { 5.0 } else { 50.0 };
    nearest(b_value / step) * nearest(step)
}

#[expect(clippy::cast_possible_truncation, reason = "values beyond i64 saturate and still compare")]
fn nearest(value: f64) -> i64 {
    value.round() as i64
}

/// Splits the slices of one series.
pub(in crate::dicom) fn split(slices: Vec<Slice>) -> Split {
    let mut split = Split { planes: planes(&slices), ..Split::default() };
    let mut parts = by_plane(slices);
    for key in ALWAYS {
        parts = parts.into_iter().flat_map(|part| partition(part, key)).collect();
    }
    for part in parts {
        resolve(part, &REPEATS, &mut split);
    }
    split
}

/// Separates volumes that cover the same places by the first attribute that does it.
fn resolve(part: Part, rules: &[(Keep, Key)], split: &mut Split) {
    let most = repeats(&part.slices);
    let Some(((keep, key), rest)) = rules.split_first().filter(|_| most > 1) else {
        return split.parts.push(part);
    };
    let mut groups = partition(Part { labels: Vec::new(), slices: part.slices }, *key);
    let resolves = (2..=most).contains(&groups.len())
        && groups.iter().all(|group| repeats(&group.slices) < most);
    if !resolves {
        let slices = groups.into_iter().flat_map(|group| group.slices).collect();
        return resolve(Part { labels: part.labels, slices }, rest, split);
    }
    for group in &mut groups {
        group.labels.splice(0..0, part.labels.iter().cloned());
    }
    if let Keep::First(what) = *keep {
        let full = groups.iter().map(|group| group.slices.len()).max().unwrap_or(0);
        let first = groups.iter().position(|group| group.slices.len() == full).unwrap_or(0);
        let mut kept = groups.swap_remove(first);
        kept.labels = part.labels;
        split.repeats.extend(groups.into_iter().map(|group| (group, what)));
        groups = vec![kept];
    }
    for group in groups {
        resolve(group, rest, split);
    }
}

/// Groups slices by a facet; groups are labelled when there are several.
fn partition(part: Part, key: Key) -> Vec<Part> {
    let mut groups: BTreeMap<Facet, Vec<Slice>> = BTreeMap::new();
    for slice in part.slices {
        groups.entry(key(&slice)).or_default().push(slice);
    }
    let several = groups.len() > 1;
    let mut groups: Vec<(Facet, Vec<Slice>)> = groups.into_iter().collect();
    groups.sort_by_key(|((order, _), slices)| (*order, slices.iter().map(earliest).min()));
    let labels = |label| part.labels.iter().cloned().chain(several.then_some(label)).collect();
    groups.into_iter().map(|((_, label), slices)| Part { labels: labels(label), slices }).collect()
}

fn earliest(slice: &Slice) -> (i64, u32) {
    (slice.instance, slice.source.frame)
}

/// Groups slices by orientation, each slice joining the first group it is parallel to.
fn by_plane(slices: Vec<Slice>) -> Vec<Part> {
    let mut groups: Vec<Vec<Slice>> = Vec::new();
    for slice in slices {
        match groups.iter_mut().find(|group| parallel(&group[0], &slice)) {
            Some(group) => group.push(slice),
            None => groups.push(vec![slice]),
        }
    }
    let several = groups.len() > 1;
    let mut seen = BTreeMap::new();
    groups
        .into_iter()
        .map(|slices| {
            let plane = slices[0].normal().map_or("no orientation", plane_name);
            let nth = seen.entry(plane).and_modify(|n| *n += 1).or_insert(1);
            let label = if *nth == 1 { plane.into() } else { format!("{plane} {nth}") };
            Part { labels: several.then_some(label).into_iter().collect(), slices }
        })
        .collect()
}

fn parallel(a: &Slice, b: &Slice) -> bool {
    match (a.orientation, b.orientation) {
        (Some(a), Some(b)) => {
            let pairs = a.axes.as_flattened().iter().zip(b.axes.as_flattened());
            pairs.into_iter().all(|(a, b)| (a - b).abs() <= SAME_PLANE)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn plane_name(normal: [f64; 3]) -> &'static str {
    let names = ["sagittal", "coronal", "axial"];
    let largest = normal.iter().map(|v| v.abs()).zip(names).max_by(|a, b| a.0.total_cmp(&b.0));
    largest.map_or("axial", |(_, name)| name)
}

/// Counts planes that are more than 30 degrees apart.
fn planes(slices: &[Slice]) -> usize {
    const COS_30_DEGREES: f64 = 0.866;
    let mut normals: Vec<[f64; 3]> = Vec::new();
    for normal in slices.iter().filter_map(Slice::normal) {
        if normals.iter().all(|other| dot(*other, normal).abs() < COS_30_DEGREES) {
            normals.push(normal);
        }
    }
    normals.len()
}

/// The largest number of slices at one place; 1 where places are unknown.
fn repeats(slices: &[Slice]) -> usize {
    let Some(normal) = slices.first().and_then(Slice::normal) else { return 1 };
    let mut places: Vec<f64> =
        slices.iter().filter_map(|slice| slice.along(normal).or(slice.location)).collect();
    places.sort_by(f64::total_cmp);
    let runs = places.chunk_by(|a, b| b - a <= SAME_PLACE_MM);
    runs.map(<[f64]>::len).max().unwrap_or(1)
}
