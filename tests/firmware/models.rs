//! Whose model bundles a box takes, and in which order: keys by `trainer keys`, signatures by
//! `trainer sign`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tests::program;

struct Clinic {
    folder: TempDir,
}

impl Clinic {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the trainer with a password on standard input.
    #[track_caller]
    fn trainer(&self, words: &[&str], paths: &[&Path]) {
        let mut command = Command::new(program("trainer"));
        command.args(words).args(paths).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"a password\n").unwrap();
        assert!(child.wait().unwrap().success(), "{words:?}");
    }

    /// A pair of keys; the public one as settings have it.
    fn keys(&self, name: &str) -> String {
        self.trainer(&["keys", "--name", name], &[self.folder.path()]);
        let text = fs::read_to_string(self.at(&format!("{name}.pub"))).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    fn bundle(&self, name: &str, serial: u64, signer: Option<&str>) -> PathBuf {
        let bundle = self.at(name);
        let seed = serial.to_string();
        self.trainer(&["init", "--preset", "tiny", "--seed", &seed, "--out"], &[&bundle]);
        let path = bundle.join("manifest.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\nserial = 0\n"), "{text}");
        fs::write(&path, text.replace("\nserial = 0\n", &format!("\nserial = {serial}\n")))
            .unwrap();
        if let Some(signer) = signer {
            let key = self.at(&format!("{signer}.key"));
            self.trainer(&["sign", "--secret-key"], &[&key, &bundle]);
        }
        bundle
    }

    fn install(&self, bundle: &Path, keys: &[&str]) -> Output {
        let settings = self.at("settings.toml");
        fs::write(&settings, format!("analysis.model_keys = {keys:?}\n")).unwrap();
        let mut command = Command::new(program("appliance"));
        command.args(["model", "install"]).arg(bundle).arg("--config").arg(settings);
        command.arg("--data").arg(self.at("data")).output().unwrap()
    }

    #[track_caller]
    fn takes(&self, bundle: &Path, keys: &[&str]) {
        let output = self.install(bundle, keys);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[track_caller]
    fn refuses(&self, bundle: &Path, keys: &[&str], expected: &str) {
        let output = self.install(bundle, keys);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{said}");
    }
}

#[test]
fn a_model_is_taken_from_its_owner_and_never_backwards() {
    let clinic = Clinic { folder: tempfile::tempdir().unwrap() };
    let (ours, others) = (clinic.keys("ours"), clinic.keys("others"));
    let unsigned = clinic.bundle("unsigned", 5, None);
    let foreign = clinic.bundle("foreign", 5, Some("others"));
    let good = clinic.bundle("good", 5, Some("ours"));
    let earlier = clinic.bundle("earlier", 4, Some("ours"));

    clinic.refuses(&unsigned, &[&ours], "is not signed by any of analysis.model_keys");
    clinic.refuses(&foreign, &[&ours], "is not signed by any of analysis.model_keys");
    clinic.takes(&good, &[&others, &ours]);
    clinic.refuses(&earlier, &[&ours], "has serial 4, and untrained-tiny-5 with serial 5");
    // The same again is tested again; and whoever names no keys takes what comes.
    clinic.takes(&good, &[&ours]);
    clinic.takes(&earlier, &[]);

    // A manifest that was changed after it was signed.
    let path = good.join("manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\nserial = 5\n", "\nserial = 6\n")).unwrap();
    clinic.refuses(&good, &[&ours], "is not signed by any of analysis.model_keys");
    clinic.refuses(
        &good,
        &["RWshort"],
        "analysis.model_keys is \"RWshort\", expected the second line",
    );
}
