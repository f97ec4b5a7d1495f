//! What goes on to other systems of the hospital: referrals as FHIR transactions, DICOM objects by
//! STOW-RS or C-STORE.
//!
//! Each destination has a worker of its own, so that one that is dead delays no other. One that
//! cannot be reached is asked again and again, with growing pauses, and nothing is given up. What
//! it refuses is offered a limited number of times, while what is behind it goes out; then a person
//! decides. A transaction is made when it is sent, from what is known then.

mod archive;
pub mod settings;

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use exchange::push::{Http, PATIENCE, Parcel, Verdict};
use exchange::{fhir, stow};

use crate::blobs::{BlobError, BlobStore, Name};
use crate::db::DbError;
use crate::fault::chain;
use crate::store::Store;
use crate::store::outbound::{Job, Kind};
use settings::Settings;

/// Nobody else sends a job for so long. A sending has ended by then.
const LEASE: Duration = PATIENCE.saturating_mul(2);
/// Refusals after which a job is given up.
const REFUSALS: u32 = 10;
/// Between two looks for jobs.
const TICK: Duration = Duration::from_secs(2);
/// After the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause between two tries to reach a destination.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// Longest pause between two tries of a job that was refused.
const LONGEST_REFUSAL: Duration = Duration::from_secs(3600);

/// What is handed over.
pub enum Load {
    /// A transaction (FHIR), JSON.
    Transaction(String),
    /// A DICOM object, as a file.
    Object {
        /// Its digest.
        sha256: String,
        /// Its bytes.
        content: Box<dyn Read + Send>,
        /// Their number.
        bytes: u64,
    },
}

impl Load {
    /// As a request of HTTP, and who understands the answer to it.
    fn parcel(self) -> (Parcel, fn(u16, &str) -> Verdict) {
        match self {
            Self::Transaction(body) => (Parcel::transaction(body), fhir::verdict),
            Self::Object { sha256, content, bytes } => {
                (Parcel::object(&sha256, content, bytes), stow::verdict)
            }
        }
    }
}

/// Where loads are handed over.
pub trait Door: Send {
    /// Returns what became of it.
    fn hand_over(&mut self, load: Load) -> Verdict;
}

impl Door for Http {
    fn hand_over(&mut self, load: Load) -> Verdict {
        let (parcel, judge) = load.parcel();
        Verdict::of(self.post(parcel), judge)
    }
}

/// The worker of one destination.
pub struct Worker {
    name: String,
    kind: Kind,
    door: Box<dyn Door>,
    store: Store,
    blobs: Arc<dyn BlobStore>,
    silence: Duration,
}

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("{0}")]
    Silent(String),
    #[error(transparent)]
    Store(#[from] DbError),
}

impl Worker {
    /// Sends what its destination is owed.
    #[must_use]
    pub fn new(
        name: &str,
        kind: Kind,
        door: Box<dyn Door>,
        store: Store,
        blobs: Arc<dyn BlobStore>,
    ) -> Self {
        Self { name: name.to_owned(), kind, door, store, blobs, silence: FIRST_PAUSE }
    }

    /// Sends one job, if one is due; returns how long to wait before the next.
    pub fn step(&mut self) -> Duration {
        match self.send_next() {
            Ok(true) => {
                self.silence = FIRST_PAUSE;
                Duration::ZERO
            }
            Ok(false) => TICK,
            Err(Halt::Silent(said)) => {
                tracing::warn!(destination = %self.name, "{said}");
                let pause = self.silence;
                self.silence = (2 * pause).min(LONGEST_SILENCE);
                pause
            }
            Err(Halt::Store(error)) => {
                let error = chain(&error);
                tracing::error!(destination = %self.name, %error, "nothing is sent on");
                FIRST_PAUSE
            }
        }
    }

    /// True when something was due.
    fn send_next(&mut self) -> Result<bool, Halt> {
        let Some(job) = self.store.begin_outbound(&self.name, LEASE)? else { return Ok(false) };
        let load = match self.kind {
            Kind::Fhir => self.transaction(&job)?,
            Kind::Stow | Kind::Dicom => self.object(&job)?,
        };
        let verdict = match load {
            Ok(load) => self.door.hand_over(load),
            Err(why) => {
                self.give_up(&job, &why, "")?;
                return Ok(true);
            }
        };
        match verdict {
            Verdict::Taken => self.store.outbound_sent(&job)?,
            Verdict::Refused { why, said } => self.refused(&job, &why, &said)?,
            Verdict::Silent(said) => {
                self.store.outbound_interrupted(&job)?;
                self.store.outbound_silent(&self.name, Some(&said))?;
                return Err(Halt::Silent(said));
            }
        }
        self.store.outbound_silent(&self.name, None)?;
        Ok(true)
    }

    /// What is said of the study now; inside, why there is nothing to send.
    fn transaction(&self, job: &Job) -> Result<Result<Load, String>, DbError> {
        let Some(told) = self.store.told(&job.site, &job.study)? else {
            return Ok(Err("the referral is not here any more".to_owned()));
        };
        let now = fhir::transaction(&job.site, &told.flag, &told.objects, told.answer.as_ref());
        // Nothing, or what this program wrote.
        let sent = serde_json::from_str(&job.sent).unwrap_or_default();
        let body = fhir::supersede(&sent, now).to_string();
        self.store.outbound_sending(job, &body)?;
        Ok(Ok(Load::Transaction(body)))
    }

    /// The object; inside, why it is not sent.
    fn object(&self, job: &Job) -> Result<Result<Load, String>, Halt> {
        let bytes = self.store.outbound_object(job)?;
        let name = Name::new(&job.site, &job.object);
        let (Some(bytes), Some(name)) = (bytes, name) else {
            return Ok(Err("no manifest names the object any more".to_owned()));
        };
        let content = match self.blobs.open(&name) {
            Ok(content) => content,
            Err(error @ BlobError::Missing(_)) => return Ok(Err(error.to_string())),
            Err(error) => {
                self.store.outbound_interrupted(job)?;
                return Err(Halt::Silent(chain(&error)));
            }
        };
        Ok(Ok(Load::Object { sha256: job.object.clone(), content, bytes }))
    }

    fn refused(&self, job: &Job, why: &str, said: &str) -> Result<(), DbError> {
        if job.attempts + 1 >= REFUSALS {
            return self.give_up(job, why, said);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << job.attempts.min(16)).min(LONGEST_REFUSAL);
        self.store.outbound_refused(job, why, said, Some(pause))
    }

    fn give_up(&self, job: &Job, why: &str, said: &str) -> Result<(), DbError> {
        tracing::error!(destination = %self.name, site = %job.site, "given up: {why}");
        self.store.outbound_refused(job, why, said, None)
    }

    /// Works until `stop` is closed.
    pub fn run(mut self, stop: &Receiver<()>) {
        loop {
            let pause = self.step();
            if stop.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

/// The workers at work; dropping it ends them, each behind the job that it is sending.
#[derive(Debug)]
pub struct Workers {
    stops: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Why the workers cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error("{0}")]
    Settings(String),
    /// The database.
    #[error("the destinations cannot be stored")]
    Store(#[from] DbError),
    /// No thread.
    #[error("no thread can be started")]
    Thread(#[from] std::io::Error),
}

impl Workers {
    /// Makes these the destinations, and starts a worker for each.
    ///
    /// # Errors
    ///
    /// When a destination cannot be used, or the database fails.
    pub fn start(
        settings: &Settings,
        store: &Store,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Self, StartError> {
        settings.check().map_err(StartError::Settings)?;
        store.set_outbound_destinations(&settings.names().collect::<Vec<_>>())?;
        let mut workers = Self { stops: Vec::new(), threads: Vec::new() };
        for (name, kind) in settings.names() {
            let door = settings.door(name).map_err(StartError::Settings)?;
            let worker = Worker::new(name, kind, door, store.clone(), Arc::clone(blobs));
            let (stop, stopped) = mpsc::channel();
            let thread = thread::Builder::new().name(format!("to {name}"));
            workers.threads.push(thread.spawn(move || worker.run(&stopped))?);
            workers.stops.push(stop);
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stops.clear();
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
