//! Sends results to one archive, in the order in which they were there. Each archive has a task
//! of its own, so that one that is dead delays no other.
//!
//! An archive that cannot be reached is asked again and again, and nothing is given up. One that
//! refuses an object, or breaks off over it, is asked a limited number of times with growing
//! pauses, while the objects behind it go out; then a person decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::{ObjectError, Objects};
use crate::fault::chain;
use crate::scp::{Destination, OpenError, Scp, SendError, Sender};
use crate::store::deliveries::Delivery;
use crate::store::events::Level;
use crate::store::{Store, StoreError};

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks for results.
    pub tick: Duration,
    /// After the first failure; each further one doubles it.
    pub first_pause: Duration,
    /// Longest pause between two tries to reach an archive.
    pub longest_silence: Duration,
    /// Longest pause between two tries of an object that was refused.
    pub longest_refusal: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(2),
            first_pause: Duration::from_secs(15),
            longest_silence: Duration::from_secs(300),
            longest_refusal: Duration::from_secs(3600),
        }
    }
}

/// An archive that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// Since when, box time in milliseconds.
    pub since: i64,
    /// What the latest try said.
    pub said: String,
}

/// Archives that do not answer, by AE title.
#[derive(Clone, Debug, Default)]
pub struct Outages(Arc<Mutex<BTreeMap<String, Outage>>>);

impl Outages {
    /// All of them.
    #[must_use]
    pub fn now(&self) -> BTreeMap<String, Outage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a try that failed; `true` when it is the first.
    fn failed(&self, name: &str, now: i64, said: String) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = all.get(name).map_or(now, |outage| outage.since);
        all.insert(name.to_owned(), Outage { since, said }).is_none()
    }

    /// It answers; `true` when it did not before.
    fn ended(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }
}

/// The task of one archive.
pub struct Task {
    /// Our AE title.
    pub calling: String,
    /// Its AE title.
    pub called: String,
    /// Where it listens.
    pub destination: Destination,
    /// Refusals after which an object is given up.
    pub refusals: u32,
    /// How long is waited for what.
    pub pace: Pace,
    /// What is sent.
    pub objects: Objects,
    /// The queue.
    pub store: Arc<Store>,
    /// The way out.
    pub scp: Arc<Scp>,
    /// Where it is said that the archive does not answer.
    pub outages: Outages,
}

/// Why the queue stands still.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Silent(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Task {
    /// Works until told to stop; an object that is being sent is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let pace = self.pace;
        let mut silence = pace.first_pause;
        while !shutdown.is_cancelled() {
            let pause = match self.drain(&shutdown).await {
                Ok(()) => {
                    silence = pace.first_pause;
                    pace.tick
                }
                Err(Halt::Silent(error)) => {
                    self.silent(&error);
                    let pause = silence;
                    silence = (2 * silence).min(pace.longest_silence);
                    pause
                }
                Err(Halt::Store(error)) => {
                    tracing::error!(error = %chain(&error), "results are not sent");
                    pace.first_pause
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends all that is due.
    async fn drain(&self, shutdown: &CancellationToken) -> Result<(), Halt> {
        let mut open: Option<Sender> = None;
        while !shutdown.is_cancelled()
            && let Some(delivery) = block_in_place(|| self.store.begin_delivery(&self.called))?
        {
            let object = match block_in_place(|| self.object(&delivery)) {
                Ok(object) => object,
                Err(ObjectError::Store(error)) => {
                    block_in_place(|| self.store.delivery_interrupted(delivery.id))?;
                    return Err(error.into());
                }
                Err(error) => {
                    block_in_place(|| self.give_up(&delivery, &chain(&error)))?;
                    continue;
                }
            };
            let mut sender = match open.take() {
                Some(sender) => sender,
                None => match self.open().await {
                    Ok(sender) => sender,
                    Err(error) => {
                        block_in_place(|| self.store.delivery_interrupted(delivery.id))?;
                        return Err(error.into());
                    }
                },
            };
            let object = block_in_place(|| super::fitting(object, &sender));
            let answer = sender.store(&object).await;
            match answer {
                Ok(()) => {
                    let sent = || self.store.delivery_sent(&delivery, &self.called);
                    if block_in_place(sent)? {
                        self.objects.forget(&object);
                    }
                    open = Some(sender);
                }
                Err(error) => {
                    block_in_place(|| self.refused(&delivery, &chain(&error)))?;
                    if !matches!(error, SendError::Broken(_)) {
                        open = Some(sender);
                    }
                }
            }
        }
        if let Some(sender) = open {
            sender.release().await;
        }
        Ok(())
    }

    fn object(&self, delivery: &Delivery) -> Result<crate::scp::Outgoing, ObjectError> {
        self.objects.of(&self.store, delivery.inference_id, delivery.kind)
    }

    async fn open(&self) -> Result<Sender, OpenError> {
        let titles = (self.calling.as_str(), self.called.as_str());
        let sender = self.scp.sender(&self.destination, titles, &super::CONTEXTS).await?;
        if self.outages.ended(&self.called) {
            self.note(Level::Info, &format!("archive {} answers again", self.called));
        }
        Ok(sender)
    }

    fn silent(&self, error: &OpenError) {
        let said = chain(error);
        if self.outages.failed(&self.called, self.store.clock().now(), said.clone()) {
            let text = format!("results for archive {} wait: {said}", self.called);
            self.note(Level::Warning, &text);
        }
    }

    fn refused(&self, delivery: &Delivery, error: &str) -> Result<(), StoreError> {
        if delivery.attempts + 1 >= self.refusals {
            return self.give_up(delivery, error);
        }
        let Pace { first_pause, longest_refusal, .. } = self.pace;
        let pause = first_pause.saturating_mul(1 << delivery.attempts.min(16)).min(longest_refusal);
        self.store.delivery_refused(delivery.id, error, Some(pause))
    }

    fn give_up(&self, delivery: &Delivery, error: &str) -> Result<(), StoreError> {
        self.store.delivery_refused(delivery.id, error, None)?;
        let text = format!(
            "the result of study {} was not delivered to archive {} and is given up; see page \
             System: {error}",
            delivery.study_id, self.called
        );
        self.note(Level::Error, &text);
        Ok(())
    }

    fn note(&self, level: Level, text: &str) {
        if let Err(error) = block_in_place(|| self.store.note(level, "send", text)) {
            tracing::error!(error = %chain(&error), "{text}");
        }
    }
}
