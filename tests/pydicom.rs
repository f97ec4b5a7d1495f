//! Every file of pydicom's test data that pydicom decodes is decoded to the same values, or left
//! out for a reason that is listed here. `pydicom/README.md` says how to make the comparison.

use std::path::{Path, PathBuf};

use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::{parse, pixels};
use models::study::Samples;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Files that pydicom decodes and the reader does not, with the words it says so.
const LEFT_OUT: [(&str, &str); 1] =
    [("JPGExtended.dcm", "lossy JPEG of 12 bits per sample is not supported, only 8")];
/// Lossy JPEG decoders round differently; measured 1 to 3 of 255.
const LOSSY_TOLERANCE: u8 = 3;

/// Compares all files of the folder that `PRIMA_PYDICOM_DIR` names.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no main that could read it")]
fn files_decode_as_in_pydicom() {
    let Some(dir) = std::env::var_os("PRIMA_PYDICOM_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: PRIMA_PYDICOM_DIR is not set; see tests/pydicom/README.md");
        return;
    };
    let index = std::fs::read(dir.join("index.json")).expect("index.json");
    let index: Vec<Value> = serde_json::from_slice(&index).expect("a list");
    let decoder = Decoder::new(
        crate::decode_worker(),
        vec!["decode-worker".into()],
        DecoderLimits::default(),
    );
    let decodable: Vec<&Value> = index.iter().filter(|row| row["decodable"] == true).collect();
    assert!(decodable.len() >= 58, "pydicom decodes only {} files", decodable.len());
    let misses: Vec<String> =
        decodable.iter().filter_map(|row| compare(row, &dir, &decoder).err()).collect();
    assert!(misses.is_empty(), "{} files differ:\n{}", misses.len(), misses.join("\n"));
}

/// One row of the index against the reader.
fn compare(row: &Value, dir: &Path, decoder: &Decoder) -> Result<(), String> {
    let name = row["file"].as_str().ok_or("a row without file")?;
    let path = Path::new(row["path"].as_str().ok_or("a row without path")?);
    let left_out = LEFT_OUT.iter().find(|(file, _)| *file == name).map(|(_, reason)| *reason);
    let values = match (decode(path, decoder), left_out) {
        (Ok(values), None) => values,
        (Ok(_), Some(_)) => return Err(format!("{name}: decoded, but listed as left out")),
        (Err(error), Some(reason)) if error.contains(reason) => return Ok(()),
        (Err(error), _) => return Err(error),
    };
    let digest: String = Sha256::digest(&values).iter().map(|byte| format!("{byte:02x}")).collect();
    if row["sha256"] == digest {
        return Ok(());
    }
    if row["lossy"] != true {
        return Err(format!("{name}: other values than pydicom's"));
    }
    let expected = std::fs::read(dir.join(format!("{name}.raw"))).map_err(|e| e.to_string())?;
    let worst = expected.iter().zip(&values).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    if expected.len() == values.len() && worst <= LOSSY_TOLERANCE {
        Ok(())
    } else {
        Err(format!("{name}: {} of {} bytes, worst {worst}", values.len(), expected.len()))
    }
}

/// The stored values of all frames as little-endian bytes.
fn decode(path: &Path, decoder: &Decoder) -> Result<Vec<u8>, String> {
    let file = parse::read_file(path).map_err(|error| chain(&error))?;
    let layout = pixels::layout(&file).map_err(|error| chain(&error))?;
    let mut bytes = Vec::new();
    for frame in 0..layout.frames {
        let frame = pixels::decode_frame(&file, frame, decoder).map_err(|error| chain(&error))?;
        match frame.values {
            Samples::I8(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Samples::U8(values) => bytes.extend(values),
            Samples::I16(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Samples::U16(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Samples::I32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Samples::U32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Samples::F64(_) => return Err("stored values are never floating point".to_owned()),
        }
    }
    Ok(bytes)
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
