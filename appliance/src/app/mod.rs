//! The daemon: builds everything, in the order data flows, and stops it in the same order.
//!
//! Start in three acts: read the settings (nothing is touched), build (folders, database, ports),
//! run. State is in the database, so stopping is only good manners: a power cut does no harm.

mod hub;
mod lock;
mod maintenance;
mod rounds;
mod trial;
mod watchdog;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use models::dicom::decoder::{Decoder, DecoderLimits};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{self, AccountError};
use crate::archive::{self, Archive, ArchiveError};
use crate::clock::SystemClock;
use crate::config::{Config, Peer};
use crate::inference::task::{self, Analysis};
use crate::results::association::ByAssociation;
use crate::results::delivery::Outages;
use crate::results::mllp::ByMllp;
use crate::results::service::{ByFhir, ByStow};
use crate::results::{Objects, delivery};
use crate::scp::{self, Scp, ScpError};
use crate::slices::Slices;
use crate::store::audit::Entry;
use crate::store::backup::{self, BackupError};
use crate::store::events::Level;
use crate::store::models::Mode;
use crate::store::retention::EvictError;
use crate::store::{Store, StoreError};
use crate::tls::{self, Identity, TlsError};
use crate::triage::{RulesError, Tables};
use crate::web::{self, Gate, Live, Niivue, NiivueError, Web};
use crate::{assembly, fault, retention};

pub use lock::{Lock, drain, lock};
pub use maintenance::{
    doctor, open_archive, open_existing_store, open_store, origin, rebuild_index, restore, tables,
    verify,
};

/// Longest wait for tasks at the end.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for an HL7 receiver; below [`STOP_LIMIT`], so that a message under way is finished.
const ACKNOWLEDGEMENT_LIMIT: Duration = Duration::from_secs(10);

/// Why the appliance cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data folder cannot be used.
    #[error(
        "the data folder {path} cannot be used; name a folder that this user may write to with \
         --data or data.folder"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Two daemons would spoil each other's work.
    #[error(
        "an appliance is running on {path} already (process {pid}); stop it with `appliance drain`"
    )]
    Running {
        /// The data folder.
        path: PathBuf,
        /// Its process.
        pid: i32,
    },
    /// It was asked to stop and did not.
    #[error(
        "the appliance (process {pid}) did not stop within {seconds} s; it may be waiting for a \
         broken disk"
    )]
    StillRunning {
        /// The process.
        pid: i32,
        /// Time it was given.
        seconds: u64,
    },
    /// The signal was not delivered.
    #[error(
        "the appliance (process {pid}) cannot be asked to stop; do it as the user it runs as, or as \
         root"
    )]
    NotAsked {
        /// The process.
        pid: i32,
    },
    /// Probably another folder is meant.
    #[error(
        "no appliance has stored anything in {path}; name its folder with --data or in data.folder"
    )]
    NoDatabase {
        /// The folder.
        path: PathBuf,
    },
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The archive cannot be used.
    #[error("the archive of DICOM files cannot be used")]
    Archive(#[from] ArchiveError),
    /// Nothing can be received.
    #[error("nothing can be received")]
    Scp(#[from] ScpError),
    /// No code for the first visitor.
    #[error("no code for the first user could be made")]
    Setup(#[from] AccountError),
    /// The web address is taken.
    #[error(
        "the web pages cannot be shown on {address}; it must be an address of this box, with a port \
         that no other program uses: change web.listen"
    )]
    Web {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The pages have no certificate.
    #[error("the web pages cannot be encrypted; see web.tls in the settings")]
    WebTls(#[from] TlsError),
    /// Volumes cannot be drawn.
    #[error("the pages cannot draw volumes")]
    Niivue(#[from] NiivueError),
    /// A clinical table is wrong.
    #[error("the clinical tables cannot be used")]
    Rules(#[from] RulesError),
    /// A backup could not be put back.
    #[error("the database was not restored")]
    Backup(#[from] BackupError),
    /// Images that were being deleted when the power failed cannot be.
    #[error("images of evicted studies cannot be deleted")]
    Evict(#[from] EvictError),
    /// No signals.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// A fingerprint that is none.
    #[error("dicom.tls.client_fingerprints has {found:?}, expected 64 hexadecimal digits")]
    Fingerprint {
        /// As written.
        found: String,
    },
}

impl AppError {
    /// True when somebody has to change the settings.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Folder { .. }
                | Self::NoDatabase { .. }
                | Self::Scp(_)
                | Self::Web { .. }
                | Self::WebTls(_)
                | Self::Niivue(_)
                | Self::Rules(_)
                | Self::Fingerprint { .. }
        )
    }
}

/// Everything, built and not yet running.
pub struct App {
    config: Config,
    tables: Arc<Tables>,
    store: Arc<Store>,
    archive: Arc<Archive>,
    decoder: Arc<Decoder>,
    /// This program's own file.
    program: PathBuf,
    scp: Arc<Scp>,
    web: TcpListener,
    web_tls: Option<TlsAcceptor>,
    niivue: Option<Arc<Niivue>>,
    /// Printed for the first visitor of a box without users.
    setup_code: Option<String>,
    analysis: Analysis,
    analysis_status: watch::Receiver<task::Status>,
    hot: Arc<AtomicBool>,
    outages: Outages,
    unclean: bool,
    _lock: Lock,
}

impl App {
    /// Makes folders, opens the database, binds the ports. `program` is this program's own file.
    ///
    /// # Errors
    ///
    /// The first thing that cannot be had.
    pub async fn build(config: Config, program: PathBuf) -> Result<Self, AppError> {
        let data = config.settings.data.folder.clone();
        let lock = lock(&data)?;
        for name in ["models", "tokens", "backup"] {
            let path = data.join(name);
            std::fs::create_dir_all(&path).map_err(|source| AppError::Folder { path, source })?;
        }
        let tables = Arc::new(tables(&config)?);
        let niivue = Niivue::read(&config.settings.web.niivue_file)?;
        let web_tls = web_tls(&config)?;
        let clock = Arc::new(SystemClock::new());
        let database = data.join(maintenance::DATABASE);
        backup::finish_restore(&database)?;
        let store = Arc::new(Store::open(&database, clock.clone())?);
        clock.resume(store.last_seen()?);
        // A full disk must not keep the box from saying so.
        let unclean = store.begin_run().unwrap_or_else(|error| {
            tracing::error!(error = %fault::chain(&error), "the start is not written down");
            true
        });
        let archive = Arc::new(open_archive(&config, Arc::clone(&store))?);
        retention::recover(&store, archive.root())?;
        retention::forget_derived(&store, &data)?;
        store.set_destinations(&config.recipients())?;
        store.set_hub(config.hub_profile().as_ref())?;
        let scp = scp_config(&config)?;
        let scp = Scp::bind(scp, Arc::clone(&archive), Arc::clone(&store))?;
        let address = config.web_listen;
        let web =
            TcpListener::bind(address).await.map_err(|source| AppError::Web { address, source })?;
        let setup_code = match store.has_no_users()? {
            true => Some(accounts::setup_code()?),
            false => None,
        };
        let (status, analysis_status) = watch::channel(task::Status::default());
        let hot = Arc::new(AtomicBool::new(false));
        let decode = vec!["decode-worker".into()];
        let decoder = Decoder::new(program.clone(), decode, DecoderLimits::default());
        let analysis = Analysis::new(
            analysis_config(&config, program.clone()),
            Arc::clone(&store),
            Arc::clone(&tables),
            status,
            Arc::clone(&hot),
        );
        Ok(Self {
            config,
            tables,
            store,
            archive,
            decoder: Arc::new(decoder),
            program,
            scp: Arc::new(scp),
            web,
            web_tls,
            niivue,
            setup_code,
            analysis,
            analysis_status,
            hot,
            outages: Outages::default(),
            unclean,
            _lock: lock,
        })
    }

    /// Where to point the scanner and the browser.
    #[must_use]
    pub fn banner(&self) -> String {
        let dicom = &self.config.settings.dicom;
        let addresses = own_addresses();
        let at = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" or ");
        let bound = self.scp.addresses();
        let mut text = String::new();
        if let Some(plain) = bound.plain {
            text +=
                &format!("DICOM  AE title {}, port {}, at {at}\n", dicom.ae_title, plain.port());
        }
        if let Some(tls) = bound.tls {
            text += &format!("DICOM  over TLS: AE title {}, port {}\n", dicom.ae_title, tls.port());
        }
        let web = self.web.local_addr().unwrap_or(self.config.web_listen);
        let host = match web.ip() {
            ip if ip.is_unspecified() => addresses.first().copied().unwrap_or(ip),
            ip => ip,
        };
        let scheme = if self.web_tls.is_some() { "https" } else { "http" };
        text += &format!("Web    {scheme}://{}/\n", SocketAddr::new(host, web.port()));
        if let Some(code) = &self.setup_code {
            text += &format!("Login  no user yet: open the web page and give the code {code}\n");
        }
        text += &format!("Data   {}\n", self.config.settings.data.folder.display());
        if let Ok(models) = self.store.models()
            && !models.iter().any(|model| model.mode == Mode::Assist && model.in_force())
        {
            text += "Model  none in use: studies are listed by age; see `appliance model --help`\n";
        }
        text += "ready\n";
        text
    }

    /// Works until SIGTERM or SIGINT, then finishes what is under way and stops.
    ///
    /// # Errors
    ///
    /// When signals cannot be received or the last writes fail.
    pub async fn run(self) -> Result<(), AppError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(AppError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(AppError::Signals)?;
        if let Err(error) = self.note_start() {
            tracing::error!(error = %fault::chain(&error), "the start is not written down");
        }
        let shutdown = CancellationToken::new();
        let receiving = CancellationToken::new();
        let tasks = TaskTracker::new();
        let poke = Arc::new(Notify::new());

        let scp = Arc::clone(&self.scp);
        let until = receiving.clone();
        let receiver = tokio::spawn(async move { scp.run(until).await });
        let (config, store) = (self.config.assembly(), Arc::clone(&self.store));
        let (wake, until) = (Arc::clone(&poke), shutdown.clone());
        tasks.spawn(async move { assembly::run(&config, store, wake, until).await });
        self.start_deliveries(&tasks, &shutdown);
        let hub = self.start_hub(&tasks, &shutdown);
        let watchdog = self.watchdog();
        tasks.spawn(self.analysis.run(Arc::clone(&poke), shutdown.clone()));
        let rounds = rounds::Rounds {
            config: self.config.clone(),
            tables: Arc::clone(&self.tables),
            store: Arc::clone(&self.store),
            archive: Arc::clone(&self.archive),
            scp: Arc::clone(&self.scp),
            analysis: self.analysis_status,
            hot: self.hot,
            outages: self.outages,
            hub,
            unclean: self.unclean,
            place: trial::place(),
        };
        let status = rounds.start(&tasks, &shutdown);
        let pages = web::router(Web {
            store: Arc::clone(&self.store),
            archive: self.archive,
            decoder: self.decoder,
            slices: Arc::new(Slices::default()),
            status,
            poke,
            caps: self.config.age_caps,
            hosts: self.config.settings.web.host_names.clone().into(),
            settings: self.config.render().into(),
            gate: Gate::new(self.setup_code),
            live: Live::start(Arc::clone(&self.store), &tasks, &shutdown),
            niivue: self.niivue,
            encrypted: self.web_tls.is_some(),
            place: trial::place(),
        });
        let until = shutdown.clone();
        let (listener, tls) = (self.web, self.web_tls);
        tasks.spawn(async move {
            if let Err(error) = web::serve(listener, tls, pages, until.cancelled_owned()).await {
                tracing::error!(error = %fault::chain(&error), "the web pages stopped");
            }
        });

        // It ends first: a receiver that is closing answers nobody.
        watchdog.map(|watchdog| tasks.spawn(watchdog.run(receiving.clone())));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: waiting for open associations");
        // Images under way are finished first; the pages stay until then.
        receiving.cancel();
        drop(receiver.await);
        shutdown.cancel();
        tasks.close();
        if tokio::time::timeout(STOP_LIMIT, tasks.wait()).await.is_err() {
            tracing::warn!("some work did not stop; what it did is safe");
        }
        note_stop(&self.store)
    }

    /// What systemd's watchdog is fed by; receiving is looked at from this box itself.
    fn watchdog(&self) -> Option<watchdog::Watchdog> {
        let bound = self.scp.addresses();
        let port = bound.plain.or(bound.tls)?.port();
        Some(watchdog::Watchdog {
            receive: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            store: Arc::clone(&self.store),
            engine: self.analysis.promise(),
        })
    }

    /// One task for each destination of results.
    fn start_deliveries(&self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let settings = &self.config.settings;
        for archive in &settings.results.archives {
            let way = ByAssociation {
                calling: settings.dicom.ae_title.clone(),
                called: archive.ae_title.clone(),
                destination: destination(&archive.peer()),
                commitment: archive.commitment,
                scp: Arc::clone(&self.scp),
            };
            tasks.spawn(self.delivery(&archive.ae_title, way).run(shutdown.clone()));
        }
        for receiver in &settings.results.hl7 {
            let way = ByMllp {
                name: receiver.name.clone(),
                host: receiver.host.clone(),
                port: receiver.port,
                patience: ACKNOWLEDGEMENT_LIMIT,
                parties: self.config.parties(receiver),
            };
            tasks.spawn(self.delivery(&receiver.name, way).run(shutdown.clone()));
        }
        for server in &settings.results.fhir {
            let way = ByFhir { site: settings.site.name.clone(), server: server.clone() };
            tasks.spawn(self.delivery(&server.name, way).run(shutdown.clone()));
        }
        for archive in &settings.results.stow {
            let way = ByStow { server: archive.server() };
            tasks.spawn(self.delivery(&archive.name, way).run(shutdown.clone()));
        }
    }

    fn delivery<W>(&self, name: &str, way: W) -> delivery::Task<W> {
        let settings = &self.config.settings;
        delivery::Task {
            name: name.to_owned(),
            way,
            refusals: settings.results.refusals,
            pace: delivery::Pace::default(),
            objects: self.objects(),
            store: Arc::clone(&self.store),
            outages: self.outages.clone(),
        }
    }

    /// Where results become objects.
    fn objects(&self) -> Objects {
        Objects {
            folder: self.config.settings.data.folder.join("results"),
            archive: self.archive.root().to_owned(),
        }
    }

    fn note_start(&self) -> Result<(), AppError> {
        tracing::info!(settings = %self.config.render(), "settings in force");
        self.store.note_tables(&self.tables.heads())?;
        self.store.audit(&Entry {
            actor: "appliance",
            action: "appliance.start",
            object: "",
            detail: &json!({
                "version": env!("CARGO_PKG_VERSION"),
                "after_clean_stop": !self.unclean,
            }),
        })?;
        if self.unclean {
            let text = "started after a stop without notice (power cut or crash)";
            self.store.note(Level::Warning, "store", text)?;
        }
        Ok(())
    }
}

fn web_tls(config: &Config) -> Result<Option<TlsAcceptor>, AppError> {
    let tls = &config.settings.web.tls;
    if tls.certificate_file.as_os_str().is_empty() {
        return Ok(None);
    }
    let own = Identity { certificate: &tls.certificate_file, key: &tls.key_file };
    Ok(Some(tls::acceptor(own, None)?))
}

fn note_stop(store: &Store) -> Result<(), AppError> {
    store.audit(&Entry {
        actor: "appliance",
        action: "appliance.stop",
        object: "",
        detail: &json!({}),
    })?;
    Ok(store.end_run()?)
}

fn scp_config(config: &Config) -> Result<scp::Config, AppError> {
    let settings = &config.settings.dicom;
    let mut called = settings.called_ae_titles.clone();
    if called.iter().any(|title| title == "*") {
        called.clear();
    } else {
        called.push(settings.ae_title.clone());
    }
    let some = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
    let tls = &settings.tls;
    let fingerprints = tls.client_fingerprints.iter().map(|text| fingerprint(text));
    let tls = (tls.port != 0).then_some(scp::Tls {
        port: tls.port,
        certificate: tls.certificate_file.clone(),
        key: tls.key_file.clone(),
        authorities: some(&tls.client_ca_file),
        fingerprints: fingerprints.collect::<Result<_, _>>()?,
    });
    let peers = settings.peers.iter().map(|peer| (peer.ae_title.clone(), destination(peer)));
    Ok(scp::Config {
        address: None,
        port: (settings.port != 0).then_some(settings.port),
        tls,
        access: scp::Access {
            called,
            calling: settings.calling_ae_titles.clone(),
            networks: config.networks.clone(),
        },
        private_classes: settings.private_storage_classes.clone(),
        query_retrieve: settings.query_retrieve_ae_titles.clone(),
        destinations: peers.collect(),
        limits: scp::Limits {
            handshake: Duration::from_secs(settings.handshake_limit_s),
            idle: Duration::from_secs(settings.idle_limit_s),
            association: Duration::from_secs(settings.association_limit_s),
            associations: settings.max_associations,
            associations_per_address: settings.max_associations_per_peer,
            ..scp::Limits::default()
        },
    })
}

fn destination(peer: &Peer) -> scp::Destination {
    scp::Destination { host: peer.host.clone(), port: peer.port, tls: peer.tls }
}

fn fingerprint(text: &str) -> Result<[u8; 32], AppError> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let byte = |i: usize| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    bytes
        .filter(|_| digits.len() == 64)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| AppError::Fingerprint { found: text.to_owned() })
}

fn analysis_config(config: &Config, program: PathBuf) -> task::Config {
    let settings = &config.settings.analysis;
    task::Config {
        device: config.device,
        start_limit: Duration::from_secs(settings.start_limit_s),
        study_limit: Duration::from_secs(settings.study_limit_s),
        deaths: i64::from(settings.deaths),
        lime_samples: settings.lime_samples as usize,
        gpu_pause: Duration::from_secs(settings.gpu_pause_s),
        program,
        data: config.settings.data.folder.clone(),
    }
}

fn archive_config(config: &Config) -> archive::Config {
    archive::Config { max_instance_bytes: config.settings.dicom.max_instance_mib << 20 }
}

/// The address a scanner is likely to reach this box at: the one that a packet to elsewhere
/// would carry. Nothing is sent. Without any network it is localhost.
fn own_addresses() -> Vec<IpAddr> {
    let towards = |own: &str, there: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(own).ok()?;
        socket.connect(there).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // Documentation addresses (RFC 5737, RFC 3849): never a real neighbour.
    let found = [towards("0.0.0.0:0", "192.0.2.1:9"), towards("[::]:0", "[2001:db8::1]:9")];
    let found: Vec<IpAddr> =
        found.into_iter().flatten().filter(|ip| !ip.is_unspecified()).collect();
    if found.is_empty() { vec![IpAddr::from([127, 0, 0, 1])] } else { found }
}
