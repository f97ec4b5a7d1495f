//! The chat endpoint: one question, one answer, with retries and a cache.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::host::{PrivateResolver, first_public};

/// Bytes of an answer at most.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// Wait before the first repetition; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Where the language model is, `[language_model]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelConfig {
    /// Base of the OpenAI-compatible interface, such as `http://10.0.0.5:8000/v1`.
    pub url: String,
    /// Name of the model, as the server knows it.
    pub model: String,
    /// File whose first line is the key; none for a server that asks for no key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Certificates (PEM) of the hospital's own authority, for `https`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Send reports to an address outside private networks. Reports are patient data.
    #[serde(default)]
    pub allow_public: bool,
    /// Seconds for one answer.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
    /// Repetitions after a failure that may pass.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Tokens of an answer at most.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: u32,
    /// Folder of the answers; none keeps none. It holds text about patients.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

fn default_timeout_s() -> u64 {
    120
}

fn default_retries() -> u32 {
    4
}

fn default_max_tokens() -> u32 {
    512
}

/// Why a language model did not help. No message holds text of a report.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The address makes no sense.
    #[error(
        "language_model.url is {url:?}; write http:// or https://, a host and a path such as /v1"
    )]
    Url {
        /// As configured.
        url: String,
    },
    /// The name of the host has no address.
    #[error("language_model.url: the host {host:?} cannot be found; correct it or its DNS entry")]
    Host {
        /// Name of the host.
        host: String,
    },
    /// The host is outside.
    #[error(
        "language_model.url: {host} is {address}, a public address, and reports are patient data; \
         name a server inside the hospital, or set allow_public = true if you may"
    )]
    PublicHost {
        /// Name of the host.
        host: String,
        /// What it resolves to.
        address: String,
    },
    /// A file of the configuration or the cache cannot be used.
    #[error("cannot use {path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// No answer after every repetition.
    #[error("the language model at {url} did not answer after {attempts} attempts: {message}")]
    NoAnswer {
        /// Where.
        url: String,
        /// How often it was asked.
        attempts: u32,
        /// The last failure.
        message: String,
    },
    /// The server refused the question; asking again would not help.
    #[error(
        "the language model at {url} refused with status {status}; check url, model and key_file"
    )]
    Refused {
        /// Where.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer was not what was asked for.
    #[error("the language model answered {attempts} times, but not with {expected}")]
    Answer {
        /// What was asked for.
        expected: &'static str,
        /// How often it was asked.
        attempts: u32,
    },
}

/// The endpoint of one model.
#[derive(Debug)]
pub(super) struct Chat {
    agent: ureq::Agent,
    url: String,
    model: String,
    authorization: Option<String>,
    retries: u32,
    max_tokens: u32,
    cache: Option<PathBuf>,
}

/// What one attempt came to.
enum Attempt {
    Answer(String),
    /// Worth another attempt.
    Passing(String),
    Refused(u16),
}

impl Chat {
    pub(super) fn new(config: &LanguageModelConfig) -> Result<Self, LlmError> {
        let base = config.url.trim_end_matches('/');
        check_host(base, config.allow_public)?;
        let authorization = match &config.key_file {
            None => None,
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| file(path, &error))?;
                let key = text.lines().next().map(str::trim).unwrap_or_default().to_owned();
                if key.is_empty() {
                    return Err(file(path, &"its first line is empty; write the key there"));
                }
                Some(format!("Bearer {key}"))
            }
        };
        let mut builder = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(config.timeout_s)))
            .http_status_as_error(false)
            // A redirection or a proxy of the environment could lead outside.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None);
        if let Some(path) = &config.ca_file {
            builder = builder.tls_config(tls(path)?);
        }
        let connector = DefaultConnector::default();
        let settings = builder.build();
        let agent = if config.allow_public {
            ureq::Agent::with_parts(settings, connector, DefaultResolver::default())
        } else {
            ureq::Agent::with_parts(settings, connector, PrivateResolver::default())
        };
        Ok(Self {
            agent,
            url: format!("{base}/chat/completions"),
            model: config.model.clone(),
            authorization,
            retries: config.retries,
            max_tokens: config.max_tokens,
            cache: config.cache.clone(),
        })
    }

    /// Asks until `parse` makes something of the answer; only such an answer is cached.
    pub(super) fn ask<T>(
        &self,
        instruction: &str,
        question: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, LlmError> {
        let cached = self.cached(instruction, question);
        if let Some(path) = &cached
            && let Ok(answer) = fs::read_to_string(path)
            && let Some(value) = parse(&answer)
        {
            return Ok(value);
        }
        let attempts = self.retries.saturating_add(1);
        let mut failure = None;
        for attempt in 0..attempts {
            // Another seed, because an answer that made no sense would only be repeated.
            match self.attempt(instruction, question, attempt) {
                Attempt::Answer(answer) => {
                    let answer = without_thoughts(&answer);
                    if let Some(value) = parse(answer) {
                        cached.iter().try_for_each(|path| store(path, answer))?;
                        return Ok(value);
                    }
                    failure = None;
                }
                Attempt::Passing(message) => {
                    failure = Some(message);
                    if attempt + 1 < attempts {
                        std::thread::sleep(FIRST_PAUSE * 2_u32.saturating_pow(attempt.min(6)));
                    }
                }
                Attempt::Refused(status) => {
                    return Err(LlmError::Refused { url: self.url.clone(), status });
                }
            }
        }
        Err(match failure {
            Some(message) => LlmError::NoAnswer { url: self.url.clone(), attempts, message },
            None => LlmError::Answer { expected, attempts },
        })
    }

    fn attempt(&self, instruction: &str, question: &str, seed: u32) -> Attempt {
        let body = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": instruction },
                { "role": "user", "content": question },
            ],
            "temperature": 0,
            "seed": seed,
            "max_tokens": self.max_tokens,
            "stream": false,
        });
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = match request.send(body.to_string()) {
            Ok(response) => response,
            Err(error) => return Attempt::Passing(error.to_string()),
        };
        let status = response.status().as_u16();
        match status {
            200 => {}
            408 | 429 | 500..=599 => return Attempt::Passing(format!("status {status}")),
            _ => return Attempt::Refused(status),
        }
        let text = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let content = text.map_err(|error| error.to_string()).and_then(|text| {
            let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let content = value.pointer("/choices/0/message/content").and_then(Value::as_str);
            content.map(str::to_owned).ok_or_else(|| "no choices[0].message.content".to_owned())
        });
        content.map_or_else(Attempt::Passing, Attempt::Answer)
    }

    /// Where the answer to a question is kept.
    fn cached(&self, instruction: &str, question: &str) -> Option<PathBuf> {
        let mut digest = Sha256::new();
        for part in [self.model.as_str(), instruction, question] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let name: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(self.cache.as_ref()?.join(format!("{name}.txt")))
    }
}

/// Reasoning models say their thoughts first.
fn without_thoughts(answer: &str) -> &str {
    answer.rsplit("</think>").next().unwrap_or(answer).trim()
}

/// Writes an answer whole or not at all.
fn store(path: &Path, answer: &str) -> Result<(), LlmError> {
    let folder = path.parent().unwrap_or(path);
    let write = || {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(answer.as_bytes())?;
        file.persist(path)?;
        Ok::<_, std::io::Error>(())
    };
    write().map_err(|error| file(path, &error))
}

/// Refuses early what the resolver would refuse at every connection.
fn check_host(url: &str, allow_public: bool) -> Result<(), LlmError> {
    let wrong = || LlmError::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong());
    }
    if allow_public {
        return Ok(());
    }
    let port = authority.port_u16().unwrap_or(port);
    let found = (host, port).to_socket_addrs();
    let addresses: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    if addresses.is_empty() {
        return Err(LlmError::Host { host: host.to_owned() });
    }
    first_public(&addresses).map_or(Ok(()), |address| {
        Err(LlmError::PublicHost { host: host.to_owned(), address: address.to_string() })
    })
}

fn tls(path: &Path) -> Result<TlsConfig, LlmError> {
    let text = fs::read(path).map_err(|error| file(path, &error))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<Certificate<'static>> = certificates.collect();
    if certificates.is_empty() {
        return Err(file(path, &"it holds no certificate; write PEM"));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build())
}

fn file(path: &Path, message: &impl ToString) -> LlmError {
    LlmError::File { path: path.to_owned(), message: message.to_string() }
}
