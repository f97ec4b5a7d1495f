//! Figures of images and scores of the latest studies against those of the reference, by the
//! population stability index and the test of Kolmogorov and Smirnov.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statistics::drift::{Reference, kolmogorov_smirnov};
use statistics::multiple::holm;
use statistics::sample::{mean, quantile, sorted};

use super::{Evidence, software};
use crate::store::quality::alarms::Kind;
use crate::store::quality::{MeasuredSeries, Study};

/// Bins of the index, each with the same share of the reference.
const BINS: usize = 10;
/// Indices above this are a change that matters (the rule of thumb of credit scoring, where the
/// index comes from). Whether it is chance says the test.
pub const PSI_LIMIT: f64 = 0.25;
/// Distances of two distribution functions above this matter where all of the reference is one
/// value and there is no index.
const DISTANCE_LIMIT: f64 = 0.25;
/// Of a window so many studies must have a value, as a share.
const LEAST: f64 = 0.5;

/// Figures of a series, as ratios to what series of its kind have in the reference.
const OF_SERIES: [(&str, fn(&MeasuredSeries) -> f64); 7] = [
    ("brightness", |series| series.brightness),
    ("contrast", |series| series.contrast),
    ("noise", |series| series.noise),
    ("foreground", |series| series.foreground),
    ("slices", |series| series.slices),
    ("slice_distance", |series| series.slice_mm),
    ("tokens", |series| series.tokens),
];
/// Series that were looked at.
pub const SERIES: &str = "series";
/// Series and files that were left out.
pub const LEFT_OUT: &str = "left_out";

/// One quantity, compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// [`Kind::Input`] or [`Kind::Scores`].
    pub kind: Kind,
    /// The figure, or the output of the model.
    pub name: String,
    /// Population stability index; `None` where the reference has one value only.
    pub psi: Option<f64>,
    /// Of the test, adjusted for as many quantities as there are.
    pub p: f64,
    /// Mean of the reference: 1 for ratios.
    pub before: f64,
    /// Mean of the latest studies.
    pub now: f64,
    /// It has drifted.
    pub drifted: bool,
}

/// What a comparison has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Every quantity, the furthest from its reference first.
    pub streams: Vec<Stream>,
    /// What is to be told, at most one of each kind.
    pub alarms: Vec<(Kind, Evidence)>,
}

/// A quantity of a study.
struct Quantity<'a> {
    kind: Kind,
    name: &'a str,
    /// Values are logarithms of ratios.
    ratio: bool,
    of: Box<dyn Fn(&Study) -> Option<f64> + 'a>,
}

/// Compares the last `recent` of the studies `latest` with the reference. When nothing has
/// changed, a comparison finds something with a probability of `share` at most, whatever the
/// number of outputs (Holm, Scandinavian Journal of Statistics 1979).
#[must_use]
pub fn compare(
    reference: &[Study],
    latest: &[Study],
    recent: usize,
    outputs: &[String],
    share: f64,
) -> Compared {
    let now = &latest[latest.len().saturating_sub(recent)..];
    let quantities = quantities(reference, outputs);
    let mut found: Vec<(&Quantity<'_>, Stream)> = quantities
        .iter()
        .filter_map(|quantity| Some((quantity, stream(quantity, reference, now)?)))
        .collect();
    let p_values: Vec<f64> = found.iter().map(|(_, stream)| stream.p).collect();
    for ((_, stream), p) in found.iter_mut().zip(holm(&p_values)) {
        stream.p = p;
        stream.drifted &= p <= share;
    }
    let distance = |stream: &Stream| stream.psi.unwrap_or_default();
    found.sort_by(|(_, a), (_, b)| {
        b.drifted.cmp(&a.drifted).then(distance(b).total_cmp(&distance(a)))
    });
    let mut alarms = Vec::new();
    for kind in [Kind::Input, Kind::Scores] {
        let mut drifted = found.iter().filter(|(q, stream)| q.kind == kind && stream.drifted);
        if let Some((quantity, stream)) = drifted.next() {
            let others = drifted.count();
            alarms.push((kind, evidence(quantity, stream, others, reference, latest)));
        }
    }
    Compared { streams: found.into_iter().map(|(_, stream)| stream).collect(), alarms }
}

/// Every quantity that is watched. Ratios are to the reference of series of the same kind, so that
/// another mixture of sequences is no drift.
fn quantities<'a>(reference: &[Study], outputs: &'a [String]) -> Vec<Quantity<'a>> {
    let mut quantities: Vec<Quantity<'a>> = OF_SERIES
        .into_iter()
        .map(|(name, of)| {
            let normal = normal(reference, of);
            let of = move |study: &Study| ratio(study, of, &normal);
            Quantity { kind: Kind::Input, name, ratio: true, of: Box::new(of) }
        })
        .collect();
    let counts: [(&str, fn(&Study) -> Option<f64>); 2] = [
        (SERIES, |study| Some(study.measured.as_ref()?.series.len() as f64)),
        (LEFT_OUT, |study| {
            Some(f64::from(study.measured.as_ref()?.left_out.values().sum::<u32>()))
        }),
    ];
    for (name, of) in counts {
        quantities.push(Quantity { kind: Kind::Input, name, ratio: false, of: Box::new(of) });
    }
    for (place, name) in outputs.iter().enumerate() {
        let of = move |study: &Study| {
            study.measured.as_ref()?.scores.get(place).map(|score| f64::from(*score))
        };
        quantities.push(Quantity { kind: Kind::Scores, name, ratio: false, of: Box::new(of) });
    }
    quantities
}

/// The median logarithm of a figure for each kind of series in the reference.
fn normal(reference: &[Study], of: fn(&MeasuredSeries) -> f64) -> BTreeMap<String, f64> {
    let mut by_kind: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let measured = reference.iter().filter_map(|study| study.measured.as_ref());
    for series in measured.flat_map(|measured| &measured.series) {
        if of(series) > 0.0 {
            by_kind.entry(&series.kind).or_default().push(of(series).ln());
        }
    }
    by_kind.into_iter().map(|(kind, values)| (kind.to_owned(), median(&values))).collect()
}

/// The median over a study's series of the logarithm of a figure's ratio to its normal value.
fn ratio(
    study: &Study,
    of: fn(&MeasuredSeries) -> f64,
    normal: &BTreeMap<String, f64>,
) -> Option<f64> {
    let series = study.measured.as_ref()?.series.iter();
    let known = series.filter(|series| of(series) > 0.0);
    let ratios: Vec<f64> = known.filter_map(|s| Some(of(s).ln() - normal.get(&s.kind)?)).collect();
    (!ratios.is_empty()).then(|| median(&ratios))
}

fn median(values: &[f64]) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// `None` when too few studies have a value.
fn stream(quantity: &Quantity<'_>, reference: &[Study], now: &[Study]) -> Option<Stream> {
    let [before, after] = [reference, now].map(|studies| {
        let values: Vec<f64> = studies.iter().filter_map(&quantity.of).collect();
        let enough = values.len() as f64 >= LEAST * studies.len() as f64;
        (enough && !values.is_empty()).then_some(values)
    });
    let (before, after) = (before?, after?);
    let test = kolmogorov_smirnov(&before, &after)?;
    let psi = psi(&before, &after);
    let matters = psi.map_or(test.statistic > DISTANCE_LIMIT, |psi| psi > PSI_LIMIT);
    Some(Stream {
        kind: quantity.kind,
        name: quantity.name.to_owned(),
        psi,
        p: test.p_value,
        before: quantity.level(&before),
        now: quantity.level(&after),
        drifted: matters,
    })
}

/// The larger of the indices of the values and of their negatives: a value that many studies share
/// belongs to the bin below one edge, and a fall from it would not show.
fn psi(before: &[f64], after: &[f64]) -> Option<f64> {
    let index = |sign: f64| {
        let signed = |values: &[f64]| values.iter().map(|v| sign * v).collect::<Vec<_>>();
        let reference = Reference::by_quantiles(&signed(before), BINS)?;
        Some(reference.stability(&reference.count(&signed(after)))?.index)
    };
    let (up, down) = (index(1.0), index(-1.0));
    up.into_iter().chain(down).reduce(f64::max)
}

impl Quantity<'_> {
    /// The mean of values; of ratios the geometric one.
    fn level(&self, values: &[f64]) -> f64 {
        if self.ratio { mean(values).exp() } else { mean(values) }
    }
}

fn evidence(
    quantity: &Quantity<'_>,
    stream: &Stream,
    others: usize,
    reference: &[Study],
    latest: &[Study],
) -> Evidence {
    let valued: Vec<(&Study, f64)> =
        latest.iter().filter_map(|study| Some((study, (quantity.of)(study)?))).collect();
    let values: Vec<f64> = valued.iter().map(|(_, value)| *value).collect();
    let (old, new) = (software(reference), software(latest));
    // What changed before these studies is not what they tell of.
    let changed = valued
        .iter()
        .position(|(study, _)| study.software == new)
        .filter(|first| *first > 0 && !old.is_empty() && old != new);
    let first = changed.unwrap_or_else(|| split(&values));
    let since = valued.get(first).map(|(study, _)| *study);
    Evidence {
        name: stream.name.clone(),
        others,
        since: since.map_or(0, |study| study.at),
        after: since.map_or(0, |study| study.row - 1),
        before: stream.before,
        now: quantity.level(values.get(first..).unwrap_or_default()),
        psi: stream.psi,
        software: changed.map(|_| [old.to_owned(), new.to_owned()]),
    }
}

/// Where the mean of a sequence changes, by least squares: index of the first value after the
/// change (Hinkley, Biometrika 1970).
fn split(values: &[f64]) -> usize {
    let (n, total) = (values.len() as f64, values.iter().sum::<f64>());
    let (mut best, mut place, mut left) = (0.0, 0, 0.0);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            let k = index as f64;
            let gain = (left / k - (total - left) / (n - k)).powi(2) * k * (n - k) / n;
            if gain > best {
                (best, place) = (gain, index);
            }
        }
        left += value;
    }
    place
}
