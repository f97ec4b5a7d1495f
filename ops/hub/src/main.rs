//! `hub`: what a referral hospital runs, at the command line.

#![expect(clippy::print_stderr, reason = "errors of a command-line program go to the terminal")]

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use hub::app::{App, AppError};
use hub::config::{Config, ConfigError};
use hub::db::DbError;
use hub::fault::chain;
use hub::import::{self, ImportError};
use hub::offer::{self, OfferError};
use hub::setup::{Home, SetupError};
use hub::store::Store;
use hub::store::offers::Offer;
use hub::store::sites::{Site, SiteError};
use hub::users_cli::{self, CommandError};
use tokio::signal::unix::{SignalKind, signal};

/// Longest wait for what still writes when the hub was told to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// Rows of the audit log in memory.
const AUDIT_ROWS: i64 = 1000;

const EXIT_CODES: &str = "Exit codes: 0 done; 64 wrong usage; 65 an outbox file, a bundle \
    or the audit log is not what it should be; 70 internal error; 73 standard output cannot be \
    written; 78 settings, folder or \
    port cannot be used.";

/// The hub of a referral hospital: what boxes in clinics send, kept and shown to whoever answers.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a hub's folder: certificates, keys, settings and, by default, the database.
    Init {
        /// The folder; it is not there yet, or empty.
        folder: PathBuf,
        /// Name or address by which boxes reach the hub; several with several --host.
        #[arg(long = "host", value_name = "NAME", required = true)]
        hosts: Vec<String>,
    },
    /// Answer boxes and browsers, until told to stop.
    Serve(Place),
    /// Clinics whose boxes may speak to this hub.
    Site {
        #[command(subcommand)]
        command: SiteCommand,
        #[command(flatten)]
        place: Place,
    },
    /// People who may use the pages.
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        place: Place,
    },
    /// Offer boxes a signed model bundle: they fetch and install it, and their administrators let
    /// it be used.
    Offer {
        /// The bundle's folder.
        bundle: PathBuf,
        /// To whom, as in `site list`; without one to every box that is let in.
        #[arg(long = "site", value_name = "ID")]
        sites: Vec<String>,
        /// What is new, for the people there.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take an offer back; what is installed at a box stays there.
    Withdraw {
        /// Name or SHA-256 of the bundle.
        bundle: String,
        /// From whom, as in `site list`; without one from every box.
        #[arg(long = "site", value_name = "ID")]
        sites: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Import outbox files that came on a stick; a receipt for the way back is written beside each.
    Import {
        /// The files; the signature of each lies beside it.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// The audit log, oldest first, a JSON object a line; fails when a row is missing or was changed.
    AuditExport(Place),
    /// Check settings and print what results.
    CheckConfig {
        /// The settings; without it the built-in ones.
        file: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum SiteCommand {
    /// Add a clinic, or give one a new code, for a new box or after it was revoked.
    Add {
        /// Lower-case words with hyphens, such as mbeya-district.
        id: String,
        /// Name for people; without it the identifier.
        #[arg(long)]
        name: Option<String>,
    },
    /// All clinics and how it stands with their boxes.
    List,
    /// Let nobody of a clinic in any more; what it sent stays.
    Revoke {
        /// As in `site list`.
        id: String,
    },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add somebody, or let a removed one in again; prints a password for the first login.
    Add {
        /// Name to log in with.
        name: String,
        /// coordinator, specialist or admin.
        #[arg(long)]
        role: String,
    },
    /// Everybody, with their role.
    List,
    /// Let somebody in no more; the log still names them.
    Remove {
        /// As in `user list`.
        name: String,
    },
}

#[derive(clap::Args)]
struct Place {
    /// The hub's folder.
    #[arg(long = "data", value_name = "FOLDER", default_value = "hub-data", global = true)]
    folder: PathBuf,
}

/// What ends the program with an error.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the hub does not run")]
    App(#[from] AppError),
    #[error("nothing was offered")]
    Offer(#[from] OfferError),
    #[error(
        "row {0} of the audit log is missing or was changed; the rows before it are as they were \
         written"
    )]
    Audit(i64),
    #[error("the sites were not changed")]
    Sites(#[from] SiteError),
    #[error("the users were not changed")]
    Users(#[from] CommandError),
    #[error("the database failed")]
    Database(#[from] DbError),
    #[error("{path} was not imported")]
    Import {
        path: PathBuf,
        #[source]
        source: ImportError,
    },
    #[error("the program's runtime cannot be started")]
    Runtime(#[source] io::Error),
    #[error("standard output cannot be written")]
    Print(#[source] io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Sites(SiteError::Id { .. } | SiteError::Unknown(_))
            | Self::Users(CommandError::Role(_) | CommandError::User(_))
            | Self::Setup(SetupError::NoHost | SetupError::Taken(_)) => 64,
            Self::Import { .. } | Self::Offer(_) | Self::Audit(_) => 65,
            Self::Print(_) => 73,
            Self::Config(_) | Self::Setup(_) => 78,
            Self::App(
                AppError::Setup(_)
                | AppError::Tls(_)
                | AppError::Outward(_)
                | AppError::Listen { .. },
            ) => 78,
            Self::App(AppError::Serve(_))
            | Self::Sites(_)
            | Self::Users(_)
            | Self::Database(_)
            | Self::Runtime(_) => 70,
        }
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", chain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init { folder, hosts } => {
            let home = Home::create(&folder, &hosts)?;
            let fingerprint = home.authority()?.fingerprint().to_owned();
            print(&format!(
                "{} is a hub's folder now; it holds keys: keep it, and its backup, to yourself\n\
                 fingerprint of its authority: {fingerprint}\n",
                folder.display()
            ))
        }
        Command::Serve(place) => serve(&place),
        Command::Site { command, place } => site(command, &place),
        Command::User { command, place } => user(command, &place),
        Command::Offer { bundle, sites, note, place } => offer_model(&bundle, sites, &note, &place),
        Command::Withdraw { bundle, sites, place } => withdraw_model(&bundle, sites, &place),
        Command::Import { files, place } => import_all(&files, &place),
        Command::AuditExport(place) => audit_export(&place),
        Command::CheckConfig { file } => print(&Config::load(file.as_deref())?.render()),
    }
}

fn serve(place: &Place) -> Result<(), Failure> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    let app = App::open(Home::open(&place.folder)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let served: Result<(), Failure> = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let bound = app.bind().await?;
        print(&format!(
            "boxes connect to {}, browsers to http://{}/\n",
            bound.sites_address, bound.pages_address
        ))?;
        Ok(app.run(bound, stop).await?)
    });
    runtime.shutdown_timeout(FAREWELL);
    served
}

fn site(command: SiteCommand, place: &Place) -> Result<(), Failure> {
    let home = Home::open(&place.folder)?;
    let store = home.store()?;
    match command {
        SiteCommand::Add { id, name } => {
            let code = store.add_site(&id, name.as_deref().unwrap_or(&id))?;
            let fingerprint = home.authority()?.fingerprint().to_owned();
            let url = &home.config.settings.sites.url;
            print(&format!(
                "{id} may enrol one box within 7 days. At the box:\n\n    \
                 appliance enrol --hub {url} --code {code} --ca-fingerprint {fingerprint}\n"
            ))
        }
        SiteCommand::List => {
            let now_ms = store.clock().now_ms();
            let offers = store.offers()?;
            let sites = store.sites()?;
            let lines = sites.iter().map(|site| line(site, offers.get(&site.id), now_ms));
            let lines: String = lines.collect();
            let none = "there is no site; see `hub site add --help`\n";
            print(if lines.is_empty() { none } else { &lines })
        }
        SiteCommand::Revoke { id } => {
            store.revoke_site(&id)?;
            print(&format!("nobody of {id} is let in any more; what it sent stays\n"))
        }
    }
}

fn user(command: UserCommand, place: &Place) -> Result<(), Failure> {
    let store = Home::open(&place.folder)?.store()?;
    let said = match command {
        UserCommand::Add { name, role } => users_cli::add(&store, &name, &role)?,
        UserCommand::List => users_cli::list(&store)?,
        UserCommand::Remove { name } => users_cli::remove(&store, &name)?,
    };
    print(&said)
}

fn line(site: &Site, offer: Option<&Offer>, now_ms: i64) -> String {
    let state = match (site.revoked_ms, site.enrolled, site.contact_ms) {
        (Some(_), ..) => "revoked".to_owned(),
        (None, false, _) => "not enrolled".to_owned(),
        (None, true, None) => "enrolled, never heard of".to_owned(),
        (None, true, Some(contact_ms)) => {
            let minutes = now_ms.saturating_sub(contact_ms) / 60_000;
            let [p0, p1, p2, p3] = site.backlog;
            format!(
                "heard of {minutes} min ago, waiting there: {p0} flags, {p1} results, {p2} series, \
                 {p3} others; given up: {}",
                site.dead
            )
        }
    };
    let forks = match site.forks {
        0 => String::new(),
        forks => format!(
            "; ALARM: rows that contradict others: {forks}; two boxes use one identity, or \
             somebody has changed an audit log"
        ),
    };
    let offer = offer.map_or_else(String::new, |offer| {
        format!("; model {}: {}", offer.progress.name, offer.said())
    });
    format!("{}  {}  {state}{offer}{forks}\n", site.id, site.name)
}

fn offer_model(
    bundle: &Path,
    wanted: Vec<String>,
    note: &str,
    place: &Place,
) -> Result<(), Failure> {
    let hub = Home::open(&place.folder)?.hub()?;
    let sites = open_sites(hub.store(), wanted)?;
    let bundle = offer::publish(&**hub.blobs(), bundle, hub.limits().one_blob_bytes)?;
    hub.store().offer_model(&sites, &bundle, note, "command line")?;
    print(&format!(
        "{} has {} bytes in {} files\n{}",
        bundle.id,
        bundle.bytes(),
        bundle.files.len(),
        told(&sites)
    ))
}

fn withdraw_model(bundle: &str, wanted: Vec<String>, place: &Place) -> Result<(), Failure> {
    let store = Home::open(&place.folder)?.store()?;
    let sites = open_sites(&store, wanted)?;
    let taken_back = store.withdraw_model(&sites, bundle, "command line")?;
    if taken_back.is_empty() {
        return print(&format!("{bundle} is offered to none of them\n"));
    }
    print(&told(&taken_back))
}

/// Those that are wanted, or all that are let in.
fn open_sites(store: &Store, wanted: Vec<String>) -> Result<Vec<String>, Failure> {
    let open = store.sites()?.into_iter().filter(|site| site.revoked_ms.is_none());
    let open: Vec<String> = open.map(|site| site.id).collect();
    if let Some(unknown) = wanted.iter().find(|id| !open.contains(id)) {
        return Err(SiteError::Unknown(unknown.clone()).into());
    }
    Ok(if wanted.is_empty() { open } else { wanted })
}

fn told(sites: &[String]) -> String {
    let none = "nobody: there is no site".to_owned();
    let sites = if sites.is_empty() { none } else { sites.join(", ") };
    format!("told with their next contact: {sites}\n")
}

fn import_all(files: &[PathBuf], place: &Place) -> Result<(), Failure> {
    let home = Home::open(&place.folder)?;
    let (hub, keys) = (home.hub()?, home.keys()?);
    for path in files {
        let imported = import::import(&hub, path, &keys, home.folder())
            .map_err(|source| Failure::Import { path: path.clone(), source })?;
        print(&format!(
            "{}: site {}, {} new, {} known, {} refused; receipt for the way back: {}\n",
            path.display(),
            imported.site,
            imported.stored,
            imported.duplicates,
            imported.refused,
            imported.receipt.display()
        ))?;
    }
    Ok(())
}

fn audit_export(place: &Place) -> Result<(), Failure> {
    let store = Home::open(&place.folder)?.store()?;
    let mut after = 0;
    loop {
        let rows = store.audit_rows(after, AUDIT_ROWS)?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        let lines: String = rows.iter().map(|row| format!("{}\n", row.to_json())).collect();
        print(&lines)?;
    }
    match store.verify_audit()? {
        (_, Some(seq)) => Err(Failure::Audit(seq)),
        (_, None) => Ok(()),
    }
}

/// Writes to standard output, which may be a full disk.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Print)
}
