//! A bare Debian 12 becomes a box, with nothing but a stick: in a container that systemd boots, with
//! no network at all.

use std::fs::{self, File};

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::interop::succeed;

/// What an installation may take, as the clinic sees it.
const LIMIT: Duration = Duration::from_secs(300);

struct Container {
    child: Child,
    name: String,
}

impl Container {
    fn boot(root: &Path, stick: &Path, log: &Path) -> Self {
        let name = format!("prima-{}", std::process::id());
        let child = Command::new("systemd-nspawn")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .args(["--boot", "--quiet", "--register=no", "--keep-unit", "--private-network"])
            .arg(format!("--machine={name}"))
            .arg(format!("--directory={}", root.display()))
            .arg(format!("--bind-ro={}:/media/stick", stick.display()))
            .stdin(Stdio::null())
            .stdout(File::create(log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, name }
    }

    /// Process of the container's own systemd, once it is up.
    fn leader(&self) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let parent = self.child.id().to_string();
            let output = Command::new("pgrep").args(["-P", &parent]).output().unwrap();
            let pid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if !pid.is_empty() && self.inside(&pid, "systemctl is-system-running --wait").is_ok() {
                return pid;
            }
            let degraded = self.inside(&pid, "systemctl is-active multi-user.target");
            if degraded.is_ok() {
                return pid;
            }
            assert!(Instant::now() < until, "{} does not boot", self.name);
            sleep(Duration::from_millis(500));
        }
    }

    /// Runs a command in the container; all that it says.
    fn inside(&self, pid: &str, command: &str) -> Result<String, String> {
        let output = Command::new("nsenter")
            .args(["--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root"])
            .args(["sh", "-c", &format!("cd / && {command}")])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its init first: with it everything in the container ends.
        let parent = self.child.id().to_string();
        drop(Command::new("pkill").args(["-KILL", "-P", &parent]).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[ignore = "gathers packages from the network; ops/test --firmware"]
fn a_stick_makes_a_box_of_a_bare_debian() {
    let Some(folder) = std::env::var_os("PRIMA_IMAGE") else {
        println!("SKIPPED: PRIMA_IMAGE names no folder; ops/test --firmware makes one");
        return;
    };
    let (stick, root) = (Path::new(&folder).join("stick"), Path::new(&folder).join("bare"));
    let log = Path::new(&folder).join("container.log");
    succeed("rm", &[Path::new("-rf"), &root]);
    fs::create_dir(&root).unwrap();
    succeed(
        "tar",
        &[Path::new("-xf"), &Path::new(&folder).join("bare.tar"), Path::new("-C"), &root],
    );

    let container = Container::boot(&root, &stick, &log);
    let pid = container.leader();
    assert!(container.inside(&pid, "command -v appliance").is_err(), "it is not bare");
    let started = Instant::now();
    let said = container.inside(&pid, "sh /media/stick/install");
    let took = started.elapsed();
    let said = said.unwrap_or_else(|why| {
        let journal = container.inside(&pid, "journalctl -q --no-pager | tail -n 40");
        panic!("{why}\n{}", journal.unwrap_or_else(|why| why))
    });
    println!("installed after {:.0} s:\n{said}", took.as_secs_f64());
    assert!(took < LIMIT, "{took:?}");
    assert!(said.contains("This box works") && said.contains("Login"), "{said}");
    // The page, as a browser on the box sees it.
    let get = "exec 3<>/dev/tcp/127.0.0.1/8042; \
               printf 'GET /setup HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3; cat <&3";
    let page = container.inside(&pid, &format!("bash -c \"{get}\""));
    let page = page.unwrap();
    assert!(page.contains("<form") && page.contains("not a medical device"), "{page}");
    // Installing the same again leaves the settings.
    container.inside(&pid, "echo '# ours' >> /var/lib/prima/settings/settings.toml").unwrap();
    container.inside(&pid, "sh /media/stick/install").unwrap();
    container.inside(&pid, "grep -q '# ours' /var/lib/prima/settings/settings.toml").unwrap();
}
