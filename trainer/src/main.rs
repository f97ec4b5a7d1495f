//! `trainer`: training, import and comparison at the command line.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "results and errors of a command-line program go to the terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use models::dicom::decoder::{self, Decoder, DecoderLimits};
use models::engine::{DeviceChoice, device, golden};
use models::nn::config::PrimaConfig;
use models::weights::import::{HeadPrecision, import_prima};
use models::weights::init::{InitOptions, write_untrained};

/// Training, import and comparison of Prima models. Research use; not a medical device.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done; 1 failed, or parity missed; 64 wrong usage.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare every stage with recorded inputs and outputs of the published code.
    Parity {
        /// Folder laid out like tests/golden/prima.
        folder: PathBuf,
        /// cpu, wgpu or cuda.
        #[arg(long, default_value = "cpu")]
        device: DeviceChoice,
    },
    /// Turn the published checkpoints into a bundle. Nothing in the pickle is executed.
    ImportPrima {
        /// The whole model, `primafullmodel*.pt`.
        #[arg(long)]
        full: PathBuf,
        /// The tokenizer, `vqvae_model_step*.pth`.
        #[arg(long)]
        vqvae: PathBuf,
        /// Folder of the bundle; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a bundle of random weights, for demonstrations, benches and tests.
    Init {
        /// Sizes.
        #[arg(long, value_enum, default_value_t = Preset::Tiny)]
        preset: Preset,
        /// Equal seeds give equal weights.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder of the bundle; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Decode compressed pixel data for a parent process.
    #[command(hide = true)]
    DecodeWorker,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// The published sizes: 4.9 GB.
    Prima,
    /// The same shape, a few megabytes.
    Tiny,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join("\n  because: "));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Parity { folder, device } => {
            let program = std::env::current_exe()?;
            let args = vec!["decode-worker".into()];
            let decoder = Decoder::new(program, args, DecoderLimits::default());
            let report = trainer::parity::run(&folder, device, &decoder)?;
            println!("{report}");
            if !report.passed() {
                bail!("at least one stage is outside its tolerance");
            }
        }
        Command::ImportPrima { full, vqvae, out } => {
            let bar = byte_bar();
            let summary =
                import_prima(&full, &vqvae, &out, HeadPrecision::Automatic, &mut |progress| {
                    bar.set_length(progress.total);
                    bar.set_position(progress.done);
                    bar.set_message(progress.file);
                })?;
            bar.finish_and_clear();
            golden::record(&out)?;
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
        }
        Command::Init { preset, seed, out } => {
            let (preset, sizes, context_dimension) = match preset {
                Preset::Prima => ("prima", PrimaConfig::prima(), None),
                Preset::Tiny => ("tiny", PrimaConfig::tiny(), Some(128)),
            };
            let bar = byte_bar();
            let options = InitOptions { preset, sizes, seed, context_dimension };
            let bytes = write_untrained(
                &options,
                &out,
                &device(DeviceChoice::Cpu)?,
                &mut |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                },
            )?;
            bar.finish_and_clear();
            golden::record(&out)?;
            println!("untrained bundle of {:.3} GB in {}", gigabytes(bytes), out.display());
        }
        Command::DecodeWorker => decoder::serve()?,
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// A bar on standard error, hidden when that is no terminal.
fn byte_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{msg:<40} {wide_bar} {bytes}/{total_bytes} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
