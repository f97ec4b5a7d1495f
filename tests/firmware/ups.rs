//! A battery that runs down, by NUT's own programs: the box finishes its work and stops.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::daemon::{Launch, free_port};

use super::Rendered;
use crate::interop::{available, succeed};

/// A UPS that is on mains, then on battery, then nearly empty, by dummy-ups(8).
const RUNS_DOWN: &str = "ups.status: OL\nbattery.charge: 100\nbattery.runtime: 3000\nTIMER 4\n\
                         battery.charge: 60\nups.status: OB\nTIMER 3\n\
                         battery.charge: 20\nbattery.runtime: 200\nups.status: OB\nTIMER 600\n";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn nut(program: &str, arguments: &[&str], folder: &Path) -> Running {
    let log = fs::File::create(folder.join(format!("{program}.log"))).unwrap();
    let child = Command::new(Path::new("/lib/nut").join(program))
        .args(arguments)
        .env("NUT_CONFPATH", folder)
        .env("NUT_STATEPATH", folder)
        .env("NUT_ALTPIDPATH", folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Running(child.unwrap_or_else(|why| panic!("{program}: {why}")))
}

#[test]
fn a_battery_that_runs_down_drains_the_box() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: NUT's programs change to their own user, which takes root");
        return;
    }
    if !available("NUT", Command::new("/lib/nut/upsd").arg("-V")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Launch::new(folder.path()).start().unwrap();

    let rendered = Rendered::of("ups.driver = 'dummy-ups'\nups.port = '/etc/nut/sequence.seq'");
    let nut_folder = rendered.path("run/prima/nut");
    fs::write(nut_folder.join("sequence.seq"), RUNS_DOWN).unwrap();
    let port = free_port().unwrap();
    // What the machine would do is done to this daemon, and to nothing else.
    let program = tests::program("appliance");
    let drain = format!(
        "{} drain --config {}",
        program.display(),
        folder.path().join("appliance.toml").display()
    );
    for name in ["ups.conf", "upsd.conf", "upsmon.conf"] {
        let path = nut_folder.join(name);
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace("/etc/nut/sequence.seq", nut_folder.join("sequence.seq").to_str().unwrap())
            .replace("127.0.0.1 3493", &format!("127.0.0.1 {port}"))
            .replace("prima@127.0.0.1", &format!("prima@127.0.0.1:{port}"))
            .replace("/usr/bin/systemctl poweroff", &drain);
        fs::write(&path, text).unwrap();
    }
    owned_as_on_a_box(&rendered);
    let upsmon = fs::read_to_string(nut_folder.join("upsmon.conf")).unwrap();
    assert!(upsmon.contains(&drain), "{upsmon}");

    let _driver = nut_driver(&nut_folder);
    let _server = nut("upsd", &["-F", "-u", "nut"], &nut_folder);
    wait_for_port(port, &nut_folder);
    let _monitor = nut("upsmon", &["-F"], &nut_folder);

    let until = Instant::now() + Duration::from_secs(60);
    while !daemon.has_ended() {
        let log = fs::read_to_string(nut_folder.join("upsmon.log")).unwrap_or_default();
        assert!(Instant::now() < until, "the box was not stopped; upsmon says:\n{log}");
        sleep(Duration::from_millis(100));
    }
    let log = Launch::new(folder.path()).log();
    assert!(log.contains("stopping: waiting for open associations"), "{log}");
}

/// Owners and modes by the rendered tmpfiles.d(5), so that NUT's own user can read what it must.
fn owned_as_on_a_box(rendered: &Rendered) {
    let open = |path: &Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    };
    for folder in ["", "run", "run/prima"] {
        open(&rendered.path(folder));
    }
    fs::create_dir(rendered.path("etc")).unwrap();
    for name in ["passwd", "group"] {
        fs::copy(Path::new("/etc").join(name), rendered.path("etc").join(name)).unwrap();
    }
    let root = format!("--root={}", rendered.root.path().display());
    let ours = "--prefix=/run/prima".to_owned();
    succeed("systemd-tmpfiles", &["--create".to_owned(), ours, root]);
    // Where its programs meet; on a box that is /run/nut.
    succeed("chown", &["nut:nut".into(), rendered.path("run/prima/nut").into_os_string()]);
}

fn nut_driver(folder: &Path) -> Running {
    let log = fs::File::create(folder.join("driver.log")).unwrap();
    let child = Command::new("/lib/nut/dummy-ups")
        .args(["-a", "prima", "-F", "-u", "nut"])
        .env("NUT_CONFPATH", folder)
        .env("NUT_STATEPATH", folder)
        .env("NUT_ALTPIDPATH", folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let driver = Running(child.unwrap());
    let until = Instant::now() + Duration::from_secs(10);
    while !folder.join("dummy-ups-prima").exists() {
        let log = fs::read_to_string(folder.join("driver.log")).unwrap_or_default();
        assert!(Instant::now() < until, "the driver makes no socket: {log}");
        sleep(Duration::from_millis(50));
    }
    driver
}

fn wait_for_port(port: u16, folder: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = fs::read_to_string(folder.join("upsd.log")).unwrap_or_default();
        assert!(Instant::now() < until, "upsd does not listen: {log}");
        sleep(Duration::from_millis(50));
    }
}
