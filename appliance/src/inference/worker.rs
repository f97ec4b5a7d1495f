//! The worker process: it alone loads a model and touches the graphics card. When a driver hangs
//! or a study brings it down, the daemon kills it and starts another; receiving never notices.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::Scope;
use std::time::{Duration, Instant};
use std::{process, thread};

use models::dicom::decoder::Decoder;
use models::dicom::select::Selection;
use models::engine::input_file::{self, InputFileError};
use models::engine::{DeviceChoice, Engine, EngineError, Precision, Target};
use models::explain::lime::{LimeConfig, Weighting};
use models::prepare::prepare;
use models::weights::bundle::{Bundle, BundleError};
use models::weights::manifest::HeadEntry;

use super::ahead::Ahead;
use super::explain::{Request, explain_score};
use super::protocol::{Answer, Explain, Order, Ready};
use super::result::{Timing, TriageResult};
use super::{InferenceError, Outcome, Progress, Triaged, analyse};
use crate::fault::chain;

/// Least time between two signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Why the worker process ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The bundle is refused.
    #[error("the model cannot be opened")]
    Bundle(#[from] BundleError),
    /// The model cannot be loaded or fails its self-test.
    #[error("the model cannot be loaded")]
    Engine(#[from] EngineError),
    /// The daemon is gone or does not make sense.
    #[error("the daemon cannot be talked to")]
    Daemon(#[source] io::Error),
}

/// Loads the model, tests it, and carries out orders until the daemon closes its end.
///
/// # Errors
///
/// When the model cannot be used on this device or the daemon is gone.
pub fn serve(bundle: &Path, device: DeviceChoice, decoder: &Decoder) -> Result<(), WorkerError> {
    let started = Instant::now();
    let engine = Engine::open(Bundle::open(bundle)?, device, Precision::Full)?;
    let self_test = engine.self_test()?;
    let manifest = engine.bundle().manifest();
    let names = |heads: &[HeadEntry]| -> Vec<String> {
        heads.iter().map(|head| head.name.clone()).collect()
    };
    let mut out = io::stdout().lock();
    let ready = Ready {
        device: engine.choice(),
        self_test,
        seconds: started.elapsed().as_secs_f64(),
        envelope: manifest.envelope.clone(),
        diagnoses: names(&manifest.diagnosis),
        referrals: names(&manifest.referral),
        classes: manifest.priority.as_ref().map(|p| p.classes.clone()).unwrap_or_default(),
    };
    say(&mut out, &Answer::Ready(Box::new(ready)))?;
    thread::scope(|scope| {
        let mut desk = Desk { engine: &engine, decoder, scope, ahead: None };
        for line in orders() {
            let order: Order =
                serde_json::from_str(&line).map_err(|error| WorkerError::Daemon(error.into()))?;
            let mut last = Instant::now();
            let answer = desk.carry_out(&order, &mut || {
                if last.elapsed() >= SIGN_OF_LIFE {
                    last = Instant::now();
                    // A daemon that is gone shows when the result is written.
                    drop(say(&mut out, &Answer::Alive));
                }
            });
            let answer = answer.unwrap_or_else(|error| Answer::Failed { reason: chain(&error) });
            say(&mut out, &answer)?;
        }
        Ok(())
    })
}

/// The daemon's orders. When its end of the pipe closes it is gone, and so is whoever wanted the
/// study that is being worked on: this process ends at once and frees the graphics card.
fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        #[expect(clippy::exit, reason = "the main thread may be in the middle of a computation")]
        process::exit(0);
    });
    receiver
}

fn say(out: &mut impl Write, answer: &Answer) -> Result<(), WorkerError> {
    let mut line = serde_json::to_vec(answer).map_err(|error| WorkerError::Daemon(error.into()))?;
    line.push(b'\n');
    out.write_all(&line).and_then(|()| out.flush()).map_err(WorkerError::Daemon)
}

/// What orders are carried out with.
struct Desk<'scope, 'env> {
    engine: &'scope Engine,
    decoder: &'scope Decoder,
    scope: &'scope Scope<'scope, 'env>,
    ahead: Option<Ahead<'scope>>,
}

impl Desk<'_, '_> {
    fn carry_out(
        &mut self,
        order: &Order,
        alive: &mut dyn FnMut(),
    ) -> Result<Answer, InferenceError> {
        let Self { engine, decoder, .. } = *self;
        // A context that cannot be embedded is no reason to leave the images unread; the result
        // says that none was used.
        let context = engine.clinical_context(&order.context).unwrap_or_default();
        if let Some(earlier) = &order.earlier
            && let Some(result) = score_again(order, earlier, context.clone(), engine)?
        {
            return Ok(Answer::Done { result: Box::new(result) });
        }
        let selection = Selection::parse(&order.selection, "the daemon's series selection")?;
        let ahead = self.ahead.take_if(|ahead| ahead.is_for(order)).and_then(Ahead::finish);
        let version = engine.bundle().manifest().preprocessing;
        let prepared = match ahead {
            Some(prepared) => prepared,
            None => prepare(&order.folder, version, &selection, decoder, |_| alive())?,
        };
        // On a CPU there is nobody to do it: all threads compute.
        if let Some(next) = &order.next
            && engine.choice() != DeviceChoice::Cpu
        {
            let (next, rules) = (next.clone(), &order.selection);
            self.ahead = Some(Ahead::begin(self.scope, next, rules, version, decoder));
        }
        let mut triaged =
            analyse(prepared, engine, &selection, context, |_: Progress<'_>| alive())?;
        if let Some(wanted) = &order.explain {
            return Ok(explain(&mut triaged, wanted, engine, decoder, alive));
        }
        let Triaged { result, input, .. } = triaged;
        if let Some(input) = input {
            // Tokens on disk spare time later; a study without them is encoded again.
            drop(input_file::save(&input, &order.tokens));
        }
        Ok(Answer::Done { result: Box::new(result) })
    }
}

/// Explains a finding of a study that was scored just now.
fn explain(
    triaged: &mut Triaged,
    wanted: &Explain,
    engine: &Engine,
    decoder: &Decoder,
    alive: &mut dyn FnMut(),
) -> Answer {
    let request = Request {
        output: Some(Target::Diagnosis(wanted.finding.clone())),
        series: None,
        lime: LimeConfig {
            samples: wanted.samples,
            // As `appliance triage --explain` does it; the published weights are for comparison.
            weighting: Weighting::Locality { kernel_width: Weighting::LIME_WIDTH },
            ..LimeConfig::default()
        },
        out: wanted.out.clone(),
    };
    match explain_score(triaged, engine, decoder, &request, |_| alive()) {
        Ok(explanation) => {
            triaged.result.explanation = Some(explanation);
            Answer::Done { result: Box::new(triaged.result.clone()) }
        }
        Err(error) => Answer::Failed { reason: chain(&error) },
    }
}

/// Scores kept tokens with another context; `None` when there are none that can be used.
fn score_again(
    order: &Order,
    earlier: &TriageResult,
    context: Option<Vec<f32>>,
    engine: &Engine,
) -> Result<Option<TriageResult>, InferenceError> {
    let mut input = match input_file::load(&order.tokens) {
        Ok(input) => input,
        Err(InputFileError::Io { .. } | InputFileError::Content { .. }) => return Ok(None),
    };
    let started = Instant::now();
    input.clinical_context = context;
    let scores = engine.score(&input)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Some(TriageResult {
        outcome: Outcome::Analysed { scores },
        timings: vec![Timing { stage: "transformers and heads".to_owned(), seconds }],
        explanation: None,
        ..earlier.clone()
    }))
}
