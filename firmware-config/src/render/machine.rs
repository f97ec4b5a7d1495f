//! The machine itself: kernel, journal, watchdog, folders, network.

use super::service::quoted;
use super::{Effect, File, data_folder};
use crate::settings::Checked;

/// Files that systemd and the kernel read.
pub(super) fn files(checked: &Checked) -> Vec<File> {
    let settings = &checked.settings;
    let watchdog = &settings.watchdog;
    let kernel = format!(
        "kernel.panic = {}\n\
         kernel.panic_on_oops = 1\n\
         kernel.dmesg_restrict = 1\n\
         kernel.kptr_restrict = 2\n\
         kernel.yama.ptrace_scope = 2\n\
         net.ipv4.conf.all.rp_filter = 1\n\
         net.ipv4.conf.all.accept_redirects = 0\n\
         net.ipv6.conf.all.accept_redirects = 0\n\
         net.ipv4.tcp_syncookies = 1\n\
         # A switch that starts later than the box must not keep it from listening.\n\
         net.ipv4.ip_nonlocal_bind = 1\n\
         net.ipv6.ip_nonlocal_bind = 1\n\
         # Images are written as they come; bursts to a slow disk would hold up the database.\n\
         vm.dirty_bytes = 268435456\n\
         vm.dirty_background_bytes = 67108864\n",
        watchdog.reboot_after_panic_s
    );
    let journal = format!(
        "[Journal]\n\
         Storage=persistent\n\
         SystemMaxUse={}M\n\
         MaxRetentionSec={}day\n",
        settings.journal.max_mib, settings.journal.keep_days
    );
    let init = format!(
        "[Manager]\n\
         RuntimeWatchdogSec={0}\n\
         RebootWatchdogSec=10min\n\
         ShowStatus=yes\n",
        if watchdog.machine_s == 0 { "off".to_owned() } else { format!("{}s", watchdog.machine_s) }
    );
    let folder = data_folder(checked);
    let folder = quoted(&folder);
    let mut folders = format!("d {folder} 0700 prima prima\n");
    if super::clock::is_wanted(checked) {
        folders += "d /var/lib/chrony 0750 _chrony _chrony\nd /run/chrony 0750 _chrony _chrony\n";
    }
    if !settings.ups.driver.is_empty() {
        // NUT's programs run as its own user, and only they may read its passwords.
        folders += "d /run/nut 0770 root nut\nd /run/prima/nut 0750 root nut\n\
                    z /run/prima/nut/* 0640 root nut\n";
    }
    let mut files = vec![
        File::new(
            "/run/sysctl.d/60-prima.conf",
            &kernel,
            &[Effect::restart("systemd-sysctl.service")],
        ),
        File::new(
            "/run/systemd/journald.conf.d/prima.conf",
            &journal,
            &[Effect::restart("systemd-journald.service")],
        ),
        File::new("/run/systemd/system.conf.d/prima.conf", &init, &[Effect::Reexec]),
        File::new("/run/tmpfiles.d/prima.conf", &folders, &[Effect::Tmpfiles]),
    ];
    files.extend(network(checked));
    files
}

/// systemd.network(5); none when somebody else sets addresses.
fn network(checked: &Checked) -> Option<File> {
    let settings = &checked.settings.network;
    if settings.interface.is_empty() {
        return None;
    }
    let mut text = format!("[Match]\nName={}\n\n[Network]\n", settings.interface);
    match checked.machine.address {
        // The address belongs to the box, whatever it calls itself at this start.
        None => text += "DHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\n\n[Network]\n",
        Some(address) => {
            text += &format!("Address={address}\n");
        }
    }
    if let Some(gateway) = checked.machine.gateway {
        text += &format!("Gateway={gateway}\n");
    }
    for server in &checked.machine.name_servers {
        text += &format!("DNS={server}\n");
    }
    Some(File::new("/run/systemd/network/10-prima.network", &text, &[Effect::Networkd]))
}
