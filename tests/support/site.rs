//! A clinic's box as shipped, enrolled at a hub behind a link of its own.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::Api;
use crate::chaos::Proxy;
use crate::daemon::{Daemon, Launch};
use crate::hub::Hub;
use crate::program;
use crate::sender::{Association, Peer, slice};

/// Longest wait for anything; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A box with a model in force, enrolled at a hub behind a link of its own.
#[derive(Debug)]
pub struct Site {
    /// What the hub calls it.
    pub name: &'static str,
    /// How its program is started.
    pub launch: Launch,
    /// The program while it runs.
    pub daemon: Option<Daemon>,
    /// Its link to the hub.
    pub link: Proxy,
    _folder: TempDir,
}

impl Site {
    /// Makes one and lets it in.
    ///
    /// # Panics
    ///
    /// When a program refuses.
    #[must_use]
    pub fn new(hub: &Hub, name: &'static str, seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let link = Proxy::start(hub.sites, seed).unwrap();
        let mut launch = Launch::new(folder.path());
        launch.settings = format!(
            "assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\nhub.url = \"https://{}\"\n\
             hub.poll_s = 1\nhub.series = \"referred\"\n",
            link.address()
        );
        let daemon = launch.start().unwrap();
        let mut site = Self { name, launch, daemon: Some(daemon), link, _folder: folder };
        let bundle = site.launch.data().with_file_name("bundle");
        let bundle = bundle.to_str().unwrap();
        let made = ["init", "--preset", "tiny", "--seed", "1", "--out", bundle];
        let made = Command::new(program("trainer")).args(made).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        site.appliance(&["model", "install", bundle]);
        site.appliance(&["model", "promote", "untrained-tiny-1"]);
        let asked = hub.invite(name).unwrap();
        let url = format!("https://{}", site.link.address());
        site.appliance(&[
            "enrol",
            "--hub",
            &url,
            "--code",
            &asked.code,
            "--ca-fingerprint",
            &asked.fingerprint,
        ]);
        site.restart();
        site
    }

    fn appliance(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(program("appliance"));
        command.args(arguments).arg("--data").arg(self.launch.data());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// SIGKILL, if it runs.
    ///
    /// # Panics
    ///
    /// When it had ended by itself.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill().unwrap();
        }
    }

    /// SIGKILL, and up again.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.daemon = Some(self.launch.start().unwrap());
    }

    /// Its JSON interface.
    ///
    /// # Panics
    ///
    /// When it does not run.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.launch, self.daemon.as_ref().unwrap().web).unwrap()
    }

    /// A study of so many slices from the scanner, `side` pixels along an edge, 60 in a series.
    ///
    /// # Panics
    ///
    /// When the box does not take it.
    pub fn scan(&self, study: u64, slices: u64, side: u16) {
        let dicom = self.daemon.as_ref().unwrap().dicom;
        let mut association = Association::open(&Peer::new(dicom)).unwrap();
        for number in 1..=slices {
            let answer =
                association.store(&slice(7, study, 1 + (number - 1) / 60, number, side)).unwrap();
            assert_eq!(answer.status, 0, "{}", answer.comment);
        }
        association.release().unwrap();
    }

    /// Waits for what somebody looking at the box would see.
    ///
    /// # Panics
    ///
    /// When it never shows.
    pub fn sees<T>(&self, what: &str, look: impl Fn(&Api) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(seen) = look(&self.api()) {
                return seen;
            }
            let waited = started.elapsed();
            assert!(waited < PATIENCE, "{}: {what}, never; {}", self.name, self.launch.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// The study in the worklist once it has a result.
    ///
    /// # Panics
    ///
    /// When it never has.
    pub fn result(&self) -> Value {
        self.sees("a result", |api| {
            let row = api.get("worklist")["rows"][0].clone();
            (row["state"] == "settled" && !row["inference_id"].is_null()).then_some(row)
        })
    }

    /// Returns when the hub has all.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub fn is_told(&self) {
        self.sees("an empty outbox", |api| {
            let outbox = api.get("system")["outbox"].clone();
            (outbox["waiting"] == json!([0, 0, 0, 0])).then_some(())
        });
    }

    /// Returns when the box says that the hub has shut it out, and why.
    ///
    /// # Panics
    ///
    /// When it never does.
    pub fn is_barred(&self) -> String {
        self.sees("that it is shut out", |api| {
            let now = api.get("system")["status"]["hub"].clone();
            (now["doing"] == "barred").then(|| now["why"].as_str().unwrap_or_default().to_owned())
        })
    }
}
