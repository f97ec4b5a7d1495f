//! Weights that are not trained: imports of published checkpoints, and random ones.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use models::engine::{DeviceChoice, device, golden};
use models::nn::config::PrimaConfig;
use models::weights::import::{HeadPrecision, import_prima};
use models::weights::init::{InitOptions, write_untrained};
use trainer::export::onnx::image::untrained;

use super::{Preset, byte_bar, write};

/// The published checkpoints as a bundle.
pub(super) fn import(full: &Path, vqvae: &Path, out: &Path) -> Result<()> {
    let bar = byte_bar();
    let summary = import_prima(full, vqvae, out, HeadPrecision::Automatic, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.file);
    })?;
    bar.finish_and_clear();
    golden::record(out)?;
    let manifest = &summary.manifest;
    println!(
        "{}: {} diagnosis heads, {} referral heads, inner width {}, {:.2} GB in {}",
        manifest.id,
        manifest.diagnosis.len(),
        manifest.referral.len(),
        manifest.sizes.sequence_vit.transformer.dim,
        gigabytes(summary.bytes),
        out.display()
    );
    Ok(())
}

/// Random weights.
pub(super) fn init(preset: Preset, seed: u64, out: &Path) -> Result<()> {
    let (preset, sizes, context_dimension) = match preset {
        Preset::Prima => ("prima", PrimaConfig::prima(), None),
        Preset::PrimaTokenizer => {
            let tokenizer = PrimaConfig::prima().tokenizer;
            ("custom", PrimaConfig { tokenizer, ..PrimaConfig::tiny() }, None)
        }
        Preset::Tiny => ("tiny", PrimaConfig::tiny(), Some(128)),
        Preset::Edge => ("edge", PrimaConfig::edge(), None),
        Preset::Slices => return image_encoder(seed, out),
    };
    let bar = byte_bar();
    let options = InitOptions { preset, sizes, seed, context_dimension };
    let bytes = write_untrained(&options, out, &device(DeviceChoice::Cpu)?, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    golden::record(out)?;
    println!("untrained bundle of {:.3} GB in {}", gigabytes(bytes), out.display());
    Ok(())
}

/// A random image encoder with what stands beside it.
fn image_encoder(seed: u64, out: &Path) -> Result<()> {
    fs::create_dir(out).with_context(|| format!("cannot make {}", out.display()))?;
    let (graph, beside) = untrained(seed)?;
    write(&out.join("model.onnx"), &graph)?;
    write(&out.join("model.toml"), beside.as_bytes())?;
    println!("untrained image encoder in {}", out.display());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
