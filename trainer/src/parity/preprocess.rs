//! DICOM study to tokens, and the foreground filter's own cases.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use models::dicom::decoder::Decoder;
use models::dicom::published::{read_stack_published, read_study_published};
use models::dims::PATCH_VOX;
use models::study::{Samples, Series};
use models::tokens::foreground::foreground;
use models::tokens::patchify::{Patches, write_repeated};
use models::volume::{Preprocessing, preprocess, untruncated};
use serde_json::Value;

use super::ABSOLUTE;
use super::input::{Folder, Tensors};
use super::report::Report;

/// Where the exact value is this close to an integer, truncation may differ by one raw unit
/// (specification §1a).
const NEAR_INTEGER: f64 = 1e-6;

pub(super) fn compare(folder: &Folder, decoder: &Decoder, report: &mut Report) -> Result<()> {
    let meta: Vec<Value> = folder.json("preprocess_meta.json")?;
    let recorded = folder.tensors("preprocess.safetensors")?;
    let inputs: Value = folder.json("e2e_inputs.json")?;
    let study_dir = folder.path.join(inputs["study_dir"].as_str().unwrap_or("study"));
    let study = read_study_published(&study_dir)?;
    let names: Vec<String> = study.series.iter().map(|s| s.name.clone()).collect();
    let expected: Vec<String> =
        meta.iter().map(|m| m["name"].as_str().unwrap_or_default().to_owned()).collect();
    report.equal("read: series names in order", &names, &expected);
    ensure!(
        names.len() == expected.len(),
        "{} has {} series, preprocess_meta.json lists {}",
        study_dir.display(),
        names.len(),
        expected.len()
    );
    for (i, (series, meta)) in study.series.iter().zip(&meta).enumerate() {
        compare_series(i, series, meta, &recorded, decoder, report)
            .with_context(|| format!("series {i} ({})", series.name))?;
    }
    filter_cases(folder, report)
}

fn compare_series(
    i: usize,
    series: &Series,
    meta: &Value,
    recorded: &Tensors,
    decoder: &Decoder,
    report: &mut Report,
) -> Result<()> {
    let files: Vec<String> = series.slices.iter().map(|s| file_name(&s.path)).collect();
    let expected: Vec<String> = serde_json::from_value(meta["files_in_order"].clone())?;
    report.equal(format!("s{i}: files in order"), &files, &expected);

    let stack = read_stack_published(series, decoder)?;
    let volume = preprocess(&stack, Preprocessing::Published)?;
    let exact = untruncated(&stack)?;
    let truncated = !matches!(stack.samples, Samples::F64(_));
    compare_volume(i, &volume.voxels, &exact, truncated, recorded, report)?;

    let patches = Patches::measure(&volume, Preprocessing::Published)?;
    let coordinates: Vec<i64> = patches.coordinates.iter().flatten().map(|&c| c.into()).collect();
    report.equal(format!("s{i}.coords"), &coordinates, &recorded.i64(&format!("s{i}.coords"))?);
    report.equal(
        format!("s{i}.percent"),
        &patches.percent,
        &recorded.f64(&format!("s{i}.percent"))?,
    );
    let kept: Vec<i64> = patches.kept.ids.iter().map(|&id| id.into()).collect();
    report.equal(format!("s{i}.kept_ids"), &kept, &recorded.i64(&format!("s{i}.kept_ids"))?);
    let used = [patches.kept.percent_used as u64];
    let expected = [meta["percent_used"].as_u64().unwrap_or(u64::MAX)];
    report.equal(format!("s{i}: percent used"), &used, &expected);

    let mut tokens = Vec::new();
    let mut patch = vec![0.0; PATCH_VOX];
    let mut repeated = vec![0.0; 2 * PATCH_VOX];
    for id in recorded.i64(&format!("s{i}.token_ids"))? {
        patches.copy_scaled(u32::try_from(id)?, &mut patch);
        write_repeated(&patch, volume.thin_axis, &mut repeated);
        tokens.extend_from_slice(&repeated);
    }
    report.close(
        format!("s{i}.tokens"),
        &tokens,
        &recorded.f32(&format!("s{i}.tokens"))?,
        ABSOLUTE,
    );
    Ok(())
}

/// Integer volumes may differ by one unit where the exact value is an integer; nowhere else.
fn compare_volume(
    i: usize,
    found: &[f32],
    exact: &[f64],
    truncated: bool,
    recorded: &Tensors,
    report: &mut Report,
) -> Result<()> {
    let expected = recorded.f32(&format!("s{i}.volume"))?;
    let mut pass = found.len() == expected.len();
    let mut max_abs: f64 = 0.0;
    let mut allowed = 0;
    for ((&f, &e), exact) in found.iter().zip(&expected).zip(exact) {
        let error = (f64::from(f) - f64::from(e)).abs();
        let near = truncated && (exact - exact.round()).abs() < NEAR_INTEGER;
        let limit = if near { 1.0 } else { ABSOLUTE };
        // Recorded float volumes are rounded to f32: allow that rounding.
        pass &= error <= limit.max(f64::from(e).abs() * f64::from(f32::EPSILON));
        allowed += usize::from(near && error > 0.0);
        max_abs = max_abs.max(error);
    }
    let note = match allowed {
        0 => String::new(),
        n => format!("{n} voxels one raw unit off at exact integers, as the specification allows"),
    };
    report.push(format!("s{i}.volume"), expected.len(), max_abs, ABSOLUTE, pass, note);
    Ok(())
}

fn filter_cases(folder: &Folder, report: &mut Report) -> Result<()> {
    let cases = folder.tensors("filter_cases.safetensors")?;
    for case in
        (0..).map(|i| format!("f{i}")).take_while(|f| cases.contains(&format!("{f}.coords")))
    {
        let triples = |name: &str| -> Result<Vec<[u32; 3]>> {
            let values = cases.i64(&format!("{case}.{name}"))?;
            let convert = |v: &[i64]| -> Result<[u32; 3]> {
                Ok([v[0].try_into()?, v[1].try_into()?, v[2].try_into()?])
            };
            values.chunks_exact(3).map(convert).collect()
        };
        let shape = |name: &str| -> Result<[usize; 3]> {
            let [value] = triples(name)?[..] else { anyhow::bail!("{case}.{name} is no triple") };
            Ok(value.map(|v| v as usize))
        };
        let kept = foreground(
            &cases.f64(&format!("{case}.percent"))?,
            &triples("coords")?,
            shape("padded_shape")?,
            shape("patch_shape")?,
        );
        let ids: Vec<i64> = kept.ids.iter().map(|&id| id.into()).collect();
        report.equal(
            format!("filter {case}.kept_ids"),
            &ids,
            &cases.i64(&format!("{case}.kept_ids"))?,
        );
        let used = [i64::try_from(kept.percent_used)?];
        let expected = cases.i64(&format!("{case}.percent_used"))?;
        report.equal(format!("filter {case}.percent_used"), &used, &expected);
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
