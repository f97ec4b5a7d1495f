//! The box's side of the conversation: what is sent next, in which pieces, and when again.
//!
//! A [`Courier`] has no socket, no disk and no clock of its own: a [`Link`] carries, an [`Outbox`]
//! remembers, and whoever calls [`Courier::step`] says what time it is. Tests drive it through ten
//! thousand bad days in a few minutes.

mod backoff;
mod contract;
mod pace;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::offer::{PIECE_BYTES, Wanted};
use crate::row::{Priority, Row};
use crate::wire::{self, Reply, Request};
pub use backoff::Backoff;
use backoff::PAUSE;
pub use contract::{Blob, Fault, Link, Next, Outbox, Terms};
use pace::Pace;

/// Every so many pieces telemetry goes first: its share of a busy link.
const TELEMETRY_EVERY: u64 = 20;
/// Times that a blob may arrive as something else before its row is given up.
const SPOILED: u32 = 3;

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Until the next one; a new flag need not wait for it while the state is idle.
    pub pause: Duration,
    /// How it stands.
    pub state: State,
}

/// How it stands with the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is more to send.
    Working,
    /// All is sent.
    Idle,
    /// The hub does not answer, or not as it should; it is tried again.
    Waiting {
        /// In words.
        why: String,
    },
    /// Somebody has to do something; it is tried again every quarter of an hour.
    Barred {
        /// What, in words.
        why: String,
    },
}

/// Carries an outbox to a hub.
#[derive(Clone, Debug)]
pub struct Courier {
    backoff: Backoff,
    /// Time between two looks for commands.
    poll: Duration,
    pace: Pace,
    /// Of what is fetched: a satellite's way down is not its way up.
    down: Pace,
    /// Most rows in the next batch: halved by a batch that the hub does not take.
    rows: usize,
    /// Sent so far.
    pieces: u64,
    /// When the hub last answered a batch.
    answered: Option<i64>,
    /// Where the blob under way is, and how much of it is there.
    under_way: Option<(String, u64)>,
    /// Blobs that arrived as something else, by row.
    spoiled: BTreeMap<i64, u32>,
}

/// Why a step did not get through.
enum Stop<E> {
    Link(Fault),
    Outbox(E),
}

impl<E> From<Fault> for Stop<E> {
    fn from(fault: Fault) -> Self {
        Self::Link(fault)
    }
}

impl Courier {
    /// Looks for commands every `poll`; pauses depend on `seed`, so that five thousand boxes do not
    /// come back in the same second.
    #[must_use]
    pub fn new(seed: u64, poll: Duration) -> Self {
        Self {
            backoff: Backoff::new(seed),
            poll,
            pace: Pace::default(),
            down: Pace::default(),
            rows: wire::ROWS,
            pieces: 0,
            answered: None,
            under_way: None,
            spoiled: BTreeMap::new(),
        }
    }

    /// What the link carries, bytes a second.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.pace.goodput()
    }

    /// Sends one piece, asks for commands when that is due, or, with nothing to send, fetches one
    /// piece of what the hub offers. `now` is box time in milliseconds;
    /// nothing less urgent than `lowest` is sent.
    ///
    /// # Errors
    ///
    /// When the outbox fails; what the link does is a [`State`].
    pub fn step<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        now: impl Fn() -> i64,
        lowest: Priority,
    ) -> Result<Step, O::Error> {
        let terms = Terms {
            lowest,
            rows: self.rows,
            bytes: self.pace.piece(),
            telemetry_first: self.pieces % TELEMETRY_EVERY == TELEMETRY_EVERY - 1,
        };
        let started = now();
        let next = outbox.next(&terms)?;
        let (batch, sent) = match next {
            Next::Rows(rows) => (rows, true),
            Next::Blob(blob) if !self.poll_is_due(started) => {
                let seq = blob.seq;
                return match self.carry(outbox, link, &now, &blob) {
                    Ok(()) => Ok(self.worked()),
                    Err(Stop::Outbox(error)) => Err(error),
                    Err(Stop::Link(fault)) => self.blob_failed(outbox, seq, &fault),
                };
            }
            Next::Fetch(wanted) if !self.poll_is_due(started) => {
                return self.bring(outbox, link, &now, &wanted);
            }
            Next::Blob(_) | Next::Fetch(_) => (Vec::new(), true),
            Next::Nothing(until) if !self.poll_is_due(started) => {
                return Ok(self.idle(started, until));
            }
            Next::Nothing(_) => (Vec::new(), false),
        };
        match self.hand_over(outbox, link, &now, &batch) {
            Ok(more) if sent || more => Ok(self.worked()),
            Ok(_) => Ok(self.idle(now(), None)),
            Err(Stop::Outbox(error)) => Err(error),
            Err(Stop::Link(fault)) => {
                outbox.interrupted()?;
                self.batch_failed(outbox, &batch, &fault)
            }
        }
    }

    /// One batch and its answer; `true` when the hub has more commands.
    fn hand_over<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        now: &impl Fn() -> i64,
        rows: &[Row],
    ) -> Result<bool, Stop<O::Error>> {
        let hello = outbox.hello().map_err(Stop::Outbox)?;
        let request = Request { hello, rows: rows.to_vec() };
        let bytes = request.encode().map_err(|error| Fault::Silent(error.to_string()))?;
        let started = now();
        let answer = link.exchange(&bytes, self.pace.patience(bytes.len()))?;
        self.pace.measure(bytes.len(), now() - started);
        let reply = Reply::decode(&answer)
            .map_err(|error| Fault::Silent(format!("the answer is not a hub's: {error}")))?;
        self.answered = (!reply.head.more).then(now);
        self.backoff.answered();
        self.rows = (2 * self.rows).min(wire::ROWS);
        let pause = self.backoff.pause();
        outbox.settle(&reply.answers, pause).map_err(Stop::Outbox)?;
        if reply.answers.len() < rows.len() {
            outbox.interrupted().map_err(Stop::Outbox)?;
        }
        outbox.obey(&reply.commands).map_err(Stop::Outbox)?;
        Ok(reply.head.more)
    }

    /// One piece of a blob, after asking how much of it is there.
    fn carry<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        now: &impl Fn() -> i64,
        blob: &Blob,
    ) -> Result<(), Stop<O::Error>> {
        let (place, offset) = self.whereabouts(outbox, link, blob)?;
        if offset >= blob.bytes {
            self.under_way = None;
            return outbox.arrived(blob).map_err(Stop::Outbox);
        }
        let piece = outbox.read(blob, offset, self.pace.piece()).map_err(Stop::Outbox)?;
        // Without bytes the row is dead, and the next step finds another.
        let Some(piece) = piece else { return Ok(()) };
        let started = now();
        self.under_way = None;
        let offset = link.append(&place, offset, &piece, self.pace.patience(piece.len()))?;
        self.pace.measure(piece.len(), now() - started);
        self.backoff.answered();
        if offset >= blob.bytes {
            return outbox.arrived(blob).map_err(Stop::Outbox);
        }
        self.under_way = Some((place, offset));
        Ok(())
    }

    /// Where a blob is and how much of it is there.
    fn whereabouts<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        blob: &Blob,
    ) -> Result<(String, u64), Stop<O::Error>> {
        let Some(place) = &blob.place else {
            let place = link.create(&blob.sha256, blob.bytes)?;
            outbox.placed(blob, Some(&place)).map_err(Stop::Outbox)?;
            // The hub may have it already.
            return self.ask(outbox, link, blob, place);
        };
        match self.under_way.take() {
            Some((known, offset)) if known == *place => Ok((known, offset)),
            _ => self.ask(outbox, link, blob, place.clone()),
        }
    }

    fn ask<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        blob: &Blob,
        place: String,
    ) -> Result<(String, u64), Stop<O::Error>> {
        if let Some(offset) = link.offset(&place)? {
            return Ok((place, offset));
        }
        outbox.placed(blob, None).map_err(Stop::Outbox)?;
        Err(Fault::Refused { status: 410, said: "it no longer keeps the blob".to_owned() }.into())
    }

    /// One piece of what the hub offers. A failure costs the link no pause, in which a flag would
    /// wait: whether the link is down shows with the next batch.
    fn bring<O: Outbox>(
        &mut self,
        outbox: &mut O,
        link: &mut impl Link,
        now: &impl Fn() -> i64,
        wanted: &Wanted,
    ) -> Result<Step, O::Error> {
        let left = usize::try_from(wanted.bytes.saturating_sub(wanted.offset));
        let length = self.down.piece().min(PIECE_BYTES).min(left.unwrap_or(usize::MAX));
        let started = now();
        let (why, pause) = match link.fetch(wanted, length, self.down.patience(length)) {
            Ok(piece) if !piece.is_empty() && piece.len() <= length => {
                self.down.measure(piece.len(), now() - started);
                self.backoff.answered();
                outbox.keep(wanted, &piece)?;
                return Ok(self.worked());
            }
            Ok(piece) => {
                let found = piece.len();
                (format!("the hub sent {found} bytes, expected 1 to {length}"), PAUSE.1)
            }
            Err(fault @ (Fault::Refused { .. } | Fault::Failed(_))) => (fault.to_string(), PAUSE.1),
            Err(Fault::Silent(why)) => {
                self.down.halve();
                (why, self.backoff.failed())
            }
            Err(fault @ (Fault::Busy(_) | Fault::Barred(_))) => {
                return Ok(self.link_failed(&fault));
            }
        };
        outbox.withheld(wanted, &why, pause)?;
        Ok(self.worked())
    }

    /// What a failed batch means for its rows: one that is refused alone is at fault itself.
    fn batch_failed<O: Outbox>(
        &mut self,
        outbox: &mut O,
        rows: &[Row],
        fault: &Fault,
    ) -> Result<Step, O::Error> {
        let of_the_rows = match fault {
            Fault::Failed(_) => true,
            Fault::Refused { status, .. } => is_about_content(*status),
            _ => false,
        };
        match rows {
            [row] if matches!(fault, Fault::Refused { .. }) && of_the_rows => {
                outbox.failed(row.key.seq, &fault.to_string(), None)?;
                Ok(self.worked())
            }
            [row] if of_the_rows => {
                let pause = self.backoff.failed();
                // Longer than that of the link, so that others pass.
                let longer = 2 * pause + self.poll;
                outbox.failed(row.key.seq, &fault.to_string(), Some(longer))?;
                Ok(Step { pause, state: State::Waiting { why: fault.to_string() } })
            }
            [_, _, ..] if of_the_rows => {
                self.rows = rows.len() / 2;
                let pause = if matches!(fault, Fault::Failed(_)) {
                    self.backoff.failed()
                } else {
                    Duration::ZERO
                };
                Ok(Step { pause, state: State::Waiting { why: fault.to_string() } })
            }
            _ => Ok(self.link_failed(fault)),
        }
    }

    fn blob_failed<O: Outbox>(
        &mut self,
        outbox: &mut O,
        seq: i64,
        fault: &Fault,
    ) -> Result<Step, O::Error> {
        self.under_way = None;
        let Fault::Refused { status, .. } = fault else { return Ok(self.link_failed(fault)) };
        match status {
            // The next step asks where it stands; a place that is gone shows then.
            404 | 409 | 410 => {
                return Ok(Step { pause: self.backoff.failed(), state: State::Working });
            }
            460 => {
                let times = self.spoiled.entry(seq).or_default();
                *times += 1;
                if *times >= SPOILED {
                    outbox.failed(seq, &fault.to_string(), None)?;
                }
            }
            // No room: later, and what needs no room may pass.
            413 | 507 => outbox.failed(seq, &fault.to_string(), Some(PAUSE.1))?,
            _ if is_about_content(*status) => outbox.failed(seq, &fault.to_string(), None)?,
            _ => return Ok(self.link_failed(fault)),
        }
        Ok(self.worked())
    }

    fn link_failed(&mut self, fault: &Fault) -> Step {
        let why = fault.to_string();
        match fault {
            Fault::Barred(_) => Step { pause: PAUSE.1, state: State::Barred { why } },
            Fault::Busy(Some(pause)) => {
                Step { pause: self.backoff.busy(*pause), state: State::Waiting { why } }
            }
            Fault::Refused { status, .. } => {
                let why = format!("{why}; is this the address of the hub? (status {status})");
                Step { pause: PAUSE.1, state: State::Barred { why } }
            }
            Fault::Silent(_) | Fault::Busy(None) | Fault::Failed(_) => {
                self.pace.halve();
                Step { pause: self.backoff.failed(), state: State::Waiting { why } }
            }
        }
    }

    fn worked(&mut self) -> Step {
        self.pieces += 1;
        Step { pause: Duration::ZERO, state: State::Working }
    }

    /// Nothing to send: until the next poll, or the time of a row that waits for it.
    fn idle(&self, now: i64, until: Option<i64>) -> Step {
        let poll = self.answered.map_or(now, |then| then.saturating_add(millis(self.poll)));
        let wake = until.map_or(poll, |until| until.min(poll));
        let pause = Duration::from_millis(u64::try_from(wake - now).unwrap_or(0));
        Step { pause, state: State::Idle }
    }

    fn poll_is_due(&self, now: i64) -> bool {
        self.answered.is_none_or(|then| now - then >= millis(self.poll))
    }
}

/// True for a status that blames what was sent. Others may come from a proxy or a wrong address,
/// and must not cost a flag.
fn is_about_content(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
