//! NUT: the box finishes its work and switches itself off before the battery is empty.

use super::{Effect, File};
use crate::settings::Checked;

/// Unit of the programs that watch the UPS.
const UNIT: &str = "prima-ups.target";
/// What switches the box off. Stopping the service is what `appliance drain` does: images under
/// way are finished first.
const SWITCH_OFF: &str = "/usr/bin/systemctl poweroff";
/// Says to the last step of switching off that the UPS should cut its sockets, so that the box comes
/// back with the mains.
const SWITCH_UPS_OFF: &str = "/run/prima/nut/killpower";

/// The files of `/run/prima/nut`; none without a UPS.
pub(super) fn files(checked: &Checked, secret: &str) -> Vec<File> {
    let ups = &checked.settings.ups;
    if ups.driver.is_empty() {
        return Vec::new();
    }
    let file = |name: &str, text: String| {
        File::new(
            &format!("/run/prima/nut/{name}"),
            &text,
            &[Effect::Tmpfiles, Effect::restart(UNIT)],
        )
        .secret()
    };
    let driver = format!(
        "[prima]\n\
         driver = {}\n\
         port = {}\n\
         # What is low is said by the settings, not by the UPS.\n\
         ignorelb\n\
         override.battery.charge.low = {}\n\
         override.battery.runtime.low = {}\n",
        ups.driver,
        ups.port,
        ups.drain_below_percent,
        60 * ups.drain_below_min
    );
    let users = format!("[box]\npassword = {secret}\nupsmon primary\n");
    let monitor = format!(
        "MONITOR prima@127.0.0.1 1 box {secret} primary\n\
         MINSUPPLIES 1\n\
         SHUTDOWNCMD \"{SWITCH_OFF}\"\n\
         POLLFREQ 2\n\
         POLLFREQALERT 1\n\
         DEADTIME 15\n\
         FINALDELAY 0\n\
         POWERDOWNFLAG {SWITCH_UPS_OFF}\n\
         RUN_AS_USER nut\n"
    );
    vec![
        file("nut.conf", "MODE=standalone\n".to_owned()),
        file("ups.conf", driver),
        file("upsd.conf", "LISTEN 127.0.0.1 3493\n".to_owned()),
        file("upsd.users", users),
        file("upsmon.conf", monitor),
    ]
}
