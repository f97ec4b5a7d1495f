//! A study of a data set as the engine reads it: NIfTI files where there is one, else DICOM.

use std::path::Path;

use anyhow::Context;
use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::engine::{Engine, StudyInput};
use models::prepare::{Prepared, prepare};

use crate::nifti;

/// A study with at least one series that can be used.
///
/// # Errors
///
/// When the folder is no study, or nothing in it can be used; says why the first series cannot.
pub(super) fn read(engine: &Engine, folder: &Path, decoder: &Decoder) -> anyhow::Result<Prepared> {
    let version = engine.bundle().manifest().preprocessing;
    let images = nifti::images(folder)?;
    let prepared = if images.is_empty() {
        prepare(folder, version, &Selection::built_in()?, decoder, |_| {})?
    } else {
        nifti::prepare(folder, &images, version)
    };
    if prepared.series.is_empty() {
        let first = prepared.left_out.first().context("no series in it")?;
        anyhow::bail!("no series of it can be used; {} was left out: {}", first.name, first.reason);
    }
    Ok(prepared)
}

/// The study's tokens with its names.
///
/// # Errors
///
/// When a patch or a token is not finite.
pub(super) fn input(engine: &Engine, prepared: &Prepared) -> anyhow::Result<StudyInput> {
    Ok(StudyInput {
        tokens: engine.encode(&prepared.patches, |_| {})?,
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: prepared.description.clone().unwrap_or_default(),
        clinical_context: None,
    })
}
