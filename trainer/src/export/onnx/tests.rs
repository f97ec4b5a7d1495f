//! A sentence encoder of one block, written as the other graphs are, and read as a hospital's
//! would be.

use std::fs;

use models::engine::{DeviceChoice, Engine, Precision, SentenceEncoder, device};
use models::nn::config::PrimaConfig;
use models::tokens::context::SENTENCES;
use models::weights::bundle::{Bundle, hex};
use models::weights::init::{InitOptions, write_untrained};
use models::weights::manifest::{FileEntry, MANIFEST, Manifest, Pooling, SentenceFiles};
use serde_json::json;
use sha2::{Digest, Sha256};
use tract_onnx::pb::tensor_proto::DataType;

use super::graph::{Axis, Graph, as_i64, integer};

/// Values of a token's vector.
const D: usize = 8;
/// Most tokens of a text, which the tokenizer says; the table of positions has two more.
const LONGEST: usize = 6;
const WORDS: [&str; 7] = ["[UNK]", "[CLS]", "[SEP]", "sudden", "headache", "known", "glioma"];

/// Tables and matrices of `D` columns.
struct Weights {
    words: Vec<f32>,
    positions: Vec<f32>,
    types: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Weights {
    fn new() -> Self {
        let mut state = 7u32;
        let mut noise = |rows: usize| -> Vec<f32> {
            let next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from(u8::try_from(state >> 24).unwrap()) / 256.0 - 0.5
            };
            std::iter::repeat_with(next).take(rows * D).collect()
        };
        Self {
            words: noise(WORDS.len()),
            positions: noise(LONGEST + 2),
            types: noise(2),
            queries: noise(D),
            keys: noise(D),
            values: noise(D),
        }
    }

    /// The graph; `first` is the name of its first input, `shape` that of its output.
    fn graph(&self, first: &str, shape: &[i64]) -> Vec<u8> {
        let mut graph = Graph::default();
        let axes = [Axis::Named("batch"), Axis::Named("sequence")];
        let [ids, mask, types] = [first, "attention_mask", "token_type_ids"]
            .map(|name| graph.input(name, DataType::Int64, &axes));
        let table =
            |graph: &mut Graph, values: &[f32]| graph.floats(values, &[values.len() / D, D]);
        let words = table(&mut graph, &self.words);
        let words = graph.node("Gather", &[&words, &ids], vec![integer("axis", 0)]);
        let kinds = table(&mut graph, &self.types);
        let kinds = graph.node("Gather", &[&kinds, &types], vec![integer("axis", 0)]);
        let length = graph.node("Shape", &[&ids], Vec::new());
        let length = graph.slice(&length, 0, 1, 2);
        let start = graph.integers(&[0]);
        let positions = table(&mut graph, &self.positions);
        let positions = graph.slice_to(&positions, 0, &start, &length);
        let x = graph.add(&words, &positions);
        let x = graph.add(&x, &kinds);
        let x = graph.reshape(&x, &[-1, as_i64(D)]); // [T, D]
        let [queries, keys, values] = [&self.queries, &self.keys, &self.values].map(|matrix| {
            let matrix = table(&mut graph, matrix);
            graph.matmul(&x, &matrix)
        });
        let keys = graph.transpose(&keys, &[1, 0]);
        let scores = graph.matmul(&queries, &keys);
        // As BERT does it: what the mask leaves out is far below everything else.
        let mask = graph.node("Cast", &[&mask], vec![integer("to", DataType::Float as i64)]);
        let (one, far) = (graph.floats(&[1.0], &[1]), graph.floats(&[1e4], &[1]));
        let mask = graph.node("Sub", &[&mask, &one], Vec::new());
        let mask = graph.node("Mul", &[&mask, &far], Vec::new());
        let scores = graph.add(&scores, &mask);
        let weights = graph.node("Softmax", &[&scores], vec![integer("axis", -1)]);
        let attended = graph.matmul(&weights, &values);
        let x = graph.add(&x, &attended);
        let output = graph.reshape(&x, shape);
        let axes = [Axis::Named("batch"), Axis::Named("sequence"), Axis::Fixed(D)];
        graph.output("last_hidden_state", &output, &axes[3 - shape.len()..]);
        graph.finish("sentences")
    }

    /// The same in plain Rust: one vector a token.
    fn vectors(&self, ids: &[usize]) -> Vec<Vec<f32>> {
        let row = |table: &[f32], at: usize| table[at * D..(at + 1) * D].to_vec();
        let sum =
            |a: Vec<f32>, b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
        let times = |x: &[f32], matrix: &[f32]| -> Vec<f32> {
            (0..D).map(|c| (0..D).map(|r| x[r] * matrix[r * D + c]).sum()).collect()
        };
        let x: Vec<Vec<f32>> = ids
            .iter()
            .enumerate()
            .map(|(at, id)| {
                let word = sum(row(&self.words, *id), &row(&self.positions, at));
                sum(word, &row(&self.types, 0))
            })
            .collect();
        let attend = |own: &Vec<f32>| {
            let query = times(own, &self.queries);
            let score = |other: &Vec<f32>| -> f32 {
                query.iter().zip(times(other, &self.keys)).map(|(q, k)| q * k).sum()
            };
            let powers: Vec<f32> = x.iter().map(|other| score(other).exp()).collect();
            let total: f32 = powers.iter().sum();
            let mut attended = own.clone();
            for (power, other) in powers.iter().zip(&x) {
                let value = times(other, &self.values);
                attended.iter_mut().zip(value).for_each(|(sum, v)| *sum += power / total * v);
            }
            attended
        };
        x.iter().map(attend).collect()
    }

    fn embedding(&self, ids: &[usize], pooling: Pooling) -> Vec<f32> {
        let vectors = self.vectors(ids);
        let pooled: Vec<f32> = match pooling {
            Pooling::Cls => vectors[0].clone(),
            Pooling::Mean => (0..D)
                .map(|c| vectors.iter().map(|v| v[c]).sum::<f32>() / vectors.len() as f32)
                .collect(),
        };
        let length = pooled.iter().map(|v| v * v).sum::<f32>().sqrt();
        pooled.iter().map(|v| v / length).collect()
    }
}

/// A file as sentence encoders come with: it asks for padding, which would change the mean.
fn tokenizer() -> Vec<u8> {
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let added = |(id, content): (usize, &str)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let named = |id: usize| json!({"id": WORDS[id], "ids": [id], "tokens": [WORDS[id]]});
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let file = json!({
        "version": "1.0",
        "truncation": {
            "direction": "Right", "max_length": LONGEST, "strategy": "LongestFirst", "stride": 0,
        },
        "padding": {
            "strategy": {"Fixed": LONGEST}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[UNK]",
        },
        "added_tokens": WORDS.into_iter().enumerate().take(3).map(added).collect::<Vec<_>>(),
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), sequence("A"), special("[SEP]")],
            "pair": [special("[CLS]"), sequence("A"), special("[SEP]"), sequence("B")],
            "special_tokens": {"[CLS]": named(1), "[SEP]": named(2)},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    serde_json::to_vec(&file).unwrap()
}

fn opened(graph: &[u8], tokenizer: &[u8], pooling: Pooling) -> Result<SentenceEncoder, String> {
    SentenceEncoder::new(("model.onnx", graph), ("tokenizer.json", tokenizer), pooling)
        .map_err(|error| error.to_string())
}

#[test]
fn a_graph_embeds_as_plain_rust_does() {
    let weights = Weights::new();
    let graph = weights.graph("input_ids", &[1, -1, as_i64(D)]);
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let encoder = opened(&graph, &tokenizer(), pooling).unwrap();
        assert_eq!(encoder.dimension(), D);
        for (text, ids) in [
            ("Sudden headache", &[1, 3, 4, 2][..]),
            ("glioma", &[1, 6, 2][..]),
            ("known glioma, sudden", &[1, 5, 6, 0, 3, 2][..]),
            // Cut to the longest.
            ("headache known glioma sudden headache known", &[1, 4, 5, 6, 3, 2][..]),
        ] {
            let found = encoder.embed(text).unwrap().unwrap();
            let expected = weights.embedding(ids, pooling);
            let differences = found.iter().zip(&expected).map(|(f, e)| (f - e).abs());
            let worst = differences.fold(0.0, f32::max);
            assert!(found.len() == D && worst < 1e-5, "{text}: {found:?} {expected:?}");
        }
        assert_eq!(encoder.embed(" \n").unwrap(), None);
    }
}

#[test]
fn what_is_no_sentence_encoder_is_refused_in_words() {
    let weights = Weights::new();
    let shape = [1, -1, as_i64(D)];
    let good = weights.graph("input_ids", &shape);
    let refusal = |graph: &[u8], tokenizer: &[u8]| {
        opened(graph, tokenizer, Pooling::Mean).err().unwrap_or_default()
    };
    for (graph, reason) in [
        (b"no graph".to_vec(), "tract: "),
        (Vec::new(), "tract: "),
        (weights.graph("pixels", &shape), "it asks for pixels;"),
        (weights.graph("input_ids", &shape[1..]), "its first output is "),
    ] {
        let said = refusal(&graph, &tokenizer());
        let start = format!("model.onnx is no sentence encoder: {reason}");
        assert!(said.starts_with(&start), "{said}");
    }
    let said = refusal(&good, b"{}");
    assert!(said.starts_with("tokenizer.json is no tokenizer: "), "{said}");
    let without = "give the tokenizer.json that the sentence encoder was trained with";
    assert!(said.ends_with(without), "{said}");
}

#[test]
fn a_bundle_serves_the_encoder_that_lies_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("bundle");
    let sizes = PrimaConfig::tiny();
    let options = InitOptions { preset: "tiny", sizes, seed: 1, context_dimension: Some(D) };
    let cpu = device(DeviceChoice::Cpu).unwrap();
    write_untrained(&options, &folder, &cpu, &mut |_, _| {}).unwrap();
    let mut manifest = Bundle::open(&folder).unwrap().manifest().clone();
    let graph = Weights::new().graph("input_ids", &[1, -1, as_i64(D)]);
    for (path, content) in [("context.onnx", &graph), ("context-tokenizer.json", &tokenizer())] {
        fs::write(folder.join(path), content).unwrap();
        let (bytes, sha256) = (content.len() as u64, hex(&Sha256::digest(content)));
        manifest.files.push(FileEntry { path: path.to_owned(), bytes, sha256 });
    }
    let heads = manifest.context.as_mut().unwrap();
    heads.encoder = SENTENCES.to_owned();
    heads.sentences = Some(SentenceFiles {
        graph: "context.onnx".to_owned(),
        tokenizer: "context-tokenizer.json".to_owned(),
        pooling: Pooling::Cls,
    });
    let write = |manifest: &Manifest| {
        fs::write(folder.join(MANIFEST), toml::to_string(manifest).unwrap()).unwrap();
    };
    write(&manifest);
    let bundle = Bundle::open(&folder).unwrap();
    let engine = Engine::open(bundle, DeviceChoice::Cpu, Precision::Full).unwrap();
    let alone = opened(&graph, &tokenizer(), Pooling::Cls).unwrap();
    let text = "known glioma";
    assert_eq!(engine.clinical_context(text).unwrap(), alone.embed(text).unwrap());
    assert_eq!(engine.clinical_context("").unwrap(), None);

    manifest.context.as_mut().unwrap().encoder = "noise".to_owned();
    write(&manifest);
    let said = Bundle::open(&folder).unwrap_err().to_string();
    assert!(
        said.contains("context.encoder is \"noise\", expected \"onnx_sentences_v1\""),
        "{said}"
    );
}
