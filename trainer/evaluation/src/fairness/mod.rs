//! Who waits longer for a report, and for whom the model is worse (paper, "Bias and Fairness
//! criteria", Fig. 4, Extended Data Fig. 10, Supplementary Data Fig. 6).
//!
//! - [`groups`] who belongs to which group;
//! - [`mod@delays`] odds ratios of a late report, crude and adjusted ([`standardised`]);
//! - [`areas`] mean area under the ROC curve by group;
//! - [`disparity`] true and false positive rates of groups and intersections, over the [`pairs`]
//!   of study and diagnosis; [`resampled`] the paper's experiment with them.
//!
//! P-values are corrected by Holm's method (Scandinavian Journal of Statistics 1979), which holds
//! whatever the dependence between groups, in four families: Fisher's tests of all delays, their
//! adjusted tests, all disparities of both rates, and the paper's Mann–Whitney tests of these.

pub mod areas;
pub mod delays;
pub mod disparity;
pub mod groups;
pub mod pairs;
pub mod resampled;
pub mod standardised;

#[cfg(test)]
mod tests;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::areas::{GroupArea, areas};
use self::delays::{Delay, Question, delays};
use self::disparity::{Disparity, Verdict};
use self::groups::{ACUITY, Members, divide, known};
use self::pairs::{Decisions, Pairs, Rate, Scope};
use self::resampled::Resampling;
use crate::set::Set;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Delays.
    pub questions: Vec<Question>,
    /// Attributes whose values are groups.
    pub attributes: Vec<String>,
    /// Attributes that make groups together; over all diagnoses only.
    pub intersections: Vec<Vec<String>>,
    /// Diagnoses that are taken together, beside all of them.
    pub scopes: Vec<Scope>,
    /// Fewest patients of a group with a pair of study and diagnosis for it to be judged; at least
    /// two.
    pub least_patients: usize,
    /// Smallest disparity that matters clinically.
    pub matters: f64,
    /// The paper's experiment.
    pub resampling: Resampling,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// What was asked.
    pub settings: Settings,
    /// Delays, question by question.
    pub delays: Vec<Delay>,
    /// Mean areas, group by group.
    pub areas: Vec<GroupArea>,
    /// Disparities by scope, rate and group.
    pub disparities: Vec<Disparity>,
    /// Unfair when a group is treated unfairly; fair when all are treated fairly.
    pub verdict: Verdict,
    /// What could not be judged, and why: a sentence each.
    pub left_out: Vec<String>,
}

impl Settings {
    /// The paper's questions, as far as the set can answer them: delays of a week by county and
    /// insurance, of two and three days by schedule, adjusted for each other and for age, setting
    /// and acuity; disparities by every attribute that a study has and by intersections of sex,
    /// age and county, over all diagnoses and by category.
    #[must_use]
    pub fn of(set: &Set) -> Self {
        let mut known = known(set);
        let attributes: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        if set.studies.iter().any(|study| study.truth.acuity.is_some()) {
            known.insert(ACUITY);
        }
        let questions = [
            ("county", "urban", 168.0),
            ("insurance", "private", 72.0),
            ("schedule", "working day", 48.0),
            ("schedule", "working day", 72.0),
        ];
        let question = |(attribute, reference, at_least_h): (&str, &str, f64)| {
            let others = ["age", "county", "insurance", "schedule", "setting", ACUITY];
            let others = others.into_iter().filter(|o| *o != attribute && known.contains(o));
            Question {
                attribute: attribute.to_owned(),
                reference: reference.to_owned(),
                at_least_h,
                adjusted_for: others.map(str::to_owned).collect(),
            }
        };
        let asked = questions.into_iter().filter(|(attribute, ..)| known.contains(attribute));
        let intersections: [&[&str]; 3] = [&["age", "sex"], &["county", "sex"], &["age", "county"]];
        let there = intersections.into_iter().filter(|i| i.iter().all(|name| known.contains(name)));
        let mut scopes: Vec<Scope> = Vec::new();
        for output in &set.header.diagnoses {
            let name = output.name.clone();
            match scopes.iter_mut().find(|scope| scope.name == output.category) {
                Some(scope) => scope.diagnoses.push(name),
                None => scopes.push(Scope { name: output.category.clone(), diagnoses: vec![name] }),
            }
        }
        Self {
            questions: asked.map(question).collect(),
            attributes,
            intersections: there
                .map(|i| i.iter().map(|name| (*name).to_owned()).collect())
                .collect(),
            scopes,
            least_patients: 30,
            matters: 0.1,
            resampling: Resampling { draws: 200, iterations: 20, seed: 1, keep_draws: false },
        }
    }
}

impl Fairness {
    /// Answers the questions on a set.
    #[must_use]
    pub fn of(set: &Set, settings: Settings) -> Self {
        let mut left_out = Vec::new();
        let delays = delays(set, &settings.questions, &mut left_out);
        let mut groups: Vec<Members> = Vec::new();
        let single = settings.attributes.iter().map(std::slice::from_ref);
        for attributes in single.chain(settings.intersections.iter().map(Vec::as_slice)) {
            let found = divide(set, attributes);
            if found.len() < 2 {
                let attributes = attributes.join(" and ");
                left_out.push(format!("groups by {attributes}: fewer than two are there"));
            } else {
                groups.extend(found);
            }
        }
        let disparities = disparities(set, &settings, &groups, &mut left_out);
        let areas = areas(set, &groups);
        let any = |verdict| disparities.iter().any(|d: &Disparity| d.verdict == verdict);
        let verdict = if any(Verdict::Unfair) {
            Verdict::Unfair
        } else if any(Verdict::Undecided) || disparities.is_empty() {
            Verdict::Undecided
        } else {
            Verdict::Fair
        };
        Self { settings, delays, areas, disparities, verdict, left_out }
    }
}

/// Every group over all diagnoses, and those of a single attribute by scope.
fn disparities(
    set: &Set,
    settings: &Settings,
    groups: &[Members],
    left_out: &mut Vec<String>,
) -> Vec<Disparity> {
    let decisions = Decisions::of(set);
    let outputs = &set.header.diagnoses;
    let mut scopes = vec![("all diagnoses".to_owned(), (0..outputs.len()).collect())];
    for Scope { name, diagnoses } in &settings.scopes {
        let index = |name: &&String| outputs.iter().position(|output| output.name == **name);
        let (known, unknown): (Vec<_>, Vec<_>) = diagnoses.iter().partition(|n| index(n).is_some());
        if !unknown.is_empty() {
            left_out.push(format!("{name}: the model has no output {unknown:?}"));
        }
        scopes.push((name.clone(), known.iter().filter_map(index).collect()));
    }
    let mut disparities = Vec::new();
    for (place, scope) in (0..).zip(&scopes) {
        for (rate, first) in [(Rate::TruePositive, 0), (Rate::FalsePositive, 1)] {
            let pairs = Pairs::of(&decisions, rate, scope);
            let judged = groups.par_iter().enumerate();
            let judged = judged.filter(|(_, members)| place == 0 || members.group.of.len() == 1);
            // A stream for every question, whatever else is asked.
            let of = |(index, members): (usize, &Members)| {
                let stream = (2 * place + first) << 32 | index as u64;
                Disparity::of(&pairs, members, settings, stream)
            };
            for found in judged.map(of).collect::<Vec<_>>() {
                match found {
                    Ok(disparity) => disparities.push(disparity),
                    Err(why) => left_out.push(why),
                }
            }
        }
    }
    disparity::correct(&mut disparities, settings.matters);
    disparities
}
