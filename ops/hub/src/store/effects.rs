//! What a row says, once its body was checked, and what follows from it where it is new.

use exchange::flag::Flag;
use exchange::manifest::Manifest;
use exchange::row::{BODY_BYTES, FLAG_BYTES, Kind, Row};
use exchange::telemetry::{AuditHead, Outcome as Case, Telemetry};
use exchange::wire::{Outcome, Rejection};
use serde::de::DeserializeOwned;

use super::{outbound, quality, referrals};
use crate::db::{DbError, Transaction};

/// Longest identifier: a UID has 64 characters, and something may stand for it.
const ID_BYTES: usize = 128;

/// The body of a row.
pub(super) enum Content {
    Flag(Box<Flag>),
    Manifest(Manifest),
    Telemetry(Telemetry),
    Case(Case),
    AuditHead(AuditHead),
}

/// A rejection with its reason.
pub(super) fn rejected(code: Rejection, reason: impl Into<String>) -> Outcome {
    Outcome::Rejected { code, reason: reason.into() }
}

/// Reads a row as what its kind says, or says why it is rejected.
pub(super) fn read(row: &Row) -> Result<Content, Outcome> {
    if !row.is_intact() {
        let reason = "its digest is not that of its content: it was damaged on the box's disk";
        return Err(rejected(Rejection::Damaged, reason));
    }
    if row.key.epoch.is_empty() || row.key.epoch.len() > ID_BYTES || row.study.len() > ID_BYTES {
        let reason = format!("epoch and study have at most {ID_BYTES} bytes, and an epoch has one");
        return Err(rejected(Rejection::Body, reason));
    }
    let limit = if row.kind == Kind::Flag { FLAG_BYTES } else { BODY_BYTES };
    if row.body.len() > limit {
        let (found, kind) = (row.body.len(), row.kind.word());
        let reason = format!("its body has {found} bytes, expected at most {limit} for {kind}");
        return Err(rejected(Rejection::Body, reason));
    }
    match row.kind {
        Kind::Flag => {
            let flag: Flag = parse(row)?;
            of_this_study(row, &flag.study.uid)?;
            Ok(Content::Flag(Box::new(flag)))
        }
        Kind::Objects | Kind::Series => {
            let manifest: Manifest = parse(row)?;
            of_this_study(row, &manifest.study)?;
            check_manifest(&manifest)?;
            Ok(Content::Manifest(manifest))
        }
        Kind::Telemetry => parse(row).map(Content::Telemetry),
        Kind::Outcome => {
            let case: Case = parse(row)?;
            short("case", &case.case)?;
            Ok(Content::Case(case))
        }
        Kind::AuditHead => parse(row).map(Content::AuditHead),
    }
}

fn parse<T: DeserializeOwned>(row: &Row) -> Result<T, Outcome> {
    serde_json::from_str(&row.body).map_err(|error| {
        rejected(Rejection::Body, format!("its body is no {}: {error}", row.kind.word()))
    })
}

/// Rows are ordered by the study outside; what is inside must be about the same one.
fn of_this_study(row: &Row, inside: &str) -> Result<(), Outcome> {
    if row.study.is_empty() || row.study != inside {
        let reason = "its body is about another study than the row, or about none";
        return Err(rejected(Rejection::Body, reason));
    }
    Ok(())
}

fn check_manifest(manifest: &Manifest) -> Result<(), Outcome> {
    short("series", &manifest.series)?;
    manifest.objects.iter().try_for_each(|object| {
        short("sop_class", &object.sop_class)?;
        short("sop_instance", &object.sop_instance)?;
        short("sha256", &object.sha256)
    })
}

fn short(name: &str, text: &str) -> Result<(), Outcome> {
    if text.len() > ID_BYTES {
        let reason = format!("{name} has {} bytes, expected at most {ID_BYTES}", text.len());
        return Err(rejected(Rejection::Body, reason));
    }
    Ok(())
}

/// Does what follows from a row that was stored just now.
pub(super) fn apply(
    tx: &mut dyn Transaction,
    site: &str,
    row: &Row,
    content: &Content,
    now_ms: i64,
) -> Result<(), DbError> {
    match content {
        Content::Flag(flag) => {
            let key = (row.key.epoch.as_str(), row.key.seq);
            referrals::apply_flag(tx, site, flag, key, now_ms)?;
            outbound::queue_flag(tx, site, &row.study)
        }
        Content::Manifest(manifest) => {
            referrals::apply_manifest(tx, site, row.kind, manifest, now_ms)?;
            outbound::queue_objects(tx, site, &row.study)?;
            // Nothing is said of a study that nobody has asked about.
            if referrals::is_known(tx, site, &row.study)? {
                outbound::queue_flag(tx, site, &row.study)?;
            }
            Ok(())
        }
        Content::Telemetry(telemetry) => quality::apply_telemetry(tx, site, telemetry, now_ms),
        Content::Case(case) => quality::apply_outcome(tx, site, case, now_ms),
        // Kept as a row; [`super::rows`] holds it against its neighbours.
        Content::AuditHead(_) => Ok(()),
    }
}
