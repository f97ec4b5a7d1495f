//! Import of a checkpoint of the published size; see the README beside this file.

use std::path::Path;
use std::process::Command;

use models::weights::import::{HeadPrecision, import_prima};

use crate::fuzz_checkpoint::peak_kilobytes;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/large_checkpoint/write.py");

#[test]
#[ignore = "needs PyTorch and 35 GB of disk"]
fn an_import_of_the_published_size_stays_below_2_gb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let options = ["--published", "--parallel", "--referrals", "60"];
    python(&[&["write".as_ref(), path.as_os_str()][..], &options.map(AsRef::as_ref)].concat());
    let full = path.join("full.pt");
    assert!(full.metadata().unwrap().len() > 10_000_000_000);

    let before = peak_kilobytes();
    let bundle = path.join("bundle");
    let summary = import_prima(
        &full,
        &path.join("vqvae.pth"),
        &bundle,
        HeadPrecision::Automatic,
        &mut |_| {},
    );
    assert_eq!(summary.unwrap().manifest.preset, "prima");
    let peak = peak_kilobytes();
    assert!(peak < before.max(2_000_000), "peak memory {peak} kB");
    python(&["check".as_ref(), path.as_os_str(), bundle.as_os_str()]);
}

fn python(arguments: &[&std::ffi::OsStr]) {
    let status = Command::new("python3").arg(Path::new(SCRIPT)).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "{SCRIPT} {arguments:?}");
}
