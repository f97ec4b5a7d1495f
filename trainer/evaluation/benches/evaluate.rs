//! Seconds from a set of 30,000 studies on disk to `metrics.json` and the report.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::error::Error;
use std::time::Instant;

use evaluation::report::page;
use evaluation::set::Set;
use evaluation::{Options, made_up, measure};

const STUDIES: u32 = 30_000;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test` runs benches to see that they run.
    let studies = if std::env::args().any(|argument| argument == "--test") { 300 } else { STUDIES };
    let folder = tempfile::tempdir()?;
    made_up::set(studies, 1).write(folder.path())?;
    let begun = Instant::now();
    let set = Set::open(folder.path())?;
    let read = begun.elapsed();
    let evaluation = measure::of(&set, &Options::default(), "bench");
    let measured = begun.elapsed() - read;
    let json = serde_json::to_vec(&evaluation)?;
    let html = page(&evaluation).html();
    let drawn = begun.elapsed() - read - measured;
    println!("evaluation of {studies} studies, 52 diagnoses, 1,000 resamples of patients");
    for (what, time) in [
        ("read", read),
        ("measured", measured),
        ("written and drawn", drawn),
        ("all", begun.elapsed()),
    ] {
        println!("{what:<18} {:>7.2} s", time.as_secs_f64());
    }
    println!(
        "metrics.json {:.1} MB, report.html {:.1} MB",
        megabytes(&json),
        megabytes(html.as_bytes())
    );
    Ok(())
}

fn megabytes(bytes: &[u8]) -> f64 {
    bytes.len() as f64 / 1e6
}
