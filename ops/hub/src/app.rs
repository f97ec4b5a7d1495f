//! The running hub, put together. All state is in the database and the blob store, so that several
//! may run beside each other, and a power cut is a normal stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::enrolment::Enrolment;
use crate::http::sites::make_router;
use crate::http::tls::{self, Listener, Peer, TlsError};
use crate::receive::Hub;
use crate::setup::{HUB_CERTIFICATE, HUB_KEY, Home, SetupError};

/// Between two looks for uploads that nobody goes on with.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// Longest wait for requests that are being answered when the hub stops. Boxes send again.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why a hub does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Its folder.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its certificate.
    #[error("the door for boxes cannot be opened")]
    Tls(#[from] TlsError),
    /// Its port.
    #[error("cannot listen on {address} (sites.listen)")]
    Listen {
        /// Of the settings.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The network failed.
    #[error("the door for boxes failed")]
    Serve(#[source] io::Error),
}

/// A hub that is ready to run.
pub struct App {
    hub: Arc<Hub>,
    enrolment: Arc<Enrolment>,
    acceptor: TlsAcceptor,
    home: Home,
}

/// A hub whose ports are open.
pub struct Bound {
    sites: TcpListener,
    /// Where boxes connect.
    pub sites_address: SocketAddr,
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
        Ok(Self { hub: Arc::new(home.hub()?), enrolment, acceptor, home })
    }

    /// Opens the ports.
    ///
    /// # Errors
    ///
    /// When one is taken.
    pub async fn bind(&self) -> Result<Bound, AppError> {
        let address = self.home.config.sites_listen;
        let listen = |source| AppError::Listen { address, source };
        let sites = TcpListener::bind(address).await.map_err(listen)?;
        let sites_address = sites.local_addr().map_err(listen)?;
        Ok(Bound { sites, sites_address })
    }

    /// Answers until `stop`. The listener of the pages and the workers of other systems belong
    /// beside the door for boxes.
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
        let serve = axum::serve(listener, service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned())
            .into_future();
        let farewell = async {
            stopping.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        let served = tokio::select! {
            served = serve => served,
            () = farewell => Ok(()),
        };
        housekeeping.abort();
        served.map_err(AppError::Serve)
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
