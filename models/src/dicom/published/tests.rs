//! Against what the published code recorded for the golden study.

use std::cmp::Ordering;
use std::path::Path;

use serde_json::Value;

use super::{natural_order, read_stack_published, read_study_published};
use crate::dicom::decoder::{Decoder, DecoderLimits};
use crate::study::Samples;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/prima");

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn assert_close(found: &[f64], expected: &Value, what: &str) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-9, "{what}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn the_golden_study_is_read_as_published() {
    let meta = std::fs::read_to_string(Path::new(GOLDEN).join("preprocess_meta.json")).unwrap();
    let meta: Vec<Value> = serde_json::from_str(&meta).unwrap();
    let study = read_study_published(&Path::new(GOLDEN).join("study")).unwrap();
    assert_eq!(study.series.len(), meta.len());
    assert_eq!(study.left_out, []);
    let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
    for (series, meta) in study.series.iter().zip(&meta) {
        let files: Vec<String> = series
            .slices
            .iter()
            .map(|s| s.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(serde_json::to_value(files).unwrap(), meta["files_in_order"]);
        assert_eq!(series.name, meta["name"].as_str().unwrap());
        let folder = series.slices[0].path.parent().unwrap().file_name().unwrap();
        assert_eq!(folder.to_str(), meta["dir"].as_str());
        let stack = read_stack_published(series, &decoder).unwrap();
        let kind = match stack.samples {
            Samples::I16(_) => "int16",
            Samples::U16(_) => "uint16",
            Samples::F64(_) => "float64",
            _ => "other",
        };
        assert_eq!(kind, meta["native_dtype"]);
        let original = &meta["original"];
        assert_close(&stack.size_vox.map(|n| n as f64), &original["OriginalSize"], "size");
        assert_close(&stack.spacing_mm, &original["OriginalSpacing"], "spacing");
        assert_close(&stack.origin_mm, &original["OriginalOrigin"], "origin");
        // ITK lists the matrix row by row; its columns are our directions.
        let d = stack.direction;
        let matrix: Vec<f64> = (0..3).flat_map(|axis| d.map(|column| column[axis])).collect();
        assert_close(&matrix, &original["OriginalDirection"], "direction");
        assert_eq!(stack.samples.len(), stack.size_vox.iter().product::<usize>());
    }
}

#[test]
fn names_are_in_the_order_of_natsort() {
    let sorted = [
        "1.2.9",
        "1.2.10",
        "B1",
        "IM-0001-0009",
        "IM-0001-0010",
        "a",
        "b2",
        "b10",
        "x1.5",
        "x1.25",
    ];
    for pair in sorted.windows(2) {
        assert_eq!(natural_order(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        assert_eq!(natural_order(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
    }
    assert_eq!(natural_order("im", "im1"), Ordering::Less);
    assert_eq!(
        natural_order("a99999999999999999999999", "a100000000000000000000000"),
        Ordering::Less
    );
    assert_eq!(natural_order("a1", "a1"), Ordering::Equal);
}
