//! One request to a server of the hospital, and its answer.

use std::fs;
use std::io::{Cursor, ErrorKind, Read};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error, SendBody, Timeout};

use crate::stow::Envelope;
use crate::{fhir, stow};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Longest wait for the end of an answer.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Most that is read of an answer.
const ANSWER_BYTES: u64 = 4 << 20;

/// A server, as settings have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// For people.
    pub name: String,
    /// Base of a FHIR service, or root of a DICOMweb service.
    pub url: String,
    /// File with a token that it wants to see; read anew for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<PathBuf>,
    /// Certificates (PEM) of the hospital's own authority; without one, those of public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Server {
    /// True when the address is one of HTTP.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.url.starts_with("https://") || self.url.starts_with("http://")
    }
}

/// What is posted.
pub struct Parcel {
    /// `Content-Type`.
    pub content_type: String,
    /// `Accept`.
    pub accept: &'static str,
    /// The body.
    pub body: Box<dyn Read + Send>,
    /// Its length.
    pub bytes: u64,
}

impl Parcel {
    /// A transaction ([`crate::fhir`]).
    #[must_use]
    pub fn transaction(body: String) -> Self {
        Self {
            content_type: fhir::MEDIA_TYPE.to_owned(),
            accept: fhir::MEDIA_TYPE,
            bytes: body.len() as u64,
            body: Box::new(Cursor::new(body)),
        }
    }

    /// A DICOM object of this digest and length ([`crate::stow`]).
    #[must_use]
    pub fn object(sha256: &str, object: Box<dyn Read + Send>, bytes: u64) -> Self {
        let Envelope { content_type, head, tail } = Envelope::around(sha256);
        let bytes = bytes + (head.len() + tail.len()) as u64;
        let body = Box::new(Cursor::new(head).chain(object).chain(Cursor::new(tail)));
        Self { content_type, accept: stow::ACCEPT, body, bytes }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It could not be reached, so nothing can.
    Unreached(String),
    /// It broke off, or said nothing in time: perhaps because of what was sent.
    Broken(String),
}

/// The way to a server.
pub struct Http {
    agent: Agent,
    url: String,
    token: Option<PathBuf>,
}

impl Http {
    /// To a server, at a path behind its address.
    ///
    /// # Errors
    ///
    /// When the certificates of its authority cannot be used; in a sentence.
    pub fn new(server: &Server, path: &str) -> Result<Self, String> {
        let mut tls = TlsConfig::builder();
        if let Some(file) = &server.ca_file {
            let wrong = |why: &dyn std::fmt::Display| {
                format!("ca_file {} of {} cannot be used: {why}", file.display(), server.name)
            };
            let pem = fs::read(file).map_err(|error| wrong(&error))?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
            let certificates =
                certificates.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&error))?;
            if certificates.is_empty() {
                return Err(wrong(&"there is no certificate in it"));
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("prima/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let url = format!("{}{path}", server.url.trim_end_matches('/'));
        Ok(Self { agent, url, token: server.bearer_token_file.clone() })
    }

    /// Posts, and returns status and text of the answer.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn post(&self, parcel: Parcel) -> Result<(u16, String), Missed> {
        let Parcel { content_type, accept, mut body, bytes } = parcel;
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", content_type)
            .header("Accept", accept)
            .header("Content-Length", bytes.to_string());
        if let Some(file) = &self.token {
            let token = fs::read_to_string(file).map_err(|error| {
                let file = file.display();
                Missed::Unreached(format!("cannot read bearer_token_file {file}: {error}"))
            })?;
            request = request.header("Authorization", format!("Bearer {}", token.trim()));
        }
        let mut response =
            request.send(SendBody::from_reader(&mut *body)).map_err(|error| missed(&error))?;
        let mut text = Vec::new();
        let read = response.body_mut().as_reader().take(ANSWER_BYTES).read_to_end(&mut text);
        read.map_err(|error| Missed::Broken(format!("it broke off its answer: {error}")))?;
        Ok((response.status().as_u16(), String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Without a connection nothing reaches the system; behind one it is perhaps what was sent.
fn missed(error: &Error) -> Missed {
    let reached = match error {
        Error::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
                | ErrorKind::InvalidData
        ),
        Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | Error::HostNotFound
        | Error::ConnectionFailed
        | Error::Tls(_)
        | Error::Rustls(_) => false,
        _ => true,
    };
    if reached {
        Missed::Broken(format!("it gave no answer: {error}"))
    } else {
        Missed::Unreached(format!("it cannot be reached: {error}"))
    }
}
