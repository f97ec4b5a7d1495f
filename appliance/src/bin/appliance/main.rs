//! `appliance`: the box at the clinic, at the command line.

#![expect(clippy::print_stderr, reason = "errors of a command-line program go to the terminal")]

mod arguments;
mod failure;
mod hub;
mod operate;
mod triage;
mod users;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use appliance::app::drain;
use appliance::config::Config;
use appliance::fault::chain;
use appliance::inference::worker;
use clap::Parser as _;
use models::dicom::decoder::{self, Decoder, DecoderLimits};
use models::engine::{DeviceChoice, DeviceReport, probe};

use arguments::{Arguments, Command};
use failure::Failure;
use hub::{enrol, export_outbox, hub, import_receipt};
use operate::{
    audit_export, backup, doctor, export_feedback, import, make_certificate, model, rebuild_index,
    restore, serve, simulate_queue, verify,
};
use triage::triage;

/// Longest wait for a daemon to finish.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    // Whatever this program writes holds patients' data: nobody else's business.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    dispatch(arguments.command).unwrap_or_else(|failure| {
        eprintln!("error: {}", chain(&failure));
        ExitCode::from(failure.exit_code())
    })
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Serve(place) => serve(&place).map(done),
        Command::CheckConfig { file } => {
            let config = Config::load(file.as_deref())?;
            print(&config.render()).map(done)
        }
        Command::Drain(place) => {
            let said = drain(&place.load()?.settings.data.folder, DRAIN_LIMIT)?;
            print(&format!("{said}\n")).map(done)
        }
        Command::Doctor(place) => doctor(&place),
        Command::Import { path, place } => import(&path, &place),
        Command::Model { command, place } => model(&command, &place).map(done),
        Command::User { command, place } => users::user(&command, &place).map(done),
        Command::MakeCertificate { hosts, out } => make_certificate(&hosts, &out).map(done),
        Command::Enrol(arguments) => enrol(&arguments).map(done),
        Command::Hub(place) => hub(&place),
        Command::ExportOutbox { folder, place } => export_outbox(&folder, &place).map(done),
        Command::ImportReceipt { file, place } => import_receipt(&file, &place).map(done),
        Command::SimulateQueue(arguments) => simulate_queue(&arguments).map(done),
        Command::Backup(place) => backup(&place).map(done),
        Command::Restore { backup, place } => restore(&backup, &place).map(done),
        Command::RebuildIndex(place) => rebuild_index(&place).map(done),
        Command::Verify(place) => verify(&place),
        Command::AuditExport(place) => audit_export(&place).map(done),
        Command::ExportFeedback { out, place } => export_feedback(&out, &place).map(done),
        Command::Triage(arguments) => triage(&arguments),
        Command::Devices => print(&devices()).map(done),
        Command::TriageWorker { model, device } => triage_worker(&model, &device).map(done),
        Command::DecodeWorker => decoder::serve().map(done).map_err(Failure::Decoder),
    }
}

/// Compressed pixel data are decoded by this program again, as a child process.
fn own_decoder() -> Result<Decoder, Failure> {
    let program = std::env::current_exe().map_err(Failure::OwnFile)?;
    Ok(Decoder::new(program, vec!["decode-worker".into()], DecoderLimits::default()))
}

fn triage_worker(model: &Path, device: &str) -> Result<(), Failure> {
    let device = match device.parse::<DeviceChoice>() {
        Ok(device) => device,
        // `auto`: an NVIDIA card where there is one. Software Vulkan also calls itself a graphics
        // card, so wgpu is for those who ask for it.
        Err(_) => {
            let works = |r: &DeviceReport| r.device == DeviceChoice::Cuda && r.problem.is_none();
            if probe().iter().any(works) { DeviceChoice::Cuda } else { DeviceChoice::Cpu }
        }
    };
    Ok(worker::serve(model, device, &own_decoder()?)?)
}

/// Writes to standard output, which may be a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| Failure::Write { path: "standard output".into(), source })
}

fn devices() -> String {
    let line = |report: DeviceReport| {
        let device = report.device.to_string();
        match report.problem {
            None => format!("{device:<5} works\n"),
            Some(problem) => format!("{device:<5} not here: {problem}\n"),
        }
    };
    probe().into_iter().map(line).collect()
}
