//! The worker process as the daemon sees it: started, given orders, watched, killed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use models::engine::DeviceChoice;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::protocol::{Answer, Order, Ready};
use super::result::TriageResult;
use super::task::Device;
use crate::store::models::Model;
use crate::triage::RulesError;

/// How often the kill switch is looked at while a study is analysed.
const SWITCH_TICK: Duration = Duration::from_millis(300);
/// Longest line of standard error that is kept.
const LAST_WORDS: usize = 2000;

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process cannot be started.
    #[error("the analysis process {program} cannot be started")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended or spoke no sense before it was ready.
    #[error("the model cannot be loaded: {words}")]
    Ended {
        /// What it said last.
        words: String,
    },
    /// It took too long.
    #[error(
        "the model was not ready after {seconds} s; a larger [analysis] start_limit_s may help"
    )]
    Slow {
        /// The limit.
        seconds: u64,
    },
    /// The golden study came out wrong.
    #[error(
        "the self-test failed on {device}: the golden study differs by {worst:.4}, at most \
         {tolerance:.4} is accepted; results would not be trustworthy"
    )]
    SelfTest {
        /// Where.
        device: DeviceChoice,
        /// Largest difference.
        worst: f32,
        /// What is accepted.
        tolerance: f32,
    },
    /// The clinical tables and its outputs differ.
    #[error("the clinical tables do not fit the model")]
    Rules(#[from] RulesError),
    /// The appliance is stopping.
    #[error("the appliance is stopping")]
    Stopped,
}

/// How an order ended.
#[derive(Debug)]
pub enum Reply {
    /// Carried out.
    Done(Box<TriageResult>),
    /// It cannot be carried out.
    Failed(String),
    /// The worker died or was killed for taking too long.
    Died(String),
    /// The kill switch, or the appliance is stopping.
    Stopped,
}

/// A worker that is ready.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    last_words: tokio::task::JoinHandle<String>,
    digest: String,
    asked: Device,
    ready: Ready,
}

impl Worker {
    /// Starts the program as a worker and waits until its model is loaded and tested.
    ///
    /// # Errors
    ///
    /// When it does not get ready in time.
    pub async fn start(
        program: &Path,
        bundle: &Path,
        digest: &str,
        device: Device,
        limit: Duration,
        shutdown: &CancellationToken,
    ) -> Result<Self, StartError> {
        let name = match device {
            Device::Auto => "auto".to_owned(),
            Device::Only(choice) => choice.to_string(),
        };
        let spawn = |source| StartError::Spawn { program: program.to_owned(), source };
        let mut child = Command::new(program)
            .arg("triage-worker")
            .arg("--model")
            .arg(bundle)
            .args(["--device", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(stdout), Some(stderr)) = pipes else {
            return Err(spawn(io::ErrorKind::BrokenPipe.into()));
        };
        let last_words = tokio::spawn(last_words(BufReader::new(stderr)));
        let mut answers = BufReader::new(stdout).lines();
        let answer = tokio::select! {
            () = shutdown.cancelled() => return Err(StartError::Stopped),
            answer = tokio::time::timeout(limit, answers.next_line()) => answer,
        };
        let line = answer.map_err(|_| StartError::Slow { seconds: limit.as_secs() })?;
        let parsed = line.ok().flatten().and_then(|line| serde_json::from_str(&line).ok());
        let Some(Answer::Ready(ready)) = parsed else {
            drop(child.start_kill());
            let words = last_words.await.unwrap_or_default();
            return Err(StartError::Ended { words });
        };
        let (digest, ready) = (digest.to_owned(), *ready);
        Ok(Self { child, orders, answers, last_words, digest, asked: device, ready })
    }

    /// What it said of itself.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// What it was asked to compute on.
    #[must_use]
    pub fn asked(&self) -> Device {
        self.asked
    }

    /// False when it ended while it had nothing to do.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// True when it has this model loaded.
    #[must_use]
    pub fn serves(&self, model: &Model) -> bool {
        self.digest == model.digest
    }

    /// Gives an order and waits for its end, for `limit` at most; `in_force` is asked now and
    /// then whether the model may still be used.
    pub async fn carry_out(
        &mut self,
        order: &Order,
        limit: Duration,
        in_force: impl Fn() -> bool,
        shutdown: &CancellationToken,
    ) -> Reply {
        let mut line = match serde_json::to_vec(order) {
            Ok(line) => line,
            Err(error) => return Reply::Failed(error.to_string()),
        };
        line.push(b'\n');
        if self.orders.write_all(&line).await.is_err() {
            return Reply::Died(self.words().await);
        }
        let deadline = Instant::now() + limit;
        loop {
            let answer = tokio::select! {
                () = shutdown.cancelled() => return Reply::Stopped,
                () = tokio::time::sleep_until(deadline) => {
                    return Reply::Died(format!("it took more than {} s", limit.as_secs()));
                }
                () = tokio::time::sleep(SWITCH_TICK) => {
                    if in_force() { continue } else { return Reply::Stopped }
                }
                // Cancel-safe: a line read in part stays in the reader.
                answer = self.answers.next_line() => answer,
            };
            let Some(line) = answer.ok().flatten() else {
                return Reply::Died(self.words().await);
            };
            match serde_json::from_str(&line) {
                Ok(Answer::Alive | Answer::Ready(_)) => {}
                Ok(Answer::Done { result }) => return Reply::Done(result),
                Ok(Answer::Failed { reason }) => return Reply::Failed(reason),
                Err(error) => return Reply::Died(format!("it spoke no sense ({error})")),
            }
        }
    }

    /// How the process ended, and what it said last.
    async fn words(&mut self) -> String {
        drop(self.child.start_kill());
        let status = self.child.wait().await.map(|s| s.to_string()).unwrap_or_default();
        let words = (&mut self.last_words).await.unwrap_or_default();
        if words.is_empty() { format!("its process ended ({status})") } else { words }
    }

    /// Kills the process and waits for its end.
    pub async fn stop(mut self) {
        // It may have ended by itself.
        drop(self.child.kill().await);
    }
}

/// The last lines of standard error, in which errors and panics stand.
async fn last_words(stderr: BufReader<tokio::process::ChildStderr>) -> String {
    let mut lines = stderr.lines();
    let mut kept = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(target: "worker", "{line}");
        if !line.trim().is_empty() && kept.len() < LAST_WORDS {
            if !kept.is_empty() {
                kept.push(' ');
            }
            kept.push_str(line.trim());
        }
    }
    kept
}
