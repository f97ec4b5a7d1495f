//! Carries the outbox to the hub for as long as the daemon runs, in a thread of its own, because
//! everything in it waits: for the network, for the disk, for the hour at which images may go.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use exchange::command::Numbered;
use exchange::courier::{Blob, Courier, Next, Outbox, State, Terms};
use exchange::offer::{Progress, Wanted};
use exchange::row::Priority;
use exchange::wire::{Answered, Hello};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::identity::{CERTIFICATE, Identity};
use super::link::{Address, HangUp, HubLink};
use super::outbox::StoreOutbox;
use super::windows::Windows;
use crate::clock::Clock;
use crate::fault::chain;
use crate::store::Store;
use crate::store::contact::Contact;
use crate::store::events::Level;

/// Time between two looks for flags, and for the files of another enrolment.
const LOOK: Duration = Duration::from_secs(2);
/// Time in which a stop is noticed.
const TICK: Duration = Duration::from_millis(200);
/// Pause after the database failed, and while this box is not enrolled.
const AGAIN: Duration = Duration::from_secs(15);
/// Answers of the hub are written down this often, milliseconds.
const NOTE: i64 = 60_000;
/// What is under way at a stop is cut off; the thread has so long to notice.
const GRACE: Duration = Duration::from_secs(1);

/// How it stands with the hub, for pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HubNow {
    /// Host and port of the hub.
    pub host: String,
    /// What this box is called there; empty while it is not enrolled.
    pub site: String,
    /// What the link does.
    pub doing: Doing,
    /// Why nothing is sent, in words; empty while something is, or could be.
    pub why: String,
    /// Since when it is so, box time in milliseconds.
    pub since: i64,
    /// The hub's latest answer.
    pub contact: Option<Contact>,
    /// What the link carries, bytes a second, estimated.
    pub goodput: f64,
    /// Series may be sent now.
    pub images: bool,
    /// Rows that wait, by priority.
    pub backlog: [u64; 4],
    /// Rows that were given up.
    pub dead: u64,
    /// Last second of this box's certificate, since 1970.
    pub valid_until_s: Option<i64>,
    /// The model that the hub offers.
    pub offer: Option<Progress>,
}

/// What a link does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Nothing was tried yet.
    #[default]
    Starting,
    /// It sends.
    Working,
    /// All is sent.
    Idle,
    /// The hub does not answer; it is tried again by itself.
    Waiting,
    /// Somebody has to do something.
    Barred,
}

/// Where the task says how it stands; `None` without a hub.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Option<HubNow>>>);

impl Shown {
    /// How it stands.
    #[must_use]
    pub fn now(&self) -> Option<HubNow> {
        lock(&self.0).clone()
    }

    fn set(&self, now: HubNow) {
        *lock(&self.0) = Some(now);
    }
}

/// A panic elsewhere leaves what was said last.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the task works with.
pub struct Task {
    /// The database.
    pub store: Arc<Store>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// What is sent.
    pub outbox: StoreOutbox,
    /// Where to.
    pub address: Address,
    /// Who this box is there.
    pub folder: PathBuf,
    /// When images may be sent.
    pub windows: Windows,
    /// Time between two looks for the hospital's answers.
    pub poll: Duration,
    /// Where it says how it stands.
    pub shown: Shown,
}

impl Task {
    /// Works until told to stop, and then stops within a second: what is cut off goes on where it
    /// was at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        let line: Line = Arc::default();
        let (working, ended) = oneshot::channel::<()>();
        let (own, until) = (Arc::clone(&line), shutdown.clone());
        let thread = thread::Builder::new().name("hub".to_owned()).spawn(move || {
            Work::new(self, own, until).run();
            drop(working);
        });
        if let Err(error) = thread {
            tracing::error!(error = %chain(&error), "nothing is sent to the hub");
            return;
        }
        shutdown.cancelled().await;
        if let Some(hang_up) = lock(&line).take() {
            hang_up.now();
        }
        drop(tokio::time::timeout(GRACE, ended).await);
    }
}

/// The connection that is in use.
type Line = Arc<Mutex<Option<HangUp>>>;

/// The thread's own.
struct Work {
    task: Parts,
    outbox: Metered<StoreOutbox>,
    line: Line,
    stop: CancellationToken,
    now: HubNow,
    noted: i64,
}

/// A [`Task`] without its outbox.
struct Parts {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    address: Address,
    folder: PathBuf,
    windows: Windows,
    poll: Duration,
    shown: Shown,
}

impl Work {
    fn new(task: Task, line: Line, stop: CancellationToken) -> Self {
        let Task { store, clock, outbox, address, folder, windows, poll, shown } = task;
        let now = HubNow {
            host: address.host.clone(),
            since: store.clock().now(),
            contact: store.hub_contact().ok().flatten(),
            ..HubNow::default()
        };
        Self {
            task: Parts { store, clock, address, folder, windows, poll, shown },
            outbox: Metered::new(outbox),
            line,
            stop,
            now,
            noted: 0,
        }
    }

    fn run(mut self) {
        self.show();
        let mut courier = Courier::new(uuid::Uuid::new_v4().as_u64_pair().0, self.task.poll);
        while !self.stop.is_cancelled() {
            match Identity::load(&self.task.folder) {
                Ok(identity) => self.carry(&mut courier, &identity),
                Err(error) => {
                    self.now.site.clear();
                    self.says(Doing::Barred, &chain(&error));
                    self.rest(AGAIN, Doing::Barred);
                }
            }
        }
    }

    /// Sends until told to stop, or until the hub wants to know nothing of this box: then its files
    /// are read again, which may be new.
    fn carry(&mut self, courier: &mut Courier, identity: &Identity) {
        self.now.site.clone_from(&identity.site);
        self.now.valid_until_s = Some(identity.valid_s.1);
        let clock = Arc::clone(&self.task.clock);
        let mut link = HubLink::new(self.task.address.clone(), identity, clock);
        *lock(&self.line) = Some(link.hang_up());
        let store = Arc::clone(&self.task.store);
        while !self.stop.is_cancelled() {
            let images = self.images_may_go();
            let lowest = if images { Priority::Images } else { Priority::Result };
            let now = || store.clock().now();
            let step = courier.step(&mut self.outbox, &mut link, now, lowest);
            self.now.images = images;
            self.now.goodput = courier.goodput();
            self.note_images();
            let (doing, why, pause) = match step {
                Ok(step) => {
                    let (doing, why) = match step.state {
                        State::Working => (Doing::Working, String::new()),
                        State::Idle => (Doing::Idle, String::new()),
                        State::Waiting { why } => (Doing::Waiting, why),
                        State::Barred { why } => (Doing::Barred, why),
                    };
                    (doing, why, step.pause)
                }
                Err(error) => {
                    let why = format!("the outbox cannot be read: {}", chain(&error));
                    (Doing::Waiting, why, AGAIN)
                }
            };
            self.note_contact(link.contact());
            self.says(doing, &why);
            self.rest(pause, doing);
            if doing == Doing::Barred {
                return;
            }
        }
    }

    /// Says how it stands, and has what is new of it written down.
    fn says(&mut self, doing: Doing, why: &str) {
        let held_up = |doing| matches!(doing, Doing::Waiting | Doing::Barred);
        let (before, host) = (self.now.doing, &self.now.host);
        // A line that comes and goes is not worth an event each time; one that is barred is.
        let event = match (before, doing) {
            (Doing::Barred, Doing::Barred) if self.now.why == why => None,
            (_, Doing::Barred) => Some((Level::Error, why.to_owned())),
            (Doing::Barred, Doing::Working | Doing::Idle) => {
                Some((Level::Info, format!("{host} answers, and takes what this box sends")))
            }
            _ => None,
        };
        if let Some((level, text)) = event
            && let Err(error) = self.task.store.note(level, "hub", &text)
        {
            tracing::error!(error = %chain(&error), "{text}");
        }
        if held_up(before) != held_up(doing) || self.now.why != why && doing == Doing::Barred {
            self.now.since = self.task.store.clock().now();
        }
        self.now.doing = doing;
        why.clone_into(&mut self.now.why);
        self.show();
    }

    fn show(&mut self) {
        if let Ok(hello) = self.outbox.hello() {
            self.now.backlog = hello.backlog;
            self.now.dead = hello.dead;
            self.now.offer = hello.offer;
        }
        self.task.shown.set(self.now.clone());
    }

    fn note_contact(&mut self, contact: Option<Contact>) {
        let Some(contact) = contact else { return };
        self.now.contact = Some(contact);
        if contact.at - self.noted < NOTE {
            return;
        }
        self.noted = contact.at;
        if let Err(error) = self.task.store.note_hub_contact(contact) {
            tracing::error!(error = %chain(&error), "an answer of the hub is not written down");
        }
    }

    /// Day and hour of this place.
    fn wall(&self) -> (String, u8) {
        let at = Timestamp::from_millisecond(self.task.clock.wall()).unwrap_or_default();
        let at = at.to_zoned_datetime(TimeZone::system());
        (at.date().to_string(), u8::try_from(at.hour()).unwrap_or(0))
    }

    fn images_may_go(&self) -> bool {
        let (day, hour) = self.wall();
        // Without the database nothing is sent anyway.
        self.task.windows.are_open(hour, self.task.store.images_sent(&day).unwrap_or(0))
    }

    fn note_images(&mut self) {
        let bytes = self.outbox.taken();
        if bytes == 0 || self.task.windows.bytes_per_day.is_none() {
            return;
        }
        let (day, _) = self.wall();
        let store = &self.task.store;
        let noted =
            store.images_sent(&day).and_then(|sent| store.note_images_sent(&day, sent + bytes));
        if let Err(error) = noted {
            tracing::error!(error = %chain(&error), "the images sent today are not counted");
        }
    }

    /// Waits. A stop ends it, while all is sent a new flag, and while this box is barred the files
    /// of another enrolment.
    fn rest(&mut self, pause: Duration, doing: Doing) {
        let until = Instant::now() + pause;
        let (mut looked, enrolled) = (Instant::now(), self.enrolled());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.is_cancelled() {
                return;
            }
            thread::sleep(left.min(TICK));
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let woken = match doing {
                Doing::Idle => self.outbox.hello().is_ok_and(|hello| hello.backlog[0] > 0),
                Doing::Barred => self.enrolled() != enrolled,
                _ => false,
            };
            if woken {
                return;
            }
        }
    }

    /// When this box was enrolled.
    fn enrolled(&self) -> Option<SystemTime> {
        self.task.folder.join(CERTIFICATE).metadata().and_then(|file| file.modified()).ok()
    }
}

/// An outbox that counts the bytes of images that are taken out of it, and of models that are put
/// into it.
struct Metered<O> {
    outbox: O,
    /// The blob that was taken out last belongs to images.
    images: bool,
    taken: u64,
}

impl<O> Metered<O> {
    fn new(outbox: O) -> Self {
        Self { outbox, images: false, taken: 0 }
    }

    /// Since it was asked last.
    fn taken(&mut self) -> u64 {
        std::mem::take(&mut self.taken)
    }
}

impl<O: Outbox> Outbox for Metered<O> {
    type Error = O::Error;

    fn next(&mut self, terms: &Terms) -> Result<Next, O::Error> {
        let urgent = Terms { lowest: terms.lowest.min(Priority::Result), ..*terms };
        let next = self.outbox.next(&urgent)?;
        self.images = false;
        if terms.lowest == urgent.lowest || !matches!(next, Next::Nothing(_)) {
            return Ok(next);
        }
        self.images = true;
        self.outbox.next(terms)
    }

    fn hello(&mut self) -> Result<Hello, O::Error> {
        self.outbox.hello()
    }

    fn read(
        &mut self,
        blob: &Blob,
        offset: u64,
        length: usize,
    ) -> Result<Option<Vec<u8>>, O::Error> {
        let bytes = self.outbox.read(blob, offset, length)?;
        if self.images {
            self.taken += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        }
        Ok(bytes)
    }

    fn placed(&mut self, blob: &Blob, place: Option<&str>) -> Result<(), O::Error> {
        self.outbox.placed(blob, place)
    }

    fn arrived(&mut self, blob: &Blob) -> Result<(), O::Error> {
        self.outbox.arrived(blob)
    }

    fn settle(&mut self, answers: &[Answered], pause: Duration) -> Result<(), O::Error> {
        self.outbox.settle(answers, pause)
    }

    fn interrupted(&mut self) -> Result<(), O::Error> {
        self.outbox.interrupted()
    }

    fn failed(&mut self, seq: i64, why: &str, pause: Option<Duration>) -> Result<(), O::Error> {
        self.outbox.failed(seq, why, pause)
    }

    fn obey(&mut self, commands: &[Numbered]) -> Result<(), O::Error> {
        self.outbox.obey(commands)
    }

    fn keep(&mut self, wanted: &Wanted, piece: &[u8]) -> Result<(), O::Error> {
        self.taken += piece.len() as u64;
        self.outbox.keep(wanted, piece)
    }

    fn withheld(&mut self, wanted: &Wanted, why: &str, pause: Duration) -> Result<(), O::Error> {
        self.outbox.withheld(wanted, why, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    /// One blob of a result, then one of a series.
    #[derive(Default)]
    struct Two {
        result_is_there: bool,
    }

    fn blob(seq: i64) -> Blob {
        Blob { seq, sha256: String::new(), bytes: 10, place: None }
    }

    impl Outbox for Two {
        type Error = StoreError;

        fn next(&mut self, terms: &Terms) -> Result<Next, StoreError> {
            Ok(match (self.result_is_there, terms.lowest) {
                (false, _) => Next::Blob(blob(1)),
                (true, Priority::Images) => Next::Blob(blob(2)),
                (true, _) => Next::Nothing(None),
            })
        }

        fn hello(&mut self) -> Result<Hello, StoreError> {
            Ok(Hello::default())
        }

        fn read(&mut self, _: &Blob, _: u64, length: usize) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(Some(vec![0; length]))
        }

        fn placed(&mut self, _: &Blob, _: Option<&str>) -> Result<(), StoreError> {
            Ok(())
        }

        fn arrived(&mut self, _: &Blob) -> Result<(), StoreError> {
            self.result_is_there = true;
            Ok(())
        }

        fn settle(&mut self, _: &[Answered], _: Duration) -> Result<(), StoreError> {
            Ok(())
        }

        fn interrupted(&mut self) -> Result<(), StoreError> {
            Ok(())
        }

        fn failed(&mut self, _: i64, _: &str, _: Option<Duration>) -> Result<(), StoreError> {
            Ok(())
        }

        fn obey(&mut self, _: &[Numbered]) -> Result<(), StoreError> {
            Ok(())
        }

        fn keep(&mut self, _: &Wanted, _: &[u8]) -> Result<(), StoreError> {
            Ok(())
        }

        fn withheld(&mut self, _: &Wanted, _: &str, _: Duration) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[test]
    fn only_images_and_models_are_metered() {
        let mut outbox = Metered::new(Two::default());
        let terms = |lowest| Terms { lowest, rows: 1, bytes: 1, telemetry_first: false };
        let mut take = |lowest| {
            let next = outbox.next(&terms(lowest)).unwrap();
            let Next::Blob(blob) = next else { return (0, outbox.taken()) };
            outbox.read(&blob, 0, 7).unwrap();
            outbox.arrived(&blob).unwrap();
            (blob.seq, outbox.taken())
        };
        assert_eq!(take(Priority::Images), (1, 0));
        assert_eq!(take(Priority::Result), (0, 0));
        assert_eq!(take(Priority::Images), (2, 7));
        assert_eq!(take(Priority::Images), (2, 7));
        let wanted = Wanted {
            bundle: String::new(),
            path: String::new(),
            sha256: String::new(),
            bytes: 9,
            offset: 0,
        };
        outbox.keep(&wanted, b"piece").unwrap();
        assert_eq!(outbox.taken(), 5);
    }
}
