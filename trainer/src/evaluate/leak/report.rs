//! Both leak baselines of a cohort: what `trainer leaks` prints and writes.

use std::fmt;
use std::fs;

use models::dims::PATCH_THIN_VOX;
use models::labels::DIAGNOSES;
use models::tokens::StudyPatches;
use serde::{Deserialize, Serialize};
use statistics::rows::Rows;

use super::features::{HEADERS_WIDTH, HISTOGRAMS_WIDTH, SeriesHeader, headers, histograms};
use super::{LENT_PERCENT, LeakReport, MeasuredOn, assign, measure};
use crate::cohort::Cohort;
use crate::cohort::record::Split;
use crate::cohort::shard::{SeriesView, Store, Values};

/// Both leak baselines of a cohort.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leaks {
    /// Which studies both were measured on.
    pub measured_on: MeasuredOn,
    /// How many.
    pub studies: usize,
    /// From series names, study description, scanner, field strength, and the numbers of series
    /// and slices. Echo and repetition times are no part of it: a shard does not hold them, so
    /// what they give away is not measured here.
    pub headers: LeakReport,
    /// From histograms of intensities.
    pub histograms: LeakReport,
}

/// Asks what the labels can be told from without looking at the images. What a shard does not
/// hold of the headers, which are the times of the sequence and the size of its images, is left
/// out.
///
/// # Errors
///
/// When a study has no patches or no labels.
pub fn leaks(cohort: &Cohort) -> anyhow::Result<Leaks> {
    let store = Store::open(&cohort.folder, Values::Patches)?;
    let (mut names, mut grey, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for record in &cohort.records {
        let (_, views) = store.study(&record.id)?;
        let series: Vec<SeriesHeader> = views.iter().map(header).collect();
        names.extend(headers(record, &series, false));
        let patches = StudyPatches { series: views.iter().map(|v| v.patches()).collect() };
        let series: Vec<&str> = views.iter().map(|v| v.name).collect();
        grey.extend(histograms(&patches, &series));
        labels.push(cohort.labels(&record.id)?.diagnoses.clone());
    }
    let (splits, measured_on) = assign(&cohort.records);
    let leaks = Leaks {
        measured_on,
        studies: splits.iter().filter(|split| **split == Split::Test).count(),
        headers: measure(Rows::new(&names, HEADERS_WIDTH), &labels, &splits),
        histograms: measure(Rows::new(&grey, HISTOGRAMS_WIDTH), &labels, &splits),
    };
    fs::write(cohort.folder.join("leaks.json"), serde_json::to_vec_pretty(&leaks)?)?;
    Ok(leaks)
}

/// What a shard holds of a series' header. Slices are those up to the last patch that was kept,
/// in whole patches; columns and rows are not known, and count for no feature.
fn header(view: &SeriesView<'_>) -> SeriesHeader {
    let starts = view.coordinates.iter().map(|start| usize::from(start[view.thin_axis]));
    let slices = starts.max().map_or(0, |last| last + PATCH_THIN_VOX);
    SeriesHeader {
        name: view.name.to_owned(),
        repetition_ms: None,
        echo_ms: None,
        size_vox: [0, 0, slices],
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (d, name) in DIAGNOSES.iter().enumerate() {
            let shown = |report: &LeakReport| {
                let area = report.auroc.get(d).copied().flatten();
                area.map_or_else(|| "   - ".to_owned(), |a| format!("{:.3}", a.value))
            };
            writeln!(f, "{name:<52} {} {}", shown(&self.headers), shown(&self.histograms))?;
        }
        let studies = self.studies;
        match self.measured_on {
            MeasuredOn::TestStudies => writeln!(f, "measured on {studies} test studies")?,
            MeasuredOn::LentPatients => writeln!(
                f,
                "the cohort has no test studies: measured on {studies} studies of {LENT_PERCENT} % \
                 of its training patients, fitted on the others"
            )?,
        }
        let mean = |report: &LeakReport| report.mean.unwrap_or(f64::NAN);
        write!(
            f,
            "mean AUROC from names, scanner and slices {:.3}, from histograms {:.3} (0.5 is \
             chance)",
            mean(&self.headers),
            mean(&self.histograms)
        )
    }
}
