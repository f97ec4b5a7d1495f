//! Sends results to one destination, in the order in which they were there. Each destination has a
//! task of its own, so that one that is dead delays no other.
//!
//! One that cannot be reached is asked again and again, and nothing is given up. One that refuses an
//! object, breaks off over it or does not answer to it, is asked a limited number of times with
//! growing pauses, while the objects behind it go out; then a person decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::{ObjectError, Objects};
use crate::fault::chain;
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
    /// Longest pause between two tries to reach a destination.
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

/// A destination that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// Since when, box time in milliseconds.
    pub since: i64,
    /// What the latest try said.
    pub said: String,
}

/// Destinations that do not answer, by name.
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

/// How results get to a destination.
pub trait Way: Send + Sync {
    /// What is sent.
    type Parcel: Send;
    /// An open connection.
    type Line: Send;

    /// What is sent for a delivery.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    fn parcel(
        &self,
        objects: &Objects,
        store: &Store,
        delivery: &Delivery,
    ) -> Result<Self::Parcel, ObjectError>;

    /// Opens a connection, or says why there is none.
    fn open(&self) -> impl Future<Output = Result<Self::Line, String>> + Send;

    /// Sends one parcel and waits for the answer.
    fn send(
        &self,
        line: Self::Line,
        parcel: Self::Parcel,
    ) -> impl Future<Output = Answer<Self::Line>> + Send;

    /// Asks whether what was sent is safe there, where that can be asked, and ends a connection in
    /// good order. What goes wrong is asked again behind the next parcel.
    fn close(
        &self,
        line: Self::Line,
        store: &Store,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a destination made of a parcel; the connection where it can be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<Line> {
    /// It has it.
    Taken(Option<Line>),
    /// It refused it, broke off over it, or did not answer to it.
    Refused(Option<Line>, Refusal),
    /// It takes nothing now, in our words.
    Silent(String),
}

/// Why a destination did not take a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In our words, which everybody may read who looks after the box.
    pub why: String,
    /// What the destination wrote with it, empty for nothing. It may quote the patient.
    pub said: String,
}

/// The task of one destination.
pub struct Task<W> {
    /// Its name.
    pub name: String,
    /// The way to it.
    pub way: W,
    /// Refusals after which an object is given up.
    pub refusals: u32,
    /// How long is waited for what.
    pub pace: Pace,
    /// What is sent.
    pub objects: Objects,
    /// The queue.
    pub store: Arc<Store>,
    /// Where it is said that it does not answer.
    pub outages: Outages,
}

/// Why the queue stands still.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error("{0}")]
    Silent(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<W: Way> Task<W> {
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
                Err(Halt::Silent(said)) => {
                    self.silent(&said);
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
        // A failure of the database may have left one that nobody sends.
        block_in_place(|| self.interrupted())?;
        let mut open: Option<W::Line> = None;
        while !shutdown.is_cancelled()
            && let Some(delivery) = block_in_place(|| self.store.begin_delivery(&self.name))?
        {
            // Refused, or taken and not kept, too often.
            if delivery.attempts >= self.refusals {
                let Delivery { last_error, said, .. } = &delivery;
                block_in_place(|| self.give_up(&delivery, last_error, said))?;
                continue;
            }
            let make = || self.way.parcel(&self.objects, &self.store, &delivery);
            let parcel = match block_in_place(make) {
                Ok(parcel) => parcel,
                Err(ObjectError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    block_in_place(|| self.give_up(&delivery, &chain(&error), ""))?;
                    continue;
                }
            };
            let line = match open.take() {
                Some(line) => line,
                None => match self.way.open().await {
                    Ok(line) => line,
                    Err(said) => {
                        block_in_place(|| self.interrupted())?;
                        return Err(Halt::Silent(said));
                    }
                },
            };
            match self.way.send(line, parcel).await {
                Answer::Taken(line) => {
                    open = line;
                    block_in_place(|| self.taken(&delivery))?;
                }
                Answer::Refused(line, refusal) => {
                    open = line;
                    self.answered();
                    block_in_place(|| self.refused(&delivery, &refusal))?;
                }
                Answer::Silent(said) => {
                    block_in_place(|| self.interrupted())?;
                    return Err(Halt::Silent(said));
                }
            }
        }
        if let Some(line) = open {
            self.way.close(line, &self.store).await?;
        }
        Ok(())
    }

    /// What is being sent waits again.
    fn interrupted(&self) -> Result<(), StoreError> {
        self.store.deliveries_interrupted(&self.name)
    }

    fn taken(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.answered();
        if self.store.delivery_sent(delivery, &self.name)? {
            self.objects.forget(&self.store, delivery.inference_id, delivery.kind)?;
        }
        Ok(())
    }

    fn answered(&self) {
        if self.outages.ended(&self.name) {
            self.note(Level::Info, &format!("{} answers again", self.name));
        }
    }

    fn silent(&self, said: &str) {
        if self.outages.failed(&self.name, self.store.clock().now(), said.to_owned()) {
            self.note(Level::Warning, &format!("results for {} wait: {said}", self.name));
        }
    }

    fn refused(&self, delivery: &Delivery, refusal: &Refusal) -> Result<(), StoreError> {
        let Refusal { why, said } = refusal;
        if delivery.attempts + 1 >= self.refusals {
            return self.give_up(delivery, why, said);
        }
        let Pace { first_pause, longest_refusal, .. } = self.pace;
        let pause = first_pause.saturating_mul(1 << delivery.attempts.min(16)).min(longest_refusal);
        self.store.delivery_refused(delivery.id, why, said, Some(pause))
    }

    fn give_up(&self, delivery: &Delivery, why: &str, said: &str) -> Result<(), StoreError> {
        self.store.delivery_refused(delivery.id, why, said, None)?;
        let text = format!(
            "the result of study {} was not delivered to {} and is given up; see page System: \
             {why}",
            delivery.study_id, self.name
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
