//! The shipped daemon in Chromium. `drive.py` is the people: every role's tasks by mouse, by keys
//! alone and without JavaScript; and it looks at every page in every language, on a telephone and
//! on a large screen, with axe-core.
//!
//! A browser that is not installed skips the test with a line that says so; `PRIMA_PEERS=1` makes
//! it a failure.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::daemon::Launch;
use tests::{program, repository};

use crate::interop::{available, have_dcmtk, succeed};

/// What `drive.py` needs beside DCMTK.
const MODULES: &str = "import importlib.util, selenium, sys
sys.exit(importlib.util.find_spec('axe_playwright_python') is None)";
/// Twelve pages in six languages at two widths, English in dark colours as well, and some more.
const FEWEST_SCREENSHOTS: u64 = 160;

/// A Python that drives Chromium; `ops/test` makes one.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = available("selenium with axe-core", Command::new(&python).args(["-c", MODULES]))
        && available("Chromium", Command::new("chromium").arg("--version"))
        && available("Chromium's driver", Command::new("chromedriver").arg("--version"))
        && have_dcmtk();
    found.then_some(python)
}

#[test]
fn people_do_their_work() {
    let Some(python) = python() else { return };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = TempDir::new_in(target).expect("a folder");
    let mut launch = Launch::new(folder.path());
    let niivue = niivue();
    launch.settings = format!(
        "assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\nresults.refusals = 1\n\
         results.hl7 = [{{name = 'RIS', host = '127.0.0.1', port = {}}}]\n\
         web.niivue_file = '{}'\n",
        receiver(),
        niivue.as_deref().unwrap_or_default()
    );
    let daemon = launch.start().expect("a daemon that starts");
    let [bundle, studies, script] =
        ["models/bundles/edge-simulated-2", "tests/data/real", "tests/browser/drive.py"]
            .map(|path| text(&repository().join(path)));
    let data = text(&launch.data());
    for words in [["install", bundle.as_str()], ["promote", "edge-simulated-2"]] {
        succeed(
            program("appliance"),
            &[&["model"], &words[..], &["--data", data.as_str()]].concat(),
        );
    }

    let screenshots = target.join("screenshots");
    // Those of the run before; there may be none.
    fs::remove_dir_all(&screenshots).unwrap_or_default();
    fs::create_dir(&screenshots).expect("a folder");
    let url = format!("http://{}", daemon.web);
    let port = daemon.dicom.port().to_string();
    let code = daemon.setup_code.as_ref().expect("a code for the first user");
    let printed = succeed(python, &[&script, &url, &port, code, &studies, &text(&screenshots)]);
    let report: Value = serde_json::from_str(&printed).expect("JSON");
    println!("screenshots: {}", screenshots.display());
    assert_eq!(report["complaints"], json!([]), "{report:#}\n{}", launch.log());
    let taken = report["screenshots"].as_u64().expect("a number");
    assert!(taken >= FEWEST_SCREENSHOTS, "{report:#}");
    assert_eq!(report["volumes"], if niivue.is_some() { 2 } else { 0 }, "{report:#}");
}

/// The script that draws volumes; `ops/test` fetches it.
fn niivue() -> Option<String> {
    let path = std::env::var("PRIMA_NIIVUE").unwrap_or_default();
    available("NiiVue", Command::new("test").args(["-f", &path])).then_some(path)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// The port of an HL7 receiver that says of each message once that it is in error, and takes it the
/// next time.
fn receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut refused = BTreeSet::new();
        for mut stream in listener.incoming().flatten() {
            while let Some(id) = next_message(&mut stream) {
                let code = if refused.insert(id.clone()) { "AE" } else { "AA" };
                let answer = format!("\x0BMSH|^~\\&|||||||ACK|1|P|2.5.1\rMSA|{code}|{id}\r\x1C\r");
                // A sender that has hung up sends nothing more either.
                stream.write_all(answer.as_bytes()).unwrap_or_default();
            }
        }
    });
    port
}

/// The control ID (MSH-10) of the next message; `None` when there is none.
fn next_message(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x1C\r") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).split('|').nth(9).map(str::to_owned)
}
