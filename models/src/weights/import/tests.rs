use std::fs;
use std::path::PathBuf;

use super::*;
use crate::weights::safetensors_writer::WrittenFile;
use crate::weights::torch_file::{StoredTensor, TorchFile};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/prima")).join(name)
}

fn pickled() -> (Checkpoint, TokenizerCheckpoint) {
    let model = Checkpoint::from_pickle(&golden("primafullmodel_small.pt")).unwrap();
    (model, TokenizerCheckpoint::from_pickle(&golden("vqvae_small.pth")).unwrap())
}

fn from_safetensors() -> (Checkpoint, TokenizerCheckpoint) {
    let config = golden("config.json");
    let model = Checkpoint::from_safetensors(
        &golden("fullmodel_state.safetensors"),
        &config,
        &golden("heads_meta.json"),
    );
    let tokenizer =
        TokenizerCheckpoint::from_safetensors(&golden("vqvae_state.safetensors"), &config);
    (model.unwrap(), tokenizer.unwrap())
}

fn assert_same(
    a: &std::collections::BTreeMap<String, StoredTensor>,
    b: &std::collections::BTreeMap<String, StoredTensor>,
) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, tensor) in a {
        let other = &b[name];
        assert_eq!((tensor.dtype(), tensor.shape()), (other.dtype(), other.shape()), "{name}");
        let bits = |t: &StoredTensor| -> Vec<u32> {
            t.to_f32().unwrap().iter().map(|v| v.to_bits()).collect()
        };
        assert_eq!(bits(tensor), bits(other), "{name}");
    }
}

#[test]
fn pickle_and_safetensors_agree_tensor_by_tensor() {
    let (model, tokenizer) = pickled();
    let (state, tokenizer_state) = from_safetensors();
    assert_same(&model.tensors, &state.tensors);
    assert_same(&tokenizer.tensors, &tokenizer_state.tensors);
    assert_eq!(model.diagnosis, state.diagnosis);
    assert_eq!(model.referral, state.referral);
    for (layer, attention) in &state.attention {
        assert_eq!(model.attention.get(layer), Some(attention), "{layer}");
    }
    assert_eq!(model.report_heads, state.report_heads);
    let sizes = sizes_of(&model, &tokenizer).unwrap();
    assert_eq!(sizes, sizes_of(&state, &tokenizer_state).unwrap());
    assert!(!model.position_tables.is_empty());
}

#[test]
fn a_bundle_holds_the_checkpoint_and_only_the_used_rows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    let (full, vqvae) = (golden("primafullmodel_small.pt"), golden("vqvae_small.pth"));
    let mut last = None;
    let precision = HeadPrecision::AsStored;
    let summary =
        import_prima(&full, &vqvae, &out, precision, &mut |progress| last = Some(progress));
    let manifest = summary.unwrap().manifest;
    let last = last.unwrap();
    assert_eq!(last.done, last.total);

    let text = fs::read_to_string(out.join("manifest.toml")).unwrap();
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), manifest);
    for file in &manifest.files {
        let bytes = fs::read(out.join(&file.path)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes);
        assert!(!tensors.is_empty(), "{}", file.path);
    }
    let (model, _) = pickled();
    let (entry, head) = (&manifest.diagnosis[3], &model.diagnosis[3]);
    assert_eq!((&entry.name, entry.output_index), (&head.name, head.output_index));
    let bytes = fs::read(out.join(&entry.file)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let source = &model.tensors[&format!("{}.4.weight", head.prefix)];
    let row = tensors.tensor("4.weight").unwrap();
    assert_eq!(row.shape(), [1, source.shape()[1]]);
    let expected = source.row(head.output_index).unwrap().to_f32().unwrap();
    let expected: Vec<u8> = expected.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(row.data(), expected);

    let again = import_prima(&full, &vqvae, &out, precision, &mut |_| {}).unwrap_err();
    assert!(again.to_string().contains("choose a new folder"), "{again}");
}

#[test]
fn half_precision_is_close() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    let (full, vqvae) = (golden("primafullmodel_small.pt"), golden("vqvae_small.pth"));
    let summary = import_prima(&full, &vqvae, &out, HeadPrecision::Half, &mut |_| {}).unwrap();
    let entry = &summary.manifest.diagnosis[0];
    let bytes = fs::read(out.join(&entry.file)).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut values = Vec::new();
    let weight = tensors.tensor("0.weight").unwrap();
    crate::weights::torch_file::widen(weight.dtype(), weight.data(), &mut values);
    let (model, _) = pickled();
    let source = model.tensors[&format!("{}.0.weight", model.diagnosis[0].prefix)].to_f32();
    for (half, single) in values.iter().zip(source.unwrap()) {
        assert!((half - single).abs() <= single.abs() / 1024.0 + 1e-7, "{half} {single}");
    }
}

#[test]
fn a_file_of_the_wrong_kind_is_named() {
    let model = golden("primafullmodel_small.pt");
    let error = TokenizerCheckpoint::from_pickle(&model).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "the pickled value is an object of complete_visual_model.FullMRIModel, expected a \
         state_dict with encoder.blocks.0.conv.weight: a tokenizer checkpoint"
        ),
        "{error}"
    );
    let error = Checkpoint::from_pickle(&golden("vqvae_small.pth")).unwrap_err().to_string();
    assert!(error.contains("a state_dict alone does not"), "{error}");
    assert!(TorchFile::open(&golden("config.json")).is_err());
}

#[test]
fn a_value_that_is_not_finite_stops_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let (full, out) = (folder.path().join("full.pt"), folder.path().join("bundle"));
    let mut bytes = fs::read(golden("primafullmodel_small.pt")).unwrap();
    // Storage 0 is the temperature, one f32.
    let name = b"primafullmodel_small/data/0";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    let extra = usize::from(u16::from_le_bytes([bytes[at - 2], bytes[at - 1]]));
    bytes[at + name.len() + extra..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&full, bytes).unwrap();
    let vqvae = golden("vqvae_small.pth");
    let error =
        import_prima(&full, &vqvae, &out, HeadPrecision::Automatic, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("temperature holds NaN at element 0"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_writer_refuses_too_few_values() {
    use crate::weights::safetensors_writer::{
        SafetensorsWriteError, TensorSpec, write_safetensors,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let spec = TensorSpec { name: "a".to_owned(), dtype: safetensors::Dtype::F32, shape: vec![2] };
    let written: Result<WrittenFile, SafetensorsWriteError> =
        write_safetensors(&path, &[spec], &mut |_, sink| sink.write(&[0; 4]));
    let error = written.unwrap_err().to_string();
    assert!(error.ends_with("tensor a got 4 bytes, its shape needs 8"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
