//! How far two sets of labels agree.

use std::collections::BTreeMap;
use std::fmt;

use models::labels::DIAGNOSES;

use crate::cohort::record::StudyLabels;

/// Agreement on the studies that both sets have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Studies in both.
    pub studies: usize,
    /// One per entry of [`DIAGNOSES`].
    pub labels: Vec<LabelScore>,
}

/// Agreement on one diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelScore {
    /// In both.
    pub both: usize,
    /// In the labels alone: false positives, where the reference is the truth.
    pub extra: usize,
    /// In the reference alone: false negatives.
    pub missed: usize,
}

impl LabelScore {
    /// Share of the labels that the reference has; none without labels.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.both, self.both + self.extra)
    }

    /// Share of the reference that the labels have; none without positives.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.both, self.both + self.missed)
    }

    /// Harmonic mean of both; none where neither set has the diagnosis.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.both, 2 * self.both + self.extra + self.missed)
    }

    fn add(&mut self, other: &Self) {
        self.both += other.both;
        self.extra += other.extra;
        self.missed += other.missed;
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Agreement {
    /// Compares labels with a reference by the ids of their studies.
    pub(super) fn of(labels: &[StudyLabels], reference: &BTreeMap<&str, &[bool]>) -> Self {
        let mut scores = vec![LabelScore::default(); DIAGNOSES.len()];
        let mut studies = 0;
        for study in labels {
            let Some(known) = reference.get(study.id.as_str()) else { continue };
            studies += 1;
            for (score, (found, known)) in scores.iter_mut().zip(study.diagnoses.iter().zip(*known))
            {
                match (found, known) {
                    (true, true) => score.both += 1,
                    (true, false) => score.extra += 1,
                    (false, true) => score.missed += 1,
                    (false, false) => {}
                }
            }
        }
        Self { studies, labels: scores }
    }

    /// All diagnoses together.
    #[must_use]
    pub fn total(&self) -> LabelScore {
        let mut total = LabelScore::default();
        self.labels.iter().for_each(|score| total.add(score));
        total
    }

    /// Mean F1 over the diagnoses that either set has.
    #[must_use]
    pub fn mean_f1(&self) -> Option<f64> {
        let scores: Vec<f64> = self.labels.iter().filter_map(LabelScore::f1).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["precision", "recall", "F1", "both", "extra", "missed"];
        let [precision, recall, f1, both, extra, missed] = heads;
        writeln!(
            f,
            "{:<52}{precision:>10}{recall:>8}{f1:>8}{both:>7}{extra:>7}{missed:>7}",
            "diagnosis"
        )?;
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.3}"));
        let total = self.total();
        let rows = DIAGNOSES.iter().copied().zip(&self.labels);
        for (name, score) in rows.chain([("all", &total)]) {
            let [precision, recall, f1] =
                [score.precision(), score.recall(), score.f1()].map(number);
            let LabelScore { both, extra, missed } = score;
            writeln!(
                f,
                "{name:<52}{precision:>10}{recall:>8}{f1:>8}{both:>7}{extra:>7}{missed:>7}"
            )?;
        }
        writeln!(f, "mean F1 {} on {} studies", number(self.mean_f1()), self.studies)
    }
}
