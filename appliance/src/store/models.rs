//! Installed models and the switches on them.

use rusqlite::{Row, Transaction};
use serde::Serialize;
use serde_json::json;

use super::audit::{self, Entry};
use super::{Store, StoreError, decisions};

/// What a model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Not at all.
    Off,
    /// It scores every study, and nobody sees it.
    Shadow,
    /// Its results order the worklist.
    Assist,
}

impl Mode {
    /// As stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Assist => "assist",
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "assist" => Self::Assist,
            "shadow" => Self::Shadow,
            _ => Self::Off,
        }
    }
}

/// An installed model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// SHA-256 of its manifest, hexadecimal.
    pub digest: String,
    /// Its id in the manifest.
    pub name: String,
    /// Folder below the data folder.
    pub folder: String,
    /// What it is used for.
    pub mode: Mode,
    /// Box time of installation.
    pub installed_at: i64,
    /// Box time it last became the assisting model.
    pub promoted_at: Option<i64>,
    /// Box time the kill switch was thrown.
    pub killed_at: Option<i64>,
    /// Encoder of the clinical context, empty when it reads none.
    pub context_encoder: String,
    /// Latest self-test as JSON.
    pub self_test: Option<String>,
    /// Origin of the weights in one sentence.
    pub provenance: String,
}

impl Model {
    /// In use: not off and not killed.
    #[must_use]
    pub fn in_force(&self) -> bool {
        self.mode != Mode::Off && self.killed_at.is_none()
    }
}

/// Why no study is analysed; `None` while a model assists.
#[must_use]
pub fn not_analysed(models: &[Model]) -> Option<&'static str> {
    let assistants = || models.iter().filter(|model| model.mode == Mode::Assist);
    if assistants().any(Model::in_force) {
        None
    } else if assistants().next().is_some() {
        Some("the model's kill switch is on")
    } else if models.is_empty() {
        Some("no model is installed")
    } else {
        Some("no model is switched on")
    }
}

/// Why a model's use was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ModelSwitchError {
    /// No such model.
    #[error(
        "no installed model is called {name:?} or has a digest that begins so; see `appliance model list`"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// More than one fits.
    #[error("{name:?} fits {count} installed models; give more digits of the digest")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Models that fit.
        count: usize,
    },
    /// A kill switch is released on purpose or not at all.
    #[error("the kill switch of {name} is on; release it first with `appliance model revive`")]
    Killed {
        /// The model.
        name: String,
    },
    /// Nothing to roll back to.
    #[error("there is no earlier model to go back to")]
    NoEarlier,
    /// The database failed.
    #[error("the model was not changed")]
    Store(#[from] StoreError),
}

const COLUMNS: &str = "digest, name, folder, mode, installed_at, promoted_at, killed_at,
                       context_encoder, self_test, provenance";

impl Store {
    /// All installed models: the assisting one, shadows, then the others, newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn models(&self) -> Result<Vec<Model>, StoreError> {
        self.read(|db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM model ORDER BY CASE mode WHEN 'assist' THEN 0
                 WHEN 'shadow' THEN 1 ELSE 2 END, installed_at DESC, id DESC"
            );
            let mut query = db.prepare_cached(&sql)?;
            let rows = query.query_map([], model)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Finds a model by its name or the beginning of its digest.
    ///
    /// # Errors
    ///
    /// When none or several fit, or the database fails.
    pub fn find_model(&self, name: &str) -> Result<Model, ModelSwitchError> {
        let fits = |m: &Model| m.name == name || (name.len() >= 4 && m.digest.starts_with(name));
        let mut found: Vec<Model> = self.models()?.into_iter().filter(fits).collect();
        match (found.pop(), found.len()) {
            (Some(model), 0) => Ok(model),
            (Some(_), more) => {
                Err(ModelSwitchError::Ambiguous { name: name.to_owned(), count: more + 1 })
            }
            (None, _) => Err(ModelSwitchError::Unknown { name: name.to_owned() }),
        }
    }

    /// Registers a model whose files are in place; one that is known stays as it is.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn install_model(&self, model: &Model, actor: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.write(|tx| {
            let rows = tx.execute(
                "INSERT INTO model (digest, name, folder, installed_at, context_encoder, self_test,
                                    provenance)
                 VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
                (
                    &model.digest,
                    &model.name,
                    &model.folder,
                    now,
                    &model.context_encoder,
                    &model.self_test,
                    &model.provenance,
                ),
            )?;
            if rows == 0 {
                return Ok(());
            }
            self.model_audit(tx, actor, "model.install", model, &json!({}))
        })
    }

    /// Changes what a model is used for. The model that assisted before a new one is switched
    /// off, and stays installed.
    ///
    /// # Errors
    ///
    /// When there is no such model or the database fails.
    pub fn set_model_mode(
        &self,
        name: &str,
        mode: Mode,
        actor: &str,
    ) -> Result<Model, ModelSwitchError> {
        let model = self.find_model(name)?;
        if mode == Mode::Assist && model.killed_at.is_some() {
            return Err(ModelSwitchError::Killed { name: model.name });
        }
        let now = self.clock.now();
        self.write(|tx| {
            if mode == Mode::Assist {
                tx.execute("UPDATE model SET mode = 'off' WHERE mode = 'assist'", [])?;
                tx.execute(
                    "UPDATE model SET promoted_at = ? WHERE digest = ?",
                    (now, &model.digest),
                )?;
            }
            tx.execute("UPDATE model SET mode = ? WHERE digest = ?", (mode.word(), &model.digest))?;
            decisions::recompute_open(tx, now)?;
            let detail = json!({"from": model.mode.word(), "to": mode.word()});
            self.model_audit(tx, actor, "model.mode", &model, &detail)
        })?;
        self.find_model(&model.digest)
    }

    /// Goes back to the model that assisted before the present one.
    ///
    /// # Errors
    ///
    /// When there is none or the database fails.
    pub fn rollback_model(&self, actor: &str) -> Result<Model, ModelSwitchError> {
        let mut models = self.models()?;
        models.retain(|m| m.mode != Mode::Assist && m.promoted_at.is_some());
        let earlier = models.into_iter().max_by_key(|m| m.promoted_at);
        let earlier = earlier.ok_or(ModelSwitchError::NoEarlier)?;
        self.set_model_mode(&earlier.digest, Mode::Assist, actor)
    }

    /// Throws or releases the kill switch of one model: from the next look of the analysis task,
    /// within a second, it is not used, and nothing it said is shown.
    ///
    /// # Errors
    ///
    /// When there is no such model or the database fails.
    pub fn kill_model(
        &self,
        name: &str,
        killed: bool,
        actor: &str,
    ) -> Result<Model, ModelSwitchError> {
        let model = self.find_model(name)?;
        self.write(|tx| self.kill(tx, &model, killed, actor, &json!({})))?;
        self.find_model(&model.digest)
    }

    /// The hub's kill switch: off are all models that assist, on again only those that it switched
    /// off itself.
    pub(in crate::store) fn kill_by_hub(
        &self,
        tx: &Transaction<'_>,
        on: bool,
        reason: &str,
    ) -> Result<(), StoreError> {
        let which = if on {
            "mode = 'assist' AND killed_at IS NULL"
        } else {
            "killed_at IS NOT NULL AND killed_by = 'hub'"
        };
        let mut query = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM model WHERE {which}"))?;
        let models: Vec<Model> = query.query_map([], model)?.collect::<Result<_, _>>()?;
        let detail = json!({ "reason": reason });
        models.iter().try_for_each(|model| self.kill(tx, model, on, "hub", &detail))
    }

    fn kill(
        &self,
        tx: &Transaction<'_>,
        model: &Model,
        killed: bool,
        actor: &str,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (at, by) = if killed { (Some(now), actor) } else { (None, "") };
        tx.execute(
            "UPDATE model SET killed_at = ?, killed_by = ? WHERE digest = ?",
            (at, by, &model.digest),
        )?;
        decisions::recompute_open(tx, now)?;
        let action = if killed { "model.kill" } else { "model.revive" };
        self.model_audit(tx, actor, action, model, detail)
    }

    /// Keeps the outcome of a self-test.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn set_self_test(&self, digest: &str, json: &str) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("UPDATE model SET self_test = ? WHERE digest = ?", (json, digest))?;
            Ok(())
        })
    }

    fn model_audit(
        &self,
        tx: &Transaction<'_>,
        actor: &str,
        action: &str,
        model: &Model,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let object = format!("model {} {}", model.name, model.digest);
        audit::append(tx, self.clock(), &Entry { actor, action, object: &object, detail })
    }
}

fn model(row: &Row<'_>) -> Result<Model, rusqlite::Error> {
    Ok(Model {
        digest: row.get(0)?,
        name: row.get(1)?,
        folder: row.get(2)?,
        mode: Mode::from_word(&row.get::<_, String>(3)?),
        installed_at: row.get(4)?,
        promoted_at: row.get(5)?,
        killed_at: row.get(6)?,
        context_encoder: row.get(7)?,
        self_test: row.get(8)?,
        provenance: row.get(9)?,
    })
}
