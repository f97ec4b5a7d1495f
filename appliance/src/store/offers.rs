//! The model that the hub offers, and how far it has come.

use std::time::Duration;

use exchange::offer::{Stage, is_digest};
use rusqlite::{OptionalExtension as _, Row, Transaction};
use serde_json::{Value, json};

use super::audit::{self, Entry};
use super::events::{self, Level};
use super::{Store, StoreError};

/// Longest reason that is kept, in characters.
const LONGEST_WHY: usize = 500;

/// A model that can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// SHA-256 of its manifest, hexadecimal.
    pub sha256: String,
    /// Its name.
    pub name: String,
    /// Its length, as the hub says.
    pub bytes: u64,
    /// Length of its manifest; 0 when the hub has no files to fetch.
    pub manifest_bytes: u64,
    /// Signature of its manifest.
    pub signature: String,
    /// How far it has come.
    pub stage: Stage,
    /// Why it is refused, or does not go on; may be empty.
    pub why: String,
    /// Box time before which nothing is tried.
    pub next_at: i64,
}

impl Store {
    /// The latest offer that was not withdrawn. A model that came by another way is installed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn model_offer(&self) -> Result<Option<Offer>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT sha256, name, bytes, manifest_bytes, signature,
                        CASE WHEN EXISTS (SELECT 1 FROM model m WHERE m.digest = model_offer.sha256)
                             THEN 'installed' ELSE stage END,
                        why, next_at
                 FROM model_offer",
            )?;
            Ok(query.query_row([], offer).optional()?)
        })
    }

    /// An offer came to a stage, and why; nothing happens when there is another one by now.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn offer_came_to(&self, offer: &Offer, stage: Stage, why: &str) -> Result<(), StoreError> {
        let (now, why) = (self.clock.now(), cut(why));
        self.write(|tx| {
            let changed = tx.execute(
                "UPDATE model_offer SET stage = ?1, why = ?2, next_at = 0, at = ?3
                 WHERE sha256 = ?4 AND stage <> ?1",
                (stage.word(), &why, now, &offer.sha256),
            )?;
            let name = &offer.name;
            let (level, text) = match stage {
                _ if changed == 0 => return Ok(()),
                Stage::Offered | Stage::Coming | Stage::Whole => return Ok(()),
                Stage::Installed => (
                    Level::Info,
                    format!(
                        "model {name}, which the hub offered, is installed and off; an \
                         administrator says what it is used for"
                    ),
                ),
                Stage::Refused => {
                    let detail = json!({ "why": why });
                    self.record(tx, "appliance", "model.refuse", offer, &detail)?;
                    let text = format!("model {name}, which the hub offers, is refused: {why}");
                    (Level::Warning, text)
                }
            };
            events::insert(tx, now, level, "model", &text)
        })
    }

    /// An offer does not go on for now, and why; it is tried again after `pause`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn offer_waits(&self, sha256: &str, why: &str, pause: Duration) -> Result<(), StoreError> {
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let next_at = self.clock.now().saturating_add(pause);
        self.write(|tx| {
            tx.execute(
                "UPDATE model_offer SET why = ?, next_at = ? WHERE sha256 = ?",
                (cut(why), next_at, sha256),
            )?;
            Ok(())
        })
    }

    /// An offer goes on: what held it up is over.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn offer_goes_on(&self, offer: &Offer) -> Result<(), StoreError> {
        if offer.stage != Stage::Coming {
            self.offer_came_to(offer, Stage::Coming, "")?;
        }
        if offer.why.is_empty() {
            return Ok(());
        }
        self.offer_waits(&offer.sha256, "", Duration::ZERO)
    }

    /// The hub offers a model, in place of what it offered before. The same again goes on where it
    /// was, and begins anew where it was refused.
    pub(in crate::store) fn offered(
        &self,
        tx: &Transaction<'_>,
        offer: &Offer,
        note: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let Offer { sha256, name, bytes, .. } = offer;
        if !is_digest(sha256) {
            let text = format!("the hub offers model {name} without a digest; it is let be");
            return events::insert(tx, now, Level::Warning, "model", &text);
        }
        tx.execute(
            "INSERT INTO model_offer (id, sha256, name, bytes, manifest_bytes, signature, stage, at)
             VALUES (1, ?, ?, ?, ?, ?, 'offered', ?) ON CONFLICT (id) DO UPDATE SET
               stage = CASE WHEN sha256 = excluded.sha256 AND stage IN ('coming', 'whole')
                            THEN stage ELSE 'offered' END,
               sha256 = excluded.sha256, name = excluded.name, bytes = excluded.bytes,
               manifest_bytes = excluded.manifest_bytes, signature = excluded.signature,
               why = '', next_at = 0, at = excluded.at",
            (
                sha256,
                name,
                i64::try_from(*bytes).unwrap_or(i64::MAX),
                i64::try_from(offer.manifest_bytes).unwrap_or(i64::MAX),
                &offer.signature,
                now,
            ),
        )?;
        self.record(tx, "hub", "model.offer", offer, &json!({ "bytes": bytes, "note": note }))?;
        let text = format!("the hub offers model {name} ({sha256}, {bytes} bytes): {note}");
        events::insert(tx, now, Level::Info, "model", &text)
    }

    /// The hub takes its offer back; what is installed stays.
    pub(in crate::store) fn offer_withdrawn(
        &self,
        tx: &Transaction<'_>,
        sha256: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let name: Option<String> = tx
            .query_row("DELETE FROM model_offer WHERE sha256 = ? RETURNING name", [sha256], |row| {
                row.get(0)
            })
            .optional()?;
        let Some(name) = name else { return Ok(()) };
        let text = format!("the hub offers model {name} no more");
        let offer = Offer { sha256: sha256.to_owned(), name, ..Offer::default() };
        self.record(tx, "hub", "model.withdraw", &offer, &json!({}))?;
        events::insert(tx, now, Level::Info, "model", &text)
    }

    fn record(
        &self,
        tx: &Transaction<'_>,
        actor: &str,
        action: &str,
        offer: &Offer,
        detail: &Value,
    ) -> Result<(), StoreError> {
        let object = format!("model {} {}", offer.name, offer.sha256);
        audit::append(tx, self.clock(), &Entry { actor, action, object: &object, detail })
    }
}

fn offer(row: &Row<'_>) -> Result<Offer, rusqlite::Error> {
    Ok(Offer {
        sha256: row.get(0)?,
        name: row.get(1)?,
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        manifest_bytes: row.get::<_, i64>(3)?.cast_unsigned(),
        signature: row.get(4)?,
        stage: Stage::of(&row.get::<_, String>(5)?).unwrap_or_default(),
        why: row.get(6)?,
        next_at: row.get(7)?,
    })
}

fn cut(why: &str) -> String {
    why.chars().take(LONGEST_WHY).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::command::{Command, Numbered};
    use tempfile::TempDir;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::models::{Mode, Model};
    use crate::store::outbox::{HubProfile, Identity, SeriesSent};

    struct Fixture {
        store: Store,
        number: i64,
        _folder: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(ManualClock::new(1_800_000_000_000));
            let store = Store::open(&folder.path().join("a.sqlite"), clock).unwrap();
            store.begin_run().unwrap();
            let profile = HubProfile { identity: Identity::Full, series: SeriesSent::None };
            store.set_hub(Some(&profile)).unwrap();
            Self { store, number: 0, _folder: folder }
        }

        fn obey(&mut self, command: Command) {
            self.number += 1;
            self.store.obey(&[Numbered { number: self.number, command }]).unwrap();
        }

        /// The hub offers the model of a digit.
        fn offers(&mut self, digit: &str) {
            self.obey(Command::ModelOffer {
                id: format!("edge-{digit}"),
                sha256: digit.repeat(64),
                bytes: 900,
                note: "better".to_owned(),
                manifest_bytes: 9,
                signature: "signed".to_owned(),
            });
        }

        fn offer(&self) -> Offer {
            self.store.model_offer().unwrap().unwrap()
        }

        fn comes_to(&self, stage: Stage, why: &str) {
            self.store.offer_came_to(&self.offer(), stage, why).unwrap();
            assert_eq!((self.offer().stage, self.offer().why.as_str()), (stage, why));
        }

        fn latest(&self) -> String {
            self.store.events(1).unwrap().remove(0).text
        }

        /// What the audit log has of models.
        fn actions(&self) -> Vec<String> {
            let rows = self.store.audit_rows(0, 100).unwrap().into_iter();
            let of_models = rows.filter(|row| row.action.starts_with("model."));
            of_models.map(|row| format!("{} {}", row.actor, row.action)).collect()
        }
    }

    #[test]
    fn the_latest_offer_counts_and_the_same_again_goes_on() {
        let mut f = Fixture::new();
        assert_eq!(f.store.model_offer().unwrap(), None);
        f.offers("2");
        assert_eq!((f.offer().name.as_str(), f.offer().bytes), ("edge-2", 900));
        assert_eq!((f.offer().stage, f.offer().manifest_bytes), (Stage::Offered, 9));
        f.comes_to(Stage::Coming, "");
        f.offers("2");
        assert_eq!(f.offer().stage, Stage::Coming);
        let two = f.offer();
        f.offers("3");
        assert_eq!((f.offer().name.as_str(), f.offer().stage), ("edge-3", Stage::Offered));
        // What was under way for the one before is of no account.
        f.store.offer_came_to(&two, Stage::Refused, "late").unwrap();
        f.store.offer_waits(&two.sha256, "late", Duration::from_secs(1)).unwrap();
        assert_eq!((f.offer().stage, f.offer().why.as_str()), (Stage::Offered, ""));
        f.comes_to(Stage::Refused, "serial 1");
        assert!(f.latest().ends_with("is refused: serial 1"), "{}", f.latest());
        f.offers("3");
        assert_eq!((f.offer().stage, f.offer().why.as_str()), (Stage::Offered, ""));
        let offers = ["hub model.offer"; 3].to_vec();
        let expected = [offers, vec!["appliance model.refuse", "hub model.offer"]].concat();
        assert_eq!(f.actions(), expected);
    }

    #[test]
    fn an_offer_is_withdrawn_and_a_model_stays() {
        let mut f = Fixture::new();
        f.offers("2");
        f.obey(Command::ModelWithdrawn { sha256: "3".repeat(64) });
        assert_eq!(f.offer().name, "edge-2");
        let model = Model {
            digest: "2".repeat(64),
            name: "edge-2".to_owned(),
            folder: String::new(),
            mode: Mode::Off,
            installed_at: 0,
            promoted_at: None,
            killed_at: None,
            context_encoder: String::new(),
            self_test: None,
            provenance: String::new(),
        };
        // By a stick, meanwhile.
        f.store.install_model(&model, "Ada").unwrap();
        assert_eq!(f.offer().stage, Stage::Installed);
        f.obey(Command::ModelWithdrawn { sha256: "2".repeat(64) });
        assert_eq!(f.store.model_offer().unwrap(), None);
        assert_eq!(f.store.models().unwrap().len(), 1);
        assert_eq!(f.latest(), "the hub offers model edge-2 no more");
        assert_eq!(f.actions(), ["hub model.offer", "Ada model.install", "hub model.withdraw"]);
    }

    #[test]
    fn what_holds_an_offer_up_is_kept_until_it_goes_on() {
        let mut f = Fixture::new();
        f.offers("2");
        let now = f.store.clock().now();
        f.store.offer_waits(&f.offer().sha256, "no room", Duration::from_secs(60)).unwrap();
        assert_eq!((f.offer().why.as_str(), f.offer().next_at), ("no room", now + 60_000));
        f.store.offer_goes_on(&f.offer()).unwrap();
        assert_eq!((f.offer().stage, f.offer().why.as_str()), (Stage::Coming, ""));
        f.store.offer_waits(&f.offer().sha256, "cut off", Duration::from_secs(60)).unwrap();
        f.store.offer_goes_on(&f.offer()).unwrap();
        assert_eq!((f.offer().why.as_str(), f.offer().next_at), ("", now));
    }

    #[test]
    fn a_digest_that_is_a_path_is_no_offer() {
        let mut f = Fixture::new();
        f.obey(Command::ModelOffer {
            id: "x".to_owned(),
            sha256: "../../hub".to_owned(),
            bytes: 9,
            note: String::new(),
            manifest_bytes: 9,
            signature: String::new(),
        });
        assert_eq!(f.store.model_offer().unwrap(), None);
        assert!(f.latest().contains("without a digest"), "{}", f.latest());
    }
}
