//! Studies of a cohort as an engine reads them.

use std::path::Path;

use models::dims::LATENT;
use models::engine::{Engine, SeriesTokens, StudyInput, StudyTokens};
use models::tokens::StudyPatches;

use crate::cohort::shard::{SeriesView, Store, Values, unpack_latents};
use crate::stage::batch::{Augmentation, example};
use crate::stage::run::rng;

/// Patches of a cohort, or its stored tokens where they are those of the engine's tokenizer; then
/// a few studies' patches are enough to tell.
pub struct Inputs<'a> {
    engine: &'a Engine,
    patches: Store,
    tokens: Option<Store>,
}

impl<'a> Inputs<'a> {
    /// Opens the shards of a cohort folder.
    ///
    /// # Errors
    ///
    /// When they are damaged, or a study cannot be read.
    pub fn open(engine: &'a Engine, folder: &Path) -> anyhow::Result<Self> {
        let patches = Store::open(folder, Values::Patches)?;
        let mut inputs = Self { engine, patches, tokens: None };
        if let Ok(tokens) = Store::open(folder, Values::Latents)
            && inputs.are_own(&tokens)?
        {
            inputs.tokens = Some(tokens);
        }
        Ok(inputs)
    }

    /// The tokens where they are read, else the patches.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.tokens.as_ref().unwrap_or(&self.patches)
    }

    /// True when tokens are read and none are computed.
    #[must_use]
    pub fn stored(&self) -> bool {
        self.tokens.is_some()
    }

    /// A study, unless it has no series.
    ///
    /// # Errors
    ///
    /// When the store does not hold it, or a value is not finite.
    pub fn study(&self, id: &str) -> anyhow::Result<Option<StudyInput>> {
        let (description, views) = self.store().study(id)?;
        if views.is_empty() {
            return Ok(None);
        }
        let tokens = match &self.tokens {
            None => self.engine.encode(&patches(&views), |_| {})?,
            Some(store) => {
                let example = example(store, id, &Augmentation::none(), &mut rng(0, 0))?;
                let series = example.series.into_iter();
                let series = series.map(|s| SeriesTokens { features: s.features }).collect();
                StudyTokens { series }
            }
        };
        Ok(Some(StudyInput {
            tokens,
            series_names: views.iter().map(|v| v.name.to_owned()).collect(),
            study_description: description.to_owned(),
            clinical_context: None,
        }))
    }

    /// Compares the stored tokens of the first and the last study that has patches with what the engine makes of
    /// their patches: no digest has to be believed.
    fn are_own(&self, tokens: &Store) -> anyhow::Result<bool> {
        /// Latent values are stored as f16.
        const TOLERANCE: f32 = 0.02;
        let ids: Vec<&str> = self.patches.ids().collect();
        if !ids.iter().all(|id| tokens.contains(id)) {
            return Ok(false);
        }
        for id in [ids.first(), ids.last()].into_iter().flatten() {
            let (_, views) = self.patches.study(id)?;
            let (_, stored) = tokens.study(id)?;
            let made = self.engine.encode(&patches(&views), |_| {})?;
            for ((view, stored), made) in views.iter().zip(&stored).zip(&made.series) {
                let mut latent = [0.0; LATENT];
                for (at, unique) in view.sequence.iter().enumerate() {
                    let from = usize::from(*unique) * LATENT * 2;
                    let Some(bytes) = stored.values.get(from..from + LATENT * 2) else {
                        return Ok(false);
                    };
                    unpack_latents(bytes, &mut latent);
                    let differs =
                        |(a, b): (&f32, &f32)| (a - b).abs() > TOLERANCE * b.abs().max(1.0);
                    if latent.iter().zip(made.token(at)).any(differs) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

fn patches(views: &[SeriesView<'_>]) -> StudyPatches {
    StudyPatches { series: views.iter().map(SeriesView::patches).collect() }
}
