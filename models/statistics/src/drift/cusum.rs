//! Cumulative sums that watch the rate of an event (Page 1954; for single trials Reynolds and
//! Stoumbos, Journal of Quality Technology 1999).
//!
//! Every study moves a sum that never falls below 0: an event and its absence move it by their log
//! likelihood ratio under a shifted and the usual rate. At a threshold it alarms. The ratio of
//! the two steps is replaced by one of small whole numbers, so that the sum has few states and
//! the average number of studies to an alarm is exact (Brook and Evans, Biometrika 1972).

use serde::{Deserialize, Serialize};

/// How far the rate at which the sum stands still on average may be from the best one for the
/// wanted shift, as a share of the shift.
const RATE_TOLERANCE: f64 = 0.05;
/// Charts with more transitions are not looked for: rates of some ten thousandths and less.
const MOST_TRANSITIONS: usize = 1 << 24;

/// A chart: what it watches for, how its sum moves, and when it alarms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    /// Usual rate of the event.
    pub usual: f64,
    /// Rate that shall be noticed, above or below the usual one.
    pub shifted: f64,
    /// What a study with the event adds to the sum.
    pub event_step: i32,
    /// What a study without it adds.
    pub other_step: i32,
    /// The sum alarms when it reaches this.
    pub threshold: i32,
}

impl Cusum {
    /// The chart with the least threshold that alarms by mistake after `run_length` studies or
    /// more on average, while the event has its usual rate. `None` when a rate is not between 0
    /// and 1, both are equal, or the chart would have more states than can be looked at.
    #[must_use]
    pub fn design(usual: f64, shifted: f64, run_length: f64) -> Option<Self> {
        let rate = |rate: f64| rate > 0.0 && rate < 1.0;
        if !rate(usual) || !rate(shifted) || !run_length.is_finite() {
            return None;
        }
        let [event_step, other_step] = steps(usual, shifted)?;
        let chart = |threshold| Self { usual, shifted, event_step, other_step, threshold };
        let enough = |threshold: i32| chart(threshold).run_length(usual) >= run_length;
        let (mut low, mut high) = (0, 1);
        while !enough(high) {
            (low, high) = (high, high * 2);
            if size(high) * (size(event_step) + size(other_step)) > MOST_TRANSITIONS {
                return None;
            }
        }
        while high - low > 1 {
            let middle = i32::midpoint(low, high);
            if enough(middle) { high = middle } else { low = middle }
        }
        Some(chart(high))
    }

    /// The sum after one more study. After an alarm the next sum starts from 0 again.
    #[must_use]
    pub fn next(&self, sum: i32, event: bool) -> i32 {
        let sum = if self.alarms(sum) { 0 } else { sum };
        let step = if event { self.event_step } else { self.other_step };
        sum.saturating_add(step).max(0)
    }

    /// Whether this sum is an alarm.
    #[must_use]
    pub fn alarms(&self, sum: i32) -> bool {
        sum >= self.threshold
    }

    /// Average number of studies from a sum of 0 to an alarm, at a rate of the event: the time to
    /// absorption of a Markov chain with a state for every sum below the threshold. Infinite when
    /// nothing can raise the sum.
    ///
    /// States are taken out from the highest down, with sums of positive numbers only, so that
    /// long averages are as precise as short ones (Grassmann, Taksar and Heyman 1985).
    #[must_use]
    pub fn run_length(&self, rate: f64) -> f64 {
        let (rises, up, down) = if self.event_step > 0 {
            (rate, size(self.event_step), size(self.other_step))
        } else {
            (1.0 - rate, size(self.other_step), size(self.event_step))
        };
        let states = size(self.threshold.max(1));
        // Row `s` holds the probabilities of going from `s` to `s - down ..= s + up`.
        let width = down + up + 1;
        let mut to = vec![0.0; states * width];
        let at = |from: usize, state: usize| from * width + state + down - from;
        let mut alarm = vec![0.0; states];
        let mut studies = vec![1.0; states];
        for state in 0..states {
            to[at(state, state.saturating_sub(down))] += 1.0 - rises;
            if state + up < states {
                to[at(state, state + up)] += rises;
            } else {
                alarm[state] += rises;
            }
        }
        for gone in (1..states).rev() {
            let below = gone.saturating_sub(down)..gone;
            let leaves = below.clone().map(|state| to[at(gone, state)]).sum::<f64>() + alarm[gone];
            for from in gone.saturating_sub(up)..gone {
                let share = to[at(from, gone)] / leaves;
                if share > 0.0 {
                    for state in below.clone() {
                        to[at(from, state)] += share * to[at(gone, state)];
                    }
                    alarm[from] += share * alarm[gone];
                    studies[from] += share * studies[gone];
                }
            }
        }
        studies[0] / alarm[0]
    }
}

fn size(step: i32) -> usize {
    step.unsigned_abs() as usize
}

/// Steps of an event and of its absence whose ratio is that of the log likelihood ratios, nearly:
/// with the smallest sum that keeps [`RATE_TOLERANCE`].
fn steps(usual: f64, shifted: f64) -> Option<[i32; 2]> {
    let event = (shifted / usual).ln();
    let other = ((1.0 - shifted) / (1.0 - usual)).ln();
    // The rate at which the sum stands still on average.
    let still = other / (other - event);
    let tolerance = RATE_TOLERANCE * (shifted - usual).abs();
    let sign = if shifted > usual { 1 } else { -1 };
    (2..i32::from(i16::MAX)).find_map(|whole| {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 32767")]
        let part = (still * f64::from(whole)).round() as i32;
        let near = (f64::from(part) / f64::from(whole) - still).abs() <= tolerance;
        (near && part > 0 && part < whole).then(|| [sign * (whole - part), -sign * part])
    })
}
