//! The link to the referral hospital.

use std::time::Duration;

use super::{Check, DAY, good, notice, problem};
use crate::health::words;

/// A certificate is replaced in time.
const RENEW: i64 = 30 * 86_400;
/// Clocks that differ by more confuse people on both sides.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);
/// A referral that waits for so long is one that somebody should telephone about.
const LATE: Duration = Duration::from_secs(3600);

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// Host and port; empty where sticks are the only way.
    pub host: String,
    /// This box's wall clock, seconds since 1970.
    pub wall_s: i64,
    /// Last second of this box's certificate, or why it has none.
    pub valid_until_s: Result<i64, String>,
    /// Time since the hub last answered.
    pub answered: Option<Duration>,
    /// The hub's clock minus this box's, milliseconds.
    pub clock_offset_ms: i64,
    /// Age of the oldest referral that waits.
    pub oldest_flag: Option<Duration>,
    /// Rows that wait.
    pub waiting: u64,
    /// Rows that were given up.
    pub dead: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            host: String::new(),
            wall_s: 0,
            valid_until_s: Ok(i64::MAX),
            answered: None,
            clock_offset_ms: 0,
            oldest_flag: None,
            waiting: 0,
            dead: 0,
        }
    }
}

pub(super) fn checks(hub: &Hub) -> Vec<Check> {
    let mut checks = vec![certificate(hub)];
    if !hub.host.is_empty() {
        checks.push(contact(hub));
        checks.extend(clocks(hub));
    }
    checks.push(outbox(hub));
    checks
}

fn certificate(hub: &Hub) -> Check {
    const NAME: &str = "hub certificate";
    let left = match &hub.valid_until_s {
        Err(why) => {
            let advice = "ask the hospital for a code, then run `appliance enrol`";
            return problem(NAME, why, advice);
        }
        Ok(until) => until.saturating_sub(hub.wall_s),
    };
    let span = words::span(Duration::from_secs(left.unsigned_abs()));
    if left < 0 {
        let advice = "look at the clock above; if it is right, ask the hospital for a code, then \
                      run `appliance enrol`";
        return problem(NAME, format!("it expired {span} ago, by this box's clock"), advice);
    }
    if left < RENEW {
        let advice = "ask the hospital for a code, then run `appliance enrol`";
        return notice(NAME, format!("it expires in {span}"), advice);
    }
    good(NAME, format!("valid for {span}"))
}

fn contact(hub: &Hub) -> Check {
    let (name, host) = ("hub", &hub.host);
    let advice = "run `appliance hub`, which tries it and says what is wrong";
    match hub.answered {
        None => notice(name, format!("{host} has never answered"), advice),
        Some(age) if age > DAY => {
            notice(name, format!("{host} answered {} ago", words::span(age)), advice)
        }
        Some(age) => good(name, format!("{host} answered {} ago", words::span(age))),
    }
}

fn clocks(hub: &Hub) -> Option<Check> {
    let off = Duration::from_millis(hub.clock_offset_ms.unsigned_abs());
    if hub.answered.is_none() || off <= CLOCKS_DIFFER {
        return None;
    }
    let way = if hub.clock_offset_ms > 0 { "behind" } else { "ahead of" };
    let said = format!("this box's clock was {} {way} that of the hub", words::span(off));
    Some(notice("hub clock", said, "set the clock of the one that is wrong"))
}

fn outbox(hub: &Hub) -> Check {
    const NAME: &str = "outbox";
    let waiting = words::count(hub.waiting, "message waits", "messages wait");
    let oldest = hub.oldest_flag.unwrap_or_default();
    if hub.dead > 0 {
        let dead = words::count(hub.dead, "message was", "messages were");
        let advice = "the system page says why, and sends them again";
        return problem(NAME, format!("{dead} given up; {waiting}"), advice);
    }
    if oldest > LATE {
        let said = format!("a referral has waited for {}; {waiting}", words::span(oldest));
        let advice = "telephone the hospital; run `appliance hub`, or carry a stick with \
                      `appliance export-outbox`";
        return notice(NAME, said, advice);
    }
    good(NAME, waiting)
}
