//! `appliance triage`: one study from a folder, without the daemon.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use appliance::console;
use appliance::inference::explain::{Request, explain_score};
use appliance::inference::{Outcome, Progress, Triaged, run};
use indicatif::{ProgressBar, ProgressStyle};
use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::engine::{Engine, Precision, Target};
use models::explain::lime::{LimeConfig, Weighting};
use models::weights::bundle::Bundle;

use crate::arguments::{PrecisionArgument, Triage, WeightingArgument};
use crate::failure::Failure;
use crate::{own_decoder, print};

pub(crate) fn triage(arguments: &Triage) -> Result<ExitCode, Failure> {
    let model = |source| Failure::Model { path: arguments.model.clone(), source };
    let bundle = Bundle::open(&arguments.model).map_err(model)?;
    let precision = match arguments.precision {
        PrecisionArgument::Full => Precision::Full,
        PrecisionArgument::Half => Precision::Half,
    };
    let engine = Engine::open(bundle, arguments.device, precision).map_err(Failure::Engine)?;
    let decoder = own_decoder()?;
    let selection = Selection::open(&arguments.series_selection.clone().unwrap_or_default())?;

    let target = match arguments.explain.as_deref() {
        None | Some("top") => None,
        Some(name) => {
            let found = Target::find(engine.bundle().manifest(), name);
            Some(found.map_err(|error| Failure::Explain(error.into()))?)
        }
    };

    let bar = progress_bar();
    let triaged = run(&arguments.study, &engine, &selection, &decoder, None, |progress| {
        show(&bar, &progress);
    });
    bar.finish_and_clear();
    let mut triaged = triaged.map_err(Failure::Study)?;
    // A result that is there is shown and written, whatever becomes of its explanation.
    let explained = if arguments.explain.is_some() && triaged.input.is_some() {
        explain(&mut triaged, &engine, &decoder, target, arguments)
    } else {
        Ok(())
    };
    print(&console::render(&triaged.result))?;
    if let Some(path) = &arguments.json {
        write_json(path, &triaged)?;
    }
    explained?;
    Ok(match triaged.result.outcome {
        Outcome::Analysed { .. } => ExitCode::SUCCESS,
        Outcome::NotAnalysed { .. } => ExitCode::from(2),
    })
}

fn explain(
    triaged: &mut Triaged,
    engine: &Engine,
    decoder: &Decoder,
    output: Option<Target>,
    arguments: &Triage,
) -> Result<(), Failure> {
    let weighting = match arguments.lime_weighting {
        WeightingArgument::Published => Weighting::Published,
        WeightingArgument::Locality => Weighting::Locality { kernel_width: Weighting::LIME_WIDTH },
    };
    let request = Request {
        output,
        // Position 0 does not exist either; the wrap-around makes it a series that is not there.
        series: arguments.explain_series.map(|position| position.wrapping_sub(1)),
        lime: LimeConfig {
            samples: arguments.lime_samples as usize,
            weighting,
            ..LimeConfig::default()
        },
        out: arguments.out.clone(),
    };
    let bar = progress_bar();
    bar.set_length(request.lime.samples as u64);
    bar.set_message("explaining");
    let explanation = explain_score(triaged, engine, decoder, &request, |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    triaged.result.explanation = Some(explanation.map_err(Failure::Explain)?);
    Ok(())
}

fn write_json(path: &Path, triaged: &Triaged) -> Result<(), Failure> {
    let write = |source| Failure::Write { path: path.to_owned(), source };
    let mut json = serde_json::to_vec_pretty(&triaged.result).map_err(|e| write(e.into()))?;
    json.push(b'\n');
    fs::write(path, json).map_err(write)
}

/// A bar on standard error, hidden when that is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:<44} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, progress: &Progress<'_>) {
    match *progress {
        Progress::Series(name) => bar.set_message(format!("reading {name}")),
        Progress::Patches { done, total } => {
            bar.set_message("encoding patches");
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
        Progress::Scoring => bar.set_message("scoring"),
    }
}
