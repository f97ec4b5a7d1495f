//! What kind of sequence a series is: its name says it as a rule, its timing where the name does
//! not.

use dicom_dictionary_std::tags;
use models::dicom::parse::DataSet;
use models::study::Series;
use models::study::kind::{of_description, says_contrast};

/// What the summary counts of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::curate) struct SeriesFacts {
    pub(in crate::curate) kind: &'static str,
    pub(in crate::curate) plane: &'static str,
    pub(in crate::curate) slices: usize,
}

impl SeriesFacts {
    pub(in crate::curate) fn of(series: &Series, data: &DataSet) -> Self {
        let texts = [series.description.as_deref(), series.protocol.as_deref()];
        let named = texts.into_iter().flatten().find_map(of_description);
        let kind = match named.unwrap_or_else(|| kind_of_timing(data)) {
            "t1" if with_contrast(&texts, data) => "t1_contrast",
            kind => kind,
        };
        Self {
            kind,
            plane: plane(&data.f64s(tags::IMAGE_ORIENTATION_PATIENT)),
            slices: series.slices.len(),
        }
    }
}

fn with_contrast(texts: &[Option<&str>], data: &DataSet) -> bool {
    let text = texts.iter().copied().flatten().collect::<Vec<_>>().join(" ");
    let named = says_contrast(&text);
    named || data.text(tags::CONTRAST_BOLUS_AGENT).is_some()
}

/// Echo, repetition and inversion time (ms) as protocols have them.
fn kind_of_timing(data: &DataSet) -> &'static str {
    let number = |tag| data.f64s(tag).first().copied();
    let [te, tr, ti] = [tags::ECHO_TIME, tags::REPETITION_TIME, tags::INVERSION_TIME].map(number);
    match (tr, te, ti) {
        (Some(tr), Some(te), Some(ti)) if tr > 4000.0 && te > 60.0 && ti > 1500.0 => "flair",
        (Some(tr), Some(te), _) if tr > 1800.0 && te > 60.0 => "t2",
        (Some(tr), Some(te), _) if tr > 1500.0 && te < 40.0 => "pd",
        (Some(tr), Some(te), _) if tr < 1000.0 && te < 30.0 => "t1",
        _ => "other",
    }
}

/// The plane whose normal is nearest.
fn plane(cosines: &[f64]) -> &'static str {
    let &[a, b, c, d, e, f] = cosines else { return "not known" };
    let normal = [b * f - c * e, c * d - a * f, a * e - b * d].map(f64::abs);
    let [x, y, z] = normal;
    if z >= x && z >= y {
        "axial"
    } else if y >= x {
        "coronal"
    } else {
        "sagittal"
    }
}

#[cfg(test)]
mod tests {
    use super::plane;

    #[test]
    fn the_plane_is_that_of_the_nearest_normal() {
        assert_eq!(plane(&[1.0, 0.0, 0.0, 0.0, 0.9, -0.3]), "axial");
        assert_eq!(plane(&[0.0, 1.0, 0.0, 0.0, 0.0, -1.0]), "sagittal");
        assert_eq!(plane(&[1.0, 0.0, 0.0, 0.0, 0.0, -1.0]), "coronal");
    }
}
