//! Sizes in a configuration: the name of a preset, or all of them.

use std::fmt;

use models::labels::DIAGNOSES;
use models::nn::config::{
    MixerConfig, PatientDiscriminationConfig, PeaksConfig, PrimaConfig, TokenizerConfig, VitConfig,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Names that a configuration may give.
const PRESETS: &str = "\"prima\", \"reduced\", \"edge\" or \"tiny\"";

/// Sizes of the teacher that two cores can train: the transformers are the edge student's, which
/// so can begin with its teacher's weights; projection and heads are wider.
#[must_use]
pub fn reduced() -> PrimaConfig {
    let edge = PrimaConfig::edge();
    PrimaConfig {
        projection: 128,
        head_hidden: [512, 256],
        study_vit: VitConfig { output: 128, ..edge.study_vit },
        patient_discrimination: Some(PatientDiscriminationConfig { hidden: 128, output: 64 }),
        ..edge
    }
}

/// Sizes of the smoke configurations.
fn tiny() -> PrimaConfig {
    let tiny = PrimaConfig::tiny();
    let peaks = Some(PeaksConfig { hidden: 32, features: DIAGNOSES.len() });
    PrimaConfig {
        sequence_vit: VitConfig { peaks, ..tiny.sequence_vit },
        study_vit: VitConfig { peaks, ..tiny.study_vit },
        tokenizer: TokenizerConfig::Mixer(MixerConfig {
            width: 16,
            depth: 1,
            cell_hidden: 16,
            hidden: 32,
            codebook: 64,
            codebook_dim: 2,
        }),
        patient_discrimination: Some(PatientDiscriminationConfig { hidden: 16, output: 8 }),
        ..tiny
    }
}

/// Reads the value of `sizes`.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PrimaConfig, D::Error> {
    struct Sizes;
    impl<'de> Visitor<'de> for Sizes {
        type Value = PrimaConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{PRESETS}, or a table of sizes")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<PrimaConfig, E> {
            match name {
                "prima" => Ok(PrimaConfig::prima()),
                "reduced" => Ok(reduced()),
                "edge" => Ok(PrimaConfig::edge()),
                "tiny" => Ok(tiny()),
                _ => Err(E::custom(format!("sizes is {name:?}, expected {PRESETS}, or a table"))),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PrimaConfig, A::Error> {
            PrimaConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Sizes)
}

/// The same for the tokenizer's sizes alone.
pub(crate) fn tokenizer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<TokenizerConfig, D::Error> {
    struct Sizes;
    impl<'de> Visitor<'de> for Sizes {
        type Value = TokenizerConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{PRESETS}, or a table of sizes")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<TokenizerConfig, E> {
            let sizes: Result<PrimaConfig, E> =
                read(serde::de::value::StrDeserializer::<E>::new(name));
            Ok(sizes?.tokenizer)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TokenizerConfig, A::Error> {
            TokenizerConfig::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_fit_together() {
        reduced().validate().unwrap();
        tiny().validate().unwrap();
    }

    #[test]
    fn an_unknown_preset_is_named() {
        #[derive(Debug, serde::Deserialize)]
        struct Config {
            #[serde(deserialize_with = "read")]
            #[expect(dead_code, reason = "only the error is looked at")]
            sizes: PrimaConfig,
        }
        let error = toml::from_str::<Config>("sizes = \"huge\"").unwrap_err();
        assert_eq!(
            error.message(),
            "sizes is \"huge\", expected \"prima\", \"reduced\", \"edge\" or \"tiny\", or a table"
        );
    }
}
