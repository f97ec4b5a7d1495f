//! The golden study from raw stacks to scaled patches.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and integer voxels arrive as floating point numbers"
)]

use safetensors::SafeTensors;
use serde_json::Value;

use super::golden::{doubles, floats, folder, integers, read};
use super::patchify::{Patches, write_repeated};
use crate::dims::{PATCH_VOX, THIN_REPEAT};
use crate::study::{Samples, Stack};
use crate::volume::{Preprocessing, Volume, preprocess};

fn numbers<const N: usize>(value: &Value) -> [f64; N] {
    std::array::from_fn(|i| value[i].as_f64().unwrap())
}

/// The stack of a golden series. The generator wrote Pixel Data last and uncompressed, and
/// the metadata hold the geometry, so no DICOM reader is needed here.
fn golden_stack(meta: &Value) -> Stack {
    let original = &meta["original"];
    let size_vox = numbers::<3>(&original["OriginalSize"]).map(|n| n as usize);
    let slice_bytes = size_vox[0] * size_vox[1] * 2;
    let mut words: Vec<[u8; 2]> = Vec::new();
    for file in meta["files_in_order"].as_array().unwrap() {
        let (series, file) = (meta["dir"].as_str().unwrap(), file.as_str().unwrap());
        let bytes = std::fs::read(format!("{}study/{series}/{file}", folder())).unwrap();
        words.extend_from_slice(bytes[bytes.len() - slice_bytes..].as_chunks().0);
    }
    let signed = || words.iter().map(|&w| i16::from_le_bytes(w));
    let samples = match meta["native_dtype"].as_str().unwrap() {
        "int16" => Samples::I16(signed().collect()),
        "uint16" => Samples::U16(words.iter().map(|&w| u16::from_le_bytes(w)).collect()),
        // The only fractional Rescale Slope in the golden study.
        "float64" => Samples::F64(signed().map(|v| f64::from(v) * 0.37).collect()),
        other => panic!("{other}"),
    };
    let cosines: [f64; 9] = numbers(&original["OriginalDirection"]);
    Stack {
        samples,
        size_vox,
        spacing_mm: numbers(&original["OriginalSpacing"]),
        origin_mm: numbers(&original["OriginalOrigin"]),
        direction: std::array::from_fn(|a| std::array::from_fn(|r| cosines[3 * r + a])),
    }
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-9, "{what}: {found:?} is not {expected:?}");
    }
}

#[test]
fn published_preprocessing_is_reproduced() {
    let meta: Value = serde_json::from_slice(&read("preprocess_meta.json")).unwrap();
    let bytes = read("preprocess.safetensors");
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for (i, meta) in meta.as_array().unwrap().iter().enumerate() {
        let stack = golden_stack(meta);
        let volume = preprocess(&stack, Preprocessing::Published).unwrap();
        check_volume(&volume, &stack, &golden, i);
        let reoriented = |key: &str| &meta["original"][key];
        assert_close(&volume.spacing_mm, &numbers::<3>(reoriented("ReorientSpacing")), "spacing");
        assert_close(&volume.origin_mm, &numbers::<3>(reoriented("ReorientOrigin")), "origin");
        let cosines: [f64; 9] = numbers(reoriented("ReorientDirection"));
        for (a, axis) in volume.direction.iter().enumerate() {
            assert_close(axis, &[cosines[a], cosines[3 + a], cosines[6 + a]], "direction");
        }
        assert_eq!(volume.thin_axis as u64, meta["thin_axis"].as_u64().unwrap());
        check_patches(&volume, meta, &golden, i);
    }
}

fn check_volume(volume: &Volume, stack: &Stack, golden: &SafeTensors<'_>, i: usize) {
    let name = format!("s{i}.volume");
    assert_eq!(golden.tensor(&name).unwrap().shape(), volume.size_vox);
    let expected = match stack.samples {
        Samples::F64(_) => floats(golden, &name),
        _ => integers(golden, &name).into_iter().map(|v| v as f32).collect(),
    };
    let differing = volume.voxels.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert_eq!(differing, 0, "{name}: voxels that are not ITK's");
}

fn check_patches(volume: &Volume, meta: &Value, golden: &SafeTensors<'_>, i: usize) {
    let patches = Patches::measure(volume, Preprocessing::Published).unwrap();
    assert!((f64::from(patches.scale_max) - meta["scale_max"].as_f64().unwrap()).abs() < 2e-5);
    assert_eq!(patches.kept.percent_used as u64, meta["percent_used"].as_u64().unwrap());
    assert_eq!(patches.kept.infill as u64, meta["infill"].as_u64().unwrap());
    let coordinates: Vec<i64> =
        patches.coordinates.iter().flatten().map(|&c| i64::from(c)).collect();
    assert_eq!(coordinates, integers(golden, &format!("s{i}.coords")));
    assert_eq!(patches.percent, doubles(golden, &format!("s{i}.percent")));
    let kept: Vec<i64> = patches.kept.ids.iter().map(|&id| id.into()).collect();
    assert_eq!(kept, integers(golden, &format!("s{i}.kept_ids")));

    let tokens = floats(golden, &format!("s{i}.tokens"));
    let (mut patch, mut thick) = ([0.0; PATCH_VOX], [0.0; PATCH_VOX * THIN_REPEAT]);
    let ids = integers(golden, &format!("s{i}.token_ids"));
    for (id, expected) in ids.iter().zip(tokens.chunks_exact(thick.len())) {
        patches.copy_scaled(u32::try_from(*id).unwrap(), &mut patch);
        write_repeated(&patch, volume.thin_axis, &mut thick);
        let same = thick.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-7);
        assert!(same, "s{i} token {id}");
    }
}
