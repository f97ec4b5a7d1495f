//! What the hospital answers: who may say what when, what is kept of it, and what the box is told.

use exchange::command::{Answer, Command, Status};
use serde_json::json;

use super::audit::{self, Entry};
use super::referrals::status;
use super::{Store, commands, expected, from_json, outbound, to_json};
use crate::db::{DbError, Record, Transaction};

/// Longest note, in characters.
pub const MAX_NOTE: usize = 2000;
/// Most actions that are asked for.
pub const MAX_ACTIONS: usize = 10;
/// Longest of them, in characters.
pub const MAX_ACTION: usize = 200;

/// What somebody does with a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Somebody will see to it.
    Accept,
    /// Nobody will; the note says why.
    Decline,
    /// It is done; the note says what was decided.
    Complete,
    /// Somebody else is to see to it.
    Reassign,
}

impl Act {
    /// All.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Decline, Self::Complete, Self::Reassign];

    /// As stored and sent by a form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Complete => "complete",
            Self::Reassign => "reassign",
        }
    }

    /// The act of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word() == word)
    }
}

/// How a referral stands after an act; `None` where it may not follow.
///
/// A referral that was taken back may be closed by whoever had accepted it, and nothing else. A
/// completed one may be completed again, to say more. A declined one may be accepted after all.
#[must_use]
pub fn next(now: Status, asked: bool, act: Act) -> Option<Status> {
    match (now, act) {
        (Status::Accepted, Act::Complete) => Some(Status::Completed),
        _ if !asked => None,
        (Status::Received | Status::Declined, Act::Accept) => Some(Status::Accepted),
        (Status::Received | Status::Accepted, Act::Decline) => Some(Status::Declined),
        (Status::Received | Status::Completed, Act::Complete) => Some(Status::Completed),
        (Status::Received | Status::Accepted, Act::Reassign) => Some(now),
        _ => None,
    }
}

/// An answer as somebody gives it.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Name of the referral.
    pub referral: &'a str,
    /// Its version that they have seen.
    pub version: i64,
    /// What they do.
    pub act: Act,
    /// Who they are.
    pub by: &'a str,
    /// For which service; may be empty.
    pub service: &'a str,
    /// Who is to see to it, for [`Act::Reassign`].
    pub assignee: &'a str,
    /// What they write.
    pub note: &'a str,
    /// What the clinic is asked to do.
    pub actions: &'a [String],
}

/// Why an answer was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// No such referral.
    #[error("there is no such referral")]
    Unknown,
    /// A flag or another answer came between.
    #[error("the referral has changed since the page was loaded; read it again, then answer")]
    Changed,
    /// See [`next`].
    #[error("a referral that is {stands} cannot be answered with {act:?}")]
    NotNow {
        /// How it stands.
        stands: &'static str,
        /// What was wanted.
        act: &'static str,
    },
    /// Declined without a word.
    #[error("say why it is declined; the clinic has to tell the patient")]
    Reason,
    /// To nobody.
    #[error("{0:?} has no account here, or none that sees referrals")]
    Assignee(String),
    /// Too long for a slow link.
    #[error(
        "the note has {MAX_NOTE} characters at most, and there are {MAX_ACTIONS} actions of \
         {MAX_ACTION} characters at most"
    )]
    Long,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What was done.
    pub act: String,
    /// How the referral stood after it.
    pub status: Status,
    /// Who did it.
    pub by: String,
    /// Who sees to it after it.
    pub assignee: String,
    /// What they wrote.
    pub note: String,
    /// What the clinic was asked to do.
    pub actions: Vec<String>,
    /// When.
    pub at_ms: i64,
    /// Number of the command that tells the box.
    pub command: i64,
}

impl Store {
    /// Takes an answer, notes it in the audit log and puts it among the commands for the box, in one
    /// transaction.
    ///
    /// # Errors
    ///
    /// When the database fails; inside, why the answer was not taken.
    pub fn answer(&self, given: &Given<'_>) -> Result<Result<(), AnswerError>, DbError> {
        if let Err(error) = check(given) {
            return Ok(Err(error));
        }
        let now_ms = self.clock().now_ms();
        self.write(|tx| answer(tx, given, now_ms))
    }

    /// Every answer to a referral, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn answers(&self, referral: &str) -> Result<Vec<Kept>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT act, status, actor, assignee, note, actions, at_ms, command
                 FROM referral_answer WHERE referral = $1 ORDER BY version",
                &[referral.into()],
            )?;
            rows.iter().map(kept).collect()
        })
    }
}

fn kept(row: &Record) -> Result<Kept, DbError> {
    Ok(Kept {
        act: row.text(0)?.to_owned(),
        status: status(row, 1)?,
        by: row.text(2)?.to_owned(),
        assignee: row.text(3)?.to_owned(),
        note: row.text(4)?.to_owned(),
        actions: from_json(row.text(5)?, "a list of texts")?,
        at_ms: row.int(6)?,
        command: row.int(7)?,
    })
}

/// What can be said of an answer without the referral.
fn check(given: &Given<'_>) -> Result<(), AnswerError> {
    if given.act == Act::Decline && given.note.trim().is_empty() {
        return Err(AnswerError::Reason);
    }
    let long = given.actions.iter().any(|action| action.chars().count() > MAX_ACTION);
    if long || given.actions.len() > MAX_ACTIONS || given.note.chars().count() > MAX_NOTE {
        return Err(AnswerError::Long);
    }
    Ok(())
}

fn answer(
    tx: &mut dyn Transaction,
    given: &Given<'_>,
    now_ms: i64,
) -> Result<Result<(), AnswerError>, DbError> {
    // Locks the row, so that what is read here still holds at the commit.
    let rows = tx.query(
        "UPDATE referral SET version = version WHERE id = $1
         RETURNING site, study, asked, status, assignee, version",
        &[given.referral.into()],
    )?;
    let Some(row) = rows.first() else { return Ok(Err(AnswerError::Unknown)) };
    let (site, study, asked) = (row.text(0)?, row.text(1)?, row.flag(2)?);
    let (now, assignee) = (status(row, 3)?, row.text(4)?);
    if row.int(5)? != given.version {
        return Ok(Err(AnswerError::Changed));
    }
    let Some(status) = next(now, asked, given.act) else {
        let stands = if asked { now.word() } else { "withdrawn" };
        return Ok(Err(AnswerError::NotNow { stands, act: given.act.word() }));
    };
    let assignee = match given.act {
        Act::Accept => given.by.to_owned(),
        Act::Reassign => match answering_name(tx, given.assignee)? {
            Some(name) => name,
            None => return Ok(Err(AnswerError::Assignee(given.assignee.to_owned()))),
        },
        Act::Decline | Act::Complete => assignee.to_owned(),
    };
    let speaker = if given.act == Act::Reassign { assignee.as_str() } else { given.by };
    let by = match given.service {
        "" => speaker.to_owned(),
        service => format!("{speaker}, {service}"),
    };
    let told = Answer {
        study: study.to_owned(),
        status,
        by,
        note: given.note.trim().to_owned(),
        actions: given.actions.to_vec(),
        at_ms: now_ms,
    };
    let command = commands::push(tx, site, &Command::Referral(told.clone()))?;
    keep(tx, given, &told, &assignee, command)?;
    outbound::queue_flag(tx, site, study)?;
    Ok(Ok(()))
}

/// Writes down what was answered: at the referral, among its answers and in the audit log.
fn keep(
    tx: &mut dyn Transaction,
    given: &Given<'_>,
    told: &Answer,
    assignee: &str,
    command: i64,
) -> Result<(), DbError> {
    let version = tx.query(
        "UPDATE referral SET status = $1, assignee = $2, version = version + 1 WHERE id = $3
         RETURNING version",
        &[told.status.word().into(), assignee.into(), given.referral.into()],
    )?;
    let version = version.first().ok_or_else(|| expected("a referral"))?.int(0)?;
    if given.act != Act::Reassign {
        tx.execute(
            "UPDATE referral SET answered_ms = $1 WHERE id = $2 AND answered_ms IS NULL",
            &[told.at_ms.into(), given.referral.into()],
        )?;
    }
    tx.execute(
        "INSERT INTO referral_answer
         (referral, version, act, status, actor, assignee, note, actions, at_ms, command)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            given.referral.into(),
            version.into(),
            given.act.word().into(),
            told.status.word().into(),
            given.by.into(),
            assignee.into(),
            told.note.as_str().into(),
            to_json(&told.actions)?.into(),
            told.at_ms.into(),
            command.into(),
        ],
    )?;
    // What was written stands at the referral, where whoever may see the patient finds it.
    let detail = json!({"status": told.status.word(), "assignee": assignee, "command": command});
    let entry = Entry {
        actor: given.by,
        action: &format!("referral.{}", given.act.word()),
        object: &format!("referral {}", given.referral),
        detail: &detail,
    };
    audit::append(tx, told.at_ms, &entry)
}

/// The name as stored of somebody who may answer.
fn answering_name(tx: &mut dyn Transaction, name: &str) -> Result<Option<String>, DbError> {
    let rows = tx.query(
        "SELECT name FROM account WHERE name_key = $1 AND removed_ms IS NULL
         AND role IN ('coordinator', 'specialist')",
        &[name.trim().to_lowercase().into()],
    )?;
    rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()
}

#[cfg(test)]
mod tests {
    use exchange::flag::{Flag, Study};

    use super::*;
    use crate::accounts::Role;
    use crate::store::referrals::{apply_flag, id};
    use crate::store::testing::{NOW_MS, store};

    #[test]
    fn what_may_follow_what() {
        use Status::{Accepted, Completed, Declined, Received};
        // Accept, decline, complete, reassign.
        let table = [
            (true, Received, [Some(Accepted), Some(Declined), Some(Completed), Some(Received)]),
            (true, Accepted, [None, Some(Declined), Some(Completed), Some(Accepted)]),
            (true, Declined, [Some(Accepted), None, None, None]),
            (true, Completed, [None, None, Some(Completed), None]),
            (false, Received, [None; 4]),
            (false, Accepted, [None, None, Some(Completed), None]),
            (false, Declined, [None; 4]),
            (false, Completed, [None; 4]),
        ];
        for (asked, now, after) in table {
            assert_eq!(Act::ALL.map(|act| next(now, asked, act)), after, "{asked} {now:?}");
        }
    }

    /// A store with a referral, and a way to answer it.
    struct Desk(Store, String);

    impl Desk {
        fn new(asked: bool) -> Self {
            let (store, _) = store();
            let study = Study { uid: "1.2".into(), ..Study::default() };
            let flag = Flag { asked, study, ..Flag::default() };
            store.write(|tx| apply_flag(tx, "a", &flag, ("e", 1), NOW_MS)).unwrap();
            Self(store, id("a", "1.2"))
        }

        fn give(&self, act: Act, version: i64, note: &str) -> Result<(), AnswerError> {
            let given = Given {
                referral: &self.1,
                version,
                act,
                by: "ada",
                service: "neurosurgery",
                assignee: "Bob",
                note,
                actions: &["head up".to_owned()],
            };
            self.0.answer(&given).unwrap()
        }

        fn told(&self) -> Vec<Answer> {
            let (commands, _) = self.0.write(|tx| commands::after(tx, "a", 0)).unwrap();
            let answers = commands.into_iter().map(|numbered| match numbered.command {
                Command::Referral(answer) => answer,
                other => panic!("{other:?}"),
            });
            answers.collect()
        }
    }

    #[test]
    fn an_answer_is_kept_told_and_audited() {
        let desk = Desk::new(true);
        desk.give(Act::Accept, 1, " send him ").unwrap();
        let told = Answer {
            study: "1.2".into(),
            status: Status::Accepted,
            by: "ada, neurosurgery".into(),
            note: "send him".into(),
            actions: vec!["head up".into()],
            at_ms: NOW_MS,
        };
        assert_eq!(desk.told(), [told]);
        let kept = desk.0.answers(&desk.1).unwrap();
        assert_eq!((kept[0].by.as_str(), kept[0].assignee.as_str()), ("ada", "ada"));
        assert_eq!((kept[0].note.as_str(), kept[0].command), ("send him", 1));
        let referral = desk.0.referral(&desk.1).unwrap().unwrap();
        assert_eq!((referral.status, referral.version), (Status::Accepted, 2));
        assert_eq!(referral.answered_ms, Some(NOW_MS));
        let logged = desk.0.audit_rows(0, 9).unwrap();
        assert_eq!(logged.last().unwrap().action, "referral.accept");
        assert!(!logged.last().unwrap().detail.contains("send him"));
    }

    #[test]
    fn what_is_not_taken_leaves_nothing() {
        let desk = Desk::new(true);
        assert_eq!(desk.give(Act::Decline, 1, " "), Err(AnswerError::Reason));
        assert_eq!(desk.give(Act::Accept, 7, ""), Err(AnswerError::Changed));
        assert_eq!(desk.give(Act::Accept, 1, &"x".repeat(MAX_NOTE + 1)), Err(AnswerError::Long));
        assert_eq!(desk.give(Act::Reassign, 1, ""), Err(AnswerError::Assignee("Bob".into())));
        assert!(desk.told().is_empty());
        assert!(desk.0.audit_rows(0, 9).unwrap().is_empty());
        let withdrawn = Desk::new(false);
        let refused = withdrawn.give(Act::Accept, 1, "").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a referral that is withdrawn cannot be answered with \"accept\""
        );
        assert!(withdrawn.told().is_empty());
    }

    #[test]
    fn handing_over_is_no_answer() {
        let desk = Desk::new(true);
        desk.0.add_account("Bob", Role::Specialist, "hash", "test").unwrap().unwrap();
        desk.give(Act::Reassign, 1, "yours").unwrap();
        let referral = desk.0.referral(&desk.1).unwrap().unwrap();
        assert_eq!((referral.status, referral.answered_ms), (Status::Received, None));
        assert_eq!(referral.assignee, "Bob");
        assert_eq!(desk.told()[0].by, "Bob, neurosurgery");
    }
}
