//! What heads with clinical context read beside the study embedding: the study's indication, as
//! hashed words or by a sentence encoder.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use models::engine::SentenceEncoder;
use models::tokens::context;
use models::weights::manifest::Pooling;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Table;
use crate::stage::clip::Data;

/// File names of a sentence encoder in a run folder and in a bundle.
pub(crate) const SENTENCE_FILES: [&str; 2] = ["context.onnx", "context-tokenizer.json"];

/// What makes the context's embedding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ContextConfig {
    /// So many values of hashed words; 0 trains no heads with context.
    Words(usize),
    /// A sentence encoder.
    Sentences(SentenceConfig),
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self::Words(0)
    }
}

/// A sentence encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceConfig {
    /// ONNX file with its weights in it.
    pub onnx: PathBuf,
    /// The `tokenizer.json` it was trained with.
    pub tokenizer: PathBuf,
    /// From the vectors of a text's tokens to one.
    #[serde(default)]
    pub pooling: Pooling,
}

impl<'de> Deserialize<'de> for ContextConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ContextConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of values, or { onnx = \"...\", tokenizer = \"...\" }")
            }

            fn visit_i64<E: Error>(self, values: i64) -> Result<ContextConfig, E> {
                let refused = |_| E::custom(format!("context is {values}, expected 0 or more"));
                usize::try_from(values).map(ContextConfig::Words).map_err(refused)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ContextConfig, A::Error> {
                let sentences = SentenceConfig::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ContextConfig::Sentences(sentences))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What `heads.toml` says of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSummary {
    /// Values of its embedding.
    pub dimension: usize,
    /// How a sentence encoder's vectors are pooled, where one made it.
    pub sentences: Option<Pooling>,
}

/// Indications to vectors.
pub(super) enum Encoder {
    Words(usize),
    Sentences(Box<SentenceEncoder>, SentenceConfig),
}

impl Encoder {
    /// What a configuration asks for, if anything.
    pub(super) fn open(config: &ContextConfig) -> anyhow::Result<Option<Self>> {
        let files = match config {
            ContextConfig::Words(0) => return Ok(None),
            ContextConfig::Words(dimension) => return Ok(Some(Self::Words(*dimension))),
            ContextConfig::Sentences(files) => files,
        };
        let read = |key: &str, path: &Path| {
            let named = || format!("cannot read {}, which context.{key} names", path.display());
            std::fs::read(path).with_context(named)
        };
        let graph = read("onnx", &files.onnx)?;
        let tokenizer = read("tokenizer", &files.tokenizer)?;
        let names = [&files.onnx, &files.tokenizer].map(|path| path.display().to_string());
        let encoder = SentenceEncoder::new(
            (names[0].as_str(), graph.as_slice()),
            (names[1].as_str(), tokenizer.as_slice()),
            files.pooling,
        )?;
        Ok(Some(Self::Sentences(Box::new(encoder), files.clone())))
    }

    fn dimension(&self) -> usize {
        match self {
            Self::Words(dimension) => *dimension,
            Self::Sentences(encoder, _) => encoder.dimension(),
        }
    }

    fn embed(&self, text: &str) -> anyhow::Result<Option<Vec<f32>>> {
        match self {
            Self::Words(dimension) => Ok(context::embed(text, *dimension)),
            Self::Sentences(encoder, _) => Ok(encoder.embed(text)?),
        }
    }

    /// Rows of a table that belong to studies, each joined with the embedding of its study's
    /// indication; zeros where that says nothing. Rows after the last study have no indication
    /// and are left out.
    pub(super) fn join(
        &self,
        table: &Table,
        data: &Data,
        studies: &[String],
    ) -> anyhow::Result<Table> {
        let reports: HashMap<&str, &str> = data
            .cohort
            .records
            .iter()
            .map(|record| (record.id.as_str(), record.report.indication.as_str()))
            .collect();
        let dimension = self.dimension();
        let mut features = Vec::with_capacity(studies.len() * (table.width + dimension));
        for (row, id) in table.features.chunks_exact(table.width).zip(studies) {
            let indication = reports.get(id.as_str()).copied().unwrap_or_default();
            let embedding = self.embed(indication).with_context(|| format!("study {id}"))?;
            features.extend_from_slice(row);
            features.extend(embedding.unwrap_or_else(|| vec![0.0; dimension]));
        }
        let targets = table.targets[..studies.len().min(table.targets.len())].to_vec();
        Ok(Table { features, width: table.width + dimension, targets })
    }

    /// Copies a sentence encoder into the run's folder, where `export` finds the one that the
    /// heads were trained with.
    pub(super) fn keep(&self, folder: &Path) -> anyhow::Result<ContextSummary> {
        let sentences = match self {
            Self::Words(_) => None,
            Self::Sentences(_, files) => {
                for (from, to) in [&files.onnx, &files.tokenizer].into_iter().zip(SENTENCE_FILES) {
                    std::fs::copy(from, folder.join(to))
                        .with_context(|| format!("cannot copy {}", from.display()))?;
                }
                Some(files.pooling)
            }
        };
        Ok(ContextSummary { dimension: self.dimension(), sentences })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Config {
        context: ContextConfig,
    }

    fn read(text: &str) -> Result<ContextConfig, String> {
        let config = toml::from_str::<Config>(text).map_err(|e| e.message().to_owned())?;
        Ok(config.context)
    }

    #[test]
    fn a_number_or_a_table() {
        assert_eq!(read("context = 32"), Ok(ContextConfig::Words(32)));
        let sentences = SentenceConfig {
            onnx: "model.onnx".into(),
            tokenizer: "tokenizer.json".into(),
            pooling: Pooling::Cls,
        };
        let sentences = ContextConfig::Sentences(sentences);
        let table = "context = { onnx = \"model.onnx\", tokenizer = \"tokenizer.json\", pooling = \"cls\" }";
        assert_eq!(read(table), Ok(sentences.clone()));
        // A run's folder keeps the configuration, and export reads it there.
        #[derive(Serialize)]
        struct Written {
            context: ContextConfig,
        }
        let text = toml::to_string(&Written { context: sentences.clone() }).unwrap();
        assert_eq!(read(&text), Ok(sentences));
        assert_eq!(read("context = -1"), Err("context is -1, expected 0 or more".to_owned()));
        let error = read("context = { onnx = \"a\", tokenizers = \"b\" }").unwrap_err();
        assert!(error.contains("unknown field `tokenizers`"), "{error}");
        let error = read("context = true").unwrap_err();
        assert!(error.contains("a number of values, or {"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_key() {
        let files = SentenceConfig {
            onnx: "no/such.onnx".into(),
            tokenizer: "no/such.json".into(),
            pooling: Pooling::Mean,
        };
        let error = Encoder::open(&ContextConfig::Sentences(files)).err().unwrap().to_string();
        assert_eq!(error, "cannot read no/such.onnx, which context.onnx names");
    }
}
