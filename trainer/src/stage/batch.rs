//! Studies of a token store as a network reads them, with every augmentation of the published
//! training (specification §11).

use models::dims::{LATENT, TOKEN_FEATURES};
use models::tokens::patchify::patch_size_vox;
use models::tokens::position::assemble_thin_first;
use models::tokens::text::char_ids;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::cohort::shard::{SeriesView, ShardError, Store, unpack_latents};
use crate::cohort::slices::Slices;

/// Shares by which training studies are disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Share of tokens left out.
    pub token_dropout: f64,
    /// Share of series left out; one always stays.
    pub series_dropout: f64,
    /// Share of studies of which one random series is left, and nothing else; their labels stay.
    /// A study of one series is far from what a network otherwise learns on. In `heads` and the
    /// head of `distill`, which read finished embeddings, they come beside the whole studies.
    pub single_series: f64,
    /// Share of series whose name becomes `unk`.
    pub unknown_name: f64,
    /// Share of studies whose description becomes `unk`.
    pub unknown_description: f64,
    /// The foreground threshold, 5 % of a patch, moves by up to so many points. Stored patches
    /// passed 5 %, so only the upward half has an effect.
    pub foreground_jitter: u8,
    /// Series in random order.
    pub shuffle_series: bool,
    /// Enumerated items of the report in random order.
    pub shuffle_report: bool,
    /// Most tokens of a series; beyond, those nearest to a random place. 0 takes all.
    pub most_tokens: usize,
    /// Where above 0, the limit of a step lies between this and `most_tokens`, small ones as often
    /// as large ones: more steps in the same time, and attention that has seen short and long
    /// series.
    pub fewest_tokens: usize,
    /// Simulated cohorts: share of series whose place is near a lesion, where they show one. The
    /// tokens around it come with it: were lesions picked out one by one, a cluster among tokens
    /// from all over the head would give them away.
    pub lesion_places: f64,
    /// Additional copies of abnormal studies in an epoch.
    pub abnormal_copies: usize,
}

impl Default for Augmentation {
    /// The published training.
    fn default() -> Self {
        Self {
            token_dropout: 0.03,
            series_dropout: 0.08,
            single_series: 0.0,
            unknown_name: 0.07,
            unknown_description: 0.0,
            foreground_jitter: 2,
            shuffle_series: true,
            shuffle_report: true,
            most_tokens: 0,
            fewest_tokens: 0,
            lesion_places: 0.0,
            abnormal_copies: 3,
        }
    }
}

impl Augmentation {
    /// Refuses what cannot be done; `section` is where the keys stand.
    ///
    /// # Errors
    ///
    /// Says which key, and what it may be.
    pub fn check(&self, section: &str) -> anyhow::Result<()> {
        for (key, share) in [
            ("token_dropout", self.token_dropout),
            ("series_dropout", self.series_dropout),
            ("single_series", self.single_series),
            ("unknown_name", self.unknown_name),
            ("unknown_description", self.unknown_description),
            ("lesion_places", self.lesion_places),
        ] {
            anyhow::ensure!(
                (0.0..=1.0).contains(&share),
                "{section}.{key} is {share}: it is a share, give 0 to 1"
            );
        }
        let Self { fewest_tokens, most_tokens, .. } = self;
        anyhow::ensure!(
            *fewest_tokens == 0 || fewest_tokens < most_tokens,
            "{section}.fewest_tokens is {fewest_tokens}, but most_tokens is {most_tokens}: give less than that, or 0 for no draw"
        );
        Ok(())
    }

    /// With the limit of one step on the tokens of a series.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of tokens between two others"
    )]
    pub fn of_step(self, rng: &mut ChaCha8Rng) -> Self {
        let Self { fewest_tokens: least, most_tokens: most, .. } = self;
        if least == 0 {
            return self;
        }
        let range = (least as f64).ln()..(most as f64).ln();
        Self { most_tokens: rng.random_range(range).exp().round() as usize, ..self }
    }

    /// Leaves studies as they are.
    #[must_use]
    pub fn none() -> Self {
        Self {
            token_dropout: 0.0,
            series_dropout: 0.0,
            single_series: 0.0,
            unknown_name: 0.0,
            unknown_description: 0.0,
            foreground_jitter: 0,
            shuffle_series: false,
            shuffle_report: false,
            most_tokens: 0,
            fewest_tokens: 0,
            lesion_places: 0.0,
            abnormal_copies: 0,
        }
    }
}

/// Foreground per cent from which patches are kept, before jitter (specification §4).
const FOREGROUND_PERCENT: u8 = 5;
/// The name that says nothing.
const UNKNOWN: &str = "unk";

/// One study, ready for tensors.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its series.
    pub series: Vec<SeriesExample>,
    /// Characters of the study description.
    pub description: Vec<u8>,
}

/// One series.
#[derive(Clone, Debug)]
pub struct SeriesExample {
    /// Which series of the study.
    pub index: usize,
    /// Characters of the name.
    pub name: Vec<u8>,
    /// `[T, 289]`, C-ordered.
    pub features: Vec<f32>,
    /// Lesion components in each token.
    pub components: Vec<u16>,
    /// The same series as slices, for networks that read these; else empty.
    pub slices: Slices,
}

impl SeriesExample {
    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.components.len()
    }
}

/// Reads a study and disturbs it.
///
/// # Errors
///
/// When the store does not hold it.
pub fn example(
    store: &Store,
    id: &str,
    augmentation: &Augmentation,
    rng: &mut ChaCha8Rng,
) -> Result<Example, ShardError> {
    let (description, views) = store.study(id)?;
    let kept = kept_series(&views, augmentation, rng);
    let series = kept.into_iter().map(|index| series(index, &views[index], augmentation, rng));
    let series: Vec<SeriesExample> = series.filter(|s| s.tokens() > 0).collect();
    let unknown = augmentation.unknown_description;
    let unknown = unknown > 0.0 && rng.random_bool(unknown);
    let description = char_ids(if unknown { UNKNOWN } else { description }).ids;
    Ok(Example { series, description })
}

/// Which series of a study are shown, in their order.
fn kept_series(
    views: &[SeriesView<'_>],
    augmentation: &Augmentation,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..views.len()).collect();
    if augmentation.shuffle_series {
        order.shuffle(rng);
    }
    // Without the share nothing is drawn: a run without it draws what it always drew.
    let single = augmentation.single_series;
    if single > 0.0 && rng.random_bool(single) {
        let shown: Vec<usize> =
            order.iter().copied().filter(|index| !views[*index].sequence.is_empty()).collect();
        if !shown.is_empty() {
            return vec![shown[rng.random_range(0..shown.len())]];
        }
    }
    let mut kept: Vec<usize> = Vec::new();
    for index in &order {
        if !rng.random_bool(augmentation.series_dropout) {
            kept.push(*index);
        }
    }
    if kept.is_empty() {
        kept.extend(order.first());
    }
    kept
}

/// Studies that a head is shown by one series as well, beside the whole.
pub(super) fn single_studies(ids: &[String], share: f64, rng: &mut ChaCha8Rng) -> Vec<String> {
    ids.iter().filter(|_| rng.random_bool(share)).cloned().collect()
}

fn series(
    index: usize,
    view: &SeriesView<'_>,
    augmentation: &Augmentation,
    rng: &mut ChaCha8Rng,
) -> SeriesExample {
    let name = if rng.random_bool(augmentation.unknown_name) { UNKNOWN } else { view.name };
    let jitter = augmentation.foreground_jitter;
    let least = if jitter == 0 {
        0
    } else {
        (FOREGROUND_PERCENT + rng.random_range(0..=2 * jitter)).saturating_sub(jitter)
    };
    let least = if least <= FOREGROUND_PERCENT { 0 } else { least };
    let mut tokens: Vec<u16> = view.sequence.to_vec();
    let foreground = |t: &u16| view.foreground[usize::from(*t)] >= least;
    if tokens.iter().any(foreground) {
        tokens.retain(foreground);
    }
    let all = tokens.clone();
    tokens.retain(|_| !rng.random_bool(augmentation.token_dropout));
    if tokens.is_empty() {
        tokens = all;
    }
    let most = augmentation.most_tokens;
    if most > 0 && tokens.len() > most {
        nearest(view, &mut tokens, most, augmentation.lesion_places, rng);
    }
    let mut features = vec![0.0; tokens.len() * TOKEN_FEATURES];
    let mut latent = [0.0; LATENT];
    for (token, out) in tokens.iter().zip(features.as_chunks_mut::<TOKEN_FEATURES>().0) {
        let at = usize::from(*token);
        unpack_latents(&view.values[2 * at * LATENT..2 * (at + 1) * LATENT], &mut latent);
        let start = view.coordinates[at].map(u32::from);
        assemble_thin_first(&latent, view.thin_axis, start, out);
    }
    let components = tokens.iter().map(|t| view.components[usize::from(*t)]).collect();
    let slices = Slices::default();
    SeriesExample { index, name: char_ids(name).ids, features, components, slices }
}

/// Keeps the `most` tokens that lie nearest to a random place, in their order.
fn nearest(
    view: &SeriesView<'_>,
    tokens: &mut Vec<u16>,
    most: usize,
    lesion_places: f64,
    rng: &mut ChaCha8Rng,
) {
    /// How far the place lies from the middle of a token, in patches.
    const JITTER: f32 = 1.5;
    let patch_vox = patch_size_vox(view.thin_axis);
    let position = |token: u16| -> [f32; 3] {
        let start = view.coordinates[usize::from(token)];
        std::array::from_fn(|a| f32::from(start[a]) / patch_vox[a] as f32)
    };
    let ill = |token: &&u16| view.components[usize::from(**token)] != 0;
    let lesions: Vec<u16> = tokens.iter().filter(ill).copied().collect();
    let near =
        if !lesions.is_empty() && rng.random_bool(lesion_places) { &lesions } else { &*tokens };
    let place = position(near[rng.random_range(0..near.len())]);
    let place = place.map(|v| v + rng.random_range(-JITTER..JITTER));
    let distance = |token: u16| -> f32 {
        let position = position(token);
        (0..3).map(|a| (position[a] - place[a]).powi(2)).sum()
    };
    tokens.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
    tokens.truncate(most);
    tokens.sort_unstable();
}

/// Items of an enumerated summary in random order, numbered again.
#[must_use]
pub fn shuffle_items(summary: &str, rng: &mut ChaCha8Rng) -> String {
    let mut items: Vec<&str> = summary
        .lines()
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit() || ". )".contains(c)))
        .filter(|item| !item.is_empty())
        .collect();
    items.shuffle(rng);
    let numbered = items.iter().enumerate().map(|(i, item)| format!("{}. {item}", i + 1));
    numbered.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_cannot_be_done_is_said() {
        let complaint = |augmentation: Augmentation| {
            augmentation.check("augmentation").err().map_or_else(String::new, |e| e.to_string())
        };
        let none = Augmentation::none();
        assert_eq!(complaint(none), "");
        assert_eq!(
            complaint(Augmentation { series_dropout: 1.5, ..none }),
            "augmentation.series_dropout is 1.5: it is a share, give 0 to 1"
        );
        assert_eq!(
            complaint(Augmentation { fewest_tokens: 50, most_tokens: 40, ..none }),
            "augmentation.fewest_tokens is 50, but most_tokens is 40: give less than that, or 0 for no draw"
        );
    }

    #[test]
    fn a_share_of_studies_is_left_with_one_series() {
        let view = |sequence: &'static [u16]| SeriesView {
            name: "t1",
            thin_axis: 0,
            values: &[],
            coordinates: &[],
            foreground: &[],
            components: &[],
            sequence,
        };
        // The third has no token left.
        let views = [view(&[0]), view(&[0]), view(&[]), view(&[0])];
        let drawn = |augmentation: Augmentation| -> Vec<Vec<usize>> {
            let kept =
                |seed| kept_series(&views, &augmentation, &mut ChaCha8Rng::seed_from_u64(seed));
            (0..400).map(kept).collect()
        };
        let none = Augmentation::none();
        let single = drawn(Augmentation { single_series: 1.0, ..none });
        for index in [0, 1, 3] {
            let count = single.iter().filter(|kept| **kept == [index]).count();
            assert!((90..180).contains(&count), "series {index} alone {count} times of 400");
        }
        assert!(single.iter().all(|kept| kept.len() == 1 && *kept != [2]));
        let some = drawn(Augmentation { single_series: 0.25, ..none });
        let alone = some.iter().filter(|kept| kept.len() == 1).count();
        assert!((60..140).contains(&alone), "{alone} of 400");
        assert!(some.iter().all(|kept| kept.len() == 1 || *kept == [0, 1, 2, 3]));
    }

    /// A slab of 10 x 10 patches with a lesion in one corner.
    fn slab() -> (Vec<[u16; 3]>, Vec<u16>) {
        let at = |i: u16| [0, i / 10 * 32, i % 10 * 32];
        let ill = |i: u16| u16::from(i / 10 < 2 && i % 10 < 2);
        ((0..100).map(at).collect(), (0..100).map(ill).collect())
    }

    #[test]
    fn a_subset_is_one_neighbourhood_with_or_without_the_lesion() {
        let (coordinates, components) = slab();
        let sequence: Vec<u16> = (0..100).collect();
        let view = SeriesView {
            name: "t1",
            thin_axis: 0,
            values: &[],
            coordinates: &coordinates,
            foreground: &[],
            components: &components,
            sequence: &sequence,
        };
        let shown = |lesion_places: f64| {
            let shown = (0..200).filter(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(*seed);
                let mut tokens = sequence.clone();
                nearest(&view, &mut tokens, 9, lesion_places, &mut rng);
                assert_eq!(tokens.len(), 9);
                assert!(tokens.is_sorted(), "in the order of the series");
                let span = |of: fn(u16) -> u16| {
                    let of = tokens.iter().map(|t| of(*t));
                    of.clone().max().unwrap() - of.min().unwrap()
                };
                assert!(span(|t| t / 10) < 6 && span(|t| t % 10) < 6, "{tokens:?}");
                tokens.iter().any(|t| components[usize::from(*t)] != 0)
            });
            shown.count()
        };
        assert!(shown(1.0) > 180, "near the lesion: {}", shown(1.0));
        assert!(shown(0.0) < 60, "anywhere: {}", shown(0.0));
    }
}
