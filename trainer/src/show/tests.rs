use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use models::dicom::decoder::DecoderLimits;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::*;

const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/real");

/// A disc of 1000 in air with Rician noise of 20, 2 mm voxels, and a mask in its third slice.
fn disc() -> ShownSeries {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let mut noise = || 20.0 * rng.sample::<f32, _>(StandardNormal);
    let mut voxels = Vec::new();
    for place in 0..128 * 128 * 10 {
        let (x, y) = (place % 128, place / 128 % 128);
        let inside = (x - 64_i32).pow(2) + (y - 64_i32).pow(2) < 50 * 50;
        let signal = if inside { 1000.0 } else { 0.0 };
        voxels.push((signal + noise()).hypot(noise()));
    }
    let mut mask = vec![0; voxels.len()];
    mask[128 * 128 * 2 + 128 * 64 + 60..][..8].fill(1);
    ShownSeries {
        name: "AX_T2".into(),
        folder: "S01".into(),
        plane: Plane::Axial,
        size_vox: [128, 128, 10],
        spacing_mm: [2.0, 2.0, 5.0],
        voxels,
        mask,
    }
}

fn decoded(png: &[u8]) -> (usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width as usize, pixels)
}

#[test]
fn statistics_of_a_disc_are_what_they_are() {
    let found = statistics(&disc());
    let area = std::f32::consts::PI * 2500.0 / (128.0 * 128.0);
    // The 99th percentile of the picture is the 97.9th of the disc: 1000 + 2.03 * 20.
    let scale = 1000.0 + 2.03 * 20.0;
    for (name, found, expected, tolerance) in [
        ("foreground", found.foreground, area, 0.01),
        ("mean", found.mean, 1000.0 / scale, 0.005),
        ("deviation", found.deviation, 20.0 / scale, 0.001),
        ("noise in air", found.noise_air, 20.0 / scale, 0.001),
        ("noise in tissue", found.noise_tissue, 20.0 / scale, 0.001),
        // The median of a Rayleigh distribution, of differences over 4 mm.
        ("edges", found.edges[0], 1.1774 * 20.0 * 2.0_f32.sqrt() / 4.0 / scale, 0.0006),
    ] {
        assert!((found - expected).abs() < tolerance, "{name}: {found} {expected}");
    }
    assert!((found.histogram.iter().sum::<f32>() - 1.0).abs() < 1e-4);
}

#[test]
fn a_constant_series_has_no_statistics_and_still_a_picture() {
    let mut series = disc();
    series.voxels.fill(0.0);
    assert_eq!(statistics(&series).entropy, 0.0);
    let study = Shown {
        folder: "s000001".into(),
        description: String::new(),
        series: vec![series],
        left_out: Vec::new(),
    };
    assert!(mosaic(&study, MosaicOptions::default()).is_ok());
}

#[test]
fn a_mosaic_shows_the_slice_with_the_lesion_and_its_outline() {
    let mut study = Shown {
        folder: "s000001".into(),
        description: "MRI BRAIN".into(),
        series: vec![disc()],
        left_out: Vec::new(),
    };
    let outlines = |study: &Shown| {
        let (_, pixels) = decoded(&mosaic(study, MosaicOptions::default()).unwrap());
        let tinted = pixels.as_chunks::<3>().0.iter();
        tinted.filter(|[r, g, _]| i16::from(*r) - i16::from(*g) > 60).count()
    };
    assert!(outlines(&study) > 10);
    study.series[0].mask.clear();
    assert_eq!(outlines(&study), 0);
}

#[test]
fn a_sheet_pairs_like_with_like() {
    let named = |name: &str, plane| ShownSeries { name: name.into(), plane, ..disc() };
    let study = |folder: &str, series| Shown {
        folder: folder.into(),
        description: String::new(),
        series,
        left_out: Vec::new(),
    };
    let real = study("real", vec![named("AX_T1_POST", Plane::Axial)]);
    let simulated = study(
        "simulated",
        vec![
            named("SAG_T1", Plane::Sagittal),
            named("T1_SE_POST_GAD", Plane::Sagittal),
            named("AX_T1_PLUS_CONTRAST", Plane::Axial),
        ],
    );
    let sheet = contact_sheet(&[real], &[simulated]).unwrap();
    let names: Vec<&str> = sheet.entries.iter().map(|entry| entry.series.as_str()).collect();
    assert_eq!(names, ["AX_T1_POST", "AX_T1_PLUS_CONTRAST", "SAG_T1", "T1_SE_POST_GAD"]);
    assert_eq!(sheet.entries.iter().filter(|entry| entry.simulated).count(), 3);
}

#[test]
fn real_studies_are_read_with_their_masks() {
    let decoder = Decoder::new("none".into(), Vec::new(), DecoderLimits::default());
    let study = format!("{REAL}/brain1_t1c");
    let masks = tempfile::tempdir().unwrap();
    let path = masks.path().join("brain1_t1c.nii.gz");
    let write = |slices: i16, kind: i16, voxels: usize| {
        let mut bytes = vec![0; 352 + voxels];
        bytes[0] = 92;
        bytes[1] = 1;
        for (at, value) in [(42, 256), (44, 256), (46, slices), (70, kind)] {
            bytes[at..at + 2].copy_from_slice(&i16::to_le_bytes(value));
        }
        *bytes.last_mut().unwrap() = 7;
        let mut file = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
        file.write_all(&bytes).unwrap();
        file.finish().unwrap();
    };
    let read = || read(study.as_ref(), Some(masks.path()), &decoder);

    write(25, 2, 256 * 256 * 25);
    let found = read().unwrap();
    let series = &found.series[0];
    assert_eq!((found.folder.as_str(), series.folder.as_str()), ("brain1_t1c", "brain1_t1c"));
    assert_eq!((series.plane, series.size_vox), (Plane::Axial, [256, 256, 25]));
    assert_eq!((series.mask.len(), series.mask.last()), (256 * 256 * 25, Some(&7)));

    let shown = path.display();
    for (slices, kind, expected) in [
        (
            24,
            2,
            format!(
                "the mask {shown} has [256, 256, 24] voxels, its series has [256, 256, 25]: give \
                 the folder of this study's masks"
            ),
        ),
        (
            25,
            16,
            format!(
                "the mask {shown} is no little-endian NIfTI-1 file of unsigned bytes (data type \
                 16): write it with data type 2"
            ),
        ),
    ] {
        write(slices, kind, 256 * 256 * 25);
        assert_eq!(read().unwrap_err().to_string(), expected);
    }
    write(25, 2, 10);
    assert_eq!(read().unwrap_err().to_string(), format!("cannot read the mask {shown}"));
}
