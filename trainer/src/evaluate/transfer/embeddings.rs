//! Embeddings of the studies of a data set, each computed once.
//!
//! | file | content |
//! |---|---|
//! | `embeddings.json` | which model made them |
//! | `embeddings.jsonl` | a line for each study: its folder, what was read of it, or why nothing |
//! | `embeddings.f32` | a row for each line that was read, little-endian |
//!
//! A row is written before its line, so that what was cut off is a row too many and is cut back.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use evaluation::transfer::Refused;
use models::dicom::decoder::Decoder;
use models::dicom::read::Limits;
use models::engine::Engine;
use models::weights::bundle::hex;
use models::weights::manifest::MANIFEST;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::studies;

/// `embeddings.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Maker {
    /// Identity of the model.
    model: String,
    /// SHA-256 of its manifest, which pins every other file.
    manifest_sha256: String,
    /// Values of an embedding.
    width: usize,
}

/// A line of `embeddings.jsonl`. Of several for one study the last counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Folder of the study.
    study: String,
    /// Files below it, and their bytes: a study that has others is read again.
    files: usize,
    bytes: u64,
    /// Names of the series that were read.
    series: Vec<String>,
    /// Why none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Embeddings in memory, and the files that they are kept in.
pub(super) struct Embeddings {
    width: usize,
    rows: Vec<f32>,
    /// Line of each study, and its row where there is one.
    lines: HashMap<String, (Line, Option<usize>)>,
    /// Studies of which no folder could be read, and why; they are looked for again next time.
    absent: HashMap<String, String>,
    rows_file: File,
    lines_file: File,
}

impl Embeddings {
    /// Opens the embeddings of a folder, or begins them.
    ///
    /// # Errors
    ///
    /// When they are another model's or damaged, or the disk is full.
    pub(super) fn open(folder: &Path, engine: &Engine) -> anyhow::Result<Self> {
        let maker = begin(folder, engine)?;
        let [lines_path, rows_path] =
            ["embeddings.jsonl", "embeddings.f32"].map(|name| folder.join(name));
        let (lines_file, rows_file) = (append(&lines_path)?, append(&rows_path)?);
        let text = fs::read(&lines_path)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (mut lines, mut count) = (HashMap::new(), 0);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line)
                .with_context(|| format!("{} is damaged; remove it", lines_path.display()))?;
            let row = line.refused.is_none().then(|| {
                count += 1;
                count - 1
            });
            lines.insert(line.study.clone(), (line, row));
        }
        let bytes = fs::read(&rows_path)?;
        let expected = count * maker.width * 4;
        let kept = bytes.get(..expected).with_context(|| {
            let (path, found) = (rows_path.display(), bytes.len());
            format!("{path} has {found} bytes, its studies need {expected}; remove both")
        })?;
        let values = kept.as_chunks::<4>().0.iter();
        let rows = values.map(|value| f32::from_le_bytes(*value)).collect();
        lines_file.set_len(whole as u64)?;
        rows_file.set_len(expected as u64)?;
        let absent = HashMap::new();
        Ok(Self { width: maker.width, rows, lines, absent, rows_file, lines_file })
    }

    /// Embeds a study, unless that was done before.
    ///
    /// # Errors
    ///
    /// When the disk is full. A study that cannot be read is noted and is no error.
    pub(super) fn add(
        &mut self,
        engine: &Engine,
        folder: &Path,
        study: &str,
        decoder: &Decoder,
    ) -> anyhow::Result<()> {
        let path = folder.join(study);
        let (files, bytes) = match contents(&path) {
            Ok(contents) => contents,
            Err(error) => {
                self.absent.insert(study.to_owned(), format!("{error:#}"));
                return Ok(());
            }
        };
        let known = self.lines.get(study);
        if known.is_some_and(|(line, _)| (line.files, line.bytes) == (files, bytes)) {
            return Ok(());
        }
        let embedded = studies::read(engine, &path, decoder).and_then(|prepared| {
            let input = studies::input(engine, &prepared)?;
            Ok((input.series_names.clone(), engine.embedding(&input)?))
        });
        let mut line =
            Line { study: study.to_owned(), files, bytes, series: Vec::new(), refused: None };
        let mut row = None;
        match embedded {
            Err(error) => line.refused = Some(format!("{error:#}")),
            Ok((series, embedding)) => {
                line.series = series;
                row = Some(self.rows.len() / self.width);
                let bytes: Vec<u8> = embedding.iter().flat_map(|v| v.to_le_bytes()).collect();
                self.rows_file.write_all(&bytes)?;
                self.rows.extend(embedding);
            }
        }
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.lines_file.write_all(&text)?;
        self.lines.insert(study.to_owned(), (line, row));
        Ok(())
    }

    /// Values of an embedding.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The embedding of a study that has one.
    pub(super) fn row(&self, study: &str) -> Option<&[f32]> {
        if self.absent.contains_key(study) {
            return None;
        }
        let (_, row) = self.lines.get(study)?;
        self.rows.get((*row)? * self.width..)?.get(..self.width)
    }

    /// Those of some studies that have none, and why.
    pub(super) fn refused(&self, studies: &[String]) -> Vec<Refused> {
        let reason = |study: &String| {
            let absent = self.absent.get(study).cloned();
            absent.or_else(|| self.lines.get(study)?.0.refused.clone())
        };
        let refused =
            |study: &String| Some(Refused { study: study.clone(), reason: reason(study)? });
        studies.iter().filter_map(refused).collect()
    }
}

/// Notes who makes the embeddings of a folder, or finds it noted.
fn begin(folder: &Path, engine: &Engine) -> anyhow::Result<Maker> {
    let manifest = engine.bundle().manifest();
    let bytes = fs::read(engine.bundle().folder().join(MANIFEST))?;
    let maker = Maker {
        model: manifest.id.clone(),
        manifest_sha256: hex(&Sha256::digest(bytes)),
        width: manifest.sizes.embedding(),
    };
    let path = folder.join("embeddings.json");
    if path.exists() {
        let found: Maker = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("{} is damaged; give another --out", path.display()))?;
        ensure!(
            found == maker,
            "{} holds embeddings by another bundle ({}); give another --out",
            folder.display(),
            found.model
        );
    } else {
        fs::write(&path, serde_json::to_vec_pretty(&maker)?)?;
    }
    Ok(maker)
}

fn append(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// Files below a folder and their bytes.
fn contents(folder: &Path) -> anyhow::Result<(usize, u64)> {
    let limit = Limits::default().files;
    let (mut files, mut bytes) = (0, 0);
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let entries = fs::read_dir(&inner)
            .with_context(|| format!("{} cannot be listed", inner.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += entry.metadata()?.len();
            }
            ensure!(
                files + folders.len() <= limit,
                "more than {limit} files below {}",
                folder.display()
            );
        }
    }
    Ok((files, bytes))
}
