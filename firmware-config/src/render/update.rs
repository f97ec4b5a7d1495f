//! RAUC: two copies of the system, one of which is updated while the other runs.

use super::{Effect, File};
use crate::settings::Checked;

/// `/run/prima/rauc.conf`, the system configuration of RAUC.
///
/// Plain bundles are refused: those of the format `verity` are checked block by block as they are
/// read, so what was verified is what is written.
pub(super) fn file(checked: &Checked) -> File {
    let update = &checked.settings.update;
    let text = format!(
        "[system]\n\
         compatible={}\n\
         bootloader=grub\n\
         grubenv=/boot/efi/grub/grubenv\n\
         statusfile=/var/lib/prima/rauc.status\n\
         mountprefix=/run/rauc\n\
         bundle-formats=-plain\n\
         \n\
         [handlers]\n\
         pre-install=/usr/lib/prima/before-update\n\
         post-install=/usr/lib/prima/after-update\n\
         \n\
         [keyring]\n\
         path={}\n\
         check-purpose=codesign\n\
         {}{}",
        update.compatible,
        update.keyring_file.display(),
        slots(0, 'A'),
        slots(1, 'B'),
    );
    File::new("/run/prima/rauc.conf", &text, &[Effect::restart("rauc.service")])
}

/// One copy of the system: its root, and with it the kernel that knows the root's hash.
fn slots(number: u8, name: char) -> String {
    let letter = name.to_ascii_lowercase();
    format!(
        "\n\
         [slot.rootfs.{number}]\n\
         device=/dev/disk/by-partlabel/prima-root-{letter}\n\
         type=raw\n\
         bootname={name}\n\
         \n\
         [slot.kernel.{number}]\n\
         device=/dev/disk/by-partlabel/prima-kernel-{letter}\n\
         type=raw\n\
         parent=rootfs.{number}\n"
    )
}
