//! Scanners that stream, are cut off, come back, send again what was not answered, and keep the
//! receipts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tests::sender::{Association, Peer, SUCCESS, Slice, slice};

/// Slices of a study. They are dealt out to all scanners, so that several associations write to
/// the same study at the same time.
pub(crate) const STUDY: u64 = 12;
/// Slices in one association.
const ASSOCIATION: u64 = 17;
/// How long a scanner waits after a refusal or a broken connection.
const PAUSE: Duration = Duration::from_millis(10);

/// An instance that was answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) sop_uid: String,
    pub(crate) sha256: [u8; 32],
    /// Our port on that association.
    pub(crate) port: u16,
}

/// One of several scanners that share the work.
#[derive(Debug)]
pub(crate) struct Scanner {
    seed: u64,
    /// Its next slice; the others have, or will have, the `step - 1` up to the one after.
    next: u64,
    step: u64,
    /// After a cut the last answered slice is sent again, as by a scanner that lost count.
    pub(crate) repeats: bool,
    pub(crate) receipts: Vec<Receipt>,
    /// Answers other than success: status and comment.
    pub(crate) refusals: Vec<(u16, String)>,
}

/// What the scanners and the one who cuts them off tell each other.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) enough: AtomicBool,
    /// Connections that broke, or never came to be.
    pub(crate) breaks: AtomicUsize,
    /// Instances answered with success.
    pub(crate) received: AtomicUsize,
    /// Instances answered otherwise.
    pub(crate) refused: AtomicUsize,
}

/// Tells the scanners that it is enough when it goes out of scope.
pub(crate) struct Enough<'a>(pub(crate) &'a Line);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.enough.store(true, Ordering::Relaxed);
    }
}

/// The slice at a place in an endless row of studies. Most are small, because what is tested
/// happens per instance; some need several PDUs.
pub(crate) fn slice_at(seed: u64, index: u64) -> Slice {
    let side = match index {
        index if index % 53 == 5 => 320,
        index if index % 7 == 3 => 128,
        _ => 16,
    };
    let number = index % STUDY;
    slice(seed, index / STUDY, 1 + number / (STUDY / 2), number, side)
}

impl Scanner {
    pub(crate) fn crew(seed: u64, count: u64) -> Vec<Self> {
        let scanner = |next| Self {
            seed,
            next,
            step: count,
            repeats: true,
            receipts: Vec::new(),
            refusals: Vec::new(),
        };
        (0..count).map(scanner).collect()
    }

    /// Studies that the crew has begun, one perhaps with a slice that was not answered.
    pub(crate) fn studies(crew: &[Self]) -> u64 {
        crew.iter().map(|scanner| scanner.next / STUDY + 1).max().unwrap_or(0)
    }

    /// Sends until it is enough, over as many associations as that takes.
    pub(crate) fn stream(&mut self, peer: &Peer, line: &Line) {
        if self.repeats && !self.receipts.is_empty() {
            self.next -= self.step;
        }
        while !line.enough.load(Ordering::Relaxed) {
            if self.associate(peer, line, u64::MAX).is_err() {
                line.breaks.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        }
    }

    /// Sends what is missing of the first so many studies.
    pub(crate) fn complete(&mut self, peer: &Peer, studies: u64) -> io::Result<()> {
        while self.next < studies * STUDY {
            self.associate(peer, &Line::default(), studies * STUDY)?;
        }
        Ok(())
    }

    fn associate(&mut self, peer: &Peer, line: &Line, end: u64) -> io::Result<()> {
        let mut association = Association::open(peer)?;
        for _ in 0..ASSOCIATION {
            if line.enough.load(Ordering::Relaxed) || self.next >= end {
                break;
            }
            let slice = slice_at(self.seed, self.next);
            let answer = association.store(&slice)?;
            if answer.status == SUCCESS {
                let (sha256, port) = (slice.sha256(), association.port()?);
                self.receipts.push(Receipt { sop_uid: slice.sop_uid, sha256, port });
                self.next += self.step;
                line.received.fetch_add(1, Ordering::Relaxed);
            } else {
                self.refusals.push((answer.status, answer.comment));
                line.refused.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        }
        association.release()
    }
}
