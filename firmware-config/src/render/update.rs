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
         grubenv=/boot/grub/grubenv\n\
         statusfile=/var/lib/prima/rauc.status\n\
         bundle-formats=-plain\n\
         \n\
         [keyring]\n\
         path={}\n\
         check-purpose=codesign\n\
         \n\
         [slot.rootfs.0]\n\
         device=/dev/disk/by-partlabel/prima-a\n\
         type=raw\n\
         bootname=A\n\
         \n\
         [slot.rootfs.1]\n\
         device=/dev/disk/by-partlabel/prima-b\n\
         type=raw\n\
         bootname=B\n",
        update.compatible,
        update.keyring_file.display()
    );
    File::new("/run/prima/rauc.conf", text, &[Effect::restart("rauc.service")])
}
