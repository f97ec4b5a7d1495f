//! The link to the hub: its start, and its line on the system page.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use exchange::offer::Stage;
use exchange::telemetry::Telemetry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use crate::clock::{Clock, SystemClock};
use crate::health::devices::Sensors;
use crate::health::{clock_quality, disk, words};
use crate::hub::install::Installer;
use crate::hub::offers::Offers;
use crate::hub::outbox::StoreOutbox;
use crate::hub::task::{Doing, HubNow, Shown, Task};
use crate::web::{Check, Verdict};

/// A clock that differs from the hub's by more, in milliseconds, confuses people on both sides.
const CLOCKS_DIFFER: u64 = 5 * 60 * 1000;

impl App {
    /// Starts the link when there is a hub; says where it shows how it stands.
    pub(super) fn start_hub(&self, tasks: &TaskTracker, shutdown: &CancellationToken) -> Shown {
        let shown = Shown::default();
        let Some(address) = self.config.hub_address() else { return shown };
        let task = Task {
            store: Arc::clone(&self.store),
            clock: Arc::new(SystemClock::new()),
            outbox: StoreOutbox {
                store: Arc::clone(&self.store),
                objects: self.objects(),
                offers: Some(self.offers()),
            },
            address,
            folder: self.config.hub_folder(),
            windows: self.config.hub_windows(),
            poll: self.config.hub_poll(),
            shown: shown.clone(),
        };
        tasks.spawn(task.run(shutdown.clone()));
        let settings = &self.config.settings;
        let installer = Installer {
            store: Arc::clone(&self.store),
            data: settings.data.folder.clone(),
            tables: Arc::clone(&self.tables),
            keys: settings.analysis.model_keys.clone(),
            program: self.program.clone(),
            start_limit: Duration::from_secs(settings.analysis.start_limit_s),
        };
        tasks.spawn(installer.run(shutdown.clone()));
        shown
    }

    fn offers(&self) -> Offers {
        let settings = &self.config.settings;
        Offers {
            data: settings.data.folder.clone(),
            tables: Arc::clone(&self.tables),
            keys: settings.analysis.model_keys.clone(),
            percent: settings.disk.evict_percent,
            vetted: None,
        }
    }
}

/// The model that the hub offers in one line.
pub(super) fn offer_check(hub: &HubNow) -> Option<Check> {
    let offer = hub.offer.as_ref()?;
    let name = &offer.name;
    let held_up = match (offer.why.as_str(), hub.images) {
        ("", true) => String::new(),
        ("", false) => "; it waits, as series do, for its hours or the next day".to_owned(),
        (why, _) => format!("; it does not go on: {why}"),
    };
    let held_up_here = if offer.why.is_empty() { Verdict::Good } else { Verdict::Notice };
    let (verdict, said) = match offer.stage {
        Stage::Offered => (held_up_here, format!("the hub offers {name}{held_up}")),
        Stage::Coming => {
            let percent = 100.0 * offer.share();
            (held_up_here, format!("{percent:.0} % of {name} are here{held_up}"))
        }
        Stage::Whole if offer.why.is_empty() => {
            (Verdict::Good, format!("all of {name} is here, and is being tried"))
        }
        Stage::Whole => (Verdict::Notice, format!("all of {name} is here{held_up}")),
        Stage::Installed => (
            Verdict::Good,
            format!("{name} is installed; an administrator says what it is used for"),
        ),
        Stage::Refused => (Verdict::Notice, format!("{name} is refused: {}", offer.why)),
    };
    Some(Check { name: "offered model".to_owned(), verdict, said })
}

/// The link in one line.
pub(super) fn check(hub: &HubNow, now: i64) -> Check {
    let [flags, results, series, other] = hub.backlog;
    let waiting = match flags + results + series + other {
        0 => String::new(),
        rows => format!(
            "; {} to be sent, {} among them",
            words::count(rows, "message waits", "messages wait"),
            words::count(flags, "referral", "referrals")
        ),
    };
    let host = &hub.host;
    let since = words::span(words::between(hub.since, now));
    let (mut verdict, mut said) = match hub.doing {
        Doing::Starting => (Verdict::Good, format!("{host} was not asked yet{waiting}")),
        Doing::Working => (Verdict::Good, format!("{host} takes what is sent{waiting}")),
        Doing::Idle => (Verdict::Good, format!("{host} has all that may be sent now{waiting}")),
        Doing::Waiting => {
            (Verdict::Notice, format!("nothing reached {host} for {since}: {}{waiting}", hub.why))
        }
        Doing::Barred => {
            (Verdict::Problem, format!("nothing has been sent for {since}: {}{waiting}", hub.why))
        }
    };
    if let Some(contact) = hub.contact
        && contact.clock_offset_ms.unsigned_abs() > CLOCKS_DIFFER
    {
        let off = words::span(words::between(0, contact.clock_offset_ms));
        let way = if contact.clock_offset_ms > 0 { "behind" } else { "ahead of" };
        said = format!("{said}; this box's clock is {off} {way} that of the hub");
        verdict = verdict.max(Verdict::Notice);
    }
    if hub.dead > 0 {
        said =
            format!("{said}; {} given up", words::count(hub.dead, "message was", "messages were"));
        verdict = Verdict::Problem;
    }
    Check { name: "hub".to_owned(), verdict, said }
}

/// How the box is, as far as the database does not know it.
pub(super) fn telemetry(clock: &dyn Clock, data: &Path, sensors: &mut Sensors) -> Telemetry {
    let percent = |space: disk::Space| {
        let total = (space.used + space.free).max(1);
        u32::try_from(space.used * 100 / total).unwrap_or(100)
    };
    Telemetry {
        clock: clock_quality::quality(clock.wall(), clock.now()).to_string(),
        disk_percent: disk::space(data).map_or(0, percent),
        gpu_c: sensors.read().hottest_gpu().map(degrees),
        ..Telemetry::default()
    }
}

fn degrees(celsius: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and no card is below zero"
    )]
    let whole = celsius.round() as u32;
    whole
}

#[cfg(test)]
mod tests {
    use exchange::offer::Progress;

    use super::*;
    use crate::store::contact::Contact;

    #[test]
    fn the_link_in_one_line() {
        let check = |change: fn(&mut HubNow), verdict, said: &str| {
            let mut hub = HubNow { host: "hub:8443".to_owned(), ..HubNow::default() };
            change(&mut hub);
            let check = check(&hub, 7_200_000);
            assert_eq!((check.verdict, check.said.as_str()), (verdict, said));
        };
        check(|_| {}, Verdict::Good, "hub:8443 was not asked yet");
        check(
            |hub| {
                hub.doing = Doing::Working;
                hub.backlog = [1, 2, 0, 0];
            },
            Verdict::Good,
            "hub:8443 takes what is sent; 3 messages wait to be sent, 1 referral among them",
        );
        check(
            |hub| {
                hub.doing = Doing::Waiting;
                hub.why = "no answer".to_owned();
            },
            Verdict::Notice,
            "nothing reached hub:8443 for 2 hours: no answer",
        );
        check(
            |hub| {
                hub.doing = Doing::Idle;
                hub.dead = 1;
                hub.contact = Some(Contact { at: 1, clock_offset_ms: -3_600_000 });
            },
            Verdict::Problem,
            "hub:8443 has all that may be sent now; this box's clock is 60 minutes ahead of that of \
             the hub; 1 message was given up",
        );
    }

    #[test]
    fn an_offered_model_in_one_line() {
        let check = |stage, why: &str, images, verdict, said: &str| {
            let (name, why) = ("edge-2".to_owned(), why.to_owned());
            let sha256 = String::new();
            let offer = Progress { sha256, name, stage, here: 43, bytes: 100, why };
            let hub = HubNow { images, offer: Some(offer), ..HubNow::default() };
            let check = offer_check(&hub).unwrap();
            assert_eq!((check.verdict, check.said.as_str()), (verdict, said));
        };
        assert_eq!(offer_check(&HubNow::default()), None);
        check(Stage::Coming, "", true, Verdict::Good, "43 % of edge-2 are here");
        check(
            Stage::Coming,
            "",
            false,
            Verdict::Good,
            "43 % of edge-2 are here; it waits, as series do, for its hours or the next day",
        );
        check(
            Stage::Offered,
            "no room",
            true,
            Verdict::Notice,
            "the hub offers edge-2; it does not go on: no room",
        );
        check(Stage::Refused, "serial 4", true, Verdict::Notice, "edge-2 is refused: serial 4");
        check(
            Stage::Installed,
            "",
            false,
            Verdict::Good,
            "edge-2 is installed; an administrator says what it is used for",
        );
    }
}
