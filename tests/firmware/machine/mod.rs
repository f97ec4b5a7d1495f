//! The image in a virtual machine: what a box does when it is switched on, hangs, loses its power, is
//! updated or meddled with. Each in less than three minutes of emulation.

mod qemu;

use std::fs;

use qemu::{Machine, image};

use tests::sender::{Peer, slice};

/// Switched on for the first time: encrypted, under a firewall, healthy, and marked as good.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn a_box_boots_and_a_hang_does_not_last() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.start();
    machine.wait_for_echo();
    let said = machine.run("cryptsetup status prima-data; nft list table inet prima | head -n 60");
    assert!(said.contains("type:    LUKS2") && said.contains("policy drop"), "{said}");
    // The root cannot be written to.
    assert_eq!(machine.try_run("touch /usr/x"), None);
    machine.wait_for("systemctl is-active prima-good.service");
    let said = machine.run("grub-editenv /boot/efi/grub/grubenv list");
    assert!(said.contains("A_TRY=0") && said.contains("A_GOOD=1"), "{said}");
    // A key for people is kept until they have it, and opens the data.
    let opens = "cryptsetup open --test-passphrase --disable-external-tokens --key-file - \
                 /dev/disk/by-partlabel/prima-data";
    machine.run(&format!("tr -d '\\n' < /var/lib/prima/recovery-key | {opens}"));
    assert_eq!(machine.try_run(&format!("printf wrong | {opens}")), None);

    // A daemon that hangs is started again by the watchdog, which nothing feeds now.
    let first = machine.run("systemctl show -p MainPID --value prima").trim().to_owned();
    machine.run(
        "mkdir -p /run/systemd/system/prima.service.d && printf '[Service]\\nWatchdogSec=12\\nTimeoutAbortSec=3\\n' \
                 > /run/systemd/system/prima.service.d/short.conf && systemctl daemon-reload && \
                 systemctl restart prima",
    );
    machine.wait_for("systemctl is-active prima");
    let hung = machine.run("systemctl show -p MainPID --value prima").trim().to_owned();
    assert_ne!(first, hung);
    machine.run(&format!("kill -STOP {hung}"));
    machine.wait_for(&format!(
        "systemctl is-active prima && test \"$(systemctl show -p MainPID --value prima)\" != {hung}"
    ));
    let log = machine.run("journalctl -u prima --no-pager -q | grep -i watchdog | tail -n 3");
    assert!(log.contains("Watchdog timeout"), "{log}");
    machine.wait_for_echo();
}

/// Settings that the box cannot work with do not stay, and those that it can do, over a start too.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn settings_are_tried_on_the_box() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.start();
    machine.wait_for_echo();
    let settings = "/var/lib/prima/settings/settings.toml";
    // The pages on the port of the scanner: only the start of the daemon shows that.
    machine.run(&format!("sed 's/8042/11112/' {settings} > /run/bad.toml"));
    let said = machine.run("! firmware-config apply /run/bad.toml 2>&1");
    assert!(said.contains("those from before are in force again"), "{said}");
    machine.wait_for_echo();
    machine.run(&format!(
        "grep -q 8042 {settings} && grep -q 11112 /var/lib/prima/settings/failed.toml"
    ));

    machine.run(&format!("sed 's/8042/8043/' {settings} > /run/good.toml"));
    let said = machine.run("firmware-config apply /run/good.toml 2>&1");
    assert!(said.contains("in force"), "{said}");
    machine.run(&format!("grep -q 8043 {settings} && nft list ruleset | grep -q 'tcp dport 8043'"));
    // A firewall that shuts everybody out is healthy, and nobody has confirmed it when the power goes.
    machine.run_within(
        150,
        "(cat /run/good.toml; printf '[firewall]\\npage_networks = []\\n') > /run/shut.toml; \
         firmware-config apply /run/shut.toml > /run/said 2>&1 & \
         until firmware-config trial; do sleep 1; done; \
         ! nft list ruleset | grep -q 'tcp dport 8043'",
    );
    machine.cut();
    machine.start();
    machine.wait_for_echo();
    machine.run("nft list ruleset | grep -q 'tcp dport 8043'");
    machine.run("firmware-config trial | grep -q 'were not kept'");
}

/// The power goes while images come in: whatever was acknowledged is there afterwards.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn a_power_cut_while_receiving_loses_nothing() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.start();
    machine.wait_for_echo();
    let peer = Peer::new(machine.dicom());
    let mut scanner = tests::sender::Association::open(&peer).unwrap();
    let mut stored = Vec::new();
    for number in 0..40 {
        let slice = slice(7, 1, 1, number, 64);
        scanner.store(&slice).unwrap();
        stored.push(slice.sop_uid);
    }
    machine.cut();
    machine.start();
    machine.wait_for_echo();
    // Every file against its digest in the index, by the shipped program.
    let said = machine.run(
        "systemctl stop prima && runuser -u prima -- \
         appliance verify --config /run/prima/settings.toml --data /var/lib/prima/data && \
         find /var/lib/prima/data -name '*.dcm' | wc -l",
    );
    let count = said.lines().rev().find_map(|line| line.trim().parse::<usize>().ok());
    assert_eq!(count, Some(stored.len()), "{said}");
}

/// A flipped bit in the sealed root is refused, and the other copy starts.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn a_flipped_bit_in_the_root_is_refused() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    // The superblock of the root: read by every start.
    machine.flip(machine.first_byte(3) + 200);
    machine.start();
    machine.wait("a refusal", |machine| machine.console().contains("dm-verity device corrupted"));
}

/// The data opens for the machine as it was set up, and not after its boot loader was changed.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn the_data_opens_for_the_measured_start_alone() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.start();
    machine.wait_for_echo();
    machine.run("sync; echo hello > /var/lib/prima/here; sync");
    machine.cut();
    machine.start();
    machine.wait_for("grep hello /var/lib/prima/here");
    machine.cut();
    // The same boot loader with one more byte starts all the same, and is measured as another.
    let mut loader = fs::read(image.join("bootx64.efi")).unwrap();
    loader.extend([0; 512]);
    machine.replace_boot_loader(&loader);
    machine.start();
    machine.wait_for("journalctl -u prima-data -q --no-pager | grep 'the data stays locked'");
    assert_eq!(machine.try_run("test -e /dev/mapper/prima-data"), None);
    // Without its data it is no box: nothing receives.
    assert_eq!(machine.try_run("systemctl is-active prima"), None);
}

/// An update from a stick: the other copy is written, started, and marked as good.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn an_update_starts_from_the_other_copy() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.insert_update(|line| line);
    machine.start();
    machine.wait_for("systemctl is-active prima-good.service");
    machine.run_within(150, "mkdir -p /run/stick && mount -o ro /dev/vdb /run/stick && rauc install /run/stick/update.raucb");
    machine.restart_within();
    machine.wait_for("grep -q rauc.slot=B /proc/cmdline");
    machine.wait_for_echo();
    machine.wait_for("systemctl is-active prima-good.service");
    let said = machine.run("grub-editenv /boot/efi/grub/grubenv list");
    let expected = ["ORDER=B A", "B_TRY=0", "B_GOOD=1", "A_GOOD=1"];
    assert!(expected.iter().all(|line| said.contains(line)), "{said}");
}

/// One that does not start is left by itself, and the box is as it was.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn a_bad_update_falls_back_by_itself() {
    let Some(image) = image() else { return };
    let mut machine = Machine::new(&image);
    machine.insert_update(|line| {
        let (before, after) = line.split_once("roothash=").unwrap();
        format!("{before}roothash={}{}", "0".repeat(8), &after[8..])
    });
    machine.start();
    machine.wait_for("systemctl is-active prima-good.service");
    machine.run_within(150, "mkdir -p /run/stick && mount -o ro /dev/vdb /run/stick && rauc install /run/stick/update.raucb");
    machine.restart_within();
    machine.wait("the first copy again", |machine| {
        machine.boots_of("B") == 1 && machine.boots_of("A") == 2
    });
    machine.wait_for_echo();
    machine.wait_for("grep -q rauc.slot=A /proc/cmdline");
}

/// A signed layer lies over the system from the next start on; one that somebody changed does not,
/// and the box works all the same.
#[test]
#[ignore = "needs the image; ops/test --firmware"]
fn a_layer_is_used_until_somebody_changes_it() {
    let Some(image) = image() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["root.squashfs", "prima-ca.pem", "prima-ca.key"] {
        std::os::unix::fs::symlink(image.join(name), folder.path().join(name)).unwrap();
    }
    let layer = super::layer::hello(folder.path()).display().to_string();
    let mut machine = Machine::new(&image);
    machine.insert(&[&layer, &format!("{layer}.sig")]);
    machine.start();
    machine.wait_for_echo();
    machine.run(
        "mkdir -p /run/stick /var/lib/prima/layers && mount -o ro /dev/vdb /run/stick && \
         cp /run/stick/* /var/lib/prima/layers/ && sync && \
         /usr/lib/prima/layer check /var/lib/prima/layers/*.layer && test ! -e /usr/share/hello",
    );
    let layers = |machine: &Machine, starts: usize| {
        machine.restart_within();
        machine.wait("the next start", |machine| machine.boots_of("A") == starts);
        machine.wait_for_echo();
        machine.run("cat /run/prima/layers; systemctl status --no-pager prima-layers 2>&1 || true")
    };
    let said = layers(&machine, 2);
    assert!(said.trim_start().starts_with("used: ") && said.contains("hello"), "{said}");
    machine.run("grep hello /usr/share/hello/said");
    // What lies over the system cannot be written to either.
    assert_eq!(machine.try_run("touch /usr/share/hello/x"), None);
    machine.run(
        "file=$(ls /var/lib/prima/layers/*.layer) && \
         printf X | dd of=$file bs=1 seek=100 conv=notrunc && sync",
    );
    let said = layers(&machine, 3);
    assert!(
        said.trim_start().starts_with("refused: ") && said.contains("is not what was signed"),
        "{said}"
    );
    machine.run("test ! -e /usr/share/hello");
}
