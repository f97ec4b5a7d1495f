//! Batches as bytes: lines of JSON (NDJSON), compressed with Zstandard.
//!
//! `POST /v1/exchange` carries a [`Request`] and is answered by a [`Reply`] once the hub has
//! committed. An empty request is how a box asks for commands. Whoever decodes sets the limit that
//! the decompressed text may have: a few bytes of Zstandard can stand for gigabytes.

use std::io::Read as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::Numbered;
use crate::offer::Progress;
use crate::row::{Key, Row};

/// Path of the exchange.
pub const PATH: &str = "/v1/exchange";
/// Media type of both directions.
pub const MEDIA_TYPE: &str = "application/x-ndjson+zstd";
/// Longest compressed request.
pub const REQUEST_BYTES: usize = 1024 * 1024;
/// Longest text of a request or reply.
pub const TEXT_BYTES: usize = 4 * 1024 * 1024;
/// Most rows in a request.
pub const ROWS: usize = 500;
/// Most commands in a reply; what remains comes with the next.
pub const COMMANDS: usize = 100;
/// Fast, and small enough for texts of a few kilobytes.
const LEVEL: i32 = 3;

/// First line of a request: how it stands with the box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Number of the last command that is on the box's disk.
    pub cursor: i64,
    /// The box's wall clock, milliseconds since 1970, right or wrong.
    pub wall_ms: i64,
    /// Version of its program.
    pub software: String,
    /// Model in force.
    pub model: String,
    /// Rows that wait, by priority.
    pub backlog: [u64; 4],
    /// Rows that were given up.
    pub dead: u64,
    /// How far the model is there that the hub offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Progress>,
}

/// What a box says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How it stands with it.
    pub hello: Hello,
    /// Rows, in the order in which they are to be stored.
    pub rows: Vec<Row>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was new and is on the hub's disk.
    Stored,
    /// The hub had it, with this content.
    Duplicate,
    /// The hub does not want it; sending it again changes nothing.
    Rejected {
        /// Why.
        code: Rejection,
        /// The same, for people.
        reason: String,
    },
    /// Not now; it is to be sent again later.
    Later {
        /// Why, for people.
        reason: String,
    },
}

/// Why a hub rejects a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Another row with this key is there: two boxes use one identity, or a disk was copied.
    Fork,
    /// The digest is not that of the content.
    Damaged,
    /// The body is not what its kind says.
    Body,
    /// It names a blob that the hub does not have.
    Blob,
}

/// The hub's answer to a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The row.
    #[serde(flatten)]
    pub key: Key,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a hub says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// First line.
    pub head: Head,
    /// An answer for each row, in their order.
    pub answers: Vec<Answered>,
    /// Commands behind the box's cursor, in order.
    pub commands: Vec<Numbered>,
}

/// First line of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The hub's clock, milliseconds since 1970.
    pub wall_ms: i64,
    /// There are commands behind the last one of this reply.
    pub more: bool,
}

/// A line after the first.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Answer(Answered),
    Command(Numbered),
}

/// Why bytes are no batch.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No Zstandard, or more text than allowed.
    #[error("the batch is not Zstandard, or longer than {limit} bytes when unpacked")]
    Packed {
        /// Most that is unpacked.
        limit: usize,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No text.
    #[error("the batch is longer than {limit} bytes when unpacked")]
    Long {
        /// Most that is unpacked.
        limit: usize,
    },
    /// Not even a first line.
    #[error("the batch is empty, expected a first line that says who speaks")]
    Empty,
    /// A line that is not what stands there.
    #[error("line {line} of the batch cannot be read")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Too many rows.
    #[error("the batch has more than {ROWS} rows")]
    Rows,
}

impl Request {
    /// As sent.
    ///
    /// # Errors
    ///
    /// When the text cannot be made.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut lines = Lines::default();
        lines.push(&self.hello)?;
        for row in &self.rows {
            lines.push(row)?;
        }
        lines.pack()
    }

    /// From what was sent.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let text = unpack(bytes)?;
        let mut lines = lines(&text);
        let hello = first(&mut lines)?;
        let mut rows = Vec::new();
        for (number, line) in lines {
            if rows.len() == ROWS {
                return Err(WireError::Rows);
            }
            rows.push(read(number, line)?);
        }
        Ok(Self { hello, rows })
    }
}

impl Reply {
    /// As sent.
    ///
    /// # Errors
    ///
    /// When the text cannot be made.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut lines = Lines::default();
        lines.push(&self.head)?;
        for answer in &self.answers {
            lines.push(answer)?;
        }
        for command in &self.commands {
            lines.push(command)?;
        }
        lines.pack()
    }

    /// From what was sent.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let text = unpack(bytes)?;
        let mut lines = lines(&text);
        let mut reply = Self { head: first(&mut lines)?, ..Self::default() };
        for (number, line) in lines {
            match read(number, line)? {
                Line::Answer(answer) => reply.answers.push(answer),
                Line::Command(command) => reply.commands.push(command),
            }
        }
        Ok(reply)
    }
}

/// Text under way.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, line: &impl Serialize) -> Result<(), WireError> {
        serde_json::to_writer(&mut self.0, line)
            .map_err(|source| WireError::Line { line: 0, source })?;
        self.0.push(b'\n');
        Ok(())
    }

    fn pack(self) -> Result<Vec<u8>, WireError> {
        zstd::encode_all(self.0.as_slice(), LEVEL)
            .map_err(|source| WireError::Packed { limit: TEXT_BYTES, source })
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let packed = |source| WireError::Packed { limit: TEXT_BYTES, source };
    let mut text = Vec::new();
    // One byte more than allowed shows that there is more.
    let limit = TEXT_BYTES as u64 + 1;
    zstd::Decoder::new(bytes)
        .map_err(packed)?
        .take(limit)
        .read_to_end(&mut text)
        .map_err(packed)?;
    if text.len() > TEXT_BYTES {
        return Err(WireError::Long { limit: TEXT_BYTES });
    }
    Ok(text)
}

/// Numbered from 1.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| (i + 1, line))
}

fn first<'a, T: DeserializeOwned>(
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<T, WireError> {
    let (number, line) = lines.next().ok_or(WireError::Empty)?;
    read(number, line)
}

fn read<T: DeserializeOwned>(number: usize, line: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(line).map_err(|source| WireError::Line { line: number, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Answer, Command};
    use crate::row::Kind;

    fn row(seq: i64) -> Row {
        let key = Key { epoch: "e".into(), seq };
        Row::seal(key, Kind::Outcome, String::new(), 1, format!("{{\"n\":{seq}}}"))
    }

    #[test]
    fn a_request_survives_the_wire() {
        let offer = Progress { here: 3, bytes: 7, why: "no room".into(), ..Progress::default() };
        let hello =
            Hello { cursor: 3, backlog: [1, 2, 3, 4], offer: Some(offer), ..Hello::default() };
        let request = Request { hello, rows: (1..=40).map(row).collect() };
        let bytes = request.encode().unwrap();
        assert_eq!(Request::decode(&bytes).unwrap(), request);
        assert!(bytes.len() < 40 * 100, "compressed: {}", bytes.len());
    }

    #[test]
    fn a_reply_survives_the_wire() {
        let key = Key { epoch: "e".into(), seq: 1 };
        let rejected = Outcome::Rejected { code: Rejection::Fork, reason: "two boxes".into() };
        let answers = [Outcome::Stored, Outcome::Duplicate, rejected]
            .map(|outcome| Answered { key: key.clone(), outcome });
        let kill = Command::KillSwitch { on: true, reason: "drift".into() };
        let commands = [Command::Referral(Answer::default()), kill];
        let commands = commands.into_iter().enumerate();
        let reply = Reply {
            head: Head { wall_ms: 9, more: true },
            answers: answers.into(),
            commands: commands.map(|(i, command)| Numbered { number: i as i64, command }).collect(),
        };
        assert_eq!(Reply::decode(&reply.encode().unwrap()).unwrap(), reply);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = zstd::encode_all(vec![b'\n'; 1 << 26].as_slice(), 19).unwrap();
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        assert!(matches!(Request::decode(&bomb), Err(WireError::Long { .. })));
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        assert!(matches!(Request::decode(b"x"), Err(WireError::Packed { .. })));
        let empty = zstd::encode_all(&b""[..], LEVEL).unwrap();
        assert!(matches!(Request::decode(&empty), Err(WireError::Empty)));
        let mut lines = Lines::default();
        lines.push(&Hello::default()).unwrap();
        lines.push(&row(1)).unwrap();
        lines.push(&"a row?").unwrap();
        let error = Request::decode(&lines.pack().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "line 3 of the batch cannot be read");
        let request = Request { rows: vec![row(1); ROWS + 1], ..Request::default() };
        let bytes = request.encode().unwrap();
        assert!(matches!(Request::decode(&bytes), Err(WireError::Rows)));
    }
}
