//! What is done every few seconds, whether or not anything happens: health, room on the disk,
//! backups, deliveries, folders that are watched. Each round does what is due and can be cut off
//! anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firmware_config::trial::Place;
use models::dicom::select::Selection;
use models::weights::bundle::Bundle;
use models::weights::manifest::SelectionSeen;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::archive::{self, Archive};
use crate::config::Config;
use crate::doctor::SELECTS_OTHERWISE;
use crate::fault::chain;
use crate::health::devices::{self, Sensors, Thermal};
use crate::health::disk::{self, DiskLevel};
use crate::health::{self, Decision, Health, words};
use crate::hub::task::Shown;
use crate::import::watch::{WatchConfig, WatchState, scan_once};
use crate::inference::task;
use crate::results::delivery::Outages;
use crate::scp::{self, Scp};
use crate::store::deliveries::Queue;
use crate::store::events::Level;
use crate::store::models::{Mode, not_analysed};
use crate::store::{Store, backup};
use crate::triage::Tables;
use crate::web::{Check, ModelNow, Receive, SelectionNow, Status, Verdict};
use crate::{quality, retention, web};

/// Time between two looks at the box.
const HEALTH: Duration = Duration::from_secs(5);
/// Time between two questions whether the database is to be checked.
const CHECK: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// What may not be deleted is added up this often.
const HELD: i64 = 600_000;
/// Time between two looks for storage commitments that are due.
const DELIVER: Duration = Duration::from_secs(2);
/// Time between two looks for studies whose prior studies are not known.
const ASK: Duration = Duration::from_secs(2);
/// Time between two rows of telemetry for the hub.
const TELEMETRY: Duration = Duration::from_secs(3600);
/// Time between two questions whether a scanner is to be looked at.
const QUALITY: Duration = Duration::from_secs(10);
/// Pause when the archive does not answer.
const SILENT: Duration = Duration::from_secs(60);

/// What the rounds need.
#[derive(Clone)]
pub(super) struct Rounds {
    pub(super) config: Config,
    pub(super) tables: Arc<Tables>,
    pub(super) store: Arc<Store>,
    pub(super) archive: Arc<Archive>,
    pub(super) scp: Arc<Scp>,
    pub(super) analysis: watch::Receiver<task::Status>,
    pub(super) hot: Arc<AtomicBool>,
    pub(super) outages: Outages,
    pub(super) hub: Shown,
    pub(super) unclean: bool,
    pub(super) place: Place,
}

impl Rounds {
    /// Starts all rounds; what the box says of itself comes out.
    pub(super) fn start(
        self,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> watch::Receiver<Status> {
        let (sender, receiver) = watch::channel(Status::default());
        let rounds = self.clone();
        let started_at = self.store.clock().now();
        let mut look = Look {
            sensors: Sensors::default(),
            decision: Decision::default(),
            held: None,
            stop: shutdown.clone(),
        };
        every(tasks, shutdown, HEALTH, move || {
            sender.send_replace(rounds.look(&mut look, started_at));
        });
        let rounds = self.clone();
        every(tasks, shutdown, CHECK, move || {
            let last = rounds.store.last_full_check_at().ok().flatten();
            if backup::due(rounds.store.clock().now(), last, WEEK) {
                rounds.check_database();
            }
        });

        let (scp, until) = (Arc::clone(&self.scp), shutdown.clone());
        tasks.spawn(async move {
            while !until.is_cancelled() {
                if let Err(error) = scp.deliver_due().await {
                    tracing::error!(error = %chain(&error), "storage commitments are not answered");
                }
                tokio::select! {
                    () = until.cancelled() => {}
                    () = tokio::time::sleep(DELIVER) => {}
                }
            }
        });

        self.ask_for_priors(tasks, shutdown);
        self.write_telemetry(tasks, shutdown);
        let rounds = self.clone();
        every(tasks, shutdown, QUALITY, move || {
            if let Err(error) = quality::look(&rounds.store, &rounds.config.quality()) {
                tracing::error!(error = %chain(&error), "scanners are not watched");
            }
        });

        let import = &self.config.settings.import;
        let watch = WatchConfig {
            folder: (!import.watch_folder.as_os_str().is_empty())
                .then(|| import.watch_folder.clone()),
            media: import.media_folders.clone(),
        };
        if watch.folder.is_some() || !watch.media.is_empty() {
            let mut state = WatchState::default();
            let (archive, poll) = (Arc::clone(&self.archive), Duration::from_secs(import.poll_s));
            let rounds = self.clone();
            every(tasks, shutdown, poll, move || {
                if let Err(error) = scan_once(&watch, &mut state, &archive) {
                    rounds.note(Level::Warning, "import", &chain(&error));
                }
            });
        }
        let first = self.clone();
        tasks.spawn_blocking(move || first.after_start());
        receiver
    }

    /// Says every hour how the box is, where a hub wants to know.
    fn write_telemetry(&self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        if self.config.hub_profile().is_none() {
            return;
        }
        let (rounds, mut sensors) = (self.clone(), Sensors::default());
        every(tasks, shutdown, TELEMETRY, move || {
            let data = &rounds.config.settings.data.folder;
            let telemetry = super::hub::telemetry(rounds.store.clock(), data, &mut sensors);
            if let Err(error) = rounds.store.write_telemetry(&telemetry) {
                tracing::error!(error = %chain(&error), "no telemetry is written");
            }
        });
    }

    /// Asks the archive of the settings, if there is one, for prior studies.
    fn ask_for_priors(&self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let settings = &self.config.settings;
        let Some(peer) = settings.priors_peer() else { return };
        let (calling, called) = (settings.dicom.ae_title.clone(), peer.ae_title.clone());
        let destination = super::destination(peer);
        let (rounds, until) = (self.clone(), shutdown.clone());
        tasks.spawn(async move {
            let (titles, mut silent) = ((calling.as_str(), called.as_str()), false);
            while !until.is_cancelled() {
                let asked = tokio::select! {
                    () = until.cancelled() => return,
                    asked = rounds.scp.ask_for_priors(&destination, titles) => asked,
                };
                if silent && asked.as_ref().is_ok_and(|answered| *answered > 0) {
                    silent = false;
                    let text = format!("{called} says again which prior studies it has");
                    block_in_place(|| rounds.note(Level::Info, "priors", &text));
                }
                let pause = if asked.is_ok() { ASK } else { SILENT };
                if let Err(error) = asked
                    && !std::mem::replace(&mut silent, true)
                {
                    let text =
                        format!("{called} is not asked for prior studies: {}", chain(&error));
                    block_in_place(|| rounds.note(Level::Warning, "priors", &text));
                }
                tokio::select! {
                    () = until.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Files without rows, rows without files, and after a crash the whole database.
    fn after_start(&self) {
        match archive::reconcile(&self.archive) {
            Ok(found) if found.indexed > 0 => {
                let text = format!(
                    "{} were on the disk and not in the index; they are now",
                    words::count(found.indexed as u64, "image", "images")
                );
                self.note(Level::Info, "store", &text);
            }
            Ok(_) => {}
            Err(error) => self.note(Level::Error, "store", &chain(&error)),
        }
        if self.unclean {
            self.check_database();
        }
    }

    /// Reads the whole database.
    fn check_database(&self) {
        match self.store.full_check() {
            Ok(findings) if findings.is_empty() => {}
            Ok(findings) => {
                let advice = "put a backup back with `appliance restore`";
                let text = format!("the database is damaged: {}; {advice}", findings.join("; "));
                self.note(Level::Error, "store", &text);
            }
            Err(error) => self.note(Level::Error, "store", &chain(&error)),
        }
    }

    fn note(&self, level: Level, area: &str, text: &str) {
        if let Err(error) = self.store.note(level, area, text) {
            tracing::error!(error = %chain(&error), "{text}");
        }
    }

    /// One look at the box, and what follows from it.
    fn look(&self, look: &mut Look, started_at: i64) -> Status {
        let config = self.health_config();
        let data = &self.config.settings.data.folder;
        let before = look.decision;
        let clock = self.store.clock();
        let health = health::sample(&config, data, clock, &mut look.sensors, before);
        look.decision = health.decision;
        self.act(&config, &health, before, look);
        if let Err(error) = self.store.note_time() {
            tracing::error!(error = %chain(&error), "the time is not written down");
        }
        let backup = self.back_up();
        self.status(&health, look, backup, started_at)
    }

    fn health_config(&self) -> health::Config {
        let (disk, thermal) = (&self.config.settings.disk, &self.config.settings.thermal);
        let share = |percent: u32| f64::from(percent) / 100.0;
        health::Config {
            disk: disk::Config {
                tight: share(disk.tight_percent),
                evicting: share(disk.evict_percent),
                full: share(disk.full_percent),
                ..disk::Config::default()
            },
            devices: devices::Config {
                slow_c: f64::from(thermal.gpu_slow_c),
                pause_c: f64::from(thermal.gpu_pause_c),
                ..devices::Config::default()
            },
        }
    }

    fn act(&self, config: &health::Config, health: &Health, before: Decision, look: &Look) {
        let now = health.decision;
        self.archive.set_full(now.disk == DiskLevel::Full);
        self.hot.store(now.thermal == Thermal::Pause, Ordering::Relaxed);
        if now != before {
            let level = if now.disk == DiskLevel::Full { Level::Error } else { Level::Warning };
            health.said.iter().for_each(|text| self.note(level, "health", text));
        }
        if now.disk < DiskLevel::Evicting || !self.config.settings.disk.evict_read_studies {
            return;
        }
        let Some(space) = &health.readings.disk else { return };
        let excess = space.excess(&config.disk);
        let (retention, root) = (retention::Config::default(), self.archive.root());
        let go_on = || !look.stop.is_cancelled();
        let data = &self.config.settings.data.folder;
        match retention::make_room(&retention, &self.store, root, excess, &go_on) {
            Ok(pass) if pass.studies > 0 => {
                if let Err(error) = retention::forget_derived(&self.store, data) {
                    self.note(Level::Error, "disk", &chain(&error));
                }
            }
            Ok(_) => {}
            Err(error) => self.note(Level::Error, "disk", &chain(&error)),
        }
    }

    /// Backs the database up when it is due; says how old the latest copy is.
    fn back_up(&self) -> Check {
        let folder = self.config.settings.data.folder.join("backup");
        let settings = &self.config.settings.backup;
        let every = Duration::from_secs(3600 * settings.every_h);
        let now = self.store.clock().now();
        let check = |verdict, said: String| Check { name: "backup".to_owned(), verdict, said };
        let last = self.store.last_backup_at().ok().flatten();
        if !backup::due(now, last, every) {
            let age = last.map_or_else(String::new, |at| words::span(words::between(at, now)));
            return check(Verdict::Good, format!("the database was copied {age} ago"));
        }
        match self.store.backup(&folder) {
            Ok(_) => check(Verdict::Good, "the database was copied just now".to_owned()),
            Err(error) => check(Verdict::Problem, format!("the backup failed: {}", chain(&error))),
        }
    }

    fn status(&self, health: &Health, look: &mut Look, backup: Check, started_at: i64) -> Status {
        let snapshot = self.scp.snapshot();
        let (dicom, bound) = (&self.config.settings.dicom, self.scp.addresses());
        let mut checks = vec![self.disk_check(health, look), self.analysis_check(), backup];
        checks.push(Check {
            name: "receive".to_owned(),
            verdict: Verdict::Good,
            said: format!(
                "{} open, {} received and {} refused since the start",
                words::count(snapshot.open as u64, "association", "associations"),
                words::count(snapshot.stored, "image", "images"),
                snapshot.refused
            ),
        });
        checks.push(self.quality_check());
        checks.extend(self.archive_checks());
        let (model, seen) = self.model_now().unzip();
        let selection = seen.flatten().map(|seen| selection_now(&seen, &self.tables.selection));
        checks.extend(selection.as_ref().map(selection_check));
        let hub = self.hub.now();
        checks.extend(hub.as_ref().map(|hub| super::hub::check(hub, health.readings.own)));
        checks.extend(hub.as_ref().and_then(super::hub::offer_check));
        let devices = &health.readings.devices;
        let hottest = devices.sensors.iter().map(|s| s.celsius).fold(f64::NAN, f64::max);
        if hottest.is_finite() || !devices.nvidia.gpus.is_empty() {
            checks.push(temperature_check(health, hottest));
        }
        checks.push(Check {
            name: "clock".to_owned(),
            verdict: match health.decision.clock {
                health::clock_quality::ClockQuality::Good => Verdict::Good,
                _ => Verdict::Notice,
            },
            said: health.decision.clock.to_string(),
        });
        let trial = super::trial::look(&self.place, health.readings.own);
        checks.extend(trial.as_ref().map(|trial| super::trial::check(trial, health.readings.own)));
        Status {
            at: health.readings.own,
            started_at,
            receive: Receive {
                ae_title: dicom.ae_title.clone(),
                addresses: super::own_addresses().iter().map(ToString::to_string).collect(),
                port: bound.plain.map_or(0, |address| address.port()),
                tls_port: bound.tls.map(|address| address.port()),
                associations: snapshot.associations.values().map(association).collect(),
            },
            model,
            selection,
            hub,
            trial,
            checks,
        }
    }

    fn disk_check(&self, health: &Health, look: &mut Look) -> Check {
        let (verdict, mut said) = match (&health.readings.disk, health.decision.disk) {
            (None, _) => (Verdict::Problem, "the data folder does not answer".to_owned()),
            (Some(space), DiskLevel::Normal) => (Verdict::Good, space.to_string()),
            (Some(space), DiskLevel::Tight) => (Verdict::Notice, space.to_string()),
            (Some(space), _) => (Verdict::Problem, space.to_string()),
        };
        if health.decision.disk >= DiskLevel::Evicting {
            let now = health.readings.own;
            if look.held.as_ref().is_none_or(|(at, _)| now - at > HELD)
                && let Ok(held) = retention::held(&retention::Config::default(), &self.store)
            {
                look.held = Some((now, held.to_string()));
            }
            if let Some((_, held)) = &look.held {
                said = format!("{said}; what may not be deleted: {held}");
            }
        }
        Check { name: "disk".to_owned(), verdict, said }
    }

    fn analysis_check(&self) -> Check {
        let idle = self.store.models().ok().and_then(|models| not_analysed(&models));
        analysis_check(&self.analysis.borrow(), idle)
    }

    /// Alarms of the watch on scanners.
    fn quality_check(&self) -> Check {
        let [open, known] = self.store.alarm_counts().unwrap_or_default();
        let alarms = |n: i64| words::count(n.unsigned_abs(), "alarm", "alarms");
        let said = match (open, known) {
            (0, 0) => "no alarm".to_owned(),
            (0, _) => format!("{} that somebody has acknowledged", alarms(known)),
            _ => format!("{} that nobody has acknowledged; see the page Quality", alarms(open)),
        };
        let verdict = if open > 0 { Verdict::Notice } else { Verdict::Good };
        Check { name: "quality".to_owned(), verdict, said }
    }

    /// One line for each destination of results.
    fn archive_checks(&self) -> Vec<Check> {
        let queues = self.store.delivery_queues().unwrap_or_default();
        let (outages, now) = (self.outages.now(), self.store.clock().now());
        let check = |queue: Queue| {
            let objects = |n: i64| words::count(u64::try_from(n).unwrap_or(0), "object", "objects");
            let mut said = format!("{} sent, {} waiting", objects(queue.sent), queue.waiting);
            let mut verdict = Verdict::Good;
            if let Some(outage) = outages.get(&queue.destination) {
                let age = words::span(words::between(outage.since, now));
                said = format!("{said}; no answer for {age}: {}", outage.said);
                verdict = Verdict::Notice;
            }
            if queue.dead > 0 {
                said = format!("{said}; {} given up, see below", objects(queue.dead));
                verdict = Verdict::Problem;
            }
            Check { name: format!("results to {}", queue.destination), verdict, said }
        };
        queues.into_iter().map(check).collect()
    }

    /// The assisting model, and which series its training saw.
    fn model_now(&self) -> Option<(ModelNow, Option<SelectionSeen>)> {
        let models = self.store.models().ok()?;
        let model = models.into_iter().find(|m| m.mode == Mode::Assist && m.in_force())?;
        let bundle = Bundle::open(&self.config.settings.data.folder.join(&model.folder)).ok();
        let manifest = bundle.as_ref().map(Bundle::manifest);
        let now = ModelNow {
            untrained: model.provenance.contains("untrained"),
            simulated: model.provenance.contains("simulated"),
            name: model.name,
            digest: model.digest,
            statement: model.provenance.trim_end_matches('.').to_owned(),
            intended_use: manifest.map(|m| m.intended_use.clone()).unwrap_or_default(),
        };
        Some((now, manifest.and_then(|m| m.selection.clone())))
    }
}

/// `idle` is why no study is analysed.
fn analysis_check(status: &task::Status, idle: Option<&str>) -> Check {
    let device = status.device.as_deref().map_or(String::new(), |d| format!(" on {d}"));
    let mut said = format!("{}{device}", status.doing);
    if let Some(seconds) = status.latest_seconds {
        said = format!("{said}; the latest study took {seconds:.1} s");
    }
    let mut verdict = Verdict::Good;
    if let Some(words) = &status.degraded {
        said = format!("{said}; {words}");
        verdict = Verdict::Notice;
    }
    if let Some(why) = idle {
        said = format!("{said}; studies are not analysed: {why}");
        verdict = Verdict::Notice;
    }
    Check { name: "analysis".to_owned(), verdict, said }
}

fn association(open: &scp::OpenAssociation) -> web::Association {
    web::Association {
        calling: open.calling.clone(),
        peer: open.peer.to_string(),
        since: open.since,
        images: open.stored,
    }
}

/// What a look remembers.
struct Look {
    sensors: Sensors,
    decision: Decision,
    /// When what may not be deleted was last added up, and what it was.
    held: Option<(i64, String)>,
    stop: CancellationToken,
}

fn selection_now(seen: &SelectionSeen, here: &Selection) -> SelectionNow {
    SelectionNow {
        trained: seen.version.clone(),
        here: here.head().version.clone(),
        difference: seen.difference(here),
    }
}

fn selection_check(selection: &SelectionNow) -> Check {
    let (verdict, said) = match &selection.difference {
        None => (Verdict::Good, format!("version {}, as in training", selection.here)),
        Some(difference) => (Verdict::Notice, format!("{difference}; {SELECTS_OTHERWISE}")),
    };
    Check { name: "series selection".to_owned(), verdict, said }
}

fn temperature_check(health: &Health, hottest: f64) -> Check {
    let gpus = health.readings.devices.nvidia.gpus.iter();
    let mut parts: Vec<String> =
        gpus.filter_map(|gpu| Some(format!("{} {:.0} °C", gpu.name, gpu.celsius?))).collect();
    if hottest.is_finite() {
        parts.push(format!("hottest sensor {hottest:.0} °C"));
    }
    let verdict = match health.decision.thermal {
        Thermal::Normal => Verdict::Good,
        Thermal::Slow => Verdict::Notice,
        Thermal::Pause => Verdict::Problem,
    };
    Check { name: "temperature".to_owned(), verdict, said: parts.join(", ") }
}

/// Runs blocking work now and then until told to stop.
fn every(
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    period: Duration,
    mut work: impl FnMut() + Send + 'static,
) {
    let until = shutdown.clone();
    tasks.spawn(async move {
        while !until.is_cancelled() {
            block_in_place(&mut work);
            tokio::select! {
                () = until.cancelled() => {}
                () = tokio::time::sleep(period) => {}
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::models::Model;

    #[test]
    fn a_box_that_analyses_nothing_says_so() {
        let model = |mode, killed_at| Model {
            digest: String::new(),
            name: String::new(),
            folder: String::new(),
            mode,
            installed_at: 0,
            promoted_at: None,
            killed_at,
            context_encoder: String::new(),
            self_test: None,
            provenance: String::new(),
        };
        let status = task::Status { doing: "idle".to_owned(), ..task::Status::default() };
        for (models, verdict, said) in [
            (vec![model(Mode::Assist, None)], Verdict::Good, "idle"),
            (
                vec![model(Mode::Shadow, None), model(Mode::Assist, Some(1))],
                Verdict::Notice,
                "idle; studies are not analysed: the model's kill switch is on",
            ),
            (
                vec![model(Mode::Shadow, None)],
                Verdict::Notice,
                "idle; studies are not analysed: no model is switched on",
            ),
            (Vec::new(), Verdict::Notice, "idle; studies are not analysed: no model is installed"),
        ] {
            let check = analysis_check(&status, not_analysed(&models));
            assert_eq!((check.verdict, check.said.as_str()), (verdict, said));
        }
    }
}
