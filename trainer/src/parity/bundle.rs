//! The pickled checkpoints: equal to the safetensors path, and end to end from DICOM to JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::dims::TOKEN_FEATURES;
use models::engine::{
    DeviceChoice, Engine, LabelScore, Precision, SeriesTokens, StudyInput, StudyScores, StudyTokens,
};
use models::explain::lime::{LimeConfig, explain, masks};
use models::prepare::prepare;
use models::volume::Preprocessing;
use models::weights::bundle::Bundle;
use models::weights::import::{
    Checkpoint, HeadPrecision, HeadSource, TokenizerCheckpoint, import_prima,
};
use models::weights::torch_file::StoredTensor;
use serde_json::Value;

use super::ABSOLUTE;
use super::input::Folder;
use super::report::Report;

/// Tolerance on LIME's coefficients, which are recorded in f64 from recorded logits.
const REGRESSION: f64 = 1e-9;

pub(super) fn compare(
    folder: &Folder,
    choice: DeviceChoice,
    decoder: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let inputs: Value = folder.json("e2e_inputs.json")?;
    let full = find(&folder.path, &inputs["model"], "pt")?;
    let vqvae = find(&folder.path, &inputs["vqvae"], "pth")?;
    let pickled = Checkpoint::from_pickle(&full)?;
    let tokenizer = TokenizerCheckpoint::from_pickle(&vqvae)?;
    same("import .pt: tensors", &pickled.tensors, &folder.model.tensors, report)?;
    same("import .pth: tensors", &tokenizer.tensors, &folder.tokenizer.tensors, report)?;
    // Where a head's tensors lie is the layout's business; what it is called and which output is
    // used from which threshold is the model's.
    let facts = |heads: &[HeadSource]| {
        heads.iter().map(|h| (h.name.clone(), h.output_index, h.threshold)).collect::<Vec<_>>()
    };
    let (found, expected) = (facts(&pickled.diagnosis), facts(&folder.model.diagnosis));
    report.equal("import .pt: diagnosis heads", &found, &expected);
    let (found, expected) = (facts(&pickled.referral), facts(&folder.model.referral));
    report.equal("import .pt: referral heads", &found, &expected);

    let scratch = tempfile::tempdir()?;
    let out = scratch.path().join("bundle");
    import_prima(&full, &vqvae, &out, HeadPrecision::AsStored, &mut |_| {})?;
    let engine = Engine::open(Bundle::open(&out)?, choice, Precision::Full)?;
    recorded_studies(folder, &engine, report)?;
    end_to_end(folder, &engine, decoder, report)?;
    lime(folder, report)
}

/// Same names, shapes and values; the pickle may store half precision.
fn same(
    stage: &str,
    found: &BTreeMap<String, StoredTensor>,
    expected: &BTreeMap<String, StoredTensor>,
    report: &mut Report,
) -> Result<()> {
    let mut values = (Vec::new(), Vec::new());
    let mut problems = Vec::new();
    for (name, expected) in expected {
        match found.get(name) {
            Some(found) if found.shape() == expected.shape() => {
                values.0.extend(found.to_f32()?);
                values.1.extend(expected.to_f32()?);
            }
            Some(_) => problems.push(format!("{name} has another shape")),
            None => problems.push(format!("{name} is missing")),
        }
    }
    let extra = found.keys().filter(|name| !expected.contains_key(*name));
    problems.extend(extra.map(|name| format!("{name} is only in the pickle")));
    report.equal(stage, &values.0, &values.1);
    if let Some(first) = problems.first() {
        let note = format!("{} of {} tensors: {first}", problems.len(), expected.len());
        report.push(format!("{stage}, names"), expected.len(), f64::INFINITY, 0.0, false, note);
    }
    Ok(())
}

/// Recorded tokens through the imported bundle, against the published model's JSON.
fn recorded_studies(folder: &Folder, engine: &Engine, report: &mut Report) -> Result<()> {
    let io = folder.tensors("model_io.safetensors")?;
    for j in 0..folder.studies() {
        let (series_names, study_description) = folder.names(j)?;
        let mut tokens = StudyTokens::default();
        for i in 0..series_names.len() {
            let name = format!("study{j}.series{i}.tokens");
            let width = io.shape(&name)?[1];
            ensure!(
                width >= TOKEN_FEATURES,
                "{name} is {width} wide, at least {TOKEN_FEATURES} is expected"
            );
            let rows = io.f32(&name)?;
            let features = rows.chunks_exact(width).flat_map(|row| &row[..TOKEN_FEATURES]).copied();
            tokens.series.push(SeriesTokens { features: features.collect() });
        }
        let input = StudyInput { tokens, series_names, study_description, clinical_context: None };
        let scores = engine.score(&input)?;
        let file = format!("study{j}_predictions.json");
        predictions(&file, &scores, &folder.json(&file)?, report)?;
    }
    Ok(())
}

/// DICOM files to JSON, the whole way.
fn end_to_end(
    folder: &Folder,
    engine: &Engine,
    decoder: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let inputs: Value = folder.json("e2e_inputs.json")?;
    let study_dir = folder.path.join(inputs["study_dir"].as_str().unwrap_or("study"));
    let selection = Selection::built_in()?;
    let prepared = prepare(&study_dir, Preprocessing::Published, &selection, decoder, |_| {})?;
    let input = StudyInput {
        tokens: engine.encode(&prepared.patches, |_| {})?,
        series_names: prepared.series.iter().map(|s| s.series.name.clone()).collect(),
        study_description: inputs["study_description"].as_str().unwrap_or_default().to_owned(),
        clinical_context: None,
    };
    let scores = engine.score(&input)?;
    predictions("e2e_predictions.json", &scores, &folder.json("e2e_predictions.json")?, report)
}

/// The published JSON: `{"diagnosis": {name: [x]}, "referral": .., "priority": .., "clip_emb"}`.
fn predictions(file: &str, scores: &StudyScores, json: &Value, report: &mut Report) -> Result<()> {
    let mut compare = |kind: &str, found: Vec<(String, f32)>| -> Result<()> {
        let expected = json[kind].as_object().with_context(|| format!("{file}: no {kind}"))?;
        let names: Vec<&String> = found.iter().map(|(name, _)| name).collect();
        // JSON objects have no order; every name must be there once.
        let mut sorted = names.clone();
        sorted.sort();
        let mut recorded: Vec<&String> = expected.keys().collect();
        recorded.sort();
        if sorted != recorded {
            report.equal(format!("{file}: {kind} names"), &sorted, &recorded);
            return Ok(());
        }
        let expected: Vec<f32> = names.iter().map(|name| number(&expected[*name])).collect();
        let found: Vec<f32> = found.into_iter().map(|(_, value)| value).collect();
        report.close(format!("{file}: {kind}"), &found, &expected, ABSOLUTE);
        Ok(())
    };
    let margins = |labels: &[LabelScore]| {
        labels.iter().map(|label| (label.name.clone(), label.margin)).collect::<Vec<_>>()
    };
    compare("diagnosis", margins(&scores.diagnosis))?;
    compare("referral", margins(&scores.referral))?;
    compare("priority", scores.priority.iter().map(|c| (c.name.clone(), c.logit)).collect())?;
    let embedding: Vec<f32> = json["clip_emb"][0]
        .as_array()
        .map(|values| values.iter().map(number).collect())
        .unwrap_or_default();
    report.close(format!("{file}: clip_emb"), &scores.embedding, &embedding, ABSOLUTE);
    Ok(())
}

/// A number, or a list that holds one.
#[expect(clippy::cast_possible_truncation, reason = "the published values are f32 printed as f64")]
fn number(value: &Value) -> f32 {
    value.as_f64().or_else(|| value[0].as_f64()).unwrap_or(f64::NAN) as f32
}

/// Masks, and the regression on recorded logits.
fn lime(folder: &Folder, report: &mut Report) -> Result<()> {
    let io = folder.tensors("model_io.safetensors")?;
    let [samples, n_tokens] = io.shape("lime.masks")?[..] else {
        anyhow::bail!("lime.masks is no matrix")
    };
    let recorded: Vec<bool> = io.i64("lime.masks")?.into_iter().map(|v| v != 0).collect();
    let config = LimeConfig { samples, ..LimeConfig::default() };
    let found: Vec<bool> =
        masks(n_tokens, samples, config.seed).rows().flatten().copied().collect();
    report.equal("lime.masks", &found, &recorded);
    let logits = io.f64("lime.logits")?;
    let mut next = 0;
    let explanation = explain(&config, n_tokens, |masks| {
        next += masks.len();
        Ok::<_, std::convert::Infallible>(logits[next - masks.len()..next].to_vec())
    })?;
    let coefficients = io.f64("lime.coef")?;
    let errors = explanation.weights.iter().zip(&coefficients).map(|(f, e)| (f - e).abs());
    let pass = explanation.weights.len() == coefficients.len()
        && errors.clone().all(|error| error <= REGRESSION);
    report.push("lime.coef", n_tokens, errors.fold(0.0, f64::max), REGRESSION, pass, "");
    #[expect(clippy::cast_possible_truncation, reason = "recorded as f32")]
    let found = [explanation.intercept as f32, explanation.r2 as f32];
    let expected = [io.f32("lime.intercept")?[0], io.f32("lime.score")?[0]];
    report.close("lime.intercept, R2", &found, &expected, ABSOLUTE);
    Ok(())
}

/// The checkpoint that `e2e_inputs.json` names (a file name, and perhaps a remark behind it), else
/// the one file of the folder with this extension.
fn find(folder: &Path, named: &Value, extension: &str) -> Result<PathBuf> {
    let named = named.as_str().and_then(|text| text.split_whitespace().next());
    if let Some(path) = named.map(|name| folder.join(name)).filter(|path| path.is_file()) {
        return Ok(path);
    }
    let mut files = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == extension));
    let file = files.next().with_context(|| {
        format!("{} has no .{extension} file; one checkpoint is expected", folder.display())
    })?;
    ensure!(
        files.next().is_none(),
        "{} has several .{extension} files; name the right one in e2e_inputs.json",
        folder.display()
    );
    Ok(file)
}
