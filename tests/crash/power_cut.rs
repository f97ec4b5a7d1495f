//! Power cuts: a whole machine is killed, and with it all that its kernel had not yet written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tests::{program, repository};

use super::{Campaign, optional};

/// `tests/power_cut/run` with its arguments, to its end.
fn machine(arguments: &[&dyn AsRef<Path>]) {
    let mut command = Command::new(repository().join("tests/power_cut/run"));
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A campaign of so many cuts. Nothing looks at the disk in between, and no scanner sends again
/// what was answered, so that what one cut takes is still missing at the end.
fn cuts(count: usize) {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("power_cut");
    let kernel = cache.join("first.cpio");
    let kernel = kernel.to_str().expect("a path in UTF-8");
    if !optional("qemu-system-x86_64", &["--version"]) || !optional("test", &["-f", kernel]) {
        return;
    }
    let mut campaign = Campaign::new("power cuts", 2);
    for scanner in &mut campaign.crew {
        scanner.repeats = false;
    }
    let (folder, data) = (campaign.folder().to_owned(), campaign.data.clone());
    machine(&[&"disks", &folder, &data, &program("appliance")]);
    let boot: [OsString; 4] = [
        repository().join("tests/power_cut/run").into(),
        "boot".into(),
        cache.into(),
        folder.clone().into(),
    ];
    campaign.launch.wrap = boot.to_vec();
    let start = Instant::now();
    for _ in 0..count {
        let stream = campaign.milliseconds(500, 4000);
        campaign.life(stream, |_, _| ());
    }
    campaign.complete();
    machine(&[&"read", &folder, &data]);
    campaign.count();
    let acknowledged = campaign.receipts().count();
    println!(
        "{count} power cuts in {:.0?}: {acknowledged} instances acknowledged",
        start.elapsed()
    );
    assert!(acknowledged > 2 * count, "the scanners hardly got anything through");
}

#[test]
#[ignore = "needs QEMU and ten minutes"]
fn fifty_power_cuts() {
    cuts(std::env::var("PRIMA_POWER_CUTS").map_or(50, |count| count.parse().expect("a number")));
}
