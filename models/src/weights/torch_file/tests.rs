use std::fs;

use super::*;

/// A zip file of uncompressed entries, as `torch.save` writes it.
fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let sizes = [u32::try_from(data.len()).unwrap().to_le_bytes(); 2].concat();
        let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([&sizes[..], &name_length].concat());
        directory.extend([0; 12]);
        directory.extend(u32::try_from(file.len()).unwrap().to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend(b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        file.extend([&sizes[..], &name_length, &[0; 2], name.as_bytes(), data].concat());
    }
    let start = u32::try_from(file.len()).unwrap().to_le_bytes();
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([&u16::try_from(entries.len()).unwrap().to_le_bytes()[..]; 2].concat());
    file.extend(
        [&u32::try_from(directory.len()).unwrap().to_le_bytes()[..], &start, &[0; 2]].concat(),
    );
    file
}

/// A file that holds one tensor over the f32 storage 0, 1, 2, 3, 4, 5; offset, shape and strides
/// in protocol 0.
fn file_with(view: &str) -> Vec<u8> {
    let pickle = format!(
        "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI6\ntQ\
         {view}I00\nNtR."
    );
    let storage: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    zip(&[("x/data.pkl", pickle.as_bytes()), ("x/byteorder", b"little"), ("x/data/0", &storage)])
}

fn open(bytes: &[u8]) -> Result<TorchFile, TorchFileError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    TorchFile::open(file.path())
}

fn tensor(view: &str) -> Result<Vec<f32>, String> {
    let file = open(&file_with(view)).unwrap();
    let tensor = file.tensor(file.pickle().root()).map_err(|e| e.to_string())?;
    Ok(tensor.to_f32().unwrap())
}

#[test]
fn views_in_and_out_of_order() {
    let check = |view, expected: &[f32]| assert_eq!(tensor(view).unwrap(), expected, "{view:?}");
    check("I0\n(I2\nI3\nt(I3\nI1\nt", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    check("I0\n(I3\nI2\nt(I1\nI3\nt", &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    check("I1\n(I2\nI2\nt(I3\nI1\nt", &[1.0, 2.0, 4.0, 5.0]);
    check("I4\n(t(t", &[4.0]);
    check("I0\n(I0\nt(I1\nt", &[]);
}

#[test]
fn views_outside_their_storage_are_refused() {
    let check = |view, found: &str| {
        let error = tensor(view).unwrap_err();
        assert_eq!(
            error,
            format!("{found}, expected a view of at most the 6 elements of its storage")
        );
    };
    check("I1\n(I2\nI3\nt(I3\nI1\nt", "shape [2, 3], strides [3, 1], offset 1");
    // Expanded: many elements over few.
    check("I0\n(I9\nt(I0\nt", "shape [9], strides [0], offset 0");
    let huge = "I0\n(I9223372036854775807\nI9223372036854775807\nt(I1\nI1\nt";
    assert!(tensor(huge).is_err());
}

#[test]
fn rows_and_shapes() {
    let file = open(&file_with("I0\n(I3\nI2\nt(I1\nI3\nt")).unwrap();
    let tensor = file.tensor(file.pickle().root()).unwrap();
    assert_eq!(tensor.row(1).unwrap().to_f32().unwrap(), [1.0, 4.0]);
    assert!(tensor.row(3).is_none());
    assert!(tensor.reshaped(&[6]).is_none(), "not in order");
}

#[test]
fn other_files_are_told_apart() {
    let check = |bytes: &[u8], expected: &str| {
        let error = open(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "before 1.6");
    check(b"hello", "begins with [68, 65, 6c, 6c]");
    check(b"", "begins with []");
    check(b"PK\x03\x04", "damaged torch file");
    check(&zip(&[("a/b", b"")]), "data.pkl is missing among 1 entries");
    check(&zip(&[("x/data.pkl", b"N."), ("x/byteorder", b"big")]), "byteorder is \"big\"");
}

#[test]
fn a_declared_count_allocates_nothing() {
    // A zip64 end record that promises 2^60 entries in a directory of 2^60 bytes.
    let mut bytes = file_with("I4\n(t(t");
    let end = bytes.split_off(bytes.len() - 22);
    let at = bytes.len() as u64;
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend([(1u64 << 60).to_le_bytes(); 3].concat());
    bytes.extend(at.to_le_bytes());
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(end);
    assert!(matches!(open(&bytes), Err(TorchFileError::Archive { .. })));
}
