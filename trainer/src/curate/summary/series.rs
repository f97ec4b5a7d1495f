//! What kind of sequence a series is: its name says it as a rule, its timing where the name does
//! not.

use dicom_dictionary_std::tags;
use models::dicom::parse::DataSet;
use models::study::Series;

/// What the summary counts of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::curate) struct SeriesFacts {
    pub(in crate::curate) kind: &'static str,
    pub(in crate::curate) plane: &'static str,
    pub(in crate::curate) slices: usize,
}

/// Words of names by kind; the first row with a word of the name decides.
const KINDS: [(&str, &[&str]); 9] = [
    ("adc", &["adc", "apparent"]),
    (
        "swi",
        &[
            "swi",
            "swan",
            "swip",
            "mip_images",
            "susceptib",
            "venbold",
            "t2star",
            "t2_star",
            "t2*",
            "gre_t2",
            "hemo",
            "fl2d_t2",
        ],
    ),
    ("perfusion", &["perf", "dsc", "asl", "pwi", "dce"]),
    ("angiography", &["tof", "mra", "mrv", "angio", "trick", "pc3d"]),
    ("diffusion", &["dwi", "diff", "dti", "b1000", "trace", "tracew"]),
    ("flair", &["flair", "dark-fluid", "dark_fluid", "darkfluid"]),
    ("t2", &["t2", "ciss", "fiesta", "stir", "drive"]),
    ("pd", &["pd_", " pd", "_pd", "proton"]),
    ("t1", &["t1", "mprage", "bravo", "spgr", "fspgr", "tfe", "vibe", "tfl"]),
];

/// Words of names of T1 after contrast agent.
const CONTRAST: [&str; 9] = ["+c", "post", "gad", "_gd", " gd", "+gd", "c+", "contrast", "_km"];

impl SeriesFacts {
    pub(in crate::curate) fn of(series: &Series, data: &DataSet) -> Self {
        let texts = [series.description.as_deref(), series.protocol.as_deref()];
        let named = texts.into_iter().flatten().find_map(kind_of_name);
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

fn kind_of_name(name: &str) -> Option<&'static str> {
    let name = format!(" {}", name.to_lowercase());
    let has = |(_, words): &&(&str, &[&str])| words.iter().any(|word| name.contains(word));
    KINDS.iter().find(has).map(|(kind, _)| *kind)
}

fn with_contrast(texts: &[Option<&str>], data: &DataSet) -> bool {
    let text = texts.iter().flatten().map(|text| text.to_lowercase()).collect::<Vec<_>>().join(" ");
    let without = ["pre", "without", "w/o", "non"].iter().any(|word| text.contains(word));
    let named = CONTRAST.iter().any(|word| text.contains(word)) && !without;
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
    use super::{kind_of_name, plane};

    #[test]
    fn names_of_four_vendors() {
        for (name, kind) in [
            ("AX T2 FLAIR", "flair"),
            ("t2_tirm_tra_dark-fluid", "flair"),
            ("t1_mprage_sag_p2_iso", "t1"),
            ("Ax T1 SE +C", "t1"),
            ("ep2d_diff_3scan_trace_p2_ADC", "adc"),
            ("ep2d_diff_3scan_trace_p2_TRACEW", "diffusion"),
            ("Ax DWI b1000", "diffusion"),
            ("SWI_Images", "swi"),
            ("3D TOF MRA", "angiography"),
            ("AXIAL PD FSE", "pd"),
            ("sT2W_TSE", "t2"),
        ] {
            assert_eq!(kind_of_name(name), Some(kind), "{name}");
        }
        assert_eq!(kind_of_name("SE 500/15"), None);
        assert_eq!(plane(&[1.0, 0.0, 0.0, 0.0, 0.9, -0.3]), "axial");
        assert_eq!(plane(&[0.0, 1.0, 0.0, 0.0, 0.0, -1.0]), "sagittal");
        assert_eq!(plane(&[1.0, 0.0, 0.0, 0.0, 0.0, -1.0]), "coronal");
    }
}
