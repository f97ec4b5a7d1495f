//! Installs what came from the hub, once all of it is here: the way of `appliance model install`,
//! with a worker that tries the golden study, because the daemon loads no model. What is installed
//! is off until an administrator says otherwise.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange::offer::Stage;
use models::engine::DeviceChoice;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use super::offers::Offers;
use crate::fault::chain;
use crate::inference::process::{StartError, Worker};
use crate::inference::task::Device;
use crate::model_install::{self, InstallError};
use crate::store::models::Model;
use crate::store::offers::Offer;
use crate::store::{Store, StoreError};
use crate::triage::Tables;

/// Time between two looks for a bundle that is whole.
const LOOK: Duration = Duration::from_secs(2);
/// Pause when a disk or the database failed.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Who did it, in the audit log.
const ACTOR: &str = "hub";

/// What installs.
pub struct Installer {
    /// The database.
    pub store: Arc<Store>,
    /// The data folder.
    pub data: PathBuf,
    /// The site's clinical tables, which must cover a model.
    pub tables: Arc<Tables>,
    /// Who may sign models.
    pub keys: Vec<String>,
    /// The program to start as a worker: this one.
    pub program: PathBuf,
    /// Longest time for loading a model and its self-test.
    pub start_limit: Duration,
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error("its golden study was not tried")]
    Start(#[from] StartError),
}

impl Installer {
    /// Works until told to stop; what was not finished begins anew at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.activate(&shutdown).await {
                tracing::error!(error = %chain(&error), "no model of the hub can be installed");
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Installs what is due.
    async fn activate(&self, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let now = self.store.clock().now();
        let is_due = |offer: &Offer| offer.stage == Stage::Whole && offer.next_at <= now;
        let Some(offer) = block_in_place(|| self.store.model_offer())?.filter(is_due) else {
            return Ok(());
        };
        let installed = self.install(&offer, shutdown).await;
        block_in_place(|| match installed {
            Ok(()) => self.store.offer_came_to(&offer, Stage::Installed, ""),
            Err(Failure::Start(StartError::Stopped)) => Ok(()),
            Err(error) if is_ours(&error) => {
                self.store.offer_waits(&offer.sha256, &chain(&error), AGAIN)
            }
            Err(error) => self.store.offer_came_to(&offer, Stage::Refused, &chain(&error)),
        })
    }

    async fn install(&self, offer: &Offer, shutdown: &CancellationToken) -> Result<(), Failure> {
        let shelf = Offers::shelf(&self.data, &offer.sha256);
        let gates = (&*self.tables, self.keys.as_slice());
        let model = block_in_place(|| {
            model_install::place(shelf.folder(), &self.data, &self.store, gates)
        })?;
        let tried = self.try_it(&model, shutdown).await;
        let stopped = matches!(tried, Err(Failure::Start(StartError::Stopped)));
        if tried.is_err() && !stopped {
            // Nobody knows of it.
            drop(fs::remove_dir_all(self.data.join(&model.folder)));
        }
        tried
    }

    async fn try_it(&self, model: &Model, shutdown: &CancellationToken) -> Result<(), Failure> {
        let (folder, cpu) = (self.data.join(&model.folder), Device::Only(DeviceChoice::Cpu));
        let (program, limit) = (&self.program, self.start_limit);
        let worker = Worker::start(program, &folder, &model.digest, cpu, limit, shutdown).await?;
        let self_test = worker.ready().self_test.clone();
        worker.stop().await;
        let registered = block_in_place(|| {
            model_install::register(&self.store, model.clone(), &self_test, ACTOR)
        });
        registered.map(drop).map_err(Failure::Install)
    }
}

/// True for what says nothing of the bundle.
fn is_ours(error: &Failure) -> bool {
    matches!(
        error,
        Failure::Install(InstallError::Copy { .. } | InstallError::Store(_))
            | Failure::Start(StartError::Spawn { .. })
    )
}
