//! What an order of reading does to waiting times, before a site chooses one.
//!
//! One reader, studies that arrive at random around the clock, and a model that errs. The same
//! arrivals, errors and reading times go through three disciplines, all by
//! [`place`], the order the worklist itself uses. The effect to look for is the
//! published one (PMC8128725): by priority the mean wait of sick patients falls but the longest
//! wait rises, because those whom the model missed sink; a waiting limit repairs that.

use std::fmt;
use std::time::Duration;

use super::{AgeCaps, AgeCapsError, Facts, place};
use crate::triage::Acuity;

const DAY_MS: f64 = 24.0 * 3_600_000.0;
/// Most studies of a run: some seconds of work.
const MAX_STUDIES: f64 = 1_000_000.0;
/// Share of the reader's time above which waiting times say more about the length of the run than
/// about the order of reading.
const MAX_LOAD: f64 = 0.98;

/// A clinic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationConfig {
    /// Mean number of studies a day; they arrive independently of each other.
    pub arrivals_per_day: f64,
    /// Hours of the day at which the reader begins and ends, such as 8 and 17. The study in hand
    /// is finished.
    pub reader_hours: (f64, f64),
    /// Mean time to read a study; each takes between half and one and a half of it.
    pub minutes_per_study: f64,
    /// Share of studies that are truly high, medium and low; the rest is none.
    pub prevalence: [f64; 3],
    /// Share of studies above none that the model gives their true acuity; it takes the others
    /// for none.
    pub sensitivity: f64,
    /// Share of studies of acuity none that the model calls so; it takes the others for high.
    pub specificity: f64,
    /// Waiting limits of the third discipline.
    pub caps: AgeCaps,
    /// Days of arrivals.
    pub days: u32,
    /// The same seed gives the same report.
    pub seed: u64,
}

/// A clinic that cannot be simulated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// A number outside its range.
    #[error("{name} is {found}; it must be {expected}")]
    Range {
        /// Of the field.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The list grows without end.
    #[error(
        "reading takes {needed:.1} h a day and the reader has {hours:.1} h: the list grows without \
         end in any order; give the reader more hours or fewer studies"
    )]
    Overloaded {
        /// Hours of reading that arrive in a day.
        needed: f64,
        /// Hours of the reader in a day.
        hours: f64,
    },
    /// The waiting limits are no order.
    #[error(transparent)]
    Caps(#[from] AgeCapsError),
    /// The run would take too long.
    #[error("{0:.0} studies are too many; a run has at most {MAX_STUDIES:.0}")]
    TooMany(f64),
}

/// Waiting times, from the first image to the beginning of the reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Studies.
    pub studies: usize,
    /// Mean.
    pub mean: Duration,
    /// 95 of 100 waited no longer.
    pub centile_95: Duration,
    /// The longest.
    pub maximum: Duration,
}

/// Waiting times under one discipline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// By the true acuity, which neither reader nor list knows, in the order of [`Acuity::ALL`].
    pub by_acuity: [Waiting; 4],
    /// All studies.
    pub all: Waiting,
}

/// Result of [`simulate`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Oldest first, whatever the model says.
    pub first_come: Outcome,
    /// Acuity, then age.
    pub by_priority: Outcome,
    /// The same with waiting limits: what the worklist does.
    pub with_cap: Outcome,
}

struct Patient {
    arrival: i64,
    truth: Acuity,
    said: Acuity,
    reading: i64,
}

/// Runs a clinic three times.
///
/// # Errors
///
/// When a number makes no sense, or reading cannot keep up with the arrivals.
pub fn simulate(config: &SimulationConfig) -> Result<Report, SimulationError> {
    check(config)?;
    let patients = arrivals(config);
    let run = |caps: &AgeCaps, blind: bool| {
        let waits = read_all(&patients, config.reader_hours, caps, blind);
        summary(&patients, &waits)
    };
    Ok(Report {
        first_come: run(&AgeCaps::NEVER, true),
        by_priority: run(&AgeCaps::NEVER, false),
        with_cap: run(&config.caps, false),
    })
}

fn check(config: &SimulationConfig) -> Result<(), SimulationError> {
    let (from, to) = config.reader_hours;
    let [high, medium, low] = config.prevalence;
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let ranges = [
        ("arrivals_per_day", config.arrivals_per_day, config.arrivals_per_day > 0.0, "above 0"),
        ("minutes_per_study", config.minutes_per_study, config.minutes_per_study > 0.0, "above 0"),
        ("the reader's first hour", from, (0.0..24.0).contains(&from), "from 0 to below 24"),
        ("the reader's last hour", to, to > from && to <= 24.0, "after the first and at most 24"),
        ("the share of high", high, share(high), "from 0 to 1"),
        ("the share of medium", medium, share(medium), "from 0 to 1"),
        ("the share of low", low, share(low), "from 0 to 1"),
        ("the sum of the shares", high + medium + low, share(high + medium + low), "at most 1"),
        ("sensitivity", config.sensitivity, share(config.sensitivity), "from 0 to 1"),
        ("specificity", config.specificity, share(config.specificity), "from 0 to 1"),
        ("days", f64::from(config.days), config.days > 0, "above 0"),
    ];
    if let Some((name, found, _, expected)) = ranges.into_iter().find(|(.., good, _)| !good) {
        return Err(SimulationError::Range { name, found: found.to_string(), expected });
    }
    config.caps.check()?;
    let (needed, hours) = (config.arrivals_per_day * config.minutes_per_study / 60.0, to - from);
    if needed > MAX_LOAD * hours {
        return Err(SimulationError::Overloaded { needed, hours });
    }
    let studies = config.arrivals_per_day * f64::from(config.days);
    if studies > MAX_STUDIES {
        return Err(SimulationError::TooMany(studies));
    }
    Ok(())
}

/// Gaps between independent arrivals are exponentially distributed.
fn arrivals(config: &SimulationConfig) -> Vec<Patient> {
    let mut random = SplitMix64(config.seed);
    let end = f64::from(config.days) * DAY_MS;
    let mut patients = Vec::new();
    let mut at = 0.0;
    loop {
        at -= (1.0 - random.unit()).ln() * DAY_MS / config.arrivals_per_day;
        if at >= end {
            return patients;
        }
        let truth = draw_acuity(config.prevalence, random.unit());
        let right = random.unit();
        let said = match truth {
            Acuity::None if right < config.specificity => Acuity::None,
            Acuity::None => Acuity::High,
            _ if right < config.sensitivity => truth,
            _ => Acuity::None,
        };
        let reading = config.minutes_per_study * 60_000.0 * (0.5 + random.unit());
        patients.push(Patient { arrival: whole(at), truth, said, reading: whole(reading).max(1) });
    }
}

fn draw_acuity([high, medium, low]: [f64; 3], x: f64) -> Acuity {
    match x {
        x if x < high => Acuity::High,
        x if x < high + medium => Acuity::Medium,
        x if x < high + medium + low => Acuity::Low,
        _ => Acuity::None,
    }
}

/// Waiting times in the order of `patients`. `blind` hides what the model said, which leaves age.
fn read_all(patients: &[Patient], hours: (f64, f64), caps: &AgeCaps, blind: bool) -> Vec<i64> {
    let facts = |index: usize| Facts {
        id: i64::try_from(index).unwrap_or(i64::MAX),
        acuity: (!blind).then_some(patients[index].said),
        first_at: patients[index].arrival,
        done_at: None,
    };
    let mut waits = vec![0; patients.len()];
    let mut list: Vec<usize> = Vec::new();
    let (mut now, mut next) = (0, 0);
    while next < patients.len() || !list.is_empty() {
        if list.is_empty() {
            now = now.max(patients[next].arrival);
        }
        now = in_hours(now, hours);
        while next < patients.len() && patients[next].arrival <= now {
            list.push(next);
            next += 1;
        }
        let first = (0..list.len()).min_by_key(|slot| place(&facts(list[*slot]), caps, now));
        if let Some(slot) = first {
            let index = list.swap_remove(slot);
            waits[index] = now - patients[index].arrival;
            now += patients[index].reading;
        }
    }
    waits
}

/// `now`, or the next moment at which the reader is there.
fn in_hours(now: i64, (from, to): (f64, f64)) -> i64 {
    let (day, from, to) = (whole(DAY_MS), whole(from * 3_600_000.0), whole(to * 3_600_000.0));
    let midnight = now - now.rem_euclid(day);
    match now - midnight {
        time if time < from => midnight + from,
        time if time < to => now,
        _ => midnight + day + from,
    }
}

fn summary(patients: &[Patient], waits: &[i64]) -> Outcome {
    let of = |wanted: Option<Acuity>| {
        let chosen = patients.iter().zip(waits);
        let chosen = chosen.filter(|(patient, _)| wanted.is_none_or(|w| patient.truth == w));
        waiting(chosen.map(|(_, wait)| *wait).collect())
    };
    Outcome { by_acuity: Acuity::ALL.map(|acuity| of(Some(acuity))), all: of(None) }
}

fn waiting(mut waits: Vec<i64>) -> Waiting {
    waits.sort_unstable();
    let studies = waits.len();
    let Some(&maximum) = waits.last() else { return Waiting::default() };
    let duration = |ms: i64| Duration::from_millis(ms.cast_unsigned());
    let sum: i128 = waits.iter().map(|wait| i128::from(*wait)).sum();
    let mean = i64::try_from(sum / studies.max(1) as i128).unwrap_or(i64::MAX);
    Waiting {
        studies,
        mean: duration(mean),
        centile_95: duration(waits[(studies * 95).div_ceil(100) - 1]),
        maximum: duration(maximum),
    }
}

impl Outcome {
    /// Waiting times of the studies of one true acuity.
    #[must_use]
    pub fn of(&self, acuity: Acuity) -> &Waiting {
        &self.by_acuity[acuity as usize]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["order", "true acuity", "studies", "mean", "95 of 100", "longest"];
        let [order, acuity, studies, mean, centile, longest] = head;
        writeln!(f, "{order:<22} {acuity:<11} {studies:>8} {mean:>9} {centile:>9} {longest:>9}")?;
        let disciplines = [
            ("first come", &self.first_come),
            ("by priority", &self.by_priority),
            ("by priority, with cap", &self.with_cap),
        ];
        for (name, outcome) in disciplines {
            let rows = Acuity::ALL.iter().rev().map(|a| (a.word(), outcome.of(*a)));
            for (acuity, waiting) in rows.chain([("all", &outcome.all)]) {
                let [mean, centile, longest] =
                    [waiting.mean, waiting.centile_95, waiting.maximum].map(hours_and_minutes);
                let studies = waiting.studies;
                writeln!(
                    f,
                    "{name:<22} {acuity:<11} {studies:>8} {mean:>9} {centile:>9} {longest:>9}"
                )?;
            }
        }
        writeln!(f, "Waiting from the first image to the beginning of the reading, in h:mm.")
    }
}

fn hours_and_minutes(duration: Duration) -> String {
    let minutes = (duration.as_secs() + 30) / 60;
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

#[expect(clippy::cast_possible_truncation, reason = "times of a run are far below 2^53 ms")]
fn whole(ms: f64) -> i64 {
    ms as i64
}

/// Steele, Lea and Flood's generator (OOPSLA 2014): small, and the same on every machine.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below 1: the upper 53 bits, as many as a double holds.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// Numbers of the authors' reference program.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
