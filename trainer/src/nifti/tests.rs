use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::read::read_study;
use models::dicom::select::Selection;
use models::dicom::series::read_stack;
use models::study::LeftOutReason;
use models::volume::{Preprocessing, preprocess};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::phantom::{Plane, SeriesSpec, write_series};

const AXES: [usize; 3] = [0, 1, 2];

/// A little-endian file of a stack with its axes in another order on disk.
fn file(stack: &Stack, axes: [usize; 3]) -> Vec<u8> {
    let Samples::U16(values) = &stack.samples else { panic!("phantoms have 16 bits") };
    let mut bytes = vec![0; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348_i32.to_le_bytes());
    let slices = (1..).zip(axes).find(|(_, axis)| *axis == 2).map_or(0, |(place, _)| place);
    put(39, &[slices << 4]);
    put(40, &3_i16.to_le_bytes());
    for place in 0..7 {
        let size = axes.get(place).map_or(1, |axis| stack.size_vox[*axis]);
        put(42 + 2 * place, &(size as i16).to_le_bytes());
    }
    put(70, &512_i16.to_le_bytes());
    put(72, &16_i16.to_le_bytes());
    put(108, &352_f32.to_le_bytes());
    put(123, &[2]);
    put(254, &1_i16.to_le_bytes());
    for row in 0..3 {
        let sign = if row < 2 { -1.0 } else { 1.0 };
        let step = |axis: usize| sign * stack.direction[axis][row] * stack.spacing_mm[axis];
        let values = [step(axes[0]), step(axes[1]), step(axes[2]), sign * stack.origin_mm[row]];
        for (column, value) in values.into_iter().enumerate() {
            put(280 + 16 * row + 4 * column, &(value as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    let size = stack.size_vox;
    let stride = [1, size[0], size[0] * size[1]];
    let [a, b, c] = axes;
    for k in 0..size[c] {
        for j in 0..size[b] {
            for i in 0..size[a] {
                let value = values[i * stride[a] + j * stride[b] + k * stride[c]];
                bytes.extend(value.to_le_bytes());
            }
        }
    }
    bytes
}

/// The same file with the numbers of its header and its voxels the other way round.
fn swapped(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let fields =
        [(0, 4, 1), (40, 2, 8), (70, 2, 2), (76, 4, 8), (108, 4, 3), (252, 2, 2), (256, 4, 18)];
    for (at, width, count) in fields {
        bytes[at..at + width * count].chunks_mut(width).for_each(<[u8]>::reverse);
    }
    bytes[352..].chunks_mut(2).for_each(<[u8]>::reverse);
    bytes
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn decoder() -> Decoder {
    Decoder::new("none".into(), Vec::new(), DecoderLimits::default())
}

/// The phantom of a plane as DICOM files, and its stack.
fn phantom(folder: &Path, plane: Plane) -> Stack {
    write_series(folder, &SeriesSpec { plane, ..SeriesSpec::default() }).unwrap();
    let study = read_study(folder, Limits::default(), &Selection::built_in().unwrap()).unwrap();
    read_stack(&study.series[0], &decoder()).unwrap().0
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}

#[test]
fn a_phantom_is_the_same_from_dicom_and_from_nifti() {
    for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal, Plane::Oblique] {
        let (dicom, nifti) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let stack = phantom(dicom.path(), plane);
        let expected = preprocess(&stack, Preprocessing::V1).unwrap();
        // Slices may lie along any axis of the file, which its header names.
        for axes in [AXES, [2, 0, 1], [0, 2, 1]] {
            let bytes = file(&stack, axes);
            for bytes in [bytes.clone(), swapped(&bytes), packed(&bytes)] {
                let path = nifti.path().join("image.nii.gz");
                fs::write(&path, bytes).unwrap();
                let found = read(&path).unwrap();
                assert_eq!((found.size_vox, &found.samples), (stack.size_vox, &stack.samples));
                let found = preprocess(&found, Preprocessing::V1).unwrap();
                assert!(found.voxels == expected.voxels, "{plane:?} {axes:?}");
                assert_eq!(found.thin_axis, expected.thin_axis);
                assert!(near(&found.origin_mm, &expected.origin_mm), "{:?}", found.origin_mm);
                assert!(near(&found.spacing_mm, &expected.spacing_mm));
                assert!(near(found.direction.as_flattened(), expected.direction.as_flattened()));
            }
        }
        // The whole way, to what the engine reads.
        let sidecar = r#"{"SeriesDescription": "AX T2", "ProtocolName": "BRAIN", "EchoTime": 0.1}"#;
        fs::write(nifti.path().join("image.json"), sidecar).unwrap();
        fs::write(nifti.path().join("image.nii.gz"), packed(&file(&stack, AXES))).unwrap();
        let (version, selection) = (Preprocessing::V1, Selection::built_in().unwrap());
        let from_dicom =
            models::prepare::prepare(dicom.path(), version, &selection, &decoder(), |_| {})
                .unwrap();
        let from_nifti = prepare(nifti.path(), &images(nifti.path()).unwrap(), version);
        assert!(from_nifti.patches == from_dicom.patches);
        let names = [&from_nifti, &from_dicom].map(|of| of.series[0].series.name.clone());
        assert_eq!(names, ["AX_T2-BRAIN-Protocol", "AX_T2-BRAIN-Protocol"]);
    }
}

#[test]
fn the_axis_of_the_slices_is_the_coarsest_unless_the_header_names_one() {
    let folder = TempDir::new().unwrap();
    let mut stack = phantom(folder.path(), Plane::Axial);
    for (spacing_mm, said, size_vox) in [
        ([1.0, 1.0, 5.0], 0, [32, 28, 6]),
        ([5.0, 1.0, 1.0], 0, [28, 6, 32]),
        ([1.0, 1.2, 1.0], 0, [32, 6, 28]),
        // Equal within rounding: the third. Said: the second, unless that cannot be.
        ([1.0, 1.01, 1.0], 0, [32, 28, 6]),
        ([1.0, 1.0, 1.2], 2, [32, 6, 28]),
        ([1.0, 1.0, 5.0], 2, [32, 28, 6]),
    ] {
        stack.spacing_mm = spacing_mm;
        let mut bytes = file(&stack, AXES);
        bytes[39] = said << 4;
        let path = folder.path().join("image.nii");
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap().size_vox, size_vox, "{spacing_mm:?} {said}");
    }
}

/// A changed file, and the sentence that it is refused with.
#[test]
#[expect(clippy::too_many_lines, reason = "one refusal after the other")]
fn what_cannot_be_read_is_refused_with_what_was_found() {
    let folder = TempDir::new().unwrap();
    let good = file(&phantom(folder.path(), Plane::Axial), AXES);
    let path = folder.path().join("image.nii");
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, NiftiError::Content { .. }), "{error}");
        error.to_string().strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
    };
    let check = |at: usize, bytes: &[u8], expected: &str| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(refusal(&file), expected);
    };
    let shorts = |values: &[i16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();

    check(0, &540_i32.to_le_bytes(), "a NIfTI-2 file; write it as NIfTI-1");
    check(0, b"DICM", "no NIfTI-1 file; give one, as .nii or .nii.gz");
    check(344, b"ni1\0", "the header of an image in two files; write both as one .nii");
    check(
        344,
        &[0; 4],
        "an ANALYZE header, which does not tell left from right; convert the original images to \
         NIfTI-1",
    );
    check(40, &shorts(&[2]), "an image of 2 axes; give a volume of three");
    check(40, &shorts(&[-1]), "an image of -1 axes; give a volume of three");
    check(40, &shorts(&[3, 0]), "sizes of 0 x 28 x 6; each axis needs a voxel at least");
    check(
        40,
        &shorts(&[4, 32, 28, 6, 200]),
        "several volumes (32 x 28 x 6 x 200); give each in a file of its own",
    );
    // Said before anything is made room for: the file has but 10 kB.
    check(
        40,
        &shorts(&[3, i16::MAX, i16::MAX, i16::MAX]),
        "35181150961663 voxels (32767 x 32767 x 32767), at most 134217728 are accepted",
    );
    check(
        70,
        &shorts(&[128]),
        "data type 128 is not one number a voxel; write whole or real numbers",
    );
    let begin = "expected a whole number from 352 to 16777216";
    check(108, &floats(&[f32::NAN]), &format!("voxels begin at byte NaN, {begin}"));
    check(108, &floats(&[348.0]), &format!("voxels begin at byte 348, {begin}"));
    check(108, &floats(&[1e30]), &format!("voxels begin at byte {}, {begin}", f64::from(1e30_f32)));
    check(
        112,
        &floats(&[f32::INFINITY, 0.0]),
        "values times inf plus 0 are no numbers; write scl_slope and scl_inter",
    );
    check(123, &[4], "unit 4 of space; write millimetres, which is 2");
    check(
        252,
        &[0; 4],
        "neither sform nor qform says where voxels lie, and left cannot be told from right; \
         convert the original images again",
    );
    let nowhere = |form: &str, origin: &str, steps: &str| {
        format!(
            "its {form} puts voxels nowhere: the first lies at {origin} mm, the next along each \
             axis by {steps} mm; convert the original images again"
        )
    };
    let origin = "[-116.25, -108.0, -12.5]";
    check(
        280,
        &floats(&[f32::NAN]),
        &nowhere("sform", origin, "[[NaN, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 5.0]]"),
    );
    check(
        292,
        &floats(&[f32::INFINITY]),
        &nowhere(
            "sform",
            "[-inf, -108.0, -12.5]",
            "[[7.5, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 5.0]]",
        ),
    );
    // The second axis along the first.
    check(
        280,
        &floats(&[-7.5, -8.0, 0.0, 116.25, 0.0, 0.0]),
        &nowhere("sform", origin, "[[7.5, -0.0, 0.0], [8.0, -0.0, 0.0], [-0.0, 0.0, 5.0]]"),
    );
    // A quaternion that is too long.
    let mut turned = good.clone();
    turned[252..256].copy_from_slice(&shorts(&[1, 0]));
    turned[256..280].copy_from_slice(&floats(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
    assert!(
        refusal(&turned).starts_with("its qform puts voxels nowhere: "),
        "{}",
        refusal(&turned)
    );

    assert_eq!(refusal(&good[..347]), "too short for a NIfTI-1 header; copy the file again");
    assert_eq!(refusal(b""), "too short for a NIfTI-1 header; copy the file again");
    let cut = "its header promises 10752 bytes of voxels, the file ends before; copy it again";
    assert_eq!(refusal(&good[..good.len() - 1]), cut);
    assert_eq!(refusal(&good[..350]), cut);
    let packed = packed(&good);
    assert_eq!(refusal(&packed[..packed.len() / 2]), cut);
    let mut odd = good.clone();
    odd[70..74].copy_from_slice(&shorts(&[16, 32]));
    odd[40..48].copy_from_slice(&shorts(&[3, 32, 28, 3]));
    odd[400..404].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(refusal(&odd), "a voxel is NaN; write a number there, 0 outside of the head");
}

proptest! {
    /// Whatever a header says, there is an answer, and no room for more than is there.
    #[test]
    fn any_header_gives_a_volume_or_a_refusal(
        changes in proptest::collection::vec((0..348_usize, any::<u8>()), 1..12),
    ) {
        let stack = Stack {
            samples: Samples::U16((0..60).collect()),
            size_vox: [3, 4, 5],
            spacing_mm: [1.0, 1.0, 2.0],
            origin_mm: [0.0; 3],
            direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        };
        let mut bytes = file(&stack, AXES);
        changes.iter().for_each(|(at, value)| bytes[*at] = *value);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("image.nii");
        fs::write(&path, bytes).unwrap();
        if let Ok(found) = read(&path) {
            prop_assert_eq!(found.samples.len(), found.size_vox.iter().product::<usize>());
            prop_assert!(found.samples.len() <= 120);
        }
    }
}

#[test]
fn a_study_is_its_images_and_what_is_none_is_left_out_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let study = folder.path().join("BraTS_0001");
    let stack = phantom(&folder.path().join("dicom"), Plane::Axial);
    let write = |name: &str, bytes: &[u8]| {
        let path = study.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let good = file(&stack, AXES);
    write("BraTS_0001_t1ce.nii.gz", &packed(&good));
    write("anat/BraTS_0001-Flair.NII", &good);
    write("anat/sub-01_ses-2_acq-mprage_ce-gd_T1w.nii", &good);
    write("anat/sub-01_ses-2_acq-mprage_ce-gd_T1w.json", b"{\"SeriesDescription\": 3}");
    write("notes.txt", b"not an image");
    write(".hidden.nii", b"of another system");
    let mut bold = good.clone();
    bold[40..50].copy_from_slice(&[4, 0, 32, 0, 28, 0, 6, 0, 2, 0]);
    write("bold.nii", &bold);
    let Samples::U16(values) = &stack.samples else { panic!() };
    let mask = values.iter().map(|value| value / 1000).collect();
    write("seg.nii", &file(&Stack { samples: Samples::U16(mask), ..stack.clone() }, AXES));
    let mut two = good.clone();
    two[46] = 2;
    write("two.nii", &two);

    let images = images(&study).unwrap();
    assert_eq!(images.len(), 6);
    let prepared = prepare(&study, &images, Preprocessing::V1);
    let names: Vec<&str> = prepared.series.iter().map(|s| s.series.name.as_str()).collect();
    assert_eq!(names, ["t1ce", "Flair", "T1w_mprage_gd"]);
    let remarks: Vec<String> =
        prepared.series[2].series.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(remarks.len(), 1);
    assert!(
        remarks[0]
            .starts_with("sub-01_ses-2_acq-mprage_ce-gd_T1w.json ignored: no JSON of a sidecar"),
        "{remarks:?}"
    );
    let left_out: Vec<(&str, &LeftOutReason)> =
        prepared.left_out.iter().map(|left| (left.name.as_str(), &left.reason)).collect();
    let what = "several volumes (32 x 28 x 6 x 2); give each in a file of its own".to_owned();
    assert_eq!(
        left_out,
        [
            ("bold", &LeftOutReason::Unreadable { file: "bold.nii".to_owned(), what }),
            ("seg", &LeftOutReason::Derived { what: "label map".to_owned() }),
            ("two", &LeftOutReason::TooFewSlices { found: 2, needed: 3 }),
        ]
    );
    assert!(super::images(&folder.path().join("absent")).is_err());
    let none: Vec<PathBuf> = super::images(&folder.path().join("dicom")).unwrap();
    assert!(none.is_empty());
}
