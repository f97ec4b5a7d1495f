//! Alarms of the watch on scanners: opened by a look, acknowledged by a person, closed when what
//! they tell of has passed, is the new normal, or another model assists.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::store::audit::{self, Entry};
use crate::store::decisions::MAX_REASON;
use crate::store::events::{self, Level};
use crate::store::{Store, StoreError};

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Images look otherwise than before.
    Input,
    /// The model's outputs are distributed otherwise than before.
    Scores,
    /// More studies get no result.
    NoResult,
    /// Readers change more results.
    Override,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Input, Self::Scores, Self::NoResult, Self::Override];

    /// As stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Scores => "scores",
            Self::NoResult => "no_result",
            Self::Override => "override",
        }
    }

    fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Input)
    }

    /// For the list of events, behind the name of a scanner.
    fn said(self) -> &'static str {
        match self {
            Self::Input => "images look otherwise than before",
            Self::Scores => "the model's scores are otherwise than before",
            Self::NoResult => "more studies get no result",
            Self::Override => "readers change more results",
        }
    }
}

/// An alarm that a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// What about.
    pub kind: Kind,
    /// `quality::Evidence` as JSON; an alarm that is open keeps its own.
    pub evidence: String,
}

/// What is written of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The model that assists.
    pub model_digest: String,
    /// Row of the scanner.
    pub scanner_id: i64,
    /// The latest study that was looked at.
    pub upto: i64,
    /// `quality::Found` as JSON.
    pub found: String,
    /// What is to be told.
    pub raised: Vec<Raised>,
    /// An open alarm that so many studies in a row did not confirm is closed.
    pub patience: usize,
}

/// An alarm as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Order of opening.
    pub id: i64,
    /// What about.
    pub kind: Kind,
    /// Row of the scanner.
    pub scanner_id: i64,
    /// What people call the scanner.
    pub scanner: String,
    /// `quality::Evidence` as JSON.
    #[serde(skip)]
    pub evidence: String,
    /// When it was opened, in box time.
    pub opened_at: i64,
    /// Latest look that found it, in box time.
    pub seen_at: i64,
    /// When somebody acknowledged it, in box time.
    pub acknowledged_at: Option<i64>,
    /// Who did.
    pub acknowledged_by: String,
    /// What they found out.
    pub reason: String,
    /// When it was closed, in box time.
    pub closed_at: Option<i64>,
    /// Why: `passed`, `baseline` or `model`.
    pub closed_how: Option<String>,
}

/// Why nothing was done with an alarm or a reference.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// No row has this id, or it is closed.
    #[error("there is no open alarm {0}")]
    NoAlarm(i64),
    /// No row has this id, or no model assists.
    #[error("there is no scanner {0} whose studies are watched")]
    NoScanner(i64),
    /// Whoever comes after wants to know.
    #[error("give a reason in one or a few words")]
    NoReason,
    /// Longer than [`MAX_REASON`].
    #[error("the reason has {0} characters; {MAX_REASON} are the most")]
    LongReason(usize),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AlarmError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Writes a look down, with the alarms that it opens, confirms and closes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn looked(&self, look: &Looked) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (model, scanner) = (&look.model_digest, look.scanner_id);
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO quality_look (model_digest, scanner_id, upto, at, found)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET upto = excluded.upto, at = excluded.at,
                                           found = excluded.found",
            )?
            .execute((model, scanner, look.upto, now, &look.found))?;
            for raised in &look.raised {
                raise(tx, look, raised, now)?;
            }
            tx.prepare_cached(
                "UPDATE quality_alarm SET closed_at = ?4, closed_how = 'passed'
                 WHERE model_digest = ?1 AND scanner_id = ?2 AND closed_at IS NULL
                       AND (SELECT count(*) FROM monitored m WHERE m.model_digest = ?1
                            AND m.scanner_id = ?2 AND m.id > seen_row AND m.id <= ?3) >= ?5",
            )?
            .execute((model, scanner, look.upto, now, look.patience.cast_signed()))?;
            Ok(())
        })
    }

    /// Closes alarms that are about results of other models than the one that assists.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn close_alarms_of_others(&self, model_digest: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let others = self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM quality_alarm
                                WHERE closed_at IS NULL AND model_digest <> ?)",
            )?;
            Ok(select.query_row([model_digest], |row| row.get::<_, bool>(0))?)
        })?;
        if !others {
            return Ok(());
        }
        self.write(|tx| {
            tx.execute(
                "UPDATE quality_alarm SET closed_at = ?, closed_how = 'model'
                 WHERE closed_at IS NULL AND model_digest <> ?",
                (now, model_digest),
            )?;
            Ok(())
        })
    }

    /// Alarms that are open, newest first, and behind them the latest so many that were.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn alarms(&self, closed: usize) -> Result<Vec<Alarm>, StoreError> {
        self.read(|db| {
            let mut open = db
                .prepare_cached(&format!("{ALARM} WHERE a.closed_at IS NULL ORDER BY a.id DESC"))?;
            let mut alarms: Vec<Alarm> = open.query_map([], alarm)?.collect::<Result<_, _>>()?;
            let mut past = db.prepare_cached(&format!(
                "{ALARM} WHERE a.closed_at IS NOT NULL ORDER BY a.closed_at DESC, a.id DESC LIMIT ?"
            ))?;
            for row in past.query_map([closed.cast_signed()], alarm)? {
                alarms.push(row?);
            }
            Ok(alarms)
        })
    }

    /// Open alarms that nobody has acknowledged, and those that somebody has.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn alarm_counts(&self) -> Result<[i64; 2], StoreError> {
        self.read(alarm_counts)
    }

    /// Somebody knows of an alarm. The chart of its scanner and kind begins anew.
    ///
    /// # Errors
    ///
    /// When it is not open, there is no reason, or the database fails.
    pub fn acknowledge_alarm(&self, id: i64, reason: &str, actor: &str) -> Result<(), AlarmError> {
        let reason = checked(reason)?;
        let now = self.clock.now();
        self.alarm_transaction(|tx| {
            let rows = tx
                .prepare_cached(
                    "UPDATE quality_alarm SET acknowledged_at = ?2, acknowledged_by = ?3,
                       reason = ?4, restart_row = (SELECT coalesce(max(m.id), 0) FROM monitored m
                         WHERE m.model_digest = quality_alarm.model_digest
                               AND m.scanner_id = quality_alarm.scanner_id)
                     WHERE id = ?1 AND closed_at IS NULL",
                )?
                .execute((id, now, actor, reason))?;
            if rows == 0 {
                return Err(AlarmError::NoAlarm(id));
            }
            let (object, detail) = (format!("alarm {id}"), json!({ "reason": reason }));
            let action = "quality.acknowledge";
            let entry = Entry { actor, action, object: &object, detail: &detail };
            Ok(audit::append(tx, self.clock(), &entry)?)
        })
    }

    /// What a scanner's studies look like behind the study `after` is normal from now on: the
    /// reference begins there, and alarms of this scanner are closed.
    ///
    /// # Errors
    ///
    /// When no model assists that has studies of the scanner, there is no reason, or the database
    /// fails.
    pub fn rebaseline(
        &self,
        scanner_id: i64,
        after: i64,
        reason: &str,
        actor: &str,
    ) -> Result<(), AlarmError> {
        let reason = checked(reason)?;
        let now = self.clock.now();
        self.alarm_transaction(|tx| {
            let found: Option<(String, String)> = tx
                .prepare_cached(
                    "SELECT m.digest, s.name FROM model m JOIN scanner s ON s.id = ?
                     WHERE m.mode = 'assist' AND EXISTS
                       (SELECT 1 FROM monitored WHERE model_digest = m.digest AND scanner_id = s.id)",
                )?
                .query_row([scanner_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (model, name) = found.ok_or(AlarmError::NoScanner(scanner_id))?;
            tx.execute(
                "INSERT INTO baseline (model_digest, scanner_id, after_id, reason, actor, at)
                 VALUES (?, ?, ?, ?, ?, ?)",
                (&model, scanner_id, after, reason, actor, now),
            )?;
            tx.execute(
                "UPDATE quality_alarm SET closed_at = ?, closed_how = 'baseline'
                 WHERE model_digest = ? AND scanner_id = ? AND closed_at IS NULL",
                (now, &model, scanner_id),
            )?;
            tx.execute(
                "DELETE FROM quality_look WHERE model_digest = ? AND scanner_id = ?",
                (&model, scanner_id),
            )?;
            let object = format!("scanner {name}");
            let detail = json!({ "model": model, "after": after, "reason": reason });
            let action = "quality.baseline";
            let entry = Entry { actor, action, object: &object, detail: &detail };
            Ok(audit::append(tx, self.clock(), &entry)?)
        })
    }

    /// [`Store::write`] for work that can refuse as well as fail, and refuses before it changes
    /// anything.
    fn alarm_transaction(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<(), AlarmError>,
    ) -> Result<(), AlarmError> {
        self.write(|tx| match work(tx) {
            Err(AlarmError::Store(error)) => Err(error),
            done => Ok(done),
        })?
    }
}

/// As [`Store::alarm_counts`], inside another transaction.
pub(in crate::store) fn alarm_counts(db: &Connection) -> Result<[i64; 2], StoreError> {
    let mut select = db.prepare_cached(
        "SELECT count(*) FILTER (WHERE acknowledged_at IS NULL),
                count(*) FILTER (WHERE acknowledged_at IS NOT NULL)
         FROM quality_alarm WHERE closed_at IS NULL",
    )?;
    Ok(select.query_row([], |row| Ok([row.get(0)?, row.get(1)?]))?)
}

/// Opens an alarm or confirms the one that is open.
fn raise(tx: &Transaction<'_>, look: &Looked, raised: &Raised, now: i64) -> Result<(), StoreError> {
    let (model, scanner, kind) = (&look.model_digest, look.scanner_id, raised.kind);
    let confirmed = tx
        .prepare_cached(
            "UPDATE quality_alarm SET seen_at = ?, seen_row = ?
             WHERE model_digest = ? AND scanner_id = ? AND kind = ? AND closed_at IS NULL",
        )?
        .execute((now, look.upto, model, scanner, kind.word()))?;
    if confirmed > 0 {
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO quality_alarm (model_digest, scanner_id, kind, evidence, opened_at, seen_at,
                                    seen_row)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
    )?
    .execute((model, scanner, kind.word(), &raised.evidence, now, look.upto))?;
    let name: String = tx
        .prepare_cached("SELECT name FROM scanner WHERE id = ?")?
        .query_row([scanner], |row| row.get(0))?;
    let text = format!("scanner {name}: {}; see the page Quality", kind.said());
    events::insert(tx, now, Level::Warning, "quality", &text)
}

/// A reason that says something.
fn checked(reason: &str) -> Result<&str, AlarmError> {
    let reason = reason.trim();
    match reason.chars().count() {
        0 => Err(AlarmError::NoReason),
        length if length > MAX_REASON => Err(AlarmError::LongReason(length)),
        _ => Ok(reason),
    }
}

const ALARM: &str = "
    SELECT a.id, a.kind, a.scanner_id, s.name, a.evidence, a.opened_at, a.seen_at,
           a.acknowledged_at, a.acknowledged_by, a.reason, a.closed_at, a.closed_how
    FROM quality_alarm a JOIN scanner s ON s.id = a.scanner_id";

fn alarm(row: &Row<'_>) -> Result<Alarm, rusqlite::Error> {
    Ok(Alarm {
        id: row.get(0)?,
        kind: Kind::of(&row.get::<_, String>(1)?),
        scanner_id: row.get(2)?,
        scanner: row.get(3)?,
        evidence: row.get(4)?,
        opened_at: row.get(5)?,
        seen_at: row.get(6)?,
        acknowledged_at: row.get(7)?,
        acknowledged_by: row.get(8)?,
        reason: row.get(9)?,
        closed_at: row.get(10)?,
        closed_how: row.get(11)?,
    })
}
