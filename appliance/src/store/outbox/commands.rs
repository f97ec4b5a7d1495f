//! What the hub tells this box: answers to flags, the kill switch, models that can be had.

use exchange::command::{Answer, Command, Numbered};
use rusqlite::{OptionalExtension as _, Transaction};
use serde_json::json;

use crate::store::audit::{self, Entry};
use crate::store::events::{self, Level};
use crate::store::offers::Offer;
use crate::store::{Store, StoreError};

/// Characters of a note, of an action and of other texts that are kept.
const LONGEST_NOTE: usize = 4000;
const LONGEST_TEXT: usize = 500;
/// Actions of an answer that are kept.
const ACTIONS: usize = 20;

impl Store {
    /// Carries out commands in order and keeps their last number, in one transaction. Those that
    /// were carried out before are passed over.
    ///
    /// # Errors
    ///
    /// When the database fails; then nothing was carried out.
    pub fn obey(&self, commands: &[Numbered]) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let known: i64 = tx
                .prepare_cached("SELECT coalesce(max(cursor), 0) FROM hub_profile")?
                .query_row([], |row| row.get(0))?;
            let mut last = known;
            for Numbered { number, command } in commands {
                if *number <= last {
                    continue;
                }
                last = *number;
                match command {
                    Command::Referral(answer) => self.answer(tx, answer, now)?,
                    Command::KillSwitch { on, reason } => {
                        self.kill_by_hub(tx, *on, &cut(reason, LONGEST_TEXT))?;
                        let what = if *on { "switched the model off" } else { "allowed the model" };
                        let text = format!("the hub {what}: {}", cut(reason, LONGEST_TEXT));
                        events::insert(tx, now, Level::Warning, "model", &text)?;
                    }
                    Command::ModelOffer { id, sha256, bytes, note, manifest_bytes, signature } => {
                        let offer = Offer {
                            sha256: cut(sha256, LONGEST_TEXT),
                            name: cut(id, LONGEST_TEXT),
                            bytes: *bytes,
                            manifest_bytes: *manifest_bytes,
                            signature: cut(signature, LONGEST_NOTE),
                            ..Offer::default()
                        };
                        self.offered(tx, &offer, &cut(note, LONGEST_TEXT), now)?;
                    }
                    Command::ModelWithdrawn { sha256 } => {
                        self.offer_withdrawn(tx, sha256, now)?;
                    }
                }
            }
            if last > known {
                tx.prepare_cached("UPDATE hub_profile SET cursor = ?")?.execute([last])?;
            }
            Ok(())
        })
    }

    fn answer(&self, tx: &Transaction<'_>, answer: &Answer, now: i64) -> Result<(), StoreError> {
        // By the name that the flag had, so that a pseudonym leads back to its study.
        let study: Option<i64> = tx
            .prepare_cached(
                "SELECT study_id FROM outbox WHERE study = ?1 AND kind = 'flag'
                 UNION ALL SELECT id FROM study WHERE uid = ?1 LIMIT 1",
            )?
            .query_row([&answer.study], |row| row.get(0))
            .optional()?;
        let Some(study) = study else {
            let text = "the hub answered for a study that this box does not know";
            return events::insert(tx, now, Level::Warning, "hub", text);
        };
        let actions: Vec<String> =
            answer.actions.iter().take(ACTIONS).map(|action| cut(action, LONGEST_TEXT)).collect();
        tx.prepare_cached(
            "INSERT INTO referral_answer (study_id, status, answered_by, note, actions, hub_at, at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute((
            study,
            answer.status.word(),
            cut(&answer.by, LONGEST_TEXT),
            cut(&answer.note, LONGEST_NOTE),
            json!(actions).to_string(),
            answer.at_ms,
            now,
        ))?;
        let entry = Entry {
            actor: "hub",
            action: "referral.answer",
            object: &format!("study {study}"),
            detail: &json!({ "status": answer.status.word() }),
        };
        audit::append(tx, self.clock(), &entry)
    }
}

/// What comes from elsewhere has no end that we set.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
