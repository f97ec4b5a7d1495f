//! The firewall and the clock between network namespaces: a box, its scanner, and a stranger.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::daemon::Launch;

use super::Rendered;
use crate::interop::{available, have_dcmtk, succeed};

/// Namespaces of a clinic, gone when this is dropped: the box at .5 of two networks, a scanner at
/// 192.168.10.20, a stranger at 192.168.66.20.
struct Clinic {
    tag: String,
    running: Vec<Child>,
}

impl Clinic {
    /// `None` where a machine forbids namespaces.
    fn new() -> Option<Self> {
        let tag = format!("p{}", std::process::id());
        let works = Command::new("ip").args(["netns", "add", &format!("{tag}box")]).output();
        let installed = works.is_ok() || std::env::var_os("PRIMA_PEERS").is_none();
        assert!(installed, "iproute2 is not installed, and PRIMA_PEERS asks for it");
        if !works.is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: network namespaces cannot be made here");
            return None;
        }
        let clinic = Self { tag, running: Vec::new() };
        let own = clinic.name("box");
        ip(&["-n", &own, "link", "set", "lo", "up"]);
        for (who, network) in [("scanner", "192.168.10"), ("stranger", "192.168.66")] {
            let there = clinic.name(who);
            ip(&["netns", "add", &there]);
            ip(&["-n", &there, "link", "set", "lo", "up"]);
            let port = format!("to-{who}");
            ip(&[
                "link", "add", "eth0", "netns", &there, "type", "veth", "peer", "name", &port,
                "netns", &own,
            ]);
            for (place, link, host) in [(&there, "eth0", 20), (&own, port.as_str(), 5)] {
                let address = format!("{network}.{host}/24");
                ip(&["-n", place, "addr", "add", &address, "dev", link]);
                ip(&["-n", place, "link", "set", link, "up"]);
            }
        }
        Some(clinic)
    }

    fn name(&self, who: &str) -> String {
        format!("{}{who}", self.tag)
    }

    fn command(&self, who: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(who)]).arg(program);
        command
    }

    /// Somebody who answers on a TCP port.
    fn listen(&mut self, who: &str, address: &str, port: u16) {
        let child = self
            .command(who, "python3")
            .args(["-m", "http.server", "--bind", address, &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running.push(child);
        let until = Instant::now() + Duration::from_secs(20);
        while !self.reaches(who, address, port) {
            assert!(Instant::now() < until, "nobody listens at {address}:{port}");
        }
    }

    /// Whether a TCP connection comes about within two seconds.
    fn reaches(&self, who: &str, address: &str, port: u16) -> bool {
        self.connect(who, address, port) == Some(0)
    }

    /// 0 for a connection, 124 when nobody answered in time, else it was refused.
    fn connect(&self, who: &str, address: &str, port: u16) -> Option<i32> {
        let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
        let mut bash = self.command(who, "timeout");
        let output = bash.args(["2", "bash", "-c", &connect]).output().unwrap();
        output.status.code()
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        for child in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
        for who in ["box", "scanner", "stranger"] {
            drop(Command::new("ip").args(["netns", "del", &self.name(who)]).output());
        }
    }
}

fn ip(arguments: &[&str]) {
    succeed("ip", arguments);
}

/// A scanner is open to the box, and it alone; the pages are for the network of the clinic; and
/// the box itself gets to the archive that the settings name, by number or name, and no further.
#[test]
fn packets_go_where_the_settings_say() {
    if !available("nft", Command::new("nft").arg("--version")) || !have_dcmtk() {
        return;
    }
    let Some(mut clinic) = Clinic::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut launch = Launch::new(folder.path());
    launch.port = Some(11112);
    launch.wrap = ["ip", "netns", "exec", &clinic.name("box")].map(Into::into).to_vec();
    launch.web = "0.0.0.0:8042".to_owned();
    let _daemon = launch.start().unwrap();
    clinic.listen("box", "0.0.0.0", 22);
    for port in [104, 105, 106] {
        clinic.listen("scanner", "192.168.10.20", port);
    }
    let echo = |who: &str| {
        let mut scu = clinic.command(who, "echoscu");
        let host = if who == "scanner" { "192.168.10.5" } else { "192.168.66.5" };
        scu.args(["-to", "3", "-aec", "PRIMA", host, "11112"]).output().unwrap().status.success()
    };
    assert!(echo("scanner") && echo("stranger"), "without a firewall everybody gets in");

    let rendered = Rendered::of(
        "[dicom]\nnetworks = ['192.168.10.0/24']\n\
         [[dicom.peers]]\nae_title = 'PACS'\nhost = '192.168.10.20'\nport = 104\n\
         [[dicom.peers]]\nae_title = 'OTHER'\nhost = 'archive.clinic'\nport = 105\n\
         [web]\nlisten = '0.0.0.0:8042'\n[firewall]\npage_networks = ['192.168.10.0/24']\n\
         [network]\nname_servers = ['192.168.10.1']\ninterface = 'eth0'",
    );
    let nft = |clinic: &Clinic| {
        let output = clinic
            .command("box", "nft")
            .arg("-f")
            .arg(rendered.path("run/prima/firewall.nft"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    nft(&clinic);
    // Loading it again replaces it whole.
    nft(&clinic);

    assert!(echo("scanner"), "the scanner must get in");
    assert!(!echo("stranger"), "a stranger must not");
    assert!(clinic.reaches("scanner", "192.168.10.5", 8042), "the pages");
    assert!(!clinic.reaches("stranger", "192.168.66.5", 8042), "the pages, from elsewhere");
    assert!(!clinic.reaches("scanner", "192.168.10.5", 22), "a port that no setting names");
    assert!(!clinic.reaches("stranger", "192.168.66.5", 22), "a port that no setting names");

    assert!(clinic.reaches("box", "192.168.10.20", 104), "the archive");
    let refused = clinic.connect("box", "192.168.10.20", 106);
    assert_eq!(refused, Some(1), "what no setting names is refused, and at once");

    // By name: known once it was looked up.
    assert!(!clinic.reaches("box", "192.168.10.20", 105));
    let hosts = Path::new("/etc/netns").join(clinic.name("box"));
    fs::create_dir_all(&hosts).unwrap();
    fs::write(hosts.join("hosts"), "192.168.10.20 archive.clinic\n").unwrap();
    let output = clinic
        .command("box", tests::program("firmware-config"))
        .arg("--root")
        .arg(rendered.root.path())
        .arg("names")
        .output()
        .unwrap();
    fs::remove_dir_all(&hosts).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(clinic.reaches("box", "192.168.10.20", 105), "the archive by its name");
}

/// Without a time server the box tells its own time to the clinic: chronyd asks chronyd.
#[test]
fn a_clinic_without_internet_has_one_time() {
    if !available("chronyd", Command::new("chronyd").arg("--version")) {
        return;
    }
    let Some(mut clinic) = Clinic::new() else { return };
    let rendered = Rendered::of("clock.serve_networks = ['192.168.10.0/24']");
    let state = tempfile::tempdir().unwrap();
    let path = rendered.path("run/prima/chrony.conf");
    let here = state.path().display();
    let text = rendered.read("run/prima/chrony.conf").replace("/var/lib/chrony", &here.to_string());
    fs::write(&path, format!("{text}pidfile {here}/pid\nbindcmdaddress /\n")).unwrap();
    // -x leaves the clock of this machine alone.
    let daemon = clinic
        .command("box", "chronyd")
        .args(["-x", "-d", "-u", "root", "-f"])
        .arg(&path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    clinic.running.push(daemon);
    let ask = |who: &str, server: &str| {
        let mut chronyd = clinic.command(who, "chronyd");
        let server = format!("server {server} iburst");
        let pid = format!("pidfile {here}/pid-{who}");
        let said = chronyd.args(["-Q", "-t", "15", &server, &pid, "bindcmdaddress /"]).output();
        let said = String::from_utf8_lossy(&said.unwrap().stderr).into_owned();
        said.contains("System clock wrong by")
    };
    sleep(Duration::from_secs(1));
    assert!(ask("scanner", "192.168.10.5"), "the scanner must be told the time");
    assert!(!ask("stranger", "192.168.66.5"), "a stranger must not");
}
