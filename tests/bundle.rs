//! A bundle that is not what its manifest promises is refused, in words that name the file and
//! the field: every test breaks one thing in a good bundle and reads what `appliance` says.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::phantom::Plane;

use crate::programs::{Run, copy_folder, placed, run, series, shared_bundle, triage, write};

/// A bundle to break, and a study.
struct Broken {
    folder: TempDir,
}

impl Broken {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        copy_folder(&shared_bundle().path().join("bundle"), &folder.path().join("bundle"));
        write(&folder.path().join("study"), &series(1, "AX T2", Plane::Axial));
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("bundle").join(file)
    }

    fn triage(&self) -> Run {
        run(&mut triage(&self.folder.path().join("study"), &self.path("")))
    }

    fn edit(&self, file: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(file)).expect("a file");
        edit(&mut bytes);
        fs::write(self.path(file), bytes).expect("a written file");
    }

    fn edit_manifest(&self, edit: impl FnOnce(&mut toml::Table)) {
        self.edit("manifest.toml", |bytes| {
            let text = String::from_utf8(std::mem::take(bytes)).expect("UTF-8");
            let mut manifest = text.parse().expect("TOML");
            edit(&mut manifest);
            *bytes = toml::to_string(&manifest).expect("TOML").into_bytes();
        });
    }

    /// Makes the manifest promise what a file now holds.
    fn promise(&self, file: &str) {
        let bytes = fs::read(self.path(file)).expect("a file");
        let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let length = i64::try_from(bytes.len()).expect("a small file");
        self.edit_manifest(|manifest| {
            let files = manifest["files"].as_array_mut().expect("a list").iter_mut();
            let entry = files.into_iter().find(|entry| entry["path"].as_str() == Some(file));
            let entry = entry.expect("a listed file");
            entry["bytes"] = length.into();
            entry["sha256"] = digest.into();
        });
    }

    /// What `appliance triage` says when it refuses the bundle.
    fn refusal(&self) -> String {
        let ran = self.triage();
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""), "{}", ran.stderr);
        placed(&ran.stderr, &[(&self.path(""), "BUNDLE/")])
    }
}

/// Where the bytes of a tensor begin.
fn tensor_start(file: &[u8], name: &str) -> usize {
    let header = u64::from_le_bytes(file[..8].try_into().expect("eight bytes"));
    let data = 8 + usize::try_from(header).expect("a small header");
    let header: Value = serde_json::from_slice(&file[8..data]).expect("a JSON header");
    let start = header[name]["data_offsets"][0].as_u64().expect("a tensor of this name");
    data + usize::try_from(start).expect("a small file")
}

/// The entry of `[[files]]` at a position.
fn entry(manifest: &mut toml::Table, index: usize) -> &mut toml::Value {
    &mut manifest["files"][index]
}

#[test]
fn a_flipped_bit() {
    let broken = Broken::new();
    broken.edit("network.safetensors", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model cannot be loaded
      because: cannot use the model bundle
      because: BUNDLE/network.safetensors has SHA-256 94cb44a259b847757401d63ae8be23790cdafd370183442ed6e7489b8bcb8adf, the manifest promises 3dd5d7a66f52faa262552e413200d215292c59e5aee5485bcfc0df0aff17999d; copy the bundle again
    ");
}

/// Heads are read when they are used, so the refusal comes after the study was read.
#[test]
fn a_flipped_bit_in_a_head() {
    let broken = Broken::new();
    broken.edit("heads/priority.safetensors", |bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    });
    let refusal = broken.refusal();
    let last = refusal.lines().last().expect("a line");
    assert!(last.contains("because: BUNDLE/heads/priority.safetensors has SHA-256 "), "{refusal}");
    assert!(last.ends_with("; copy the bundle again"), "{refusal}");
}

#[test]
fn a_file_cut_short() {
    let broken = Broken::new();
    broken.edit("tokenizer.safetensors", |bytes| bytes.truncate(bytes.len() / 2));
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/tokenizer.safetensors has 119864 bytes, the manifest promises 239728; copy the bundle again
    ");
}

#[test]
fn a_weight_file_that_nobody_promised() {
    let broken = Broken::new();
    let extra = broken.path("heads/extra.safetensors");
    fs::copy(broken.path("heads/priority.safetensors"), extra).expect("a copy");
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/heads/extra.safetensors is not promised by the manifest; remove it or export the bundle again
    ");
}

#[test]
fn a_missing_file() {
    let broken = Broken::new();
    fs::remove_file(broken.path("heads/priority.safetensors")).expect("a removed file");
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/heads/priority.safetensors is promised in [[files]] but cannot be read; copy the bundle again
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_head_that_is_not_listed() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest["priority"]["file"] = "heads/other.safetensors".into();
    });
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml: heads/other.safetensors is not listed in [[files]]; export the bundle again
    ");
}

#[test]
fn a_file_that_is_listed_twice() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        let first = entry(manifest, 0).clone();
        manifest["files"].as_array_mut().expect("a list").push(first);
    });
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml: tokenizer.safetensors is listed twice in [[files]]; export the bundle again
    ");
}

#[test]
fn paths_out_of_the_bundle() {
    for path in ["../network.safetensors", "/etc/hostname", "heads/../../a", ""] {
        let broken = Broken::new();
        broken.edit_manifest(|manifest| entry(manifest, 0)["path"] = path.into());
        let said = format!(
            "because: BUNDLE/manifest.toml: [[files]] names {path:?}; paths must stay inside the \
             bundle\n"
        );
        let refusal = broken.refusal();
        assert!(refusal.ends_with(&said), "{refusal}");
    }
}

#[test]
fn another_format_version() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| manifest["format_version"] = 2.into());
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml: format_version is 2, this program reads 1; update it or export the bundle again
    ");
}

/// A later format may have fields that this program does not know; its version must be what the
/// refusal speaks of.
#[test]
fn another_format_version_with_other_fields() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest["format_version"] = 2.into();
        manifest.insert("signature".to_owned(), "abc".into());
    });
    let refusal = broken.refusal();
    assert!(refusal.contains("format_version is 2, this program reads 1"), "{refusal}");
}

#[test]
fn an_unknown_field() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest.insert("colour".to_owned(), "blue".into());
    });
    insta::assert_snapshot!(broken.refusal(), @r#"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml is not a valid manifest; export the bundle again
      because: TOML parse error at line 1, column 1
      |
    1 | colour = "blue"
      | ^^^^^^
    unknown field `colour`, expected one of `format_version`, `id`, `serial`, `preset`, `preprocessing`, `intended_use`, `provenance`, `sizes`, `diagnosis`, `referral`, `priority`, `age`, `shared_heads`, `context`, `onnx`, `envelope`, `selection`, `golden`, `files`
    "#);
}

#[test]
fn a_field_of_another_type() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| manifest["diagnosis"][3]["threshold"] = "high".into());
    insta::assert_snapshot!(broken.refusal(), @r#"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml is not a valid manifest; export the bundle again
      because: TOML parse error at line 347, column 13
        |
    347 | threshold = "high"
        |             ^^^^^^
    invalid type: string "high", expected f32
    "#);
}

#[test]
fn a_manifest_that_is_no_toml() {
    let broken = Broken::new();
    broken.edit("manifest.toml", |bytes| bytes.truncate(111));
    insta::assert_snapshot!(broken.refusal(), @r#"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml is not a valid manifest; export the bundle again
      because: TOML parse error at line 6, column 21
      |
    6 | intended_use = "Rese
      |                     ^
    invalid basic string, expected `"`
    "#);
}

#[test]
fn sizes_that_contradict_each_other() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| manifest["sizes"]["sequence_vit"]["output"] = 60.into());
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model in BUNDLE/ cannot be used; give one with --model, or make an untrained one with `trainer init`
      because: BUNDLE/manifest.toml: [sizes] contradict each other; export the bundle again
      because: sequence_vit.output is 60, but the other sizes need 64
    ");
}

#[test]
fn sizes_of_another_network() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest["sizes"]["sequence_vit"]["transformer"]["mlp_dim"] = 65.into();
    });
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model cannot be loaded
      because: a tensor of the model does not fit its manifest
      because: BUNDLE/network.safetensors: tensor visual_model.innerViT.transformer.layers.0.1.fn.net.0.weight has shape [64, 289], the sizes promise [65, 289]; weights and sizes are of different models
    ");
}

#[test]
fn sizes_of_another_head() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| manifest["sizes"]["head_hidden"][0] = 25.into());
    let refusal = broken.refusal();
    assert!(
        refusal.ends_with(
            "because: BUNDLE/heads/diagnosis/00_cyst_arachnoid_cyst.safetensors: tensor 0.weight \
             has shape [24, 256], the sizes promise [25, 256]; weights and sizes are of different \
             models\n"
        ),
        "{refusal}"
    );
}

#[test]
fn absurd_sizes() {
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest["sizes"]["study_vit"]["registers"] = i64::MAX.into();
    });
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model cannot be loaded
      because: a tensor of the model does not fit its manifest
      because: BUNDLE/network.safetensors: tensor visual_model.outerViT.cls_token has shape [1, 4, 64], the sizes promise [1, 9223372036854775807, 64]; weights and sizes are of different models
    ");
}

#[test]
fn a_value_that_is_not_finite() {
    let broken = Broken::new();
    let name = "visual_model.innerViT.cls_token";
    broken.edit("network.safetensors", |bytes| {
        let at = tensor_start(bytes, name) + 4 * 7;
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    broken.promise("network.safetensors");
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model cannot be loaded
      because: a tensor of the model does not fit its manifest
      because: BUNDLE/network.safetensors: tensor visual_model.innerViT.cls_token holds a value that is not finite at element 7; export the bundle again
    ");
}

/// Wherever in a head it stands: a rectifier that takes the larger of NaN and 0 would hide it.
#[test]
fn a_value_of_a_head_that_is_not_finite() {
    let file = "heads/priority.safetensors";
    for (tensor, value) in
        [("0.weight", f32::NAN), ("2.weight", f32::NEG_INFINITY), ("4.weight", f32::NAN)]
    {
        let broken = Broken::new();
        broken.edit(file, |bytes| {
            let at = tensor_start(bytes, tensor) + 4 * 7;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        });
        broken.promise(file);
        let refusal = broken.refusal();
        let said = "because: BUNDLE/heads/priority.safetensors gives a value that is not finite; \
                    export the bundle again\n";
        assert!(refusal.ends_with(said), "{tensor}: {refusal}");
    }
}

/// A margin of NaN would pass for "below the threshold", and a negative temperature would turn
/// the order of the classes over.
#[test]
fn numbers_that_make_no_sense() {
    let number = |value: f64| toml::Value::from(value);
    for value in [f64::NAN, f64::INFINITY] {
        let broken = Broken::new();
        broken.edit_manifest(|manifest| manifest["diagnosis"][3]["threshold"] = number(value));
        assert_names(&broken, &["threshold"]);
    }
    for value in [f64::NAN, 0.0, -1.0] {
        let broken = Broken::new();
        broken.edit_manifest(|manifest| {
            let priority = manifest["priority"].as_table_mut().expect("a table");
            priority.insert("temperature".to_owned(), number(value));
        });
        assert_names(&broken, &["priority", "temperature"]);
    }
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        let head = manifest["diagnosis"][3].as_table_mut().expect("a table");
        let calibration: toml::Table = "scale = nan\noffset = 0.0".parse().expect("TOML");
        head.insert("calibration".to_owned(), calibration.into());
    });
    assert_names(&broken, &["calibration", "scale"]);
}

/// Scores are found by label.
#[test]
fn labels_that_are_not_unique() {
    const REPEATED: &str =
        ", expected a name that no earlier one of the list has; export the bundle again";
    let broken = Broken::new();
    broken.edit_manifest(|manifest| {
        manifest["diagnosis"][3]["name"] = manifest["diagnosis"][4]["name"].clone();
    });
    assert_names(&broken, &["diagnosis[4] is \"developmental_heterotopia\"", REPEATED]);
    let broken = Broken::new();
    broken.edit_manifest(|manifest| manifest["priority"]["classes"][0] = "low".into());
    assert_names(&broken, &["priority.classes[1] is \"low\"", REPEATED]);
}

/// The refusal speaks of the manifest and of all these words.
fn assert_names(broken: &Broken, words: &[&str]) {
    let refusal = broken.refusal();
    for word in words.iter().chain(&["BUNDLE/manifest.toml"]) {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
}

#[test]
fn a_file_that_is_no_safetensors() {
    let broken = Broken::new();
    broken.edit("tokenizer.safetensors", |bytes| *bytes = b"not a weight file".to_vec());
    broken.promise("tokenizer.safetensors");
    insta::assert_snapshot!(broken.refusal(), @r"
    error: the model cannot be loaded
      because: cannot use the model bundle
      because: a weight file of the bundle cannot be used
      because: BUNDLE/tokenizer.safetensors is not a valid safetensors file; copy or export the bundle again
      because: header too large
    ");
}

/// What cannot change a result may lie beside the weights.
#[test]
fn a_note_beside_the_weights_is_no_reason() {
    let broken = Broken::new();
    fs::write(broken.path("README.txt"), "from the archive").expect("a written file");
    let ran = broken.triage();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
