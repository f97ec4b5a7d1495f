//! Golden tensors for this module's tests.

use safetensors::{Dtype, SafeTensors};

pub(super) fn folder() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/prima/")
}

pub(super) fn read(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}{name}", folder())).unwrap()
}

pub(super) fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
    tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

pub(super) fn doubles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F64, "{name}");
    tensor.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()
}

pub(super) fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::I64 => data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
        Dtype::I32 => data.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b).into()).collect(),
        Dtype::I16 => data.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b).into()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}
