//! Each file read by the program that it is for, for whatever settings.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::test_runner::{Config, TestRunner};

use super::{Rendered, settings};
use crate::interop::available;

/// The readers, whichever is here.
struct Readers {
    systemd: bool,
    nft: bool,
    chrony: bool,
}

impl Readers {
    fn here() -> Self {
        Self {
            systemd: available("systemd-analyze", Command::new("systemd-analyze").arg("--version")),
            nft: available("nft", Command::new("nft").arg("--version")),
            chrony: available("chronyd", Command::new("chronyd").arg("--version")),
        }
    }

    fn accept(&self, rendered: &Rendered) {
        if self.systemd {
            units_are_understood(rendered);
        }
        if self.nft {
            said_nothing(
                Command::new("nft")
                    .arg("-c")
                    .arg("-f")
                    .arg(rendered.path("run/prima/firewall.nft")),
            );
        }
        let file = rendered.path("run/prima/chrony.conf");
        if self.chrony && file.exists() {
            let mut chronyd = Command::new("chronyd");
            let output = chronyd.arg("-p").arg("-f").arg(&file).output().expect("chronyd");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}\n{}", rendered.read("run/prima/chrony.conf"));
        }
        kernel_settings_exist(rendered);
    }
}

/// Runs a program that must succeed without a word on standard error.
#[track_caller]
fn said_nothing(command: &mut Command) {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
}

fn units(rendered: &Rendered) -> Vec<PathBuf> {
    let folder = rendered.path("run/systemd/system");
    let entries = std::fs::read_dir(folder).expect("units");
    let mut units: Vec<PathBuf> = entries.map(|entry| entry.expect("a unit").path()).collect();
    units.sort();
    units
}

/// `systemd-analyze verify` says nothing at all.
fn units_are_understood(rendered: &Rendered) {
    rendered.stub(&[
        "usr/bin/appliance",
        "usr/bin/firmware-config",
        "usr/sbin/nft",
        "usr/sbin/chronyd",
        "lib/nut/usbhid-ups",
        "lib/nut/dummy-ups",
        "lib/nut/upsd",
        "lib/nut/upsmon",
    ]);
    // Ours refer to the distribution's.
    let own = rendered.path("lib/systemd/system");
    std::fs::create_dir_all(&own).expect("a folder");
    for entry in std::fs::read_dir("/lib/systemd/system").expect("systemd's units") {
        let entry = entry.expect("a unit");
        if entry.path().extension().is_some_and(|end| end == "target" || end == "slice") {
            std::fs::copy(entry.path(), own.join(entry.file_name())).expect("a unit");
        }
    }
    let root = format!("--root={}", rendered.root.path().display());
    let names = units(rendered);
    let names = names.iter().map(|path| path.file_name().expect("a name"));
    said_nothing(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--generators=no", &root])
            .args(names),
    );
}

/// Every line of sysctl.d is a setting that this kernel has.
fn kernel_settings_exist(rendered: &Rendered) {
    for line in rendered.read("run/sysctl.d/60-prima.conf").lines() {
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let path = Path::new("/proc/sys").join(key.replace('.', "/"));
        // A machine may lack a whole family, such as IPv6.
        let known = path.exists() || path.parent().is_none_or(|family| !family.exists());
        assert!(known, "{key} is no setting of this kernel");
    }
}

/// Any valid settings render to files that their readers accept.
#[test]
fn any_valid_settings_are_understood() {
    let readers = Readers::here();
    let config = Config { cases: 24, ..Config::default() };
    TestRunner::new(config)
        .run(&settings::valid(), |settings| {
            readers.accept(&Rendered::of(&settings));
            Ok(())
        })
        .unwrap();
}

/// The sandbox of the daemon, on the scale of `systemd-analyze security`: 0 exposes nothing, 10
/// everything. A graphics card costs something.
#[test]
fn the_daemon_is_not_exposed() {
    if !available("systemd-analyze", Command::new("systemd-analyze").arg("--version")) {
        return;
    }
    for (device, most) in [("cpu", "15"), ("auto", "20"), ("cuda", "20")] {
        let rendered = Rendered::of(&format!("analysis.device = '{device}'"));
        rendered.stub(&["usr/bin/appliance"]);
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold", most])
            .arg(format!("--root={}", rendered.root.path().display()))
            .arg("prima.service")
            .output()
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let overall = said.lines().find(|line| line.contains("Overall")).unwrap_or("").to_owned();
        println!("{device}: {}", overall.trim());
        assert!(output.status.success(), "{device}: {said}");
    }
}

/// Settings that a reader would refuse are refused before, with the key.
#[test]
fn what_a_reader_would_refuse_is_refused_with_its_key() {
    for (settings, key) in [
        ("clock.servers = ['a b']", "clock.servers"),
        ("clock.servers = ['a\\nserver b']", "clock.servers"),
        ("ups.driver = 'x\\ny'", "ups.driver"),
        ("data.folder = \"/srv/a\\nExecStartPre=/bin/true\"", "data.folder"),
        ("network.interface = 'eth0 eth1'", "network.interface"),
        ("network.address = '192.168.10.5/24'", "network.interface"),
        ("[network]\ninterface = 'eth0'\naddress = '192.168.10.5/33'", "network.address"),
        ("site.time_zone = 'Mars'", "site.time_zone"),
        ("firewall.page_networks = ['lan']", "firewall.page_networks"),
    ] {
        let error = firmware_config::settings::Checked::parse(settings, "site.toml").unwrap_err();
        assert!(error.to_string().starts_with(&format!("site.toml: {key} is ")), "{error}");
    }
}
