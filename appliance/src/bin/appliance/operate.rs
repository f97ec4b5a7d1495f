//! The commands that run an appliance or look after its data.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use appliance::app::{App, open_archive, open_existing_store, open_store, origin, tables};
use appliance::audit::{Framing, export};
use appliance::clock::{Clock as _, SystemClock};
use appliance::doctor::SELECTS_OTHERWISE;
use appliance::feedback;
use appliance::hex;
use appliance::import::{self as take_in, Report};
use appliance::model_install;
use appliance::store::Store;
use appliance::store::audit::Entry;
use appliance::store::models::{Mode, Model};
use appliance::tls;
use appliance::worklist::simulate::{SimulationConfig, simulate};
use models::engine::{DeviceChoice, Engine, Precision};
use models::weights::bundle::Bundle;
use serde_json::json;

use crate::arguments::{ModelCommand, Place, Simulate};
use crate::failure::Failure;
use crate::print;

/// Who an operator at the command line is in the audit log.
pub(crate) const ACTOR: &str = "command line";

/// Runs the daemon until SIGTERM or SIGINT.
pub(crate) fn serve(place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let program = std::env::current_exe().map_err(Failure::OwnFile)?;
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let app = App::build(config, program).await?;
        print(&app.banner())?;
        app.run().await?;
        Ok(())
    })
}

/// Takes files in beside a daemon that may be running.
pub(crate) fn import(path: &Path, place: &Place) -> Result<ExitCode, Failure> {
    let config = place.load()?;
    let store = open_store(&config)?;
    let archive = open_archive(&config, Arc::clone(&store))?;
    let report = take_in::run(path, &archive, |_| {})?;
    store.audit(&Entry {
        actor: ACTOR,
        action: "import",
        object: &path.display().to_string(),
        detail: &json!({
            "stored": report.stored,
            "duplicate": report.duplicate,
            "quarantined": report.quarantined,
            "skipped": report.skipped.len(),
        }),
    })?;
    print(&render(&report))?;
    Ok(if report.skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn render(report: &Report) -> String {
    let mut text = format!(
        "{} new, {} known already, {} kept aside (other content under a known UID)\n",
        report.stored, report.duplicate, report.quarantined
    );
    if report.stored + report.duplicate + report.quarantined == 0 {
        text += "no image was found; give the folder that the DICOM files are in\n";
    }
    for (name, why) in &report.skipped {
        text += &format!("skipped {name}: {why}\n");
    }
    if report.skipped_unlisted > 0 {
        text += &format!("and {} more skipped\n", report.skipped_unlisted);
    }
    text
}

/// The `model` commands.
pub(crate) fn model(command: &ModelCommand, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let store = open_store(&config)?;
    let changed = match command {
        ModelCommand::Install { bundle } => {
            let tables = tables(&config)?;
            let data = &config.settings.data.folder;
            let keys = config.settings.analysis.model_keys.as_slice();
            let installed = model_install::install(bundle, data, &store, (&tables, keys), ACTOR)?;
            let test = installed.self_test;
            let worst = test.worst.map_or_else(
                || "it carries no golden scores".to_owned(),
                |worst| format!("largest difference {worst:.6}, accepted {:.6}", test.tolerance),
            );
            print(&format!("self-test passed: {worst}\n"))?;
            if let Some(difference) = installed.selects_otherwise {
                print(&format!("warning: {difference}; {SELECTS_OTHERWISE}\n"))?;
            }
            // One that was installed before may be in use.
            store.find_model(&installed.model.digest)?
        }
        ModelCommand::List => return list(&store),
        ModelCommand::Promote { model } => store.set_model_mode(model, Mode::Assist, ACTOR)?,
        ModelCommand::Rollback => store.rollback_model(ACTOR)?,
        ModelCommand::Shadow { model } => store.set_model_mode(model, Mode::Shadow, ACTOR)?,
        ModelCommand::Off { model } => store.set_model_mode(model, Mode::Off, ACTOR)?,
        ModelCommand::Kill { model } => store.kill_model(model, true, ACTOR)?,
        ModelCommand::Revive { model } => store.kill_model(model, false, ACTOR)?,
    };
    print(&line(&changed))?;
    match command {
        ModelCommand::Install { .. } if changed.mode == Mode::Off => {
            print(&format!("to use it: appliance model promote {}\n", changed.name))
        }
        ModelCommand::Kill { .. } => print(&format!(
            "it is used no more, and what it said is hidden; to undo: appliance model revive {}\n",
            changed.name
        )),
        _ => Ok(()),
    }
}

fn list(store: &Store) -> Result<(), Failure> {
    let models = store.models()?;
    if models.is_empty() {
        return print("no model is installed; see `appliance model install`\n");
    }
    print(&models.iter().map(line).collect::<String>())
}

fn line(model: &Model) -> String {
    let digest = model.digest.get(..12).unwrap_or(&model.digest);
    let killed = if model.killed_at.is_some() { ", kill switch on" } else { "" };
    format!("{:<8} {digest}  {}{killed}: {}\n", model.mode.word(), model.name, model.provenance)
}

/// A certificate for the pages, and how PCs come to trust it.
pub(crate) fn make_certificate(hosts: &[String], folder: &Path) -> Result<(), Failure> {
    let made = tls::make(hosts, folder, SystemClock::new().wall())?;
    let [authority, certificate, key] =
        [&made.authority, &made.certificate, &made.key].map(|path| path.display().to_string());
    let fingerprint = hex::lower(&made.fingerprint).to_uppercase();
    let pairs: Vec<&str> =
        (0..fingerprint.len()).step_by(2).filter_map(|i| fingerprint.get(i..i + 2)).collect();
    print(&format!(
        "authority    {authority}\n             SHA-256 {}\ncertificate  {certificate}, for {}, until \
         {}\nkey          {key}\n\nCopy the authority to each PC and add it to the trusted root \
         certification authorities (Windows: open the file, Install Certificate, Local Machine; macOS: \
         Keychain Access, System; Firefox: Settings, Certificates, Authorities). Before you agree, \
         compare the SHA-256 that the PC shows with the one above.\n\nThen, in the settings:\n\n\
         [web.tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n",
        pairs.join(":"),
        hosts.join(", "),
        made.until,
    ))
}

/// Waiting times under three orders of reading.
pub(crate) fn simulate_queue(arguments: &Simulate) -> Result<(), Failure> {
    let caps = arguments.place.load()?.age_caps;
    let prevalence = <[f64; 3]>::try_from(arguments.prevalence.as_slice()).unwrap_or_default();
    let report = simulate(&SimulationConfig {
        arrivals_per_day: arguments.arrivals_per_day,
        reader_hours: (arguments.reader_from_h, arguments.reader_to_h),
        minutes_per_study: arguments.minutes_per_study,
        prevalence,
        sensitivity: arguments.sensitivity,
        specificity: arguments.specificity,
        caps,
        days: arguments.days,
        seed: arguments.seed,
    })?;
    print(&report.to_string())
}

/// Copies the database, also while the daemon runs.
pub(crate) fn backup(place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let folder = config.settings.data.folder.join("backup");
    let written = open_existing_store(&config)?.backup(&folder)?;
    print(&format!("{}\n", written.display()))
}

/// Puts a copy of the database back.
pub(crate) fn restore(backup: &Path, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let _lock = appliance::app::lock(&config.settings.data.folder)?;
    let said = appliance::app::restore(&config, backup)?;
    print(&said)
}

/// Indexes every file of the archive into an empty database.
pub(crate) fn rebuild_index(place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let _lock = appliance::app::lock(&config.settings.data.folder)?;
    let said = appliance::app::rebuild_index(&config)?;
    print(&said)
}

/// Digests of all files, database, audit log.
pub(crate) fn verify(place: &Place) -> Result<ExitCode, Failure> {
    let config = place.load()?;
    let (good, said) = appliance::app::verify(&config)?;
    print(&said)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The audit log as DICOM audit messages.
pub(crate) fn audit_export(place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let store = open_existing_store(&config)?;
    let origin = origin(&config);
    let mut out = std::io::stdout().lock();
    export(&store, 0, &origin, Framing::Plain, &mut out)?;
    Ok(())
}

/// Readers' corrections of the model in use.
pub(crate) fn export_feedback(out: &Path, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let store = open_existing_store(&config)?;
    let data = &config.settings.data.folder;
    let models = store.models()?;
    let model = models.iter().find(|model| model.mode == Mode::Assist).ok_or(Failure::NoModel)?;
    let folder = data.join(&model.folder);
    let bundle = Bundle::open(&folder).map_err(|source| Failure::Model { path: folder, source })?;
    let engine =
        Engine::open(bundle, DeviceChoice::Cpu, Precision::Full).map_err(Failure::Engine)?;
    let write = |source| Failure::Write { path: out.to_owned(), source };
    let mut file = BufWriter::new(File::create(out).map_err(write)?);
    let summary = feedback::export(&store, model, &engine, &data.join("tokens"), &mut file)?;
    let mut said = format!(
        "{}: {} of {}, in {}\n",
        model.name,
        counted(summary.written, "study", "studies"),
        summary.written + summary.not_judged + summary.without_tokens,
        out.display()
    );
    if summary.not_judged > 0 {
        said += &format!(
            "left out: {} with a finding that nobody agreed or disagreed with\n",
            counted(summary.not_judged, "study", "studies")
        );
    }
    if summary.without_tokens > 0 {
        said += &format!(
            "left out: {} whose tokens are not on this box\n",
            counted(summary.without_tokens, "study", "studies")
        );
    }
    print(&said)
}

pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// One page for the support line.
pub(crate) fn doctor(place: &Place) -> Result<ExitCode, Failure> {
    let config = place.load()?;
    let (good, page) = appliance::app::doctor(&config);
    print(&page)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
