//! A hub in memory, and the weather on the way to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::memory::Shared;
use super::*;
use crate::command::{Answer, Command};
use crate::courier::pace::PATIENCE;
use crate::wire::Head;

/// Content of a blob, of which nothing is kept.
pub(super) fn byte(sha256: &str, at: u64) -> u8 {
    (sha256.len() as u64 + at) as u8
}

/// The hub, in memory, and what was seen there.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) rows: BTreeMap<(String, i64), Row>,
    /// Order of effects.
    pub(super) effects: Vec<Row>,
    pub(super) blobs: BTreeMap<String, u64>,
    pub(super) commands: Vec<Numbered>,
    /// What it offers: name and length.
    pub(super) offer: Option<(String, u64)>,
    /// A row that it cannot digest, and what it says to it.
    pub(super) poison: Option<(i64, Fault)>,
}

impl Hub {
    pub(super) fn command(&mut self) {
        self.push(Command::Referral(Answer::default()));
    }

    /// In place of what it offered before; the name is that of no other offer.
    pub(super) fn offer(&mut self, bytes: u64) {
        let sha256 = format!("bundle {}", "x".repeat(self.commands.len()));
        self.offer = Some((sha256.clone(), bytes));
        self.push(Command::ModelOffer {
            id: String::new(),
            sha256,
            bytes,
            note: String::new(),
            manifest_bytes: bytes,
            signature: String::new(),
        });
    }

    pub(super) fn withdraw(&mut self) {
        let Some((sha256, _)) = self.offer.take() else { return };
        self.push(Command::ModelWithdrawn { sha256 });
    }

    fn push(&mut self, command: Command) {
        let number = self.commands.len() as i64 + 1;
        self.commands.push(Numbered { number, command });
    }

    pub(super) fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let request = Request::decode(bytes).unwrap();
        if let Some((poison, fault)) = &self.poison
            && request.rows.iter().any(|row| row.key.seq == *poison)
        {
            return Err(fault.clone());
        }
        let mut reply = Reply { head: Head::default(), ..Reply::default() };
        for row in request.rows {
            let key = (row.key.epoch.clone(), row.key.seq);
            assert!(row.is_intact());
            let outcome = match self.rows.get(&key) {
                Some(known) if known.sha256 == row.sha256 => Outcome::Duplicate,
                Some(_) => panic!("two rows with the key {key:?}"),
                None => {
                    self.rows.insert(key, row.clone());
                    self.effects.push(row.clone());
                    Outcome::Stored
                }
            };
            reply.answers.push(Answered { key: row.key, outcome });
        }
        let behind = self.commands.iter().filter(|c| c.number > request.hello.cursor);
        reply.commands = behind.clone().take(3).cloned().collect();
        reply.head.more = behind.count() > 3;
        Ok(reply.encode().unwrap())
    }
}

/// A link on a bad day.
pub(super) struct Weather<'a> {
    pub(super) now: &'a Cell<i64>,
    pub(super) dice: &'a RefCell<Dice>,
    pub(super) hub: &'a RefCell<Hub>,
    /// Bytes a second.
    pub(super) rate: u64,
    pub(super) latency_ms: i64,
    /// Of a hundred calls so many fail.
    pub(super) loss: u64,
    /// From then on the weather is good.
    pub(super) clears_at: i64,
    /// A request that the network kept, to deliver it once more.
    pub(super) stale: Option<Vec<u8>>,
    /// What waits behind a call.
    pub(super) memory: Shared,
    /// When the step began.
    pub(super) began: i64,
    /// Flags that waited behind a call that carried none, and rows behind a call that fetched.
    pub(super) overtaken: usize,
}

/// What the weather does to a call.
pub(super) enum Fate {
    Passes,
    Lost,
    AnswerLost,
}

impl Weather<'_> {
    /// Before a call: a flag that was due when the step began and is not in it waits behind it.
    pub(super) fn look(&mut self, sent: &[Row]) {
        if sent.first().is_some_and(|row| row.kind == Kind::Flag) {
            return;
        }
        self.overtaken += self.waiting(|kind| kind == Kind::Flag);
    }

    fn waiting(&self, which: impl Fn(Kind) -> bool) -> usize {
        let memory = self.memory.0.borrow();
        let waits = |i: &usize| which(memory.rows[*i].row.kind) && memory.is_due(*i, self.began);
        (0..memory.rows.len()).filter(waits).count()
    }

    pub(super) fn fate(&mut self, bytes: usize, patience: Duration) -> Result<Fate, Fault> {
        let good = self.now.get() >= self.clears_at;
        let mut dice = self.dice.borrow_mut();
        let loss = if good { 0 } else { self.loss };
        let taken = self.latency_ms + (bytes as u64 * 1000 / self.rate) as i64;
        if !good && dice.percent(3) {
            return Err(Fault::Failed(502));
        }
        if !good && dice.percent(5) {
            return Err(Fault::Busy(dice.percent(50).then_some(Duration::from_secs(9))));
        }
        if dice.percent(loss) {
            // A cut is seen at once, a black hole after the patience.
            let waited = if dice.percent(50) { taken / 2 } else { millis(patience) };
            self.now.set(self.now.get() + waited);
            return Ok(if dice.percent(50) { Fate::Lost } else { Fate::AnswerLost });
        }
        self.now.set(self.now.get() + taken);
        Ok(Fate::Passes)
    }
}

impl Link for Weather<'_> {
    fn exchange(&mut self, batch: &[u8], patience: Duration) -> Result<Vec<u8>, Fault> {
        self.look(&Request::decode(batch).unwrap().rows);
        if let Some(stale) = self.stale.take() {
            // Duplicated and late: its answer goes nowhere.
            drop(self.hub.borrow_mut().exchange(&stale));
        }
        let fate = self.fate(batch.len(), patience)?;
        if self.dice.borrow_mut().percent(self.loss / 4) {
            self.stale = Some(batch.to_vec());
        }
        match fate {
            Fate::Passes => self.hub.borrow_mut().exchange(batch),
            Fate::Lost => Err(Fault::Silent("cut".into())),
            Fate::AnswerLost => {
                drop(self.hub.borrow_mut().exchange(batch));
                Err(Fault::Silent("no answer".into()))
            }
        }
    }

    fn create(&mut self, sha256: &str, _: u64) -> Result<String, Fault> {
        let Fate::Passes = self.fate(200, PATIENCE)? else {
            return Err(Fault::Silent("cut".into()));
        };
        self.hub.borrow_mut().blobs.entry(sha256.to_owned()).or_default();
        Ok(sha256.to_owned())
    }

    fn offset(&mut self, place: &str) -> Result<Option<u64>, Fault> {
        let Fate::Passes = self.fate(200, PATIENCE)? else {
            return Err(Fault::Silent("cut".into()));
        };
        Ok(self.hub.borrow().blobs.get(place).copied())
    }

    fn append(
        &mut self,
        place: &str,
        offset: u64,
        piece: &[u8],
        patience: Duration,
    ) -> Result<u64, Fault> {
        self.look(&[]);
        let fate = self.fate(piece.len(), patience)?;
        let mut hub = self.hub.borrow_mut();
        let length = hub.blobs.get_mut(place).unwrap();
        if *length != offset {
            return Err(Fault::Refused { status: 409, said: String::new() });
        }
        for (i, found) in (offset..).zip(piece) {
            assert_eq!(*found, byte(place, i), "the wrong bytes at {i}");
        }
        let arrived = match fate {
            Fate::Passes | Fate::AnswerLost => piece.len(),
            // Half a piece is kept.
            Fate::Lost => piece.len() / 2,
        };
        *length += arrived as u64;
        match fate {
            Fate::Passes => Ok(*length),
            _ => Err(Fault::Silent("cut".into())),
        }
    }

    fn fetch(
        &mut self,
        wanted: &Wanted,
        length: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Fault> {
        self.overtaken += self.waiting(|_| true);
        let fate = self.fate(length, patience)?;
        let hub = self.hub.borrow();
        if hub.offer.as_ref() != Some(&(wanted.sha256.clone(), wanted.bytes)) {
            return Err(Fault::Refused { status: 404, said: "it was withdrawn".into() });
        }
        let length = match fate {
            Fate::Passes => length,
            // What came before the cut is kept.
            Fate::Lost if length > 1 => length / 2,
            Fate::Lost | Fate::AnswerLost => return Err(Fault::Silent("cut".into())),
        };
        Ok((wanted.offset..).take(length).map(|i| byte(&wanted.sha256, i)).collect())
    }
}
