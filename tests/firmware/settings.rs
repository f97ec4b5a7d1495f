//! Settings as sites could write them, and the shipped program that tries them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use firmware_config::WORKING;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::programs::{Run, run};

/// Networks of both kinds; some overlap.
fn network() -> impl Strategy<Value = String> {
    let v4 = (any::<[u8; 4]>(), 1_u8..=32);
    let v6 = (any::<[u16; 8]>(), 1_u8..=128);
    prop_oneof![
        v4.prop_map(|(ip, bits)| format!("{}/{bits}", std::net::Ipv4Addr::from(ip))),
        v6.prop_map(|(ip, bits)| format!("{}/{bits}", std::net::Ipv6Addr::from(ip))),
        Just("192.168.10.0/24".to_owned()),
        Just("192.168.10.7".to_owned()),
        Just("::1".to_owned()),
    ]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<[u16; 8]>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    // What systemd gives a meaning of its own, and what people type.
    "/(srv|mnt)/[a-zA-Z0-9 $%\"'\\\\;#=äé_.-]{1,20}x"
}

fn list(words: &[String]) -> String {
    format!("{words:?}")
}

/// A site's file: valid, with anything in it that ends up in a rendered file.
pub(super) fn valid() -> impl Strategy<Value = String> {
    let dicom = (1_u16.., vec(network(), 0..4), vec((host(), 1_u16..), 0..3));
    let web = prop_oneof![Just("127.0.0.1:8042"), Just("[::]:443"), Just("0.0.0.0:8042")];
    let firewall = (vec(network(), 0..4), vec(network(), 0..2), web);
    let clock = (vec(host(), 0..3), vec(network(), 0..3), zone());
    let machine = (address(), vec(host_number(), 0..3), path(), vec(path(), 0..2));
    let ups = prop_oneof![Just(""), Just("usbhid-ups"), Just("dummy-ups")];
    let numbers = (16_u32..2000, 1_u32..400, 10_u64..600, 0_u64..600, 0_u64..100);
    let device = prop_oneof![Just("auto"), Just("cpu"), Just("wgpu"), Just("cuda")];
    (dicom, firewall, clock, machine, ups, numbers, device).prop_map(
        |(dicom, firewall, clock, machine, ups, numbers, device)| {
            let mut text = String::from("format_version = 2\n");
            let (port, networks, peers) = dicom;
            text += &format!("[dicom]\nport = {port}\nnetworks = {}\n", list(&networks));
            for (at, (host, port)) in peers.iter().enumerate() {
                text += &format!(
                    "[[dicom.peers]]\nae_title = 'P{at}'\nhost = '{host}'\nport = {port}\n"
                );
            }
            let (pages, ssh, listen) = firewall;
            text += &format!("[web]\nlisten = '{listen}'\n");
            text += &format!(
                "[firewall]\npage_networks = {}\nssh_networks = {}\n",
                list(&pages),
                list(&ssh)
            );
            let (servers, serve, zone) = clock;
            text += &format!("[site]\ntime_zone = '{zone}'\n");
            text += &format!(
                "[clock]\nservers = {}\nserve_networks = {}\n",
                list(&servers),
                list(&serve)
            );
            let ((interface, address, gateway), name_servers, folder, media) = machine;
            text += &format!(
                "[network]\ninterface = '{interface}'\naddress = '{address}'\n\
                 gateway = '{gateway}'\nname_servers = {}\n",
                list(&name_servers)
            );
            text += &format!("[data]\nfolder = {folder:?}\n");
            text += &format!("[import]\nmedia_folders = {}\n", list(&media));
            text += &format!("[ups]\ndriver = '{ups}'\n[analysis]\ndevice = '{device}'\n");
            let (journal, days, daemon, machine, panic) = numbers;
            text += &format!(
                "[journal]\nmax_mib = {journal}\nkeep_days = {days}\n[watchdog]\n\
                 daemon_s = {daemon}\nmachine_s = {machine}\nreboot_after_panic_s = {panic}\n"
            );
            text
        },
    )
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("UTC"), Just("Africa/Nairobi"), Just("America/Argentina/Ushuaia")]
}

fn host_number() -> impl Strategy<Value = String> {
    any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string())
}

fn address() -> impl Strategy<Value = (&'static str, String, String)> {
    prop_oneof![
        Just(("", String::new(), String::new())),
        Just(("en*", String::new(), String::new())),
        (any::<[u8; 4]>(), 1_u8..=32, host_number()).prop_map(|(ip, bits, gateway)| (
            "eth0",
            format!("{}/{bits}", std::net::Ipv4Addr::from(ip)),
            gateway
        )),
    ]
}

/// A folder that stands for `/`, beside a systemd that finds everything healthy.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let health = format!("ActiveState=active\\nResult=success\\nStatusText={WORKING}\\n");
        let show = format!("#!/bin/sh\n[ \"$1\" != show ] || printf '{health}'\n");
        fs::create_dir(machine.path("bin")).unwrap();
        for name in ["systemctl", "systemd-tmpfiles", "systemd-cat", "nft"] {
            let program = machine.path("bin").join(name);
            fs::write(&program, &show).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(program, mode).unwrap();
        }
        assert_eq!(machine.run(&["start"]).code, 0);
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tests::program("firmware-config"));
        command.env("PATH", self.path("bin")).arg("--root").arg(self.path("root")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    fn written(&self, settings: &str) -> String {
        let path = self.path("new.toml");
        fs::write(&path, settings).unwrap();
        path.display().to_string()
    }

    /// A trial that waits for somebody to confirm it.
    fn waiting(&self, settings: &str) -> Child {
        let mut apply = self.command(&["apply", &self.written(settings)]);
        let mut trial = apply.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        while self.run(&["trial"]).code != 0 {
            let ended = trial.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{ended:?}");
            sleep(Duration::from_millis(100));
        }
        trial
    }

    fn in_force(&self) -> String {
        fs::read_to_string(self.path("root/var/lib/prima/settings/settings.toml")).unwrap()
    }

    fn network(&self) -> String {
        let unit = self.path("root/run/systemd/network/10-prima.network");
        fs::read_to_string(unit).unwrap_or_default()
    }
}

/// Another address of the box stays when somebody says that it is reached there, and else goes.
#[test]
fn another_address_is_kept_by_whoever_reaches_it() {
    let at = |address: &str| format!("[network]\ninterface = 'eth0'\naddress = '{address}/24'\n");
    let (first, second, third) = (at("192.168.10.5"), at("192.168.66.5"), at("192.168.99.5"));
    let machine = Machine::new();
    // At the screen nobody is asked.
    let typed = machine.run(&["apply", "--at-the-box", &machine.written(&first)]);
    assert!(typed.code == 0 && typed.stdout.ends_with("in force\n"), "{}", typed.stderr);
    let none = machine.run(&["confirm"]);
    assert_eq!((none.code, none.stderr.as_str()), (1, "error: no new settings wait to be kept\n"));

    let trial = machine.waiting(&second);
    assert!(machine.network().contains("192.168.66.5") && machine.in_force() == first);
    let said = machine.run(&["trial"]).stdout;
    assert!(said.contains("Those from before come back in 10 min unless"), "{said}");
    let confirmed = machine.run(&["confirm"]);
    assert_eq!((confirmed.code, confirmed.stdout.as_str()), (0, "in force\n"));
    let ended = trial.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success() && said.ends_with("in force\n"), "{said}");
    assert_eq!(machine.in_force(), second);

    // Its program is killed: systemd runs the other one then.
    let mut trial = machine.waiting(&third);
    trial.kill().unwrap();
    trial.wait().unwrap();
    assert!(machine.network().contains("192.168.99.5"));
    assert_eq!(machine.run(&["end-trial"]).code, 0);
    assert!(machine.network().contains("192.168.66.5") && machine.in_force() == second);
    let late = machine.run(&["confirm"]);
    assert!(late.code == 1 && late.stderr.starts_with("error: too late: "), "{}", late.stderr);
    let said = machine.run(&["trial"]);
    assert!(said.code == 1 && said.stdout.contains("were not kept"), "{}", said.stdout);
    // Without a trial there is nothing to end.
    assert_eq!(machine.run(&["end-trial"]).stdout, "");
}
