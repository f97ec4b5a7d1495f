//! What readers decide, and where a study stands because of it.
//!
//! A decision and its effect on the study are one transaction with its row in the audit log.
//! Nothing is deleted: undoing adds a time, and where a study stands is computed again from the
//! decisions that are left (`recompute`), so that any order of deciding and undoing is right.

mod statistics;
#[cfg(test)]
mod tests;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::{self, Entry};
use super::worklist::acuity_of;
use super::{Store, StoreError, deliveries, outbox};
use crate::triage::Acuity;
use crate::worklist::Queue;

pub use statistics::{FindingStatistics, STATISTICS_WINDOW};

/// Longest reason, in characters.
pub const MAX_REASON: usize = 500;

/// What a reader decides about a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// The finding is there.
    Agree {
        /// Label of a finding of the shown result.
        finding: String,
    },
    /// The finding is not there. The acuity stays until somebody reprioritises.
    Disagree {
        /// Label of a finding of the shown result.
        finding: String,
        /// Why.
        reason: String,
    },
    /// The study has this acuity. Images that arrive later can raise it again, never lower it.
    Reprioritise {
        /// Instead of the model's.
        acuity: Acuity,
        /// Why.
        reason: String,
    },
    /// The reader is finished, with the images that have arrived so far.
    Done,
    /// The study must be looked at again.
    Reopen {
        /// Why; may be empty.
        #[serde(default)]
        reason: String,
    },
}

/// Why a decision was not taken. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// No row has this id.
    #[error("there is no study {0}")]
    NoStudy(i64),
    /// No row has this id.
    #[error("there is no decision {0}")]
    NoDecision(i64),
    /// Somebody was faster.
    #[error("decision {0} is undone already")]
    AlreadyUndone(i64),
    /// The result changed under the reader's hands, or the label is misspelt.
    #[error(
        "the result shown for study {study_id} has no finding {finding:?}; load the page again"
    )]
    NoFinding {
        /// Row of the study.
        study_id: i64,
        /// What was decided on.
        finding: String,
    },
    /// An override without a reason teaches nobody anything.
    #[error("give a reason in one or a few words")]
    NoReason,
    /// Longer than [`MAX_REASON`].
    #[error("the reason has {0} characters; {MAX_REASON} are the most")]
    LongReason(usize),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for DecisionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A decision as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// Order of decisions.
    pub id: i64,
    /// The result that was shown.
    pub inference_id: Option<i64>,
    /// `agree`, `disagree`, `reprioritise`, `done` or `reopen`.
    pub kind: String,
    /// Label, for `agree` and `disagree`.
    pub finding: String,
    /// Acuity, for `reprioritise`.
    pub acuity: Option<Acuity>,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When, in box time.
    pub at: i64,
    /// When it was undone, in box time.
    pub undone_at: Option<i64>,
    /// Who undid it.
    pub undone_by: Option<String>,
}

impl Store {
    /// Takes a decision; returns its id. The same decision once more, as by a second tap, is not
    /// taken again: the id is that of the first.
    ///
    /// # Errors
    ///
    /// When the decision makes no sense for the study, or the database fails.
    pub fn decide(
        &self,
        study_id: i64,
        decision: &Decision,
        actor: &str,
    ) -> Result<i64, DecisionError> {
        let (kind, finding, acuity, reason) = decision.columns();
        check_reason(decision, reason)?;
        self.decision_transaction(|tx| {
            let (shown, last_at): (Option<i64>, i64) = tx
                .prepare_cached("SELECT shown_inference, last_at FROM study WHERE id = ?")?
                .query_row([study_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?
                .ok_or(DecisionError::NoStudy(study_id))?;
            if decision.rivals() == VERDICT && !shows(tx, shown, finding)? {
                return Err(DecisionError::NoFinding { study_id, finding: finding.to_owned() });
            }
            if let Some(latest) = in_force(tx, study_id, decision.rivals(), finding)?
                && (latest.kind.as_str(), latest.acuity, latest.reason.as_str())
                    == (kind, acuity, reason)
                && latest.at >= last_at
            {
                return Ok(latest.id);
            }
            tx.prepare_cached(
                "INSERT INTO decision (study_id, inference_id, kind, finding, value, reason,
                                       actor, at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute((
                study_id,
                shown,
                kind,
                finding,
                acuity.map_or("", Acuity::word),
                reason,
                actor,
                self.clock().now(),
            ))?;
            let id = tx.last_insert_rowid();
            recompute(tx, study_id, self.clock().now())?;
            let action = match decision {
                Decision::Done => "study.done".to_owned(),
                Decision::Reopen { .. } => "study.reopen".to_owned(),
                _ => format!("decision.{kind}"),
            };
            let detail = json!({ "decision": id, "made": decision });
            self.append(tx, actor, &action, study_id, &detail)?;
            Ok(id)
        })
    }

    /// Takes a decision back; returns its study.
    ///
    /// # Errors
    ///
    /// When there is no such decision or it is undone already, or the database fails.
    pub fn undo(&self, decision_id: i64, actor: &str) -> Result<i64, DecisionError> {
        self.decision_transaction(|tx| {
            let (study_id, undone): (i64, bool) = tx
                .prepare_cached(
                    "SELECT study_id, undone_at IS NOT NULL FROM decision WHERE id = ?",
                )?
                .query_row([decision_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?
                .ok_or(DecisionError::NoDecision(decision_id))?;
            if undone {
                return Err(DecisionError::AlreadyUndone(decision_id));
            }
            tx.prepare_cached("UPDATE decision SET undone_at = ?, undone_by = ? WHERE id = ?")?
                .execute((self.clock().now(), actor, decision_id))?;
            recompute(tx, study_id, self.clock().now())?;
            let detail = json!({ "decision": decision_id });
            self.append(tx, actor, "decision.undo", study_id, &detail)?;
            Ok(study_id)
        })
    }

    /// Decisions on a study, undone ones too, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn decisions(&self, study_id: i64) -> Result<Vec<DecisionRow>, StoreError> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT id, inference_id, kind, finding, nullif(value, ''), reason, actor, at,
                        undone_at, undone_by
                 FROM decision WHERE study_id = ? ORDER BY id",
            )?;
            let rows = select.query_map([study_id], |row| {
                Ok(DecisionRow {
                    id: row.get(0)?,
                    inference_id: row.get(1)?,
                    kind: row.get(2)?,
                    finding: row.get(3)?,
                    acuity: acuity_of(row.get(4)?)?,
                    reason: row.get(5)?,
                    actor: row.get(6)?,
                    at: row.get(7)?,
                    undone_at: row.get(8)?,
                    undone_by: row.get(9)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// [`Store::write`] for work that can refuse as well as fail.
    fn decision_transaction<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DecisionError>,
    ) -> Result<T, DecisionError> {
        // Every refusal comes before the first change, so committing after one changes nothing.
        self.write(|tx| match work(tx) {
            Err(DecisionError::Store(error)) => Err(error),
            decided => Ok(decided),
        })?
    }

    fn append(
        &self,
        tx: &Transaction<'_>,
        actor: &str,
        action: &str,
        study_id: i64,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let object = format!("study {study_id}");
        audit::append(tx, self.clock(), &Entry { actor, action, object: &object, detail })
    }
}

/// Kinds of which only the latest that is not undone is in force, as an SQL list.
const VERDICT: &str = "('agree', 'disagree')";
const ACUITY: &str = "('reprioritise')";
const READING: &str = "('done', 'reopen')";

impl Decision {
    /// The kinds it replaces.
    fn rivals(&self) -> &'static str {
        match self {
            Self::Agree { .. } | Self::Disagree { .. } => VERDICT,
            Self::Reprioritise { .. } => ACUITY,
            Self::Done | Self::Reopen { .. } => READING,
        }
    }

    /// Kind, finding, acuity and reason as stored.
    fn columns(&self) -> (&'static str, &str, Option<Acuity>, &str) {
        match self {
            Self::Agree { finding } => ("agree", finding, None, ""),
            Self::Disagree { finding, reason } => ("disagree", finding, None, reason.trim()),
            Self::Reprioritise { acuity, reason } => {
                ("reprioritise", "", Some(*acuity), reason.trim())
            }
            Self::Done => ("done", "", None, ""),
            Self::Reopen { reason } => ("reopen", "", None, reason.trim()),
        }
    }
}

fn check_reason(decision: &Decision, reason: &str) -> Result<(), DecisionError> {
    let needed = matches!(decision, Decision::Disagree { .. } | Decision::Reprioritise { .. });
    match reason.chars().count() {
        0 if needed => Err(DecisionError::NoReason),
        length if length > MAX_REASON => Err(DecisionError::LongReason(length)),
        _ => Ok(()),
    }
}

fn shows(db: &Connection, inference: Option<i64>, finding: &str) -> Result<bool, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM inference, json_each(assessment, '$.findings') AS item
                        WHERE inference.id = ? AND item.value ->> 'label' = ?)",
    )?;
    Ok(select.query_row((inference, finding), |row| row.get(0))?)
}

/// Sets where a study stands from its results and the decisions in force. Call it in every
/// transaction that adds a result, or an image to a study that was done.
///
/// - Shown is a result of the latest generation that has one, of the model that assists now
///   rather than of an earlier one, and of that rather than none; of these the one with the
///   present clinical context, then the newest. What a killed model said does not count.
/// - Done holds for the images the reader saw: a later image brings the study back.
/// - A reader's acuity replaces the model's, but one given before the last image came cannot hide
///   a higher one that the model found since.
/// - An analysis that failed takes no study out of URGENT that an earlier one put there.
///
/// What is shown is also queued for the archives and for the hub.
pub(in crate::store) fn recompute(
    tx: &Transaction<'_>,
    study_id: i64,
    now: i64,
) -> Result<(), StoreError> {
    let last_at: i64 = tx
        .prepare_cached("SELECT last_at FROM study WHERE id = ?")?
        .query_row([study_id], |row| row.get(0))?;
    let results: Vec<(i64, Option<Acuity>)> = tx
        .prepare_cached(RESULTS)?
        .query_map([study_id], |row| Ok((row.get(0)?, acuity_of(row.get(1)?)?)))?
        .collect::<Result<_, _>>()?;
    let shown = results.first().map(|(id, _)| *id);
    // `acuity` is NULL exactly in results that are not analysed.
    let latest = results.first().and_then(|(_, acuity)| *acuity);
    let earlier = results.iter().find_map(|(_, acuity)| *acuity);
    let model = latest.or(earlier.filter(|acuity| *acuity == Acuity::High));

    let acuity = match in_force(tx, study_id, ACUITY, "")? {
        None => model,
        Some(decision) if decision.at >= last_at => decision.acuity,
        Some(decision) => decision.acuity.max(model),
    };
    let reading = in_force(tx, study_id, READING, "")?;
    let done_at = reading.filter(|d| d.kind == "done" && d.at >= last_at).map(|d| d.at);
    let not_analysed = shown.is_some() && latest.is_none();
    let queue = Queue::of(acuity, not_analysed, done_at.is_some());
    tx.prepare_cached(
        "UPDATE study SET queue = ?, acuity = ?, shown_inference = ?, done_at = ? WHERE id = ?",
    )?
    .execute((queue.word(), acuity.map(Acuity::word), shown, done_at, study_id))?;
    deliveries::queue(tx, study_id)?;
    outbox::queue(tx, study_id, now)
}

/// [`recompute`] for every study that is not done: after a switch of models.
pub(in crate::store) fn recompute_open(tx: &Transaction<'_>, now: i64) -> Result<(), StoreError> {
    let open: Vec<i64> = tx
        .prepare_cached("SELECT id FROM study WHERE queue <> 'done'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    open.into_iter().try_for_each(|study_id| recompute(tx, study_id, now))
}

/// Results that may be shown, the best first. A result of a model that was a shadow then and
/// assists now counts: it is not computed again.
const RESULTS: &str = "
    SELECT inference.id, inference.acuity
    FROM inference JOIN study ON study.id = inference.study_id
                   LEFT JOIN model ON model.digest = inference.model_digest
    WHERE inference.study_id = ? AND model.killed_at IS NULL
          AND (inference.mode = 'assist' OR model.mode = 'assist')
    ORDER BY inference.generation DESC,
             (inference.model_digest = '' AND NOT EXISTS
                (SELECT 1 FROM model WHERE mode = 'assist' AND killed_at IS NULL)) DESC,
             coalesce(model.mode, '') = 'assist' DESC,
             inference.model_digest <> '' DESC,
             inference.context = coalesce(typed_context,
                 trim(study.reason || char(10) || admitting, char(10))) DESC,
             inference.id DESC";

struct InForce {
    id: i64,
    kind: String,
    acuity: Option<Acuity>,
    reason: String,
    at: i64,
}

/// The latest decision of these kinds, on this finding, that is not undone.
fn in_force(
    tx: &Transaction<'_>,
    study_id: i64,
    kinds: &'static str,
    finding: &str,
) -> Result<Option<InForce>, StoreError> {
    let mut select = tx.prepare_cached(&format!(
        "SELECT id, kind, nullif(value, ''), reason, at FROM decision
         WHERE study_id = ? AND finding = ? AND kind IN {kinds} AND undone_at IS NULL
         ORDER BY id DESC LIMIT 1",
    ))?;
    let read = |row: &Row<'_>| {
        let acuity = acuity_of(row.get(2)?)?;
        let (id, kind) = (row.get(0)?, row.get(1)?);
        Ok(InForce { id, kind, acuity, reason: row.get(3)?, at: row.get(4)? })
    };
    Ok(select.query_row((study_id, finding), read).optional()?)
}
