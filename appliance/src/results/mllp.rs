//! The way to an HL7 receiver: one message over MLLP (HL7 Implementation Support Guide, C.4), one
//! acknowledgement back.
//!
//! Each message has a connection of its own, because some receivers hang up after each and others
//! wait for nobody else meanwhile.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::delivery::{Answer, Refusal, Way};
use super::oru::{Parties, control_id};
use super::{ObjectError, Objects};
use crate::store::deliveries::Delivery;
use crate::store::{Store, StoreError};

/// Before a message.
const START: u8 = 0x0B;
/// Behind it.
const END: [u8; 2] = [0x1C, b'\r'];
/// Longest acknowledgement that is read.
const LONGEST_ANSWER: u64 = 1 << 16;
/// So much of a receiver's text is kept.
const LONGEST_TEXT: usize = 200;

/// By MLLP, to an HL7 receiver.
pub struct ByMllp {
    /// Its name in the settings.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Longest wait for a connection, and for an acknowledgement.
    pub patience: Duration,
    /// Who writes to whom.
    pub parties: Parties,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    text: String,
    /// As in the message.
    control_id: String,
}

impl Way for ByMllp {
    type Parcel = Letter;
    type Line = TcpStream;

    fn parcel(
        &self,
        objects: &Objects,
        store: &Store,
        delivery: &Delivery,
    ) -> Result<Letter, ObjectError> {
        let control_id = control_id(&store.epoch()?, delivery.inference_id, &self.name);
        let text = objects.message(store, delivery.inference_id, &self.parties, &control_id)?;
        Ok(Letter { text, control_id })
    }

    async fn open(&self) -> Result<TcpStream, String> {
        let Self { host, port, patience, .. } = self;
        let connect = TcpStream::connect((host.as_str(), *port));
        let connected = match timeout(*patience, connect).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        connected.map_err(|why| format!("cannot connect to {host}:{port}: {why}"))
    }

    async fn send(&self, mut line: TcpStream, letter: Letter) -> Answer<TcpStream> {
        let exchange = async {
            let mut bytes = vec![START];
            bytes.extend_from_slice(letter.text.as_bytes());
            bytes.extend_from_slice(&END);
            line.write_all(&bytes).await?;
            read_frame(&mut line).await
        };
        match timeout(self.patience, exchange).await {
            Ok(Ok(Some(answer))) => acknowledged(&answer, &letter.control_id),
            Ok(Ok(None)) => refused("it hung up before it acknowledged"),
            Ok(Err(error)) => {
                refused(format!("the connection failed before it acknowledged: {error}"))
            }
            Err(_) => {
                let seconds = self.patience.as_secs();
                refused(format!("no acknowledgement in {seconds} s"))
            }
        }
    }

    async fn close(&self, _line: TcpStream, _store: &Store) -> Result<(), StoreError> {
        Ok(())
    }
}

fn refused<Line>(why: impl Into<String>) -> Answer<Line> {
    Answer::Refused(None, Refusal { why: why.into(), said: String::new() })
}

/// What stands between a start and an end; `None` when the peer ends before that.
async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut from = from.take(LONGEST_ANSWER);
    let mut bytes = Vec::new();
    loop {
        if from.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let begins = bytes.iter().position(|&byte| byte == START);
        let ends = bytes.windows(END.len()).position(|window| window == END);
        if let (Some(begins), Some(ends)) = (begins, ends)
            && let Some(frame) = bytes.get(begins + 1..ends)
        {
            return Ok(Some(String::from_utf8_lossy(frame).into_owned()));
        }
    }
}

/// What an acknowledgement says (HL7 2.9.2, 2.15.8).
fn acknowledged<Line>(answer: &str, control_id: &str) -> Answer<Line> {
    let (acknowledgement, error) = (fields(answer, "MSA"), fields(answer, "ERR"));
    let field = |of: &[&str], number: usize| of.get(number).copied().unwrap_or_default().to_owned();
    let code = field(&acknowledgement, 1);
    let said = [field(&acknowledgement, 3), field(&error, 8), field(&error, 7), field(&error, 3)];
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    let why = match code.as_str() {
        "AA" | "CA" if field(&acknowledgement, 2) == control_id => return Answer::Taken(None),
        "AA" | "CA" => return refused("it acknowledged another message"),
        "AE" | "CE" => format!("it answered that the message is in error ({code})"),
        "AR" | "CR" => format!("it rejected the message ({code})"),
        _ => return refused("what it answered is no acknowledgement"),
    };
    Answer::Refused(None, Refusal { why, said })
}

/// The fields of the first segment of this name; none when there is no such segment.
fn fields<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let segments = || message.split(['\r', '\n']);
    // The first field of the header is the separator of fields.
    let header = segments().find_map(|segment| segment.strip_prefix("MSH"));
    let separator = header.and_then(|fields| fields.chars().next()).unwrap_or('|');
    let mut split = segments().map(|segment| segment.split(separator).collect::<Vec<_>>());
    split.find(|fields| fields.first() == Some(&name)).unwrap_or_default()
}
