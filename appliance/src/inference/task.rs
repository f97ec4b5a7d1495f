//! The analysis task: finds the study that is due, has the worker process analyse it, and stores
//! what came of it. Every way a worker can fail ends in a row on the worklist that says why.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use models::engine::{DeviceChoice, StudyScores};
use tokio::sync::{Notify, watch};
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::envelope::{outside, outside_by_series};
use super::measured::measured;
use super::process::{Reply, StartError, Worker};
use super::protocol::{Explain, Order, Ready};
use super::result::TriageResult;
use super::{Outcome, tokens_file};
use crate::fault::chain;
use crate::store::changes::Changed;
use crate::store::events::Level;
use crate::store::explanations::ExplanationJob;
use crate::store::jobs::{Finished, Job};
use crate::store::models::{Mode, Model, ModelSwitchError, not_analysed};
use crate::store::{Store, StoreError};
use crate::triage::Tables;

/// How often work is looked for when nobody pokes.
const TICK: Duration = Duration::from_millis(500);
/// Rest after the database or a worker failed for no reason of a study's.
const REST: Duration = Duration::from_secs(5);
/// Starts that fail in a row before a model makes way for the one before it.
const STARTS: u32 = 3;
/// Who did it, in the audit log.
const ACTOR: &str = "appliance";
/// On top of the limits of workers, before the analysis counts as hanging.
const MARGIN: Duration = Duration::from_secs(60);

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// CUDA where there is an NVIDIA driver, else the CPU.
    Auto,
    /// This one, and the CPU when it fails.
    Only(DeviceChoice),
}

/// Settings of the analysis.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to compute.
    pub device: Device,
    /// Longest time for loading a model and its self-test.
    pub start_limit: Duration,
    /// Longest time for one study.
    pub study_limit: Duration,
    /// Deaths of the worker after which a study is given up.
    pub deaths: i64,
    /// Perturbed inputs of an explanation; 0 explains nothing.
    pub lime_samples: usize,
    /// Time on the CPU after the graphics card failed.
    pub gpu_pause: Duration,
    /// The program to start as a worker: this one.
    pub program: PathBuf,
    /// The appliance's data folder.
    pub data: PathBuf,
}

/// What the analysis is doing, for the system page.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Status {
    /// One sentence.
    pub doing: String,
    /// Device of the running worker.
    pub device: Option<String>,
    /// Study that is being analysed.
    pub study_id: Option<i64>,
    /// Why the graphics card is not used, when it should be.
    pub degraded: Option<String>,
    /// Studies analysed since the start.
    pub analysed: u64,
    /// Seconds that the latest study took.
    pub latest_seconds: Option<f64>,
}

/// When the analysis will have come round again at the latest, unless it hangs.
#[derive(Clone, Debug, Default)]
pub struct Promise(Arc<Mutex<Option<Instant>>>);

impl Promise {
    /// Gives it anew.
    pub(crate) fn within(&self, limit: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(limit);
    }

    /// Whether that time is over.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let promised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        promised.is_some_and(|at| Instant::now() >= at)
    }
}

/// The task.
#[derive(Debug)]
pub struct Analysis {
    config: Config,
    store: Arc<Store>,
    tables: Arc<Tables>,
    status: watch::Sender<Status>,
    /// Set while the graphics card is too hot.
    hot: Arc<AtomicBool>,
    worker: Option<Worker>,
    /// The graphics card is not used before this.
    gpu_again: Option<Instant>,
    promise: Promise,
    /// In a row.
    failed_starts: u32,
    /// The models and the latest change when nothing was due: what is due under the same models has
    /// changed since. So a box on which nothing happens does not look at every study again.
    looked: Option<(Vec<Model>, i64)>,
}

/// How one attempt at a job ended.
enum Ended {
    /// With something to store.
    Finished(Finished),
    /// With a dead worker, for this reason.
    Death(String),
    /// The worker was stopped from outside; nothing is to be stored.
    Stopped,
}

impl Analysis {
    /// A task that is not running yet.
    #[must_use]
    pub fn new(
        config: Config,
        store: Arc<Store>,
        tables: Arc<Tables>,
        status: watch::Sender<Status>,
        hot: Arc<AtomicBool>,
    ) -> Self {
        let promise = Promise::default();
        Self {
            config,
            store,
            tables,
            status,
            hot,
            worker: None,
            gpu_again: None,
            promise,
            failed_starts: 0,
            looked: None,
        }
    }

    /// What it promises to whoever watches it.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise.clone()
    }

    /// Works until told to stop; a study in work is then left for the next start.
    pub async fn run(mut self, poke: Arc<Notify>, shutdown: CancellationToken) {
        // A worker is started on a graphics card and again on the CPU, and each has its limits.
        let longest = 2 * (self.config.start_limit + self.config.study_limit) + MARGIN;
        while !shutdown.is_cancelled() {
            self.promise.within(longest);
            let rest = match self.activate(&shutdown).await {
                Ok(true) => continue,
                Ok(false) => TICK,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "the analysis cannot work");
                    REST
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = poke.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
    }

    /// Does one piece of work, if there is any: studies for the assisting model first, then
    /// explanations of what it found, then studies for shadows.
    async fn activate(&mut self, shutdown: &CancellationToken) -> Result<bool, StoreError> {
        let models = block_in_place(|| self.store.models())?;
        let changes = block_in_place(|| self.store.changes())?;
        let among = match &self.looked {
            Some((then, seen)) if *then == models => match changes.after(*seen) {
                Changed::Nothing => Some(Vec::new()),
                Changed::Studies(studies) => Some(studies),
                Changed::Any => None,
            },
            _ => None,
        };
        let among = among.as_deref();
        let assistant = models.iter().find(|m| m.mode == Mode::Assist && m.in_force());
        if let Some(job) = block_in_place(|| self.store.next_job(assistant, among))? {
            match assistant {
                Some(model) => self.work(&job, model, shutdown).await?,
                None => self.without_model(&job, &models)?,
            }
            return Ok(true);
        }
        if let Some(model) = assistant.filter(|_| self.config.lime_samples > 0)
            && let Some(job) = block_in_place(|| self.store.next_explanation(&model.digest, among))?
        {
            self.explain(&job, model, shutdown).await?;
            return Ok(true);
        }
        for model in models.iter().filter(|m| m.mode == Mode::Shadow && m.in_force()) {
            if let Some(job) = block_in_place(|| self.store.next_job(Some(model), among))? {
                self.work(&job, model, shutdown).await?;
                return Ok(true);
            }
        }
        // The assistant is loaded before the first study needs it.
        if let Some(model) = assistant
            && !self.worker.as_mut().is_some_and(|worker| worker.serves(model) && worker.is_alive())
        {
            drop(self.worker(model, shutdown).await);
        }
        self.say("idle", None);
        self.looked = Some((models, changes.latest));
        Ok(false)
    }

    fn say(&self, doing: &str, study_id: Option<i64>) {
        let device = self.worker.as_ref().map(|worker| worker.ready().device.to_string());
        self.status.send_if_modified(|status| {
            let changed =
                status.doing != doing || status.study_id != study_id || status.device != device;
            doing.clone_into(&mut status.doing);
            status.study_id = study_id;
            status.device = device;
            changed
        });
    }

    fn without_model(&self, job: &Job, models: &[Model]) -> Result<(), StoreError> {
        let reason = not_analysed(models).map(str::to_owned);
        let finished = Finished { not_analysed: reason, ..Finished::default() };
        block_in_place(|| self.store.finish_job(job, None, &finished))
    }

    async fn work(
        &mut self,
        job: &Job,
        model: &Model,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        block_in_place(|| self.store.start_job(job))?;
        self.say("analysing a study", Some(job.study_id));
        let started = Instant::now();
        match self.attempt(job, model, shutdown).await {
            Ended::Finished(mut finished) => {
                finished.seconds = started.elapsed().as_secs_f64();
                block_in_place(|| self.store.finish_job(job, Some(model), &finished))?;
                self.status.send_modify(|status| {
                    status.analysed += 1;
                    status.latest_seconds = Some(finished.seconds);
                });
            }
            Ended::Death(reason) => self.died(job, model, &reason)?,
            Ended::Stopped => {}
        }
        Ok(())
    }

    /// Counts a death and gives a study up that has caused too many.
    fn died(&mut self, job: &Job, model: &Model, reason: &str) -> Result<(), StoreError> {
        let store = &self.store;
        let deaths = block_in_place(|| store.record_death(job, &model.digest, reason))?;
        let text = format!("the analysis of study {} stopped: {reason}", job.study_id);
        tracing::warn!("{text}");
        block_in_place(|| store.note(Level::Warning, "model", &text))?;
        if deaths < self.config.deaths {
            return Ok(());
        }
        let often = match deaths {
            1 => String::new(),
            _ => format!(" {deaths} times, the last time"),
        };
        let reason = format!("the analysis stopped{often} because {reason}");
        let finished = Finished { not_analysed: Some(reason), ..Finished::default() };
        block_in_place(|| store.finish_job(job, Some(model), &finished))
    }

    async fn attempt(&mut self, job: &Job, model: &Model, shutdown: &CancellationToken) -> Ended {
        let not_analysed = |reason: String| {
            Ended::Finished(Finished { not_analysed: Some(reason), ..Finished::default() })
        };
        if job.folder.is_empty() {
            return not_analysed("its images are no longer on this box".to_owned());
        }
        let ready = match self.worker(model, shutdown).await {
            Ok(worker) => worker.ready().clone(),
            Err(StartError::Stopped) => return Ended::Stopped,
            // These will not pass; the others may be a kill, or a machine out of memory.
            Err(error @ (StartError::SelfTest { .. } | StartError::Rules(_))) => {
                return not_analysed(chain(&error));
            }
            Err(error) => return Ended::Death(chain(&error)),
        };
        if let Some(reason) = outside(ready.envelope.as_ref(), &job.facts) {
            return not_analysed(reason);
        }
        let order = self.order(job, model);
        let limit = self.config.study_limit;
        let in_force = self.in_force(model);
        let Some(worker) = self.worker.as_mut() else { return Ended::Stopped };
        let reply = worker.carry_out(&order, limit, in_force, shutdown).await;
        match reply {
            Reply::Done(result) => self.finish(&result, &ready),
            Reply::Failed(reason) => not_analysed(reason),
            Reply::Died(reason) => {
                self.drop_worker(&ready, &reason).await;
                Ended::Death(reason)
            }
            Reply::Stopped => {
                self.drop_worker_quietly().await;
                Ended::Stopped
            }
        }
    }

    /// Whether a model may still be used, asked while it works.
    fn in_force(&self, model: &Model) -> impl Fn() -> bool + use<> {
        let (store, digest) = (Arc::clone(&self.store), model.digest.clone());
        move || {
            let models = block_in_place(|| store.models());
            models.is_ok_and(|models| models.iter().any(|m| m.digest == digest && m.in_force()))
        }
    }

    /// Explains one finding. A failure is stored like a success: it would be the same again.
    async fn explain(
        &mut self,
        job: &ExplanationJob,
        model: &Model,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        self.say("explaining a finding", Some(job.study_id));
        let ready = match self.worker(model, shutdown).await {
            Ok(worker) => worker.ready().clone(),
            Err(StartError::Stopped) => return Ok(()),
            Err(error) => {
                return block_in_place(|| self.store.explained(job, Err(chain(&error))));
            }
        };
        let order = Order {
            folder: self.config.data.join("archive").join(&job.folder),
            selection: self.tables.selection.text().to_owned(),
            tokens: PathBuf::new(),
            context: job.context.clone(),
            earlier: None,
            explain: Some(Explain {
                finding: job.finding.clone(),
                samples: self.config.lime_samples,
                out: self.config.data.join("explanations").join(job.inference_id.to_string()),
            }),
            next: None,
        };
        let (limit, in_force) = (self.config.study_limit, self.in_force(model));
        let Some(worker) = self.worker.as_mut() else { return Ok(()) };
        let outcome = match worker.carry_out(&order, limit, in_force, shutdown).await {
            Reply::Done(result) => match result.explanation {
                Some(explanation) => Ok(serde_json::to_string(&explanation).unwrap_or_default()),
                None => Err("the worker explained nothing".to_owned()),
            },
            Reply::Failed(reason) => Err(reason),
            Reply::Died(reason) => {
                self.drop_worker(&ready, &reason).await;
                Err(reason)
            }
            Reply::Stopped => {
                self.drop_worker_quietly().await;
                return Ok(());
            }
        };
        block_in_place(|| self.store.explained(job, outcome))
    }

    fn order(&self, job: &Job, model: &Model) -> Order {
        let tokens = tokens_file(job.study_id, job.generation, &model.digest);
        let archive = self.config.data.join("archive");
        Order {
            folder: archive.join(&job.folder),
            selection: self.tables.selection.text().to_owned(),
            tokens: self.config.data.join("tokens").join(tokens),
            context: job.context.clone(),
            // A result of another schema is not worth an error: the study is encoded again.
            earlier: job.earlier.as_deref().and_then(|json| serde_json::from_str(json).ok()),
            explain: None,
            // A study that a worker died over is alone the next time: it may not have been its.
            next: job.next.as_ref().filter(|_| job.deaths == 0).map(|next| archive.join(next)),
        }
    }

    fn finish(&self, result: &TriageResult, ready: &Ready) -> Ended {
        let mut finished = Finished {
            device: ready.device.to_string(),
            result: serde_json::to_string(result).ok(),
            measured: Some(measured(result)),
            ..Finished::default()
        };
        let names: Vec<&str> = result.series.iter().map(|series| series.name.as_str()).collect();
        match &result.outcome {
            Outcome::NotAnalysed { reason } => finished.not_analysed = Some(reason.clone()),
            Outcome::Analysed { scores } => {
                if let Some(reason) = outside_by_series(ready.envelope.as_ref(), &names) {
                    finished.not_analysed = Some(reason);
                } else {
                    self.assess(scores, &mut finished);
                }
            }
        }
        Ended::Finished(finished)
    }

    fn assess(&self, scores: &StudyScores, finished: &mut Finished) {
        match self.tables.assess(scores) {
            Ok(assessment) => {
                finished.acuity = Some(assessment.acuity.word());
                finished.assessment = serde_json::to_string(&assessment).ok();
            }
            Err(error) => finished.not_analysed = Some(chain(&error)),
        }
    }

    /// The worker for a model, started when there is none.
    async fn worker(
        &mut self,
        model: &Model,
        shutdown: &CancellationToken,
    ) -> Result<&Worker, StartError> {
        let device = self.device();
        let fits = |worker: &mut Worker| {
            worker.serves(model) && worker.asked() == device && worker.is_alive()
        };
        if !self.worker.as_mut().is_some_and(fits) {
            self.drop_worker_quietly().await;
            match self.start(model, device, shutdown).await {
                Ok(worker) => {
                    self.failed_starts = 0;
                    self.worker = Some(worker);
                }
                Err(error) => {
                    self.step_back(model, &error);
                    return Err(error);
                }
            }
        }
        self.worker.as_ref().ok_or(StartError::Stopped)
    }

    /// A model that orders the worklist and cannot be started makes way for the one before it. Its
    /// kill switch is thrown, so that the two do not take turns, and so that everybody sees it.
    fn step_back(&mut self, model: &Model, error: &StartError) {
        self.failed_starts += 1;
        let surely = matches!(error, StartError::SelfTest { .. } | StartError::Rules(_));
        let enough = surely || self.failed_starts >= STARTS;
        if matches!(error, StartError::Stopped) || model.mode != Mode::Assist || !enough {
            return;
        }
        self.failed_starts = 0;
        let switched = block_in_place(|| {
            let earlier = self.store.rollback_model(ACTOR)?;
            self.store.kill_model(&model.digest, true, ACTOR)?;
            Ok::<_, ModelSwitchError>(earlier)
        });
        let text = match switched {
            Ok(earlier) => format!(
                "model {} cannot be used ({}), so {} orders the worklist again",
                model.name,
                chain(error),
                earlier.name
            ),
            // There is none before it: studies are listed by age, and the notes say why.
            Err(ModelSwitchError::NoEarlier) => return,
            Err(error) => format!("the model before cannot be taken: {}", chain(&error)),
        };
        block_in_place(|| self.store.note(Level::Error, "model", &text)).unwrap_or_default();
    }

    /// What the next worker should compute on.
    fn device(&mut self) -> Device {
        if self.gpu_again.is_some_and(|again| again <= Instant::now()) {
            self.gpu_again = None;
            self.status.send_modify(|status| status.degraded = None);
        }
        let cpu = self.gpu_again.is_some() || self.hot.load(Ordering::Relaxed);
        if cpu { Device::Only(DeviceChoice::Cpu) } else { self.config.device }
    }

    /// Starts a worker, on the CPU when the graphics card does not do.
    async fn start(
        &mut self,
        model: &Model,
        device: Device,
        shutdown: &CancellationToken,
    ) -> Result<Worker, StartError> {
        self.say("loading the model", None);
        let folder = self.config.data.join(&model.folder);
        let error = match self.start_on(&folder, model, device, shutdown).await {
            Ok(worker) => return Ok(worker),
            Err(StartError::Stopped) => return Err(StartError::Stopped),
            Err(error) => error,
        };
        let words = chain(&error);
        let text = format!("model {} cannot be used: {words}", model.name);
        if let Err(error) = block_in_place(|| self.store.note(Level::Error, "model", &text)) {
            tracing::error!(error = %chain(&error), "{text}");
        }
        if device == Device::Only(DeviceChoice::Cpu) {
            return Err(error);
        }
        self.degrade(&words);
        let cpu = Device::Only(DeviceChoice::Cpu);
        self.start_on(&folder, model, cpu, shutdown).await
    }

    async fn start_on(
        &self,
        folder: &Path,
        model: &Model,
        device: Device,
        shutdown: &CancellationToken,
    ) -> Result<Worker, StartError> {
        let (program, limit) = (&self.config.program, self.config.start_limit);
        let worker = Worker::start(program, folder, &model.digest, device, limit, shutdown).await?;
        let test = &worker.ready().self_test;
        if let Ok(json) = serde_json::to_string(test)
            && let Err(error) = block_in_place(|| self.store.set_self_test(&model.digest, &json))
        {
            tracing::error!(error = %chain(&error), "a self-test was not stored");
        }
        if test.passed {
            let (diagnoses, classes) = (&worker.ready().diagnoses, &worker.ready().classes);
            self.tables.check(&words(diagnoses), &words(classes))?;
            return Ok(worker);
        }
        let error = StartError::SelfTest {
            device: worker.ready().device,
            worst: test.worst.unwrap_or(f32::INFINITY),
            tolerance: test.tolerance,
        };
        worker.stop().await;
        Err(error)
    }

    /// Leaves the graphics card alone for a while.
    fn degrade(&mut self, reason: &str) {
        self.gpu_again = Some(Instant::now() + self.config.gpu_pause);
        let degraded = format!("computing on the CPU, because the graphics card failed: {reason}");
        self.status.send_modify(|status| status.degraded = Some(degraded));
    }

    async fn drop_worker(&mut self, ready: &Ready, reason: &str) {
        if ready.device != DeviceChoice::Cpu {
            self.degrade(reason);
        }
        self.drop_worker_quietly().await;
    }

    async fn drop_worker_quietly(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop().await;
        }
    }
}

fn words(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
