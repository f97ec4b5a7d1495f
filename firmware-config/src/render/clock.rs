//! chrony: time for a site that may have no internet.

use super::{Effect, File};
use crate::settings::Checked;

/// `/run/prima/chrony.conf`, chrony.conf(5).
///
/// Without a server the box goes on with its own clock, and tells it to those who ask: at a site
/// without internet all devices agree at least (`local ... orphan`).
///
/// With neither servers nor networks to serve there is nothing for it to do, and none.
pub(super) fn file(checked: &Checked) -> Option<File> {
    if !is_wanted(checked) {
        return None;
    }
    let mut text = String::from(
        "driftfile /var/lib/chrony/chrony.drift\n\
         # A wrong clock is put right in one step while the box starts, and slowly afterwards.\n\
         makestep 1 3\n\
         rtcsync\n\
         local stratum 10 orphan\n\
         # Commands by the socket only.\n\
         cmdport 0\n",
    );
    for server in &checked.settings.clock.servers {
        text += &format!("server {server} iburst\n");
    }
    if checked.machine.serve_networks.is_empty() {
        text += "port 0\n";
    }
    for network in &checked.machine.serve_networks {
        text += &format!("allow {network}\n");
    }
    Some(File::new("/run/prima/chrony.conf", &text, &[Effect::restart("prima-clock.service")]))
}

/// Whether chrony has anything to do.
pub(super) fn is_wanted(checked: &Checked) -> bool {
    !checked.settings.clock.servers.is_empty() || !checked.machine.serve_networks.is_empty()
}
