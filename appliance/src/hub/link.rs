//! The connection to the hub: HTTPS with certificates on both sides, and tus 1.0 for what is
//! large. Whatever fails is put into words for the person who stands before the box.

mod words;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exchange::courier::{Fault, Link};
use exchange::offer::{self, Wanted};
use exchange::wire::{self, Reply};
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder};

use super::identity::Identity;
use crate::clock::Clock;
use crate::store::contact::Contact;

pub(super) use words::fault;
pub use words::{day, utc};

/// Where blobs are made (tus 1.0, creation).
const BLOBS: &str = "/v1/blobs";
/// Longest wait for a name server.
const RESOLVE: Duration = Duration::from_secs(10);
/// Longest wait for a connection: three round trips and what gets lost, over two satellites.
const CONNECT: Duration = Duration::from_secs(30);
/// Longest wait for an answer to a request without a body.
const PATIENCE: Duration = Duration::from_secs(60);
/// A connection is used again when it was idle for no longer than this; the hub closes it a little
/// later.
const IDLE: Duration = Duration::from_secs(100);
/// Most that is read of an answer that only says what is wrong.
const SAID_BYTES: u64 = 4096;
/// Most of it that is passed on, in characters.
const SAID: usize = 200;

/// Address of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host and port, for people.
    pub host: String,
    /// `https://` and the host.
    origin: String,
    /// Path in front of the paths of the interface; empty, or `/...` without a slash at its end.
    root: String,
}

impl Address {
    /// From an address as people write it; `None` when it is none of HTTPS.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let host = uri.authority()?.as_str();
        let plain = uri.scheme_str() == Some("https") && uri.query().is_none();
        (plain && !host.contains('@')).then(|| Self {
            host: host.to_owned(),
            origin: format!("https://{host}"),
            root: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// URL of a path of the interface.
    pub(super) fn of(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin, self.root)
    }

    /// What the answer to a creation calls the new place (RFC 9110 10.2.2), without our origin, so
    /// that it still holds when the hub gets another name.
    fn place(&self, location: &str) -> String {
        match location.strip_prefix(&self.origin) {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ if location.contains("://") => location.to_owned(),
            _ if location.starts_with("//") => format!("https:{location}"),
            _ if location.starts_with('/') => location.to_owned(),
            _ => format!("{}/v1/{location}", self.root),
        }
    }

    fn url_of_place(&self, place: &str) -> String {
        if place.starts_with('/') { format!("{}{place}", self.origin) } else { place.to_owned() }
    }
}

/// Ends what a [`HubLink`] is doing, from another thread.
#[derive(Clone)]
pub struct HangUp(Agent);

impl HangUp {
    /// Cuts all connections; the link is of no use from then on.
    pub fn now(self) {
        self.0.shutdown();
    }
}

/// A connection to a hub.
pub struct HubLink {
    agent: Agent,
    address: Address,
    clock: Arc<dyn Clock>,
    contact: Option<Contact>,
}

impl HubLink {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(address: Address, identity: &Identity, clock: Arc<dyn Clock>) -> Self {
        let tls = tls()
            .root_certs(identity.roots.clone())
            .client_cert(Some(identity.credentials.clone()))
            .build();
        Self { agent: agent(tls), address, clock, contact: None }
    }

    /// The hub's latest answer.
    #[must_use]
    pub fn contact(&self) -> Option<Contact> {
        self.contact
    }

    /// To end what it is doing.
    #[must_use]
    pub fn hang_up(&self) -> HangUp {
        HangUp(self.agent.clone())
    }

    fn post(&self, path: &str) -> RequestBuilder<WithBody> {
        self.agent.post(self.address.of(path))
    }

    fn send(
        &self,
        request: RequestBuilder<WithBody>,
        body: &[u8],
        patience: Duration,
    ) -> Result<Response<Body>, Fault> {
        let request = request.config().timeout_global(Some(patience)).build();
        let response = request.send(body).map_err(|error| self.fault(&error, patience))?;
        self.good(response)
    }

    /// The answer when it is one of success, else what it means.
    fn good(&self, mut response: Response<Body>) -> Result<Response<Body>, Fault> {
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let wait = header(response.headers(), "Retry-After");
        let wait = wait.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let said = said(&mut response);
        Err(match status {
            401 | 403 => Fault::Barred(words::barred(&self.address.host, status, &said)),
            429 | 503 => Fault::Busy(wait),
            400..500 => Fault::Refused { status, said },
            _ => Fault::Failed(status),
        })
    }

    fn fault(&self, error: &ureq::Error, patience: Duration) -> Fault {
        fault(error, &self.address.host, patience, self.clock.wall())
    }

    /// A header that tus promises.
    fn offset_in(&self, response: &Response<Body>) -> Result<u64, Fault> {
        let offset = header(response.headers(), "Upload-Offset").and_then(|text| text.parse().ok());
        offset.ok_or_else(|| Fault::Silent(words::no_hub(&self.address.host)))
    }
}

impl Link for HubLink {
    fn exchange(&mut self, batch: &[u8], patience: Duration) -> Result<Vec<u8>, Fault> {
        let sent = self.clock.wall();
        let request = self.post(wire::PATH).header("Content-Type", wire::MEDIA_TYPE);
        let mut response = self.send(request, batch, patience)?;
        let limit = wire::TEXT_BYTES as u64;
        let answer = response.body_mut().with_config().limit(limit).read_to_vec();
        let answer = answer.map_err(|error| self.fault(&error, patience))?;
        if let Ok(reply) = Reply::decode(&answer) {
            // The answer was written about half way.
            let half_way = sent + (self.clock.wall() - sent) / 2;
            let clock_offset_ms = reply.head.wall_ms - half_way;
            self.contact = Some(Contact { at: self.clock.now(), clock_offset_ms });
        }
        Ok(answer)
    }

    fn create(&mut self, sha256: &str, bytes: u64) -> Result<String, Fault> {
        let request = self
            .post(BLOBS)
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", bytes.to_string())
            .header("Upload-Metadata", format!("sha256 {}", STANDARD.encode(sha256)));
        let mut response = self.send(request, &[], PATIENCE)?;
        drop(said(&mut response));
        let place = header(response.headers(), "Location");
        let place = place.ok_or_else(|| Fault::Silent(words::no_hub(&self.address.host)))?;
        Ok(self.address.place(place))
    }

    fn offset(&mut self, place: &str) -> Result<Option<u64>, Fault> {
        let request =
            self.agent.head(self.address.url_of_place(place)).header("Tus-Resumable", "1.0.0");
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        let response = request.call().map_err(|error| self.fault(&error, PATIENCE))?;
        match self.good(response) {
            Ok(response) => Ok(Some(self.offset_in(&response)?)),
            Err(Fault::Refused { status: 404 | 410, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn append(
        &mut self,
        place: &str,
        offset: u64,
        piece: &[u8],
        patience: Duration,
    ) -> Result<u64, Fault> {
        let request = self
            .agent
            .patch(self.address.url_of_place(place))
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Offset", offset.to_string())
            .header("Content-Type", "application/offset+octet-stream");
        let mut response = self.send(request, piece, patience)?;
        drop(said(&mut response));
        self.offset_in(&response)
    }

    fn fetch(
        &mut self,
        wanted: &Wanted,
        length: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let (first, length) = (wanted.offset, length as u64);
        let url = self.address.of(&format!("{}/{}", offer::PATH, wanted.sha256));
        let last = first.saturating_add(length).saturating_sub(1);
        let request = self.agent.get(url).header("Range", format!("bytes={first}-{last}"));
        let request = request.config().timeout_global(Some(patience)).build();
        let response = request.call().map_err(|error| self.fault(&error, patience))?;
        let mut response = self.good(response)?;
        let range = header(response.headers(), "Content-Range").unwrap_or("none").to_owned();
        let (begin, end) = (format!("bytes {first}-"), format!("/{}", wanted.bytes));
        if !range.starts_with(&begin) || !range.ends_with(&end) {
            let said = format!("it sent the range {range:?}, expected {begin}...{end}");
            return Err(Fault::Refused { status: response.status().as_u16(), said });
        }
        let mut piece = Vec::new();
        let mut body = response.body_mut().with_config().limit(length).reader();
        match body.read_to_end(&mut piece) {
            // What came before a cut does not come again.
            Err(error) if piece.is_empty() => Err(self.fault(&error.into(), patience)),
            _ => Ok(piece),
        }
    }
}

/// What all connections to hubs have in common.
pub(super) fn tls() -> ureq::tls::TlsConfigBuilder {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder().unversioned_rustls_crypto_provider(provider)
}

/// One connection that is kept, straight to the hub: no proxy of the environment, no redirection.
pub(super) fn agent(tls: TlsConfig) -> Agent {
    Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("prima/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(RESOLVE))
        .timeout_connect(Some(CONNECT))
        .max_idle_age(IDLE)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .build()
        .new_agent()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The first words of an answer; reading them to the end lets the connection be used again.
pub(super) fn said(response: &mut Response<Body>) -> String {
    let mut bytes = Vec::new();
    // What is cut off says enough.
    drop(response.body_mut().with_config().limit(SAID_BYTES).reader().read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    text.chars().filter(|c| !c.is_control()).take(SAID).collect()
}

#[cfg(test)]
mod tests;
