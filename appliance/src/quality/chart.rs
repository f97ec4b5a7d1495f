//! Rates of studies without a result and of changed results, watched study by study.

use serde::{Deserialize, Serialize};
use statistics::drift::cusum::Cusum;
use statistics::interval::wilson;

use super::Evidence;
use crate::store::quality::Fate;

/// A chart shall notice that the odds of an event are so many times what they were (Steiner and
/// others, Biostatistics 2000, for outcomes of surgery).
const ODDS: f64 = 2.0;
/// So many studies of a reference of overrides must have been read, as a share.
const READ: f64 = 0.5;

/// A cumulative sum as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Share of events in the reference.
    pub reference: f64,
    /// The rate that counts as usual: the upper end of the reference's 95 % interval, so that a
    /// lucky reference makes no false alarms.
    pub usual: f64,
    /// The rate that shall be noticed.
    pub noticed: f64,
    /// Studies between two false alarms at the usual rate, on average.
    pub run_length: f64,
    /// The same at the rate that shall be noticed: how long that takes.
    pub delay: f64,
    /// The sum.
    pub sum: i32,
    /// It alarms at this.
    pub threshold: i32,
    /// Studies since the chart began.
    pub studies: usize,
    /// It has alarmed since it began, and nobody has acknowledged that.
    #[serde(skip)]
    pub alarm: Option<Evidence>,
}

/// Studies without a result among those behind the study `after`; `None` without a reference.
#[must_use]
pub fn no_result(
    reference: &[Fate],
    course: &[Fate],
    after: i64,
    run_length: f64,
) -> Option<Chart> {
    chart(reference, course, after, run_length, |fate| Some(!fate.analysed))
}

/// Results that readers changed among those that they read; `None` until half of the reference was
/// read.
#[must_use]
pub fn overrides(
    reference: &[Fate],
    course: &[Fate],
    after: i64,
    run_length: f64,
) -> Option<Chart> {
    let read = reference.iter().filter(|fate| fate.overridden.is_some()).count();
    let enough = read as f64 >= READ * reference.len() as f64;
    enough.then(|| chart(reference, course, after, run_length, |fate| fate.overridden)).flatten()
}

fn chart(
    reference: &[Fate],
    course: &[Fate],
    after: i64,
    run_length: f64,
    event: impl Fn(&Fate) -> Option<bool>,
) -> Option<Chart> {
    let known: Vec<bool> = reference.iter().filter_map(&event).collect();
    let events = known.iter().filter(|event| **event).count();
    let usual = wilson(events, known.len())?.upper;
    let odds = ODDS * usual / (1.0 - usual);
    let noticed = odds / (1.0 + odds);
    let cusum = Cusum::design(usual, noticed, run_length)?;
    let mut chart = Chart {
        reference: events as f64 / known.len() as f64,
        usual,
        noticed,
        run_length: cusum.run_length(usual),
        delay: cusum.run_length(noticed),
        sum: 0,
        threshold: cusum.threshold,
        studies: 0,
        alarm: None,
    };
    // Page's estimate of when a change began: the study after the sum was last 0.
    let mut rising: Vec<(&Fate, bool)> = Vec::new();
    for fate in course.iter().filter(|fate| fate.row > after) {
        let Some(event) = event(fate) else { continue };
        chart.studies += 1;
        chart.sum = cusum.next(chart.sum, event);
        rising.push((fate, event));
        if chart.sum == 0 {
            rising.clear();
        }
        if cusum.alarms(chart.sum) && chart.alarm.is_none() {
            chart.alarm = rising.first().map(|(first, _)| Evidence {
                name: String::new(),
                others: 0,
                since: first.at,
                after: first.row - 1,
                before: chart.reference,
                now: rising.iter().filter(|(_, event)| *event).count() as f64 / rising.len() as f64,
                psi: None,
                software: None,
            });
        }
    }
    Some(chart)
}
