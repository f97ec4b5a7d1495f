//! How soon a box is there again after a power cut, with the model that ships.
//!
//!     ops/bench --bench start
//!
//! `ready` is the line after which scanners and browsers are answered; the model is loaded beside
//! that, in a process of its own, and tries its golden study before it reads a patient's.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, reason = "tables are what it is for")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::api::Api;
use tests::daemon::Launch;
use tests::sender::{Association, Peer, Slice};
use tests::{phantom, program, repository};

const STARTS: usize = 10;

fn main() {
    let folder = TempDir::new().unwrap();
    let mut launch = Launch::new(folder.path());
    launch.settings = "assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\n".into();
    let bundle = bundle();
    let name = bundle.file_name().unwrap().to_str().unwrap();
    model(&launch, &["install", bundle.to_str().unwrap()]);
    model(&launch, &["promote", name]);

    let mut ready: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            let daemon = launch.start().unwrap();
            let took = begun.elapsed();
            drop(daemon); // by SIGKILL
            took
        })
        .collect();
    ready.sort();

    let daemon = launch.start().unwrap();
    let api = Api::new(&launch, daemon.web).unwrap();
    let study = folder.path().join("study");
    phantom::bench_study(&study).unwrap();
    let begun = Instant::now();
    let images = send(&Peer::new(daemon.dicom), &study);
    let sending = begun.elapsed();
    let analysed = || api.get("worklist")["rows"][0]["acuity"].is_string();
    while !analysed() {
        thread::sleep(Duration::from_millis(50));
    }
    let whole = begun.elapsed();

    println!("\n{name}, after SIGKILL\n\n| | seconds |\n|---|---|");
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    println!("| start to `ready`, median of {STARTS} | {} |", seconds(ready[STARTS / 2]));
    println!("| slowest | {} |", seconds(ready[STARTS - 1]));
    println!("| {images} images of 320 x 320 received by C-STORE | {} |", seconds(sending));
    println!(
        "| last image to result, the second of silence after it included | {} |",
        seconds(whole - sending)
    );
}

fn bundle() -> PathBuf {
    let bundles = fs::read_dir(repository().join("models/bundles")).unwrap();
    bundles.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap()
}

fn model(launch: &Launch, words: &[&str]) {
    let mut command = Command::new(program("appliance"));
    command.arg("model").args(words).arg("--data").arg(launch.data()).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "appliance model {words:?}");
}

/// Sends every file below a folder; how many there were.
fn send(peer: &Peer, folder: &Path) -> usize {
    let mut association = Association::open(peer).unwrap();
    let mut count = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let object = dicom_object::open_file(&path).unwrap();
                let meta = object.meta();
                let mut data_set = Vec::new();
                object.write_dataset(&mut data_set).unwrap();
                let slice = Slice {
                    sop_class: meta.media_storage_sop_class_uid().to_owned(),
                    sop_uid: meta.media_storage_sop_instance_uid().to_owned(),
                    transfer_syntax: meta.transfer_syntax().to_owned(),
                    data_set,
                };
                assert_eq!(association.store(&slice).unwrap().status, 0);
                count += 1;
            }
        }
    }
    association.release().unwrap();
    count
}
