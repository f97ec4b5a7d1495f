//! Where values stand along an axis, and which of them are written beside it.

use super::text::{decimal, scientific, width};
use super::{Axis, Scale};

/// Values beyond are taken for this much, so that differences of them stay finite.
const LARGEST: f64 = 1e100;
/// The same for the smallest ratio.
const SMALLEST: f64 = 1e-100;
/// Room between two figures beside an axis.
const APART: f64 = 10.0;
/// Distance of figures that stand above each other.
const ABOVE: f64 = 20.0;

/// An axis in its place in the drawing.
pub(super) struct Track {
    scale: Scale,
    /// First and last value.
    range: [f64; 2],
    /// Where the first value stands.
    pub(super) from: f64,
    /// Where the last value stands.
    pub(super) to: f64,
}

/// Where a value stands against the range of its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Below,
    Inside,
    Above,
}

/// A figure beside an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where its line stands.
    pub(super) at: f64,
    /// Where the middle of its label stands.
    pub(super) middle: f64,
    pub(super) label: String,
}

impl Axis {
    /// The axis from one place to another, over the range that is asked for or else over all
    /// `values` that are numbers, rounded outwards.
    pub(super) fn track(&self, values: impl IntoIterator<Item = f64>, place: [f64; 2]) -> Track {
        let smallest = if self.scale == Scale::Log { SMALLEST } else { -LARGEST };
        let fits = |value: &f64| (smallest..=LARGEST).contains(value);
        let asked = self.range.filter(|[low, high]| low < high && fits(low) && fits(high));
        let [from, to] = place;
        let range = asked.unwrap_or_else(|| {
            let values = values.into_iter().filter(fits);
            let [low, high] = values
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
                    [low.min(value), high.max(value)]
                });
            match self.scale {
                Scale::Linear => linear_range(low, high),
                Scale::Log => log_range(low, high),
            }
        });
        Track { scale: self.scale, range, from, to }
    }
}

fn linear_range(low: f64, high: f64) -> [f64; 2] {
    if low > high {
        return [0.0, 1.0];
    }
    let least = f64::max(low.abs(), high.abs()) * 1e-6;
    let pad = if high - low > least { 0.0 } else { f64::max(least, 0.5) };
    let [low, high] = [low - pad, high + pad];
    let step = round_step((high - low) / 5.0);
    [(low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step]
}

fn log_range(low: f64, high: f64) -> [f64; 2] {
    if low > high {
        return [0.1, 10.0];
    }
    let pad = if high / low > 1.000_001 { 1.0 } else { 2.0 };
    let [low, high] = [low / pad, high * pad];
    let outwards = |value: f64, factors: [f64; 4], fits: fn(f64, f64) -> bool| {
        let decade = 10_f64.powf(value.log10().floor());
        factors.map(|factor| factor * decade).into_iter().find(|end| fits(*end, value))
    };
    [
        outwards(low * (1.0 + 1e-9), [5.0, 2.0, 1.0, 0.5], |end, low| end <= low).unwrap_or(low),
        outwards(high * (1.0 - 1e-9), [1.0, 2.0, 5.0, 10.0], |end, high| end >= high)
            .unwrap_or(high),
    ]
}

/// The next larger of 1, 2, 5, 10, 20 and so on.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(rough)
}

impl Track {
    /// Where a value stands; values outside the range at its end. NaN has no place.
    pub(super) fn place(&self, value: f64) -> f64 {
        let [low, high] = self.range.map(|end| self.spread(end));
        let share = ((self.spread(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Where a value stands against the range.
    pub(super) fn side(&self, value: f64) -> Side {
        let [low, high] = self.range.map(|end| self.spread(end));
        let slack = (high - low) * 1e-9;
        match self.spread(value) {
            at if at < low - slack => Side::Below,
            at if at > high + slack => Side::Above,
            _ => Side::Inside,
        }
    }

    /// Whether a value is inside.
    pub(super) fn holds(&self, value: f64) -> bool {
        self.side(value) == Side::Inside
    }

    /// First and last value.
    pub(super) fn range(&self) -> [f64; 2] {
        self.range
    }

    /// A value at a share of the way.
    pub(super) fn value_at(&self, share: f64) -> f64 {
        let [low, high] = self.range.map(|end| self.spread(end));
        let at = low + share * (high - low);
        match self.scale {
            Scale::Linear => at,
            Scale::Log => 10_f64.powf(at),
        }
    }

    fn spread(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => f64::NEG_INFINITY,
        }
    }

    /// Figures of a horizontal axis that stand apart, and between `ends`.
    pub(super) fn ticks_across(&self, size: f64, ends: [f64; 2]) -> Vec<Tick> {
        self.ticks(|tick| {
            let half = width(&tick.label, size) / 2.0;
            tick.middle = tick.at.max(ends[0] + half).min(ends[1] - half);
            [tick.middle - half, tick.middle + half + APART]
        })
    }

    /// Figures of a vertical axis that stand apart.
    pub(super) fn ticks_up(&self) -> Vec<Tick> {
        self.ticks(|tick| [tick.at - ABOVE / 2.0, tick.at + ABOVE / 2.0])
    }

    /// The closest figures whose stretches, given by `stretch`, do not meet.
    fn ticks(&self, stretch: impl Fn(&mut Tick) -> [f64; 2]) -> Vec<Tick> {
        let candidates = self.candidates().into_iter().filter_map(|values| {
            let mut ticks = self.labelled(&values);
            let mut stretches: Vec<[f64; 2]> = ticks.iter_mut().map(&stretch).collect();
            stretches.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let apart = stretches.windows(2).all(|pair| pair[0][1] <= pair[1][0]);
            apart.then_some(ticks)
        });
        let mut best = Vec::new();
        for ticks in candidates {
            if ticks.len() > 1 {
                return ticks;
            }
            best = ticks;
        }
        best
    }

    /// Round values inside the range, from many to few.
    fn candidates(&self) -> Vec<Vec<f64>> {
        let [low, high] = self.range;
        if self.scale == Scale::Linear || high / low < 10.0 {
            return [6.0, 5.0, 4.0, 3.0, 2.0, 1.0].map(|parts| self.steps(parts)).to_vec();
        }
        let between = if high / low < 1000.0 { &[1.0, 2.0, 5.0][..] } else { &[1.0] };
        let mut candidates = vec![self.decades(1, between)];
        candidates
            .extend([1, 2, 3, 5, 10, 20, 30, 50, 100].map(|every| self.decades(every, &[1.0])));
        candidates
    }

    fn steps(&self, parts: f64) -> Vec<f64> {
        let [low, high] = self.range;
        let step = round_step((high - low) / parts);
        let first = (low / step - 1e-9).ceil();
        let values = (0..12).map(|index| (first + f64::from(index)) * step);
        values.take_while(|value| *value <= high + step * 1e-9).collect()
    }

    fn decades(&self, every: i32, factors: &[f64]) -> Vec<f64> {
        let powers = (-101..=101).filter(|power| power % every == 0);
        let values = powers.flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)));
        values.filter(|value| self.holds(*value)).collect()
    }

    fn labelled(&self, values: &[f64]) -> Vec<Tick> {
        let decades = self.scale == Scale::Log && self.range[1] / self.range[0] >= 10.0;
        let sizes = || values.iter().map(|value| value.abs()).filter(|size| *size > 0.0);
        let largest = sizes().fold(0.0, f64::max);
        let step = values.windows(2).map(|pair| pair[1] - pair[0]).fold(largest, f64::min);
        let is_plain = match decades {
            true => largest < 1e7 && sizes().all(|size| size >= 9e-5),
            false => largest < 1e7 && step >= 1e-6,
        };
        let label = |value: f64| match (is_plain, decades) {
            (true, true) => decimal(value, digits_after(value.min(1.0))),
            (true, false) => decimal(value, digits_after(step)),
            (false, _) if value == 0.0 => "0".to_owned(),
            (false, _) => {
                let label = scientific(value).replace(".00×", "×").replace("0×", "×");
                label.strip_prefix("1×").map(str::to_owned).unwrap_or(label)
            }
        };
        let tick = |value: &f64| {
            let at = self.place(*value);
            Tick { at, middle: at, label: label(*value) }
        };
        values.iter().map(tick).collect()
    }
}

/// Decimals that a multiple of this step needs.
fn digits_after(step: f64) -> usize {
    let shown = |digits: &u16| step * 10_f64.powi(i32::from(*digits)) >= 1.0 - 1e-9;
    usize::from((0..17).find(shown).unwrap_or(17))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let track = axis.track(values.iter().copied(), [0.0, 400.0]);
        track.ticks_across(11.0, [-20.0, 420.0]).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn figures_are_round() {
        let linear = |low, high| labels(&Axis::linear("").from_to(low, high), &[]);
        assert_eq!(linear(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(linear(0.5, 1.0), ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]);
        assert_eq!(linear(-3.0, 4.0), ["−2", "0", "2", "4"]);
        assert_eq!(
            linear(0.0, 12_000.0),
            ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]
        );
        assert_eq!(linear(0.0, 3e9), ["0", "1×10⁹", "2×10⁹", "3×10⁹"]);
        let log = |low, high| labels(&Axis::log("").from_to(low, high), &[]);
        assert_eq!(log(0.1, 10.0), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(log(0.9, 1.4), ["0.9", "1.0", "1.1", "1.2", "1.3", "1.4"]);
        assert_eq!(log(1e3, 1e6), ["1,000", "10,000", "100,000", "1,000,000"]);
        assert_eq!(log(1e-9, 1e9), ["10⁻⁹", "10⁻⁶", "10⁻³", "1", "10³", "10⁶", "10⁹"]);
    }

    #[test]
    fn ranges_hold_the_values_and_end_at_round_ones() {
        let range =
            |axis: Axis, values: &[f64]| axis.track(values.iter().copied(), [0.0, 1.0]).range();
        assert_eq!(range(Axis::linear(""), &[0.62, 0.97, f64::NAN]), [0.6, 1.0]);
        assert_eq!(range(Axis::linear(""), &[7.0, 7.0]), [6.4, 7.6]);
        assert_eq!(range(Axis::linear(""), &[f64::INFINITY]), [0.0, 1.0]);
        assert_eq!(range(Axis::linear("").from_to(1.0, 0.0), &[3.0, 4.0]), [3.0, 4.0]);
        assert_eq!(range(Axis::log(""), &[0.4, 3.0, -1.0, 0.0]), [0.2, 5.0]);
        assert_eq!(range(Axis::log("").from_to(0.0, 9.0), &[]), [0.1, 10.0]);
    }

    #[test]
    fn values_outside_stand_at_the_ends() {
        let track = Axis::log("").from_to(0.1, 10.0).track([], [100.0, 300.0]);
        let at = [-1.0, 0.0, 0.05, 0.1, 1.0, 10.0, 11.0, f64::INFINITY].map(|v| track.place(v));
        assert_eq!(at, [100.0, 100.0, 100.0, 100.0, 200.0, 300.0, 300.0, 300.0]);
        let sides = [0.0, 0.1, 10.0, 10.1].map(|value| track.side(value));
        assert_eq!(sides, [Side::Below, Side::Inside, Side::Inside, Side::Above]);
    }

    proptest! {
        #[test]
        fn figures_say_where_they_stand(
            low in -1e6..1e6, span in 1e-3..1e6, is_log in any::<bool>(),
        ) {
            let (low, axis) = match is_log {
                true => (10_f64.powf(low / 4e5), Axis::log("")),
                false => (low, Axis::linear("")),
            };
            let high = if is_log { low * (1.0 + span) } else { low + span };
            let track = axis.from_to(low, high).track([], [0.0, 500.0]);
            let ticks = track.ticks_up();
            prop_assert!(ticks.len() > 1 || is_log, "{low} {high}: {ticks:?}");
            for tick in ticks {
                let plain = tick.label.replace(',', "").replace('−', "-");
                if let Ok(value) = plain.parse::<f64>() {
                    prop_assert!((track.place(value) - tick.at).abs() < 0.5, "{tick:?}");
                }
            }
        }
    }
}
