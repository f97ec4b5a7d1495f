//! When nobody answers: which referrals are over their limit, and whom that is told.
//!
//! The hub sends no mail itself. For each wait that is over its limit it runs one command of the
//! hospital's, once, with a few words about it on the command's standard input; nothing in them
//! names the patient, because nobody knows where they end up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::db::DbError;
use crate::store::Store;
use crate::store::escalations::Waiting;
use crate::store::referrals::Urgency;

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of its complaints that are kept.
const SAID: u64 = 400;
const MINUTE_MS: i64 = 60_000;

/// How long an answer may take, in minutes from the flag's arrival at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of an emergency.
    pub emergency_min: u32,
    /// Of what is urgent.
    pub urgent_min: u32,
    /// Of what is to be seen soon.
    pub soon_min: u32,
    /// Of all else.
    pub routine_min: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { emergency_min: 15, urgent_min: 60, soon_min: 24 * 60, routine_min: 7 * 24 * 60 }
    }
}

impl Limits {
    /// Milliseconds that an answer may take.
    #[must_use]
    pub fn of_ms(&self, urgency: Urgency) -> i64 {
        let minutes = match urgency {
            Urgency::Emergency => self.emergency_min,
            Urgency::Urgent => self.urgent_min,
            Urgency::Soon => self.soon_min,
            Urgency::Routine => self.routine_min,
        };
        i64::from(minutes) * MINUTE_MS
    }
}

/// Those that have waited longer than their limit, most urgent first, then the longest over it.
#[must_use]
pub fn overdue(waiting: &[Waiting], now_ms: i64, limits: &Limits) -> Vec<Waiting> {
    let due_ms = |one: &Waiting| one.asked_ms.saturating_add(limits.of_ms(one.urgency));
    let mut over: Vec<_> = waiting.iter().filter(|one| now_ms > due_ms(one)).cloned().collect();
    over.sort_by_key(|one| (std::cmp::Reverse(one.urgency), due_ms(one)));
    over
}

/// Runs the command for every wait that is newly over its limit; returns how many that were. To be
/// called now and then; several hubs on one database run each only once.
///
/// # Errors
///
/// When the database fails.
pub fn round(store: &Store, limits: &Limits, command: &[String]) -> Result<usize, DbError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(0) };
    let now_ms = store.clock().now_ms();
    let mut run = 0;
    for one in overdue(&store.waiting()?, now_ms, limits) {
        if !store.begin_escalation(&one)? {
            continue;
        }
        run += 1;
        let text = words(&one, now_ms, limits);
        let mut command = Command::new(program);
        command.args(arguments);
        let (good, outcome) = match tell(command, &text, PATIENCE) {
            Ok(outcome) => (true, outcome),
            Err(outcome) => (false, outcome),
        };
        if !good {
            tracing::error!(referral = one.id, outcome, "an escalation failed");
        }
        store.end_escalation(&one, good, &outcome)?;
    }
    Ok(run)
}

/// What the command reads: one line of JSON.
fn words(one: &Waiting, now_ms: i64, limits: &Limits) -> String {
    let text = json!({
        "what": "a referral has no answer",
        "site": one.site,
        "urgency": one.urgency.word(),
        "waiting_min": (now_ms - one.asked_ms) / MINUTE_MS,
        "limit_min": limits.of_ms(one.urgency) / MINUTE_MS,
        "page": format!("/referral/{}", one.id),
    });
    format!("{text}\n")
}

/// Runs a command with a text to read; returns in words how it went.
fn tell(mut command: Command, text: &str, patience: Duration) -> Result<String, String> {
    let name = command.get_program().to_owned();
    let failed = |error: io::Error| format!("{} could not be run: {error}", shown(&name));
    let mut complaints = tempfile::tempfile().map_err(failed)?;
    let errors = complaints.try_clone().map_err(failed)?;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::from(errors));
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take()
        && let Err(error) = input.write_all(text.as_bytes())
    {
        // It may do its work without reading; its status says whether it did.
        tracing::debug!(%error, "a command did not read what it was told");
    }
    match wait(&mut child, patience).map_err(failed)? {
        Some(status) if status.success() => Ok("done".to_owned()),
        Some(status) => {
            Err(format!("{} ended with {status}{}", shown(&name), said(&mut complaints)))
        }
        None => Err(format!(
            "{} was stopped after {} seconds{}",
            shown(&name),
            patience.as_secs(),
            said(&mut complaints)
        )),
    }
}

fn shown(program: &OsStr) -> String {
    program.to_string_lossy().into_owned()
}

/// The status of a child that ended in time; one that did not is stopped.
fn wait(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// The first words that a command complained with.
fn said(complaints: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = complaints.rewind().and_then(|()| complaints.take(SAID).read_to_end(&mut bytes));
    match (read, String::from_utf8_lossy(&bytes).trim()) {
        (Err(_), _) | (_, "") => String::new(),
        (Ok(_), text) => format!(": {text}"),
    }
}

#[cfg(test)]
mod tests {
    use exchange::flag::{Flag, Referral, Study};

    use super::*;
    use crate::store::referrals::{apply_flag, id};
    use crate::store::testing::{NOW_MS, store};

    fn waiting(id: &str, urgency: Urgency, asked_ms: i64) -> Waiting {
        Waiting { id: id.to_owned(), site: "a".to_owned(), urgency, asked_ms }
    }

    #[test]
    fn the_limit_itself_is_in_time_and_the_next_millisecond_is_not() {
        let limits = Limits::default();
        for (urgency, minutes) in [
            (Urgency::Emergency, 15),
            (Urgency::Urgent, 60),
            (Urgency::Soon, 1440),
            (Urgency::Routine, 10_080),
        ] {
            let one = [waiting("1", urgency, 1000)];
            let due = 1000 + minutes * MINUTE_MS;
            assert!(overdue(&one, due, &limits).is_empty(), "{urgency:?}");
            assert_eq!(overdue(&one, due + 1, &limits), one, "{urgency:?}");
        }
    }

    #[test]
    fn the_most_urgent_is_first_then_the_longest_over() {
        let all = [
            waiting("1", Urgency::Urgent, 0),
            waiting("2", Urgency::Emergency, 900),
            waiting("3", Urgency::Emergency, 100),
        ];
        let over = overdue(&all, 61 * MINUTE_MS, &Limits::default());
        assert_eq!(over.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["3", "2", "1"]);
    }

    fn command(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_command_is_run_once_for_each_wait_and_reads_no_patient() {
        let folder = tempfile::tempdir().unwrap();
        let read = folder.path().join("read");
        let script = command(&format!("cat >> '{}'", read.display()));
        let (store, clock) = store();
        let mut flag = Flag {
            asked: true,
            study: Study { uid: "1.2".into(), ..Study::default() },
            referrals: vec![Referral { urgency: "emergency".into(), ..Referral::default() }],
            ..Flag::default()
        };
        flag.patient.name = "Secret^Name".into();
        store.write_for_tests(|tx| apply_flag(tx, "a", &flag, ("e", 1), NOW_MS));
        let round = || round(&store, &Limits::default(), &script).unwrap();
        assert_eq!(round(), 0);
        clock.forward(16 * MINUTE_MS);
        assert_eq!((round(), round()), (1, 0));
        let text = std::fs::read_to_string(&read).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&told["waiting_min"], &told["limit_min"]), (&json!(16), &json!(15)));
        assert!(!text.contains("Secret"), "{text}");
        let kept = store.escalations(&id("a", "1.2")).unwrap();
        assert_eq!((kept[0].good, kept[0].outcome.as_str()), (Some(true), "done"));
        assert_eq!(store.escalation_counts().unwrap()["good"], 1);
    }

    #[test]
    fn a_command_that_fails_or_hangs_is_noted_in_words() {
        let run = |script: &str, patience| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            tell(command, "x", patience).unwrap_err()
        };
        let failed = run("echo no route >&2; exit 3", PATIENCE);
        assert!(failed.ends_with("exit status: 3: no route"), "{failed}");
        let hung = run("exec sleep 600", Duration::from_millis(50));
        assert_eq!(hung, "sh was stopped after 0 seconds");
        let missing = tell(Command::new("no-such-program"), "", PATIENCE).unwrap_err();
        assert!(missing.starts_with("no-such-program could not be run"), "{missing}");
    }
}
