//! What a courier needs of its surroundings: a way to the hub, and the box's memory.

use std::time::Duration;

use crate::command::Numbered;
use crate::offer::Wanted;
use crate::row::{Priority, Row};
use crate::wire::{Answered, Hello};

/// The way to a hub. Every call blocks until it is answered, or until it is clear that it will not
/// be.
pub trait Link {
    /// Hands over a batch ([`crate::wire::Request`]) and returns the answer's bytes.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn exchange(&mut self, batch: &[u8], patience: Duration) -> Result<Vec<u8>, Fault>;

    /// Makes a place for a blob (tus 1.0, creation); returns where it is.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn create(&mut self, sha256: &str, bytes: u64) -> Result<String, Fault>;

    /// How much of a blob is there (tus 1.0, HEAD); `None` when there is no such place.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn offset(&mut self, place: &str) -> Result<Option<u64>, Fault>;

    /// Appends to a blob (tus 1.0, PATCH) and returns its new length.
    ///
    /// # Errors
    ///
    /// What went wrong; [`Fault::Refused`] with status 409 when the offset is another, 404 or 410
    /// when the place is gone, 460 when the whole is not what its digest says.
    fn append(
        &mut self,
        place: &str,
        offset: u64,
        piece: &[u8],
        patience: Duration,
    ) -> Result<u64, Fault>;

    /// The next bytes of a file that the hub offers, at most `length` (GET with a range, RFC 9110
    /// 14.2).
    ///
    /// # Errors
    ///
    /// What went wrong; [`Fault::Refused`] when the hub does not offer it, or not at that length.
    fn fetch(
        &mut self,
        wanted: &Wanted,
        length: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Fault>;
}

/// Why a call over a link failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, cut off, no answer: nobody knows whether it arrived.
    #[error("{0}")]
    Silent(String),
    /// The hub is not to be asked for so long (429, 503).
    #[error("the hub is busy")]
    Busy(Option<Duration>),
    /// The hub failed (5xx).
    #[error("the hub failed with status {0}")]
    Failed(u16),
    /// The hub does not take this (4xx).
    #[error("the hub refused with status {status}: {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The first words of its answer.
        said: String,
    },
    /// The hub, or this box, does not trust the other: certificate expired, not yet valid, revoked,
    /// unknown (401, 403, TLS alerts). In words, with what to do.
    #[error("{0}")]
    Barred(String),
}

/// A blob on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The row that waits for it.
    pub seq: i64,
    /// What it is called, and what it must be.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Where the hub keeps it, once that was asked.
    pub place: Option<String>,
}

/// What is sent, or fetched, next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Rows whose blobs are all there, in the order in which they are to be sent; they are marked as
    /// being in flight.
    Rows(Vec<Row>),
    /// The next blob of the most urgent row.
    Blob(Blob),
    /// Nothing is to be sent now, not even an image, and the next piece of what the hub offers may
    /// come.
    Fetch(Wanted),
    /// Nothing is due; the next row that waits for its time is due then, box time in milliseconds.
    Nothing(Option<i64>),
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Nothing less urgent than this, except that telemetry follows results.
    pub lowest: Priority,
    /// Most rows in a batch.
    pub rows: usize,
    /// Most bytes of bodies in a batch; the first row may be longer.
    pub bytes: usize,
    /// Telemetry goes first this time, so that it does not wait for ever behind images.
    pub telemetry_first: bool,
}

/// The box's memory. Every change is on the disk when the call returns.
///
/// States of a row: pending, in flight, acknowledged, retry at a time, dead. A row is due when its
/// time has come and no earlier row of its study with the same or a more urgent priority is
/// unacknowledged; a dead row holds up its study in the same way, except that later flags pass it,
/// because a flag says all that its predecessors said.
pub trait Outbox {
    /// Why it failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is sent next.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn next(&mut self, terms: &Terms) -> Result<Next, Self::Error>;

    /// How it stands with this box, for the first line of a batch.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn hello(&mut self) -> Result<Hello, Self::Error>;

    /// Bytes of a blob from an offset on, at most `length`; `None` when they cannot be had any
    /// more, with the reason noted at the row, which is dead then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn read(
        &mut self,
        blob: &Blob,
        offset: u64,
        length: usize,
    ) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The hub keeps a blob there; `None` when it no longer does.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn placed(&mut self, blob: &Blob, place: Option<&str>) -> Result<(), Self::Error>;

    /// The hub has all of a blob.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn arrived(&mut self, blob: &Blob) -> Result<(), Self::Error>;

    /// The hub answered for these rows: stored and duplicate are acknowledged, rejected is dead,
    /// later is retried after `pause`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn settle(&mut self, answers: &[Answered], pause: Duration) -> Result<(), Self::Error>;

    /// Nobody knows what became of the rows in flight: they are pending again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn interrupted(&mut self) -> Result<(), Self::Error>;

    /// One row failed, and others may pass: it is tried again after `pause`, or, without one, is
    /// dead.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn failed(&mut self, seq: i64, why: &str, pause: Option<Duration>) -> Result<(), Self::Error>;

    /// Carries out commands in order, and remembers their last number in the same transaction.
    /// Commands that were carried out before are passed over.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn obey(&mut self, commands: &[Numbered]) -> Result<(), Self::Error>;

    /// A piece of what the hub offers, which begins where `wanted` said.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn keep(&mut self, wanted: &Wanted, piece: &[u8]) -> Result<(), Self::Error>;

    /// A piece of what the hub offers did not come; it is asked for again after `pause`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn withheld(&mut self, wanted: &Wanted, why: &str, pause: Duration) -> Result<(), Self::Error>;
}
