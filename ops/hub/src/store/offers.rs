//! Models that are offered to sites, which files they have, and how far they are there.

use std::collections::BTreeMap;

use exchange::command::Command;
use exchange::offer::{Part, Progress, Stage};
use serde_json::json;

use super::Store;
use super::audit::{self, Entry};
use super::commands::push;
use crate::db::{DbError, Record, Transaction};

/// Stage of an offer that the hub took back; no box says it.
const WITHDRAWN: &str = "withdrawn";
/// Longest reason of a box that is kept, in characters.
const WHY_CHARS: usize = 500;

/// A bundle that can be offered: its files are in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its name.
    pub id: String,
    /// SHA-256 of its manifest.
    pub sha256: String,
    /// Length of its manifest.
    pub manifest_bytes: u64,
    /// Signature of its manifest.
    pub signature: String,
    /// All its files, the manifest among them.
    pub files: Vec<Part>,
}

impl Bundle {
    /// Bytes that a box fetches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }
}

/// The latest offer to a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the box says of it.
    pub progress: Progress,
    /// The hub took it back.
    pub withdrawn: bool,
    /// Since when it is so.
    pub at_ms: i64,
}

impl Offer {
    /// How it stands, for people.
    #[must_use]
    pub fn said(&self) -> String {
        let Progress { stage, why, .. } = &self.progress;
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        match stage {
            _ if self.withdrawn => "withdrawn".to_owned(),
            Stage::Offered => format!("offered{why}"),
            Stage::Coming => format!("{:.0} % there{why}", 100.0 * self.progress.share()),
            Stage::Whole => format!("all there, being tried{why}"),
            Stage::Installed => "installed".to_owned(),
            Stage::Refused => format!("refused{why}"),
        }
    }
}

impl Store {
    /// Offers a bundle to sites, in place of what they were offered before.
    ///
    /// # Errors
    ///
    /// When the database fails; then nobody is told.
    pub fn offer_model(
        &self,
        sites: &[String],
        bundle: &Bundle,
        note: &str,
        actor: &str,
    ) -> Result<(), DbError> {
        let now_ms = self.clock().now_ms();
        let bytes = i64::try_from(bundle.bytes()).unwrap_or(i64::MAX);
        let offer = Command::ModelOffer {
            id: bundle.id.clone(),
            sha256: bundle.sha256.clone(),
            bytes: bundle.bytes(),
            note: note.to_owned(),
            manifest_bytes: bundle.manifest_bytes,
            signature: bundle.signature.clone(),
        };
        self.write(|tx| {
            for file in &bundle.files {
                tx.execute(
                    "INSERT INTO model_file (bundle, sha256, bytes) VALUES ($1, $2, $3)
                     ON CONFLICT (bundle, sha256) DO NOTHING",
                    &[
                        bundle.sha256.as_str().into(),
                        file.sha256.as_str().into(),
                        i64::try_from(file.bytes).unwrap_or(i64::MAX).into(),
                    ],
                )?;
            }
            for site in sites {
                tx.execute(
                    "INSERT INTO model_offer (site, bundle, name, bytes, stage, here, why, at_ms)
                     VALUES ($1, $2, $3, $4, 'offered', 0, '', $5)
                     ON CONFLICT (site) DO UPDATE SET bundle = excluded.bundle,
                     name = excluded.name, bytes = excluded.bytes, stage = excluded.stage,
                     here = excluded.here, why = excluded.why, at_ms = excluded.at_ms",
                    &[
                        site.as_str().into(),
                        bundle.sha256.as_str().into(),
                        bundle.id.as_str().into(),
                        bytes.into(),
                        now_ms.into(),
                    ],
                )?;
                let number = push(tx, site, &offer)?;
                let detail = json!({
                    "model": bundle.id, "sha256": bundle.sha256, "note": note, "command": number,
                });
                record(tx, now_ms, actor, "site.model_offer", site, &detail)?;
            }
            Ok(())
        })
    }

    /// Takes a bundle, by its name or digest, back from those of the sites that it is offered to;
    /// returns which these are. What is installed there stays.
    ///
    /// # Errors
    ///
    /// When the database fails; then nobody is told.
    pub fn withdraw_model(
        &self,
        sites: &[String],
        bundle: &str,
        actor: &str,
    ) -> Result<Vec<String>, DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            let mut told = Vec::new();
            for site in sites {
                let rows = tx.query(
                    "UPDATE model_offer SET stage = $1, why = '', at_ms = $2
                     WHERE site = $3 AND stage <> $1 AND (bundle = $4 OR name = $4)
                     RETURNING bundle",
                    &[WITHDRAWN.into(), now_ms.into(), site.as_str().into(), bundle.into()],
                )?;
                let Some(row) = rows.first() else { continue };
                let sha256 = row.text(0)?.to_owned();
                let detail = json!({ "sha256": sha256 });
                push(tx, site, &Command::ModelWithdrawn { sha256 })?;
                record(tx, now_ms, actor, "site.model_withdraw", site, &detail)?;
                told.push(site.clone());
            }
            Ok(told)
        })
    }

    /// The latest offer to each site.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn offers(&self) -> Result<BTreeMap<String, Offer>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT site, bundle, name, bytes, stage, here, why, at_ms FROM model_offer",
                &[],
            )?;
            rows.iter().map(offer).collect()
        })
    }

    /// Length of a file of the bundle that is offered to a site; `None` when it has no such file,
    /// or was withdrawn.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn offered_file(&self, site: &str, sha256: &str) -> Result<Option<u64>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT f.bytes FROM model_offer o JOIN model_file f ON f.bundle = o.bundle
                 WHERE o.site = $1 AND f.sha256 = $2 AND o.stage <> $3",
                &[site.into(), sha256.into(), WITHDRAWN.into()],
            )?;
            let bytes = rows.first().map(|row| row.int(0)).transpose()?;
            Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
        })
    }
}

/// What a box says of the bundle that it is offered; what it says of another one is of yesterday.
pub(super) fn progress(
    tx: &mut dyn Transaction,
    site: &str,
    said: &Progress,
    now_ms: i64,
) -> Result<(), DbError> {
    let known = tx.query(
        "SELECT stage FROM model_offer WHERE site = $1 AND bundle = $2 AND stage <> $3",
        &[site.into(), said.sha256.as_str().into(), WITHDRAWN.into()],
    )?;
    let Some(known) = known.first().map(|row| row.text(0).map(str::to_owned)).transpose()? else {
        return Ok(());
    };
    let why: String = said.why.chars().take(WHY_CHARS).collect();
    let stage = said.stage.word();
    tx.execute(
        "UPDATE model_offer SET at_ms = CASE WHEN stage = $1 THEN at_ms ELSE $2 END,
                stage = $1, here = $3, why = $4
         WHERE site = $5 AND bundle = $6 AND stage <> $7",
        &[
            stage.into(),
            now_ms.into(),
            i64::try_from(said.here).unwrap_or(i64::MAX).into(),
            why.as_str().into(),
            site.into(),
            said.sha256.as_str().into(),
            WITHDRAWN.into(),
        ],
    )?;
    if known == stage || !matches!(said.stage, Stage::Installed | Stage::Refused) {
        return Ok(());
    }
    let detail = json!({ "sha256": said.sha256, "why": why });
    record(tx, now_ms, site, &format!("site.model_{stage}"), site, &detail)
}

fn record(
    tx: &mut dyn Transaction,
    now_ms: i64,
    actor: &str,
    action: &str,
    site: &str,
    detail: &serde_json::Value,
) -> Result<(), DbError> {
    let object = format!("site {site}");
    audit::append(tx, now_ms, &Entry { actor, action, object: &object, detail })
}

fn offer(row: &Record) -> Result<(String, Offer), DbError> {
    let stage = row.text(4)?;
    let bytes = |column| Ok::<_, DbError>(u64::try_from(row.int(column)?).unwrap_or(0));
    let progress = Progress {
        sha256: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        stage: Stage::of(stage).unwrap_or_default(),
        here: bytes(5)?,
        bytes: bytes(3)?,
        why: row.text(6)?.to_owned(),
    };
    let offer = Offer { progress, withdrawn: stage == WITHDRAWN, at_ms: row.int(7)? };
    Ok((row.text(0)?.to_owned(), offer))
}

#[cfg(test)]
mod tests {
    use exchange::wire::{Hello, Request};

    use super::*;
    use crate::store::commands::after;
    use crate::store::testing::store;

    fn bundle(digit: &str) -> Bundle {
        let file = |path: &str, sha256: String, bytes| Part { path: path.into(), sha256, bytes };
        Bundle {
            id: format!("edge-{digit}"),
            sha256: digit.repeat(64),
            manifest_bytes: 7,
            signature: "signed".into(),
            files: vec![
                file("manifest.toml", digit.repeat(64), 7),
                file("network.safetensors", "f".repeat(64), 93),
            ],
        }
    }

    fn says(store: &Store, sha256: &str, stage: Stage, here: u64, why: &str) {
        let (sha256, why) = (sha256.to_owned(), why.to_owned());
        let offer = Some(Progress { sha256, stage, here, bytes: 100, why, ..Progress::default() });
        let hello = Hello { offer, ..Hello::default() };
        store.take("a", &Request { hello, rows: Vec::new() }, 1000).unwrap().unwrap();
    }

    #[test]
    fn a_model_is_offered_to_each() {
        let (store, _) = store();
        let edge = bundle("2");
        store.offer_model(&["a".into(), "b".into()], &edge, "better", "command line").unwrap();
        for site in ["a", "b"] {
            let (commands, _) = store.write(|tx| after(tx, site, 0)).unwrap();
            let [numbered] = commands.as_slice() else { panic!("{commands:?}") };
            let Command::ModelOffer { id, sha256, bytes, note, manifest_bytes, signature } =
                &numbered.command
            else {
                panic!("{numbered:?}")
            };
            assert_eq!((id.as_str(), sha256, *bytes), ("edge-2", &edge.sha256, 100));
            let rest = (note.as_str(), *manifest_bytes, signature.as_str());
            assert_eq!(rest, ("better", 7, "signed"));
            assert_eq!(store.offered_file(site, &"f".repeat(64)).unwrap(), Some(93));
        }
        assert_eq!(store.offered_file("c", &"f".repeat(64)).unwrap(), None);
        let entries = store.audit_rows(0, 9).unwrap();
        assert_eq!(entries.iter().filter(|e| e.action == "site.model_offer").count(), 2);
    }

    #[test]
    fn what_a_box_says_of_its_offer_is_shown_and_put_on_record() {
        let (store, clock) = store();
        store.add_site("a", "A").unwrap();
        let said = || store.offers().unwrap()["a"].said();
        let edge = bundle("2");
        says(&store, &edge.sha256, Stage::Coming, 1, "");
        assert!(store.offers().unwrap().is_empty(), "nothing was offered");
        store.offer_model(&["a".into()], &edge, "", "x").unwrap();
        assert_eq!(said(), "offered");
        says(&store, &edge.sha256, Stage::Offered, 0, "no room");
        assert_eq!(said(), "offered: no room");
        says(&store, &edge.sha256, Stage::Coming, 43, "");
        assert_eq!(said(), "43 % there");
        let at_ms = store.offers().unwrap()["a"].at_ms;
        clock.forward(1000);
        says(&store, &edge.sha256, Stage::Coming, 44, "");
        assert_eq!(store.offers().unwrap()["a"].at_ms, at_ms, "since it began to come");
        says(&store, &"9".repeat(64), Stage::Refused, 0, "another one");
        assert_eq!(said(), "44 % there");
        for _ in 0..2 {
            says(&store, &edge.sha256, Stage::Refused, 0, "serial 4");
        }
        assert_eq!(said(), "refused: serial 4");
        store.offer_model(&["a".into()], &bundle("3"), "", "x").unwrap();
        assert_eq!(said(), "offered", "in place of the one before");
        says(&store, &bundle("3").sha256, Stage::Installed, 100, "");
        assert_eq!(said(), "installed");
        let entries = store.audit_rows(0, 99).unwrap();
        let of_box: Vec<_> = entries.iter().filter(|e| e.actor == "a").map(|e| &e.action).collect();
        assert_eq!(of_box, ["site.model_refused", "site.model_installed"]);
    }

    #[test]
    fn a_model_that_is_withdrawn_is_handed_out_no_more() {
        let (store, _) = store();
        store.add_site("a", "A").unwrap();
        let (sites, edge) = (["a".to_owned(), "b".to_owned()], bundle("2"));
        store.offer_model(&sites, &edge, "", "x").unwrap();
        let other = store.withdraw_model(&sites, "edge-9", "x").unwrap();
        assert!(other.is_empty(), "{other:?}");
        assert_eq!(store.withdraw_model(&sites[..1], "edge-2", "x").unwrap(), ["a"]);
        assert_eq!(store.withdraw_model(&sites, &edge.sha256, "x").unwrap(), ["b"]);
        assert!(store.withdraw_model(&sites, "edge-2", "x").unwrap().is_empty());
        assert_eq!(store.offered_file("a", &"f".repeat(64)).unwrap(), None);
        says(&store, &edge.sha256, Stage::Coming, 9, "");
        assert_eq!(store.offers().unwrap()["a"].said(), "withdrawn");
        let (commands, _) = store.write(|tx| after(tx, "a", 1)).unwrap();
        let withdrawn = Command::ModelWithdrawn { sha256: edge.sha256.clone() };
        assert_eq!(commands[0].command, withdrawn);
        store.offer_model(&sites, &edge, "", "x").unwrap();
        assert_eq!(store.offered_file("a", &"f".repeat(64)).unwrap(), Some(93));
    }
}
