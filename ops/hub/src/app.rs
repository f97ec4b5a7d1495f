//! The running hub, put together. All state is in the database and the blob store, so that several
//! may run beside each other, and a power cut is a normal stop.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::blobs::{BlobError, BlobStore, Name};
use crate::clock::SystemClock;
use crate::enrolment::Enrolment;
use crate::http::pages::{self, Pages};
use crate::http::sites::make_router;
use crate::http::tls::{self, Listener, Peer, TlsError};
use crate::outward::{StartError, Workers};
use crate::receive::Hub;
use crate::setup::{HUB_CERTIFICATE, HUB_KEY, Home, SetupError};

/// Between two looks for uploads that nobody goes on with.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// Longest wait for requests that are being answered when the hub stops. Boxes send again.
const FAREWELL: Duration = Duration::from_secs(10);

/// Longest object that is shown on a page.
const SHOWN_BYTES: u64 = 64 * 1024 * 1024;

/// Why a hub does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Its folder.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its certificate.
    #[error("the door for boxes cannot be opened")]
    Tls(#[from] TlsError),
    /// Systems that it sends to.
    #[error("what goes on to other systems cannot be sent")]
    Outward(#[from] StartError),
    /// A port.
    #[error("cannot listen on {address} ({key})")]
    Listen {
        /// Key of the settings.
        key: &'static str,
        /// Of the settings.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The network failed.
    #[error("the network failed")]
    Serve(#[source] io::Error),
}

/// A hub that is ready to run.
pub struct App {
    hub: Arc<Hub>,
    enrolment: Arc<Enrolment>,
    acceptor: TlsAcceptor,
    home: Home,
    _workers: Workers,
}

/// A hub whose ports are open.
pub struct Bound {
    sites: TcpListener,
    /// Where boxes connect.
    pub sites_address: SocketAddr,
    pages: TcpListener,
    /// Where browsers do.
    pub pages_address: SocketAddr,
}

impl App {
    /// Opens database, blobs and keys; not inside an asynchronous runtime, because PostgreSQL's
    /// client has one of its own. The same goes for dropping it.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used.
    pub fn open(home: Home) -> Result<Self, AppError> {
        let enrolment = Arc::new(home.enrolment()?);
        let acceptor = tls::acceptor(
            &home.path(HUB_CERTIFICATE),
            &home.path(HUB_KEY),
            enrolment.authority().pem(),
        )?;
        let hub = Arc::new(home.hub()?);
        let workers = Workers::start(&home.config.outward, hub.store(), hub.blobs())?;
        Ok(Self { hub, enrolment, acceptor, home, _workers: workers })
    }

    /// Opens the ports.
    ///
    /// # Errors
    ///
    /// When one is taken.
    pub async fn bind(&self) -> Result<Bound, AppError> {
        let config = &self.home.config;
        let (sites, sites_address) = listen("sites.listen", config.sites_listen).await?;
        let (pages, pages_address) = listen("pages.listen", config.pages_listen).await?;
        Ok(Bound { sites, sites_address, pages, pages_address })
    }

    /// Answers boxes and browsers until `stop`.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub async fn run(
        &self,
        bound: Bound,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), AppError> {
        let listener =
            Listener::new(bound.sites, self.acceptor.clone()).map_err(AppError::Serve)?;
        let router = make_router(Arc::clone(&self.hub), Arc::clone(&self.enrolment));
        let service = router.into_make_service_with_connect_info::<Peer>();
        let housekeeping = tokio::spawn(keep_house(Arc::clone(&self.hub)));
        let stopping = CancellationToken::new();
        let told = stopping.clone();
        tokio::spawn(async move {
            stop.await;
            told.cancel();
        });
        let sites = axum::serve(listener, service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned())
            .into_future();
        let pages = pages::serve(bound.pages, self.pages(), stopping.clone().cancelled_owned());
        let farewell = async {
            stopping.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        let served = tokio::select! {
            served = async { tokio::try_join!(sites, pages) } => served.map(|_| ()),
            () = farewell => Ok(()),
        };
        housekeeping.abort();
        served.map_err(AppError::Serve)
    }

    fn pages(&self) -> Pages {
        let blobs = Arc::clone(self.hub.blobs());
        Pages {
            store: self.hub.store().clone(),
            blobs: Arc::new(move |site: &str, sha256: &str| shown(&*blobs, site, sha256)),
            clock: Arc::new(SystemClock),
            settings: self.home.config.settings.pages.clone(),
        }
    }
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |source| AppError::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// A blob for a page; `None` where there is none.
fn shown(blobs: &dyn BlobStore, site: &str, sha256: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(name) = Name::new(site, sha256) else { return Ok(None) };
    match blobs.open(&name) {
        Ok(content) => {
            let mut bytes = Vec::new();
            content.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(BlobError::Missing(_)) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

async fn keep_house(hub: Arc<Hub>) {
    let mut rounds = tokio::time::interval(HOUSEKEEPING);
    loop {
        rounds.tick().await;
        let hub = Arc::clone(&hub);
        match tokio::task::spawn_blocking(move || hub.expire_uploads()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::info!(count, "old uploads were thrown away"),
            Ok(Err(error)) => tracing::error!(%error, "old uploads were not thrown away"),
            Err(error) => tracing::error!(%error, "old uploads were not thrown away"),
        }
    }
}
