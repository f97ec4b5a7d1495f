//! `trainer`: from a hospital's studies, or simulated ones, to a bundle for the appliance.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "results and errors of a command-line program go to the terminal"
)]

mod commands;

use std::process::ExitCode;

use clap::Parser;

use commands::{Command, run};
use libmimalloc_sys::{mi_option_set_default, mi_option_t};
use mimalloc::MiMalloc;

/// The system's allocator maps and clears every large tensor anew: a quarter of a training step.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Training of Prima models. Research use; not a medical device.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done; 1 failed, or parity missed; 64 wrong usage.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// mimalloc gives memory back that nobody used for a moment, and the system clears it anew for the
/// next step: a fifth of the computing time. `MIMALLOC_PURGE_DELAY` has the last word.
fn keep_memory() {
    /// `mi_option_purge_delay` of mimalloc.h, in milliseconds.
    const PURGE_DELAY: mi_option_t = 15;
    const NEVER: std::ffi::c_long = -1;
    // SAFETY: changes one value in a table of mimalloc's, before there is a second thread.
    #[expect(unsafe_code, reason = "mimalloc is written in C")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, NEVER);
    }
}

fn main() -> ExitCode {
    keep_memory();
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
