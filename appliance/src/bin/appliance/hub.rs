//! The commands about the referral hospital's hub.

use std::io::BufRead as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use appliance::app::{open_archive, open_existing_store, open_store};
use appliance::clock::{Clock, SystemClock};
use appliance::config::Config;
use appliance::fault::chain;
use appliance::hub::enrol::{self as enrolment, EnrolError};
use appliance::hub::identity::Identity;
use appliance::hub::link::{Address, HubLink, day, utc};
use appliance::hub::outbox::StoreOutbox;
use appliance::hub::stick;
use appliance::results::Objects;
use appliance::store::audit::Entry;
use exchange::courier::Link as _;
use exchange::wire::Request;
use serde_json::json;

use crate::arguments::{Enrol, Place};
use crate::failure::Failure;
use crate::operate::{ACTOR, counted};
use crate::print;

/// Longest wait for the hub's answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes keys and has them certified.
pub(crate) fn enrol(arguments: &Enrol) -> Result<(), Failure> {
    let config = arguments.place.load()?;
    let url = arguments.hub.as_ref().unwrap_or(&config.settings.hub.url);
    if url.is_empty() {
        return Err(Failure::NoHub);
    }
    let address = Address::parse(url).ok_or_else(|| EnrolError::Address(url.clone()))?;
    let clock = SystemClock::new();
    let authority = enrolment::authority(&address, &clock)?;
    match &arguments.ca_fingerprint {
        Some(expected) => authority.must_be(expected, &address)?,
        None => confirm(&authority.sha256)?,
    }
    let folder = config.hub_folder();
    let site = enrolment::enrol(&address, arguments.code.trim(), &authority, &folder, &clock)?;
    let identity = Identity::load(&folder)?;
    open_store(&config)?.audit(&Entry {
        actor: ACTOR,
        action: "hub.enrol",
        object: &address.host,
        detail: &json!({ "site": site, "authority": authority.sha256 }),
    })?;
    print(&format!(
        "{}keys and certificates: {}\n",
        who(&identity, &address.host),
        folder.display()
    ))?;
    if config.settings.hub.url.is_empty() {
        print(&format!("to use it, set hub.url = \"{url}\" and start the appliance again\n"))?;
    }
    Ok(())
}

/// Shows a fingerprint to the person at the keyboard, who compares it with the hospital's.
fn confirm(sha256: &str) -> Result<(), Failure> {
    let groups: Vec<String> = sha256
        .as_bytes()
        .chunks(4)
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect();
    print(&format!(
        "The hub's authority has the fingerprint (SHA-256)\n\n  {}\n\nAsk the hospital for it, by \
         telephone or on paper. Type yes if it is the same: ",
        groups.join(" ")
    ))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(EnrolError::Declined.into()),
    }
}

fn who(identity: &Identity, host: &str) -> String {
    format!(
        "site {} at {host}, certificate valid from {} to {}\nfingerprint of the hub's authority: {}\n",
        identity.site,
        day(identity.valid_s.0),
        day(identity.valid_s.1),
        identity.authority
    )
}

/// Who this box is at its hub, and a try whether that answers.
pub(crate) fn hub(place: &Place) -> Result<ExitCode, Failure> {
    let config = place.load()?;
    let identity = Identity::load(&config.hub_folder())?;
    let Some(address) = config.hub_address() else {
        print(&who(&identity, "a hub that hub.url does not name"))?;
        return Ok(ExitCode::from(2));
    };
    print(&who(&identity, &address.host))?;
    let store = open_existing_store(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let request = Request { hello: store.hub_hello()?, rows: Vec::new() };
    let batch = match request.encode() {
        Ok(batch) => batch,
        Err(error) => {
            print(&format!("{}\n", chain(&error)))?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut link = HubLink::new(address, &identity, Arc::clone(&clock));
    let tried = link.exchange(&batch, PATIENCE);
    let counts = store.outbox_counts()?;
    let waiting = format!(
        "{} to be sent, {} given up\n",
        counted_u64(counts.waiting.iter().sum(), "message waits", "messages wait"),
        counts.dead
    );
    let (said, code) = match (tried, link.contact()) {
        (Ok(_), Some(contact)) => {
            let hub = utc((clock.wall() + contact.clock_offset_ms).div_euclid(1000));
            let own = utc(clock.wall().div_euclid(1000));
            let said = format!("the hub answers; its clock reads {hub}, this box's {own}\n");
            (said, ExitCode::SUCCESS)
        }
        (Ok(_), None) => {
            ("what answers is no hub: look at hub.url\n".to_owned(), ExitCode::from(2))
        }
        (Err(fault), _) => (format!("{fault}\n"), ExitCode::from(2)),
    };
    print(&format!("{said}{waiting}"))?;
    Ok(code)
}

fn counted_u64(number: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}

/// Writes what waits to a folder.
pub(crate) fn export_outbox(folder: &Path, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let mut outbox = outbox(&config)?;
    let exported = stick::export(&mut outbox, &config.hub_folder(), folder)?;
    let mut said = String::new();
    for file in &exported.files {
        said += &format!("{}\n", file.display());
    }
    said += &format!("{} written", counted(exported.rows, "message", "messages"));
    if exported.left > 0 {
        said += &format!(", {} left: there is no room for more", exported.left);
    }
    said += "; they wait until the hub's receipt is here, or a link has carried them\n";
    print(&said)
}

/// Takes in what the hub wrote.
pub(crate) fn import_receipt(file: &Path, place: &Place) -> Result<(), Failure> {
    let config = place.load()?;
    let mut outbox = outbox(&config)?;
    let taken = stick::import_receipt(&mut outbox, &config.hub_folder(), file)?;
    print(&format!(
        "the hub has {}; {} from the hospital\n",
        counted(taken.rows, "message", "messages"),
        counted(taken.commands, "answer", "answers")
    ))
}

/// That of the settings' data folder; it may be used beside a daemon.
fn outbox(config: &Config) -> Result<StoreOutbox, Failure> {
    let store = open_existing_store(config)?;
    let archive = open_archive(config, Arc::clone(&store))?.root().to_owned();
    let folder = config.settings.data.folder.join("results");
    Ok(StoreOutbox { store, objects: Objects { folder, archive }, offers: None })
}
