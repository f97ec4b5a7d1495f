//! A box in memory: the contract of [`Outbox`], as plainly as it can be written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::weather::byte;
use super::*;
use crate::command::Command;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    Pending,
    InFlight,
    Retry(i64),
    Acknowledged,
    Dead,
}

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) row: Row,
    pub(super) state: Stage,
    /// Digest, length, place, arrived.
    pub(super) blobs: Vec<(String, u64, Option<String>, bool)>,
}

/// A file that the hub offers, as far as it is here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offered {
    pub(super) sha256: String,
    pub(super) bytes: u64,
    pub(super) here: u64,
    /// Not asked for before.
    next_at: i64,
}

/// The contract of [`Outbox`], in memory. Power may fail before any call.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) now: Rc<Cell<i64>>,
    pub(super) rows: Vec<Kept>,
    pub(super) cursor: i64,
    pub(super) obeyed: Vec<i64>,
    pub(super) offer: Option<Offered>,
    pub(super) calls_until_power_cut: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("power cut")]
pub(super) struct PowerCut;

impl Memory {
    pub(super) fn power(&mut self) -> Result<(), PowerCut> {
        self.calls_until_power_cut = self.calls_until_power_cut.saturating_sub(1);
        if self.calls_until_power_cut == 0 { Err(PowerCut) } else { Ok(()) }
    }

    pub(super) fn is_due(&self, index: usize, now: i64) -> bool {
        let kept = &self.rows[index];
        let time = match kept.state {
            Stage::Pending => true,
            Stage::Retry(at) => at <= now,
            _ => false,
        };
        let held_up = !kept.row.study.is_empty()
            && self.rows[..index].iter().any(|before| {
                before.row.study == kept.row.study
                    && before.row.priority() <= kept.row.priority()
                    && match before.state {
                        Stage::Acknowledged => false,
                        Stage::Dead => kept.row.kind != Kind::Flag,
                        _ => true,
                    }
            });
        time && !held_up
    }

    /// What is due of the offer, or when something will be.
    fn offered(&self, now: i64) -> (Option<Wanted>, Option<i64>) {
        match self.offer.as_ref().filter(|offer| offer.here < offer.bytes) {
            None => (None, None),
            Some(offer) if offer.next_at > now => (None, Some(offer.next_at)),
            Some(Offered { sha256, bytes, here, .. }) => {
                let wanted = Wanted {
                    bundle: sha256.clone(),
                    path: String::new(),
                    sha256: sha256.clone(),
                    bytes: *bytes,
                    offset: *here,
                };
                (Some(wanted), None)
            }
        }
    }

    pub(super) fn of(&mut self, seq: i64) -> &mut Kept {
        self.rows.iter_mut().find(|kept| kept.row.key.seq == seq).unwrap()
    }
}

impl Outbox for Memory {
    type Error = PowerCut;

    fn next(&mut self, terms: &Terms) -> Result<Next, PowerCut> {
        self.power()?;
        let now = self.now.get();
        let mut due: Vec<usize> = (0..self.rows.len()).filter(|i| self.is_due(*i, now)).collect();
        due.retain(|i| {
            let priority = self.rows[*i].row.priority();
            priority <= terms.lowest || priority == Priority::Telemetry
        });
        let first = |i: &usize| {
            let row = &self.rows[*i].row;
            let telemetry = row.priority() == Priority::Telemetry;
            let flag = row.priority() == Priority::Flag;
            (!(flag || telemetry && terms.telemetry_first), row.priority(), row.key.seq)
        };
        due.sort_by_key(first);
        let Some(&index) = due.first() else {
            let (wanted, later) = self.offered(now);
            if let Some(wanted) = wanted.filter(|_| terms.lowest >= Priority::Images) {
                return Ok(Next::Fetch(wanted));
            }
            let times = self.rows.iter().filter_map(|kept| match kept.state {
                Stage::Retry(at) => Some(at),
                _ => None,
            });
            return Ok(Next::Nothing(times.chain(later).min()));
        };
        let ready = |kept: &Kept| kept.blobs.iter().all(|blob| blob.3);
        if !ready(&self.rows[index]) {
            let kept = &self.rows[index];
            let (sha256, bytes, place, _) = kept.blobs.iter().find(|blob| !blob.3).unwrap();
            return Ok(Next::Blob(Blob {
                seq: kept.row.key.seq,
                sha256: sha256.clone(),
                bytes: *bytes,
                place: place.clone(),
            }));
        }
        let mut batch: Vec<Row> = Vec::new();
        let mut bytes = 0;
        for i in due {
            let row = &self.rows[i].row;
            bytes += row.body.len();
            if !ready(&self.rows[i]) || batch.len() == terms.rows {
                break;
            }
            if !batch.is_empty() && bytes > terms.bytes {
                break;
            }
            batch.push(row.clone());
            self.rows[i].state = Stage::InFlight;
        }
        Ok(Next::Rows(batch))
    }

    fn hello(&mut self) -> Result<Hello, PowerCut> {
        self.power()?;
        Ok(Hello { cursor: self.cursor, ..Hello::default() })
    }

    fn read(
        &mut self,
        blob: &Blob,
        offset: u64,
        length: usize,
    ) -> Result<Option<Vec<u8>>, PowerCut> {
        self.power()?;
        let end = (offset + length as u64).min(blob.bytes);
        Ok(Some((offset..end).map(|i| byte(&blob.sha256, i)).collect()))
    }

    fn placed(&mut self, blob: &Blob, place: Option<&str>) -> Result<(), PowerCut> {
        self.power()?;
        for entry in &mut self.of(blob.seq).blobs {
            if entry.0 == blob.sha256 {
                entry.2 = place.map(str::to_owned);
            }
        }
        Ok(())
    }

    fn arrived(&mut self, blob: &Blob) -> Result<(), PowerCut> {
        self.power()?;
        for entry in &mut self.of(blob.seq).blobs {
            entry.3 |= entry.0 == blob.sha256;
        }
        Ok(())
    }

    fn settle(&mut self, answers: &[Answered], pause: Duration) -> Result<(), PowerCut> {
        self.power()?;
        let later = self.now.get() + millis(pause);
        for answer in answers {
            self.of(answer.key.seq).state = match answer.outcome {
                Outcome::Stored | Outcome::Duplicate => Stage::Acknowledged,
                Outcome::Rejected { .. } => Stage::Dead,
                Outcome::Later { .. } => Stage::Retry(later),
            };
        }
        Ok(())
    }

    fn interrupted(&mut self) -> Result<(), PowerCut> {
        self.power()?;
        for kept in &mut self.rows {
            if kept.state == Stage::InFlight {
                kept.state = Stage::Pending;
            }
        }
        Ok(())
    }

    fn failed(&mut self, seq: i64, _: &str, pause: Option<Duration>) -> Result<(), PowerCut> {
        self.power()?;
        let now = self.now.get();
        self.of(seq).state = pause.map_or(Stage::Dead, |pause| Stage::Retry(now + millis(pause)));
        Ok(())
    }

    fn obey(&mut self, commands: &[Numbered]) -> Result<(), PowerCut> {
        self.power()?;
        for command in commands.iter().filter(|command| command.number > self.cursor) {
            self.obeyed.push(command.number);
            match &command.command {
                Command::ModelOffer { sha256, bytes, .. } => {
                    let (sha256, bytes) = (sha256.clone(), *bytes);
                    self.offer = Some(Offered { sha256, bytes, here: 0, next_at: 0 });
                }
                Command::ModelWithdrawn { .. } => self.offer = None,
                _ => {}
            }
        }
        self.cursor = commands.last().map_or(self.cursor, |last| last.number.max(self.cursor));
        Ok(())
    }

    fn keep(&mut self, wanted: &Wanted, piece: &[u8]) -> Result<(), PowerCut> {
        let power = self.power();
        let offer = self.offer.as_mut().unwrap();
        assert_eq!((&offer.sha256, offer.here), (&wanted.bundle, wanted.offset));
        for (i, found) in (wanted.offset..).zip(piece) {
            assert_eq!(*found, byte(&wanted.sha256, i), "the wrong bytes at {i}");
        }
        // What a power cut leaves of a piece is a beginning of it.
        let kept = if power.is_ok() { piece.len() } else { piece.len() / 2 };
        offer.here += kept as u64;
        power
    }

    fn withheld(&mut self, _: &Wanted, _: &str, pause: Duration) -> Result<(), PowerCut> {
        self.power()?;
        let next_at = self.now.get() + millis(pause);
        self.offer.as_mut().unwrap().next_at = next_at;
        Ok(())
    }
}

/// The same for two: the courier changes it, the weather looks at it.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Rc<RefCell<Memory>>);

impl Outbox for Shared {
    type Error = PowerCut;

    fn next(&mut self, terms: &Terms) -> Result<Next, PowerCut> {
        self.0.borrow_mut().next(terms)
    }

    fn hello(&mut self) -> Result<Hello, PowerCut> {
        self.0.borrow_mut().hello()
    }

    fn read(
        &mut self,
        blob: &Blob,
        offset: u64,
        length: usize,
    ) -> Result<Option<Vec<u8>>, PowerCut> {
        self.0.borrow_mut().read(blob, offset, length)
    }

    fn placed(&mut self, blob: &Blob, place: Option<&str>) -> Result<(), PowerCut> {
        self.0.borrow_mut().placed(blob, place)
    }

    fn arrived(&mut self, blob: &Blob) -> Result<(), PowerCut> {
        self.0.borrow_mut().arrived(blob)
    }

    fn settle(&mut self, answers: &[Answered], pause: Duration) -> Result<(), PowerCut> {
        self.0.borrow_mut().settle(answers, pause)
    }

    fn interrupted(&mut self) -> Result<(), PowerCut> {
        self.0.borrow_mut().interrupted()
    }

    fn failed(&mut self, seq: i64, why: &str, pause: Option<Duration>) -> Result<(), PowerCut> {
        self.0.borrow_mut().failed(seq, why, pause)
    }

    fn obey(&mut self, commands: &[Numbered]) -> Result<(), PowerCut> {
        self.0.borrow_mut().obey(commands)
    }

    fn keep(&mut self, wanted: &Wanted, piece: &[u8]) -> Result<(), PowerCut> {
        self.0.borrow_mut().keep(wanted, piece)
    }

    fn withheld(&mut self, wanted: &Wanted, why: &str, pause: Duration) -> Result<(), PowerCut> {
        self.0.borrow_mut().withheld(wanted, why, pause)
    }
}
