//! systemd units of the box: the daemon in its sandbox, and the services around it.

use std::path::Path;

use super::{EFFECTIVE, Effect, File, clock, data_folder};
use crate::settings::Checked;

/// The daemon's unit.
pub(super) const UNIT: &str = "prima.service";

/// All units.
pub(super) fn files(checked: &Checked) -> Vec<File> {
    let unit = |name: &str, text: String, effects: &[Effect]| {
        File::new(&format!("/run/systemd/system/{name}"), &text, effects)
    };
    let restart = |name| [Effect::Reload, Effect::restart(name)];
    let mut files = vec![
        unit(UNIT, daemon(checked), &restart(UNIT)),
        unit("prima-firewall.service", FIREWALL.to_owned(), &restart("prima-firewall.service")),
        unit("prima-names.service", names(), &[Effect::Reload]),
        unit("prima-names.timer", NAMES_TIMER.to_owned(), &restart("prima-names.timer")),
    ];
    if clock::is_wanted(checked) {
        files.push(unit("prima-clock.service", clock_unit(), &restart("prima-clock.service")));
    }
    if !checked.settings.ups.driver.is_empty() {
        files.push(unit("prima-ups.target", UPS.to_owned(), &restart("prima-ups.target")));
        let driver = format!("{} -a prima", checked.settings.ups.driver);
        files.push(unit(
            "prima-ups-driver.service",
            ups(&driver, "nut", "prima-firewall.service"),
            &[Effect::Reload],
        ));
        files.push(unit(
            "prima-ups-server.service",
            ups("upsd", "nut", "prima-ups-driver.service"),
            &[Effect::Reload],
        ));
        files.push(unit(
            "prima-ups-monitor.service",
            ups("upsmon", "root", "prima-ups-server.service"),
            &[Effect::Reload],
        ));
    }
    files
}

/// What a service that needs no device, no home and nothing of the system but to read it gives up.
const SANDBOX: &str = "\
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
PrivateTmp=yes
PrivateUsers=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @obsolete
SystemCallErrorNumber=EPERM
";

/// What a graphics card is opened with.
const GRAPHICS: &str = "\
SupplementaryGroups=render video
DevicePolicy=closed
DeviceAllow=char-drm rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidiactl rw
";

/// The daemon. Its watchdog is fed when receiving, the database and the analysis all moved
/// (`appliance::app::watchdog`). A graphics card costs four parts of the sandbox: its devices,
/// memory that is both written and run, which its compilers need, calls that pin threads and
/// memory, and the groups that may open it.
fn daemon(checked: &Checked) -> String {
    let settings = &checked.settings;
    let folder = data_folder(checked);
    let mut text = format!(
        "[Unit]\n\
         Description=Prima appliance\n\
         After=network.target time-sync.target prima-firewall.service\n\
         Wants=prima-firewall.service\n\
         RequiresMountsFor={folder}\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         User=prima\n\
         UMask=0077\n\
         WorkingDirectory=/var/lib/prima\n\
         Environment=TZ=:{zone} XDG_CACHE_HOME=/var/cache/prima\n\
         # Another version is another unit, so an upgrade starts the daemon again.\n\
         Environment=PRIMA_VERSION={version}\n\
         CacheDirectory=prima\n\
         # Where it says that somebody reached it (decision 0023).\n\
         RuntimeDirectory=prima-daemon\n\
         RuntimeDirectoryMode=0700\n\
         # Never without a firewall.\n\
         ExecStartPre=+/usr/sbin/nft list table inet prima\n\
         ExecStart=/usr/bin/appliance serve --config {EFFECTIVE} --data {argument}\n\
         WatchdogSec={watchdog}s\n\
         Restart=on-failure\n\
         RestartSec=10\n\
         # Wrong settings do not get better by trying again.\n\
         RestartPreventExitStatus=78\n\
         TimeoutStartSec={start}s\n\
         TimeoutStopSec=150\n\
         # One that hangs does not finish anything.\n\
         TimeoutAbortSec=20\n\
         LimitNOFILE=65536\n\
         OOMScoreAdjust=-200\n",
        folder = quoted(&folder),
        argument = quoted(&folder).replace('$', "$$"),
        zone = settings.site.time_zone,
        version = env!("CARGO_PKG_VERSION"),
        watchdog = settings.watchdog.daemon_s,
        // The database is checked after a power cut.
        start = 600,
    );
    // Memory and load of the machine are in /proc; a graphics card's drivers want more of it.
    let sandbox = SANDBOX.replace("ProcSubset=pid\n", "");
    let graphics = settings.analysis.device != "cpu";
    text += &if graphics { sandbox.replace(" @resources", "") } else { sandbox };
    text += "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n";
    text += &format!("ReadWritePaths={}\n", quoted(&folder));
    let import = &settings.import;
    let watched = [&import.watch_folder].into_iter().filter(|path| !path.as_os_str().is_empty());
    for path in watched.chain(&import.media_folders) {
        let path = &Path::new("/var/lib/prima").join(path);
        text += &format!("ReadWritePaths={}\n", quoted(path).replacen('"', "\"-", 1));
    }
    let low = [settings.dicom.port, settings.dicom.tls.port, checked.web_listen.port()];
    if low.iter().any(|port| (1..1024).contains(port)) {
        // A user namespace of its own has no say over the ports of the machine.
        text = text
            .replace("CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n");
        text = text.replace("PrivateUsers=yes\n", "AmbientCapabilities=CAP_NET_BIND_SERVICE\n");
    }
    text += if graphics { GRAPHICS } else { "PrivateDevices=yes\nMemoryDenyWriteExecute=yes\n" };
    text + "\n[Install]\nWantedBy=multi-user.target\n"
}

/// A path as units want it (systemd.syntax(7)): quoted, with nothing of it taken for a specifier.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// The rules are there before the network is.
const FIREWALL: &str = "\
[Unit]
Description=Firewall of the box
DefaultDependencies=no
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /run/prima/firewall.nft
# New rules know no names yet.
ExecStartPost=-/usr/bin/systemctl start --no-block prima-names.service
";

fn names() -> String {
    format!(
        "[Unit]\n\
         Description=Addresses of the names that the firewall lets the box connect to\n\
         After=prima-firewall.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/firmware-config names\n\
         # A name without an address is looked up again soon.\n\
         Restart=on-failure\n\
         RestartSec=15\n{}\
         RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\n",
        SANDBOX
            .replace("CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_NET_ADMIN\n")
            .replace("PrivateUsers=yes\n", "")
            .replace("ProtectKernelModules=yes\n", "")
            .replace("~@privileged", "~@obsolete")
    )
}

const NAMES_TIMER: &str = "\
[Unit]
Description=Looks up names for the firewall

[Timer]
OnActiveSec=5s
OnUnitActiveSec=5min

[Install]
WantedBy=timers.target
";

/// chrony's own service under our configuration; the distribution's must not run beside it.
fn clock_unit() -> String {
    "[Unit]\n\
     Description=Clock of the box\n\
     Conflicts=chrony.service systemd-timesyncd.service ntpsec.service\n\
     Before=time-sync.target\n\
     Wants=time-sync.target\n\
     After=prima-firewall.service\n\
     \n\
     [Service]\n\
     ExecStart=/usr/sbin/chronyd -d -F 1 -f /run/prima/chrony.conf\n\
     Restart=on-failure\n\
     ProtectSystem=strict\n\
     ReadWritePaths=/var/lib/chrony /run/chrony\n\
     ProtectHome=yes\n\
     PrivateTmp=yes\n\
     NoNewPrivileges=yes\n\
     CapabilityBoundingSet=CAP_SYS_TIME CAP_SETUID CAP_SETGID CAP_NET_BIND_SERVICE CAP_CHOWN \
     CAP_DAC_OVERRIDE\n"
        .to_owned()
}

const UPS: &str = "\
[Unit]
Description=Everything that watches the UPS
Requires=prima-ups-driver.service prima-ups-server.service prima-ups-monitor.service
";

/// NUT's programs by their own names: those in `/sbin` are scripts that read `/etc/nut`.
fn ups(program: &str, user: &str, after: &str) -> String {
    let program_file = Path::new("/lib/nut").join(program);
    format!(
        "[Unit]\n\
         Description=UPS: {program}\n\
         PartOf=prima-ups.target\n\
         After={after}\n\
         \n\
         [Service]\n\
         User={user}\n\
         Environment=NUT_CONFPATH=/run/prima/nut\n\
         ExecStart={} -F\n\
         Restart=on-failure\n",
        program_file.display()
    )
}
