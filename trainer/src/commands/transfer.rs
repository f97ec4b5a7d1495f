//! `trainer transfer`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use evaluation::transfer::Plan;
use models::engine::DeviceChoice;
use trainer::evaluate::transfer::{Question, measure};

use super::{bar, decoder};

/// What is asked of which studies.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Folder that has a folder of DICOM or NIfTI files for each study.
    #[arg(long)]
    studies: PathBuf,
    /// Table of labels (CSV): a column `study`, perhaps `patient` and `site`, and one a label.
    #[arg(long, required_unless_present = "positives", conflicts_with = "positives")]
    labels: Option<PathBuf>,
    /// Diagnosis that every study shows.
    #[arg(long)]
    positives: Option<String>,
    /// Parts that patients are divided into.
    #[arg(long, default_value_t = 5, value_parser = whole(2, 100))]
    folds: usize,
    /// Divisions.
    #[arg(long, default_value_t = 1, value_parser = whole(1, 100))]
    repeats: usize,
    /// Of the divisions and of the perceptrons.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Widths of the perceptrons' hidden layers, with commas; else 512, and 512,256 for numbers.
    #[arg(long, value_delimiter = ',', value_parser = whole(1, 65_536))]
    hidden: Vec<usize>,
    /// cpu, wgpu or cuda.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Folder for transfer.json and the embeddings.
    #[arg(long)]
    out: PathBuf,
}

fn whole(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

/// Asks it.
pub(super) fn run(arguments: Arguments) -> Result<()> {
    let Arguments { bundle, studies, folds, repeats, seed, hidden, device, out, .. } = arguments;
    let question = match (arguments.labels, arguments.positives) {
        (Some(table), _) => Question::Labels { table, plan: Plan { folds, repeats, seed }, hidden },
        (None, Some(diagnosis)) => Question::Positives { diagnosis },
        (None, None) => bail!("give --labels or --positives"),
    };
    let bar = bar("{msg:<8} {wide_bar} {pos}/{len} {elapsed} +{eta}");
    let progress = |what, done, total| {
        bar.set_message(what);
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let answer = measure(&bundle, &studies, &question, device, &decoder()?, &out, &progress)?;
    bar.finish_and_clear();
    println!("{answer}");
    Ok(())
}
