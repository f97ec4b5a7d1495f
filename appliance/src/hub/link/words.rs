//! What goes wrong with a connection, in words: what it is, and what to do.

use std::io;
use std::time::Duration;

use exchange::courier::Fault;
use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use ureq::{Error, Timeout};

/// What a failed request means. `wall` is this box's wall clock in milliseconds.
pub(in crate::hub) fn fault(error: &Error, host: &str, patience: Duration, wall: i64) -> Fault {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    Fault::Silent(match error {
        Error::HostNotFound => format!(
            "the name {name} is not known here: look at hub.url, and at the name server of this \
             network"
        ),
        Error::Timeout(Timeout::Resolve) => {
            format!("no name server told the address of {name} in time: is this network connected?")
        }
        Error::Timeout(Timeout::Connect) => format!(
            "{host} cannot be reached: no connection in {} s; the line is down, or a firewall \
             drops what goes there",
            super::CONNECT.as_secs()
        ),
        Error::Timeout(_) => format!("no answer from {host} in {} s", patience.as_secs()),
        Error::Rustls(error) => return tls(error, host, wall),
        Error::Io(error) => match tls_error(error) {
            Some(error) => return tls(error, host, wall),
            None => io_error(error, host),
        },
        Error::Protocol(_) => no_hub(host),
        Error::BodyExceedsLimit(most) => {
            format!("the answer of {host} is longer than {most} bytes: {}", no_hub(host))
        }
        error => format!("the request to {host} failed: {error}"),
    })
}

/// What answers is something else.
pub(super) fn no_hub(host: &str) -> String {
    format!("what answers at {host} is no hub: look at hub.url")
}

/// A status that says that this box is not welcome.
pub(super) fn barred(host: &str, status: u16, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(", {said:?}") };
    format!(
        "{host} does not accept this box any more (status {status}{said}): its certificate was \
         revoked, or replaced by another enrolment; ask the hospital that runs the hub, then \
         enrol again"
    )
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn io_error(error: &io::Error, host: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens at {host}: the hub is not running, or the port in hub.url is wrong"
        ),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => {
            format!("there is no way to {host}: this box has no network, or no route to the hub")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::BrokenPipe => format!("the connection to {host} was cut off"),
        _ => format!("the connection to {host} failed: {error}"),
    }
}

fn tls(error: &rustls::Error, host: &str, wall: i64) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(error) => {
            Fault::Barred(hubs_certificate(error, host, wall))
        }
        rustls::Error::AlertReceived(alert) => alerted(*alert, host, wall),
        rustls::Error::InvalidMessage(_) => Fault::Silent(format!(
            "what answers at {host} does not speak TLS: look at the port in hub.url; a network \
             that asks for a login page first looks like this, too"
        )),
        error => Fault::Silent(format!("no safe connection to {host}: {error}")),
    }
}

/// What is wrong with the certificate that the other side showed.
fn hubs_certificate(error: &CertificateError, host: &str, wall: i64) -> String {
    let reads = utc(wall.div_euclid(1000));
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let until = match error {
                CertificateError::ExpiredContext { not_after, .. } => since(*not_after),
                _ => String::new(),
            };
            format!(
                "the certificate of {host} has expired{until}, by this box's clock, which reads \
                 {reads} and may be wrong: set the clock if it is, else tell the hospital that \
                 runs the hub"
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let from = match error {
                CertificateError::NotValidYetContext { not_before, .. } => since(*not_before),
                _ => String::new(),
            };
            format!(
                "the certificate of {host} is not yet valid{from}, by this box's clock, which \
                 reads {reads} and is probably behind: set the clock; the battery on the main \
                 board may be empty"
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the certificate that is shown at {host} is for another name: hub.url must have \
                 the name that the hub's certificate has"
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "what answers at {host} is not the hub that this box was enrolled at, or a program on \
             the way opens the connection: its certificate is from another authority; ask the \
             hospital that runs the hub, and enrol again if it has a new one"
        ),
        error => format!("the certificate of {host} cannot be trusted: {error}"),
    }
}

fn since(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    format!(" ({})", utc(seconds))
}

/// What the hub says of our certificate.
fn alerted(alert: AlertDescription, host: &str, wall: i64) -> Fault {
    Fault::Barred(match alert {
        AlertDescription::CertificateRevoked => format!(
            "the hub has revoked this box's certificate: ask the hospital that runs {host}, then \
             enrol again"
        ),
        AlertDescription::CertificateExpired => format!(
            "this box's certificate is not valid at the time of {host} (this box's clock reads \
             {}): enrol again",
            utc(wall.div_euclid(1000))
        ),
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::NoCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => format!(
            "{host} does not accept this box's certificate ({alert:?}): it belongs to another \
             hub; enrol this box there"
        ),
        alert => {
            return Fault::Silent(format!("{host} broke off the safe connection ({alert:?})"));
        }
    })
}

/// Seconds since 1970 as `2026-11-24 00:31 UTC`.
#[must_use]
pub fn utc(seconds: i64) -> String {
    written(seconds, "%Y-%m-%d %H:%M UTC")
}

/// Seconds since 1970 as `2026-11-24`.
#[must_use]
pub fn day(seconds: i64) -> String {
    written(seconds, "%Y-%m-%d")
}

fn written(seconds: i64, form: &str) -> String {
    // Beyond the year 9999.
    let time = Timestamp::from_second(seconds).map(|time| time.strftime(form).to_string());
    time.unwrap_or_else(|_| "at an unknown time".to_owned())
}
