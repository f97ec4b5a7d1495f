//! What the benches of one study share: the phantom study, and untrained weights of published sizes.

use std::env;
use std::path::{Path, PathBuf};

use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::select::Selection;
use models::engine::{DeviceChoice, StudyInput, StudyTokens, device};
use models::nn::config::PrimaConfig;
use models::prepare::{Prepared, prepare};
use models::volume::Preprocessing;
use models::weights::bundle::Bundle;
use models::weights::init::{InitOptions, write_untrained};
use tempfile::TempDir;

#[path = "../../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use more of it than the benches")]
mod phantom;

/// Study Description of the study.
pub(crate) const DESCRIPTION: &str = "MRI BRAIN W WO CONTRAST";

/// The phantom of `tests/support/phantom.rs` on disk: 8 series of 48 slices of 320 x 320.
pub(crate) struct PhantomStudy(TempDir);

impl PhantomStudy {
    pub(crate) fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom::bench_study(folder.path()).expect("the phantom study is written");
        Self(folder)
    }

    /// Read, decoded, preprocessed, cut.
    pub(crate) fn prepare(&self) -> Prepared {
        let selection = Selection::built_in().unwrap();
        let decoder = Decoder::new(PathBuf::from("unused"), Vec::new(), DecoderLimits::default());
        prepare(self.0.path(), Preprocessing::V1, &selection, &decoder, |_| {}).unwrap()
    }
}

/// The bundle that ships.
pub(crate) fn shipped(root: &Path) -> PathBuf {
    let bundles = std::fs::read_dir(root.join("models/bundles")).unwrap();
    bundles.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap()
}

/// The bundle that `PRIMA_BENCH_BUNDLE` names, or an untrained one of published sizes made in the
/// build folder.
#[expect(clippy::disallowed_methods, reason = "this is the bench's main")]
pub(crate) fn published() -> Bundle {
    let folder = env::var("PRIMA_BENCH_BUNDLE").map_or_else(
        |_| Path::new(env!("CARGO_TARGET_TMPDIR")).join("untrained-prima-1"),
        PathBuf::from,
    );
    if !folder.exists() {
        let sizes = PrimaConfig::prima();
        let options = InitOptions { preset: "prima", sizes, seed: 1, context_dimension: None };
        let cpu = device(DeviceChoice::Cpu).unwrap();
        write_untrained(&options, &folder, &cpu, &mut |_, _| {}).expect("5 GB of free disk");
    }
    Bundle::open(&folder).unwrap()
}

/// The study for the transformers.
pub(crate) fn input(prepared: &Prepared, tokens: StudyTokens) -> StudyInput {
    StudyInput {
        tokens,
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: DESCRIPTION.to_owned(),
        clinical_context: None,
    }
}

/// Tokens of each series, as the peer reads them.
pub(crate) fn token_counts(prepared: &Prepared) -> String {
    let counts: Vec<String> = prepared.series.iter().map(|s| s.tokens.to_string()).collect();
    counts.join(",")
}
