//! When is a study complete?
//!
//! DICOM has no "that was all". A timer alone fires in the middle of a transfer that pauses; the
//! end of an association says little, because scanners open one per series. So a study is
//! complete after a quiet period without images, which is short once the association was released
//! in good order, and shorter still when the scanner announced how many images there would be
//! (Number of Study Related Instances) and they are all here. While announced images are missing
//! the study waits longer and is then marked partial. Images that come later open it again, and
//! the analysis is repeated; both results are kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::store::assembly::{Completed, Periods};

/// How often completeness is looked at: part of the time from last image to worklist.
const TICK: Duration = Duration::from_millis(250);

/// When a study counts as complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Without an image.
    pub quiet: Duration,
    /// Without an image after the association was released in good order.
    pub quiet_after_release: Duration,
    /// After the last announced image.
    pub quiet_when_all_announced: Duration,
    /// Without an image, while announced images are missing.
    pub partial: Duration,
}

impl Config {
    fn periods(&self) -> Periods {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Periods {
            quiet: ms(self.quiet),
            after_release: ms(self.quiet_after_release.min(self.quiet)),
            all_announced: ms(self.quiet_when_all_announced.min(self.quiet)),
            partial: ms(self.partial.max(self.quiet)),
        }
    }
}

/// Marks complete studies and wakes the analysis, until told to stop. A failing database is
/// reported once and tried again.
pub async fn run(
    config: &Config,
    store: Arc<Store>,
    analysis: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let periods = config.periods();
    let mut failing = false;
    while !shutdown.is_cancelled() {
        match tokio::task::block_in_place(|| store.complete_due(periods)) {
            Ok(completed) => {
                failing = false;
                if !completed.is_empty() {
                    log(&completed);
                    analysis.notify_one();
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(error = %crate::fault::chain(&error), "studies are not assembled");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

fn log(completed: &[Completed]) {
    for study in completed {
        tracing::info!(
            study = study.study_id,
            generation = study.generation,
            partial = study.partial,
            "study complete"
        );
    }
}
