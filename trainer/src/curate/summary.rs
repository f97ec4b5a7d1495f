//! What a cohort holds: counts for the flow chart, and who and what was imaged.

mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::exclusion::Exclusion;
use super::report_files::join::JoinedBy;
use super::split;
use crate::cohort::record::{Sex, Split, StudyRecord};
pub(super) use series::SeriesFacts;

/// Numbers of the flow chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counts {
    /// Files of any kind in the export.
    pub files: usize,
    /// Studies found.
    pub studies: usize,
    /// Studies in the cohort.
    pub included: usize,
    /// Studies left out, by the first reason that applied.
    pub exclusions: BTreeMap<Exclusion, usize>,
    /// Studies and patients of train, validation, test.
    pub splits: Vec<(String, SplitCount)>,
}

/// Size of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SplitCount {
    /// Studies.
    pub studies: usize,
    /// Patients.
    pub patients: usize,
}

impl Counts {
    pub(super) fn new(
        files: usize,
        records: &[StudyRecord],
        exclusions: BTreeMap<Exclusion, usize>,
    ) -> Self {
        let splits = [Split::Train, Split::Validation, Split::Test].map(|wanted| {
            let of = || records.iter().filter(|record| record.split == wanted);
            let patients: BTreeSet<&str> = of().map(|record| record.patient.as_str()).collect();
            let count = SplitCount { studies: of().count(), patients: patients.len() };
            (split::name(wanted).to_owned(), count)
        });
        let studies = records.len() + exclusions.values().sum::<usize>();
        Self { files, studies, included: records.len(), exclusions, splits: splits.to_vec() }
    }

    /// Studies left out for one reason.
    #[must_use]
    pub fn left_out(&self, exclusion: Exclusion) -> usize {
        self.exclusions.get(&exclusion).copied().unwrap_or(0)
    }
}

/// Quantiles of a number over studies or series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many have a value.
    pub known: usize,
    /// Smallest.
    pub min: f32,
    /// Lower quartile.
    pub quartile_1: f32,
    /// Median.
    pub median: f32,
    /// Upper quartile.
    pub quartile_3: f32,
    /// Largest.
    pub max: f32,
}

impl Spread {
    fn of(values: impl Iterator<Item = f32>) -> Self {
        let mut values: Vec<f32> = values.collect();
        values.sort_by(f32::total_cmp);
        let Some(last) = values.len().checked_sub(1) else { return Self::default() };
        // The nearest rank: a value that occurs.
        let at = |quarters: usize| values.get((last * quarters + 2) / 4).copied().unwrap_or(0.0);
        let [min, quartile_1, median, quartile_3, max] = [0, 1, 2, 3, 4].map(at);
        Self { known: values.len(), min, quartile_1, median, quartile_3, max }
    }
}

/// Everything `summary.json` says.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The flow chart in numbers.
    pub counts: Counts,
    /// Files that could not be read or copied.
    pub bad_files: usize,
    /// Folders of the export that could not be looked into; their files are counted nowhere.
    pub bad_folders: usize,
    /// Reports read, and parts of report files that could not be.
    pub reports: usize,
    /// See above.
    pub bad_reports: usize,
    /// How the reports of included studies were found.
    pub joined_by: BTreeMap<String, usize>,
    /// Patients in the cohort.
    pub patients: usize,
    /// Age in years; 90 stands for 90 and more.
    pub age_years: Spread,
    /// Studies by decade of age.
    pub age_decades: BTreeMap<String, usize>,
    /// Studies by sex.
    pub sex: BTreeMap<String, usize>,
    /// Studies by maker of the scanner.
    pub manufacturer: BTreeMap<String, usize>,
    /// Studies by model.
    pub model: BTreeMap<String, usize>,
    /// Studies by field strength in tesla.
    pub field_t: BTreeMap<String, usize>,
    /// Studies by where the patient came from.
    pub setting: BTreeMap<String, usize>,
    /// Usable series of a study.
    pub series_per_study: Spread,
    /// Slices of a series.
    pub slices_per_series: Spread,
    /// Series by kind of sequence, from names and headers.
    pub sequences: BTreeMap<String, usize>,
    /// Series by plane.
    pub planes: BTreeMap<String, usize>,
    /// Hours from acquisition to the final report.
    pub turnaround_h: Spread,
}

/// Everything to be summarised.
pub(super) struct Input<'a> {
    pub(super) counts: Counts,
    pub(super) records: &'a [StudyRecord],
    pub(super) series: &'a [Vec<SeriesFacts>],
    pub(super) joined: &'a [JoinedBy],
    pub(super) bad_files: usize,
    pub(super) bad_folders: usize,
    pub(super) reports: usize,
    pub(super) bad_reports: usize,
}

impl Summary {
    pub(super) fn new(input: Input<'_>) -> Self {
        let Input { counts, records, series, joined, .. } = input;
        let known = |text: Option<String>| text.unwrap_or_else(|| "not known".into());
        let facts = || series.iter().flatten();
        let patients: BTreeSet<&str> =
            records.iter().map(|record| record.patient.as_str()).collect();
        let people = || records.iter().map(|record| &record.demographics);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ages and counts are small"
        )]
        let decade = |age: f32| match (age / 10.0) as u32 {
            9.. => "90+".to_owned(),
            decade => format!("{:02}-{:02}", decade * 10, decade * 10 + 9),
        };
        Self {
            bad_files: input.bad_files,
            bad_folders: input.bad_folders,
            reports: input.reports,
            bad_reports: input.bad_reports,
            joined_by: tally(joined.iter().map(word)),
            patients: patients.len(),
            age_years: Spread::of(people().filter_map(|person| person.age_years)),
            age_decades: tally(people().map(|person| known(person.age_years.map(decade)))),
            sex: tally(people().map(|person| {
                known(person.sex.map(|sex| match sex {
                    Sex::Female => "female".into(),
                    Sex::Male => "male".into(),
                    Sex::Other => "other".into(),
                }))
            })),
            manufacturer: tally(people().map(|p| known(p.manufacturer.as_deref().map(maker)))),
            model: tally(people().map(|person| known(person.model.clone()))),
            field_t: tally(people().map(|person| known(person.field_t.map(|t| format!("{t:.1}"))))),
            setting: tally(people().map(|person| known(person.setting.as_ref().map(word)))),
            series_per_study: Spread::of(series.iter().map(|list| list.len() as f32)),
            slices_per_series: Spread::of(facts().map(|series| series.slices as f32)),
            sequences: tally(facts().map(|series| series.kind.to_owned())),
            planes: tally(facts().map(|series| series.plane.to_owned())),
            turnaround_h: Spread::of(people().filter_map(|person| person.turnaround_h)),
            counts,
        }
    }

    /// The summary for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Counts { files, studies, included, .. } = self.counts;
        line(&mut out, "Files", &format!("{files}, of which {} could not be used", self.bad_files));
        if self.bad_folders > 0 {
            let text =
                format!("{} folders could not be read: see rejected.jsonl", self.bad_folders);
            line(&mut out, "", &text);
        }
        line(
            &mut out,
            "Reports",
            &format!("{}, and {} that could not be read", self.reports, self.bad_reports),
        );
        line(
            &mut out,
            "Studies",
            &format!("{studies} found, {included} in the cohort ({} patients)", self.patients),
        );
        for exclusion in Exclusion::ALL {
            let count = self.counts.left_out(exclusion);
            if count > 0 {
                line(&mut out, "", &format!("{count} left out: {}", exclusion.words()));
            }
        }
        for (name, split) in &self.counts.splits {
            let text = format!("studies {}, patients {}", split.studies, split.patients);
            line(&mut out, &format!("  {name}"), &text);
        }
        line(&mut out, "Age (years)", &spread(&self.age_years));
        line(&mut out, "Series a study", &spread(&self.series_per_study));
        line(&mut out, "Slices a series", &spread(&self.slices_per_series));
        line(&mut out, "Turnaround (h)", &spread(&self.turnaround_h));
        for (title, table) in [
            ("Report joined by", &self.joined_by),
            ("Age decade", &self.age_decades),
            ("Sex", &self.sex),
            ("Manufacturer", &self.manufacturer),
            ("Model", &self.model),
            ("Field (T)", &self.field_t),
            ("Setting", &self.setting),
            ("Sequence", &self.sequences),
            ("Plane", &self.planes),
        ] {
            let parts: Vec<String> = table.iter().map(|(key, n)| format!("{key} {n}")).collect();
            line(&mut out, title, &parts.join(", "));
        }
        out
    }
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a string cannot fail")]
fn line(out: &mut String, title: &str, text: &str) {
    let _: std::fmt::Result = writeln!(out, "{title:<18}{text}");
}

fn spread(spread: &Spread) -> String {
    let Spread { known, min, quartile_1, median, quartile_3, max } = spread;
    match known {
        0 => "not known".into(),
        _ => format!(
            "median {median:.1}, quartiles {quartile_1:.1} to {quartile_3:.1}, range {min:.1} to \
             {max:.1} (n = {known})"
        ),
    }
}

fn tally(values: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    values.fold(BTreeMap::new(), |mut counts, value| {
        *counts.entry(value).or_default() += 1;
        counts
    })
}

/// The word under which a value is serialised.
fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

/// One name for each maker.
fn maker(text: &str) -> String {
    let known = [
        ("siemens", "Siemens"),
        ("philips", "Philips"),
        ("ge", "GE"),
        ("toshiba", "Canon"),
        ("canon", "Canon"),
        ("hitachi", "Hitachi"),
        ("fuji", "Fujifilm"),
    ];
    let lower = text.to_lowercase();
    let found = known.iter().find(|(start, _)| lower.starts_with(start));
    found.map_or_else(|| text.to_owned(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Spread, maker};

    #[test]
    fn quantiles_are_values_that_occur() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0].into_iter());
        let expected =
            Spread { known: 5, min: 1.0, quartile_1: 2.0, median: 3.0, quartile_3: 4.0, max: 5.0 };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of(std::iter::empty()).known, 0);
        assert_eq!(maker("GE MEDICAL SYSTEMS"), "GE");
    }
}
