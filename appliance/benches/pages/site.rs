//! A box without its daemon: database, archive and pages.

use std::path::Path;
use std::sync::Arc;

use appliance::accounts;
use appliance::archive::{self, Archive};
use appliance::clock::{Clock, SystemClock};
use appliance::store::Store;
use appliance::web::{Gate, Live, Status, Web, router};
use appliance::worklist::AgeCaps;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use firmware_config::trial::Place;
use models::dicom::decoder::{Decoder, DecoderLimits};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "token of the bench";

pub(crate) struct Site {
    pub(crate) store: Arc<Store>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) pages: Router,
    pub(crate) shutdown: CancellationToken,
    tasks: TaskTracker,
    _status: watch::Sender<Status>,
    _folder: TempDir,
}

impl Site {
    /// One without studies.
    pub(crate) fn new(runtime: &Runtime, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("appliance.sqlite"), clock).unwrap());
        store.add_first_user("Bench", "no hash").unwrap();
        store.add_token("Bench", "bench", &accounts::digest(TOKEN), "bench").unwrap();
        let archive = Arc::new(opened(&folder.path().join("archive"), &store));
        let (sender, status) = watch::channel(Status::default());
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let _context = runtime.enter();
        let pages = router(Web {
            archive: Arc::clone(&archive),
            decoder: Arc::new(Decoder::new("none".into(), Vec::new(), DecoderLimits::default())),
            slices: Arc::default(),
            status,
            poke: Arc::default(),
            caps: AgeCaps::default(),
            hosts: Arc::from([]),
            settings: Arc::from(""),
            gate: Gate::new(None),
            live: Live::start(Arc::clone(&store), &tasks, &shutdown),
            niivue: None,
            encrypted: false,
            place: Place { root: folder.path().to_owned() },
            store: Arc::clone(&store),
        });
        Self { store, archive, pages, shutdown, tasks, _status: sender, _folder: folder }
    }

    /// One with so many studies, the latest of which nobody has read.
    pub(crate) fn filled(runtime: &Runtime, studies: usize, open: usize) -> Self {
        let site = Self::new(runtime, Arc::new(SystemClock::new()));
        let sql = include_str!("studies.sql")
            .replace("STUDIES", &studies.to_string())
            .replace("OPEN", &open.to_string());
        rusqlite::Connection::open(site.store.path()).unwrap().execute_batch(&sql).unwrap();
        site
    }

    /// Asks for a page; its bytes.
    pub(crate) async fn load(&self, path: &str) -> usize {
        let request = Request::get(path)
            .header("host", "127.0.0.1")
            .header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Body::empty()).unwrap();
        let answer = self.pages.clone().oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        to_bytes(answer.into_body(), usize::MAX).await.unwrap().len()
    }

    /// Ends what runs beside the pages.
    pub(crate) fn close(self, runtime: &Runtime) {
        self.shutdown.cancel();
        self.tasks.close();
        runtime.block_on(self.tasks.wait());
    }
}

pub(crate) fn opened(folder: &Path, store: &Arc<Store>) -> Archive {
    Archive::open(folder, Arc::clone(store), archive::Config::default()).unwrap()
}
