//! One child process and the thread that talks to it.

use std::ffi::OsString;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::DecoderError;
use super::protocol::{self, Answer, FrameRequest, Hello};

/// Pixels, or the codec's reason why there are none.
type Decoded = Result<Vec<u8>, String>;

/// A child process. Its pipes belong to a thread, so that the caller can stop waiting at any
/// point of an exchange; dropping the worker ends the process, which ends the thread.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    requests: Sender<(FrameRequest, Vec<u8>)>,
    answers: Receiver<io::Result<Decoded>>,
}

impl Worker {
    pub(super) fn start(program: &Path, args: &[OsString], memory_bytes: u64) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            // Each thread of a codec's pool would reserve address space that the limit counts.
            .env("RAYON_NUM_THREADS", "1")
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the child has no pipes"));
        };
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        let worker = Self { child, requests, answers };
        thread::Builder::new().name("decoder-pipe".to_owned()).spawn(move || {
            converse(input, BufReader::new(output), &Hello { memory_bytes }, &inbox, &outbox);
        })?;
        Ok(worker)
    }

    /// Has one frame decoded. After an error the worker is of no more use.
    pub(super) fn decode(
        &mut self,
        request: FrameRequest,
        stream: Vec<u8>,
        limit: Duration,
    ) -> Result<Decoded, DecoderError> {
        // A thread that is gone has left its last error in the channel.
        let sent = self.requests.send((request, stream));
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        match self.answers.recv_timeout(limit) {
            Ok(Ok(decoded)) if sent.is_ok() => Ok(decoded),
            Ok(Err(source)) => Err(self.broke_off(source)),
            Ok(Ok(_)) | Err(RecvTimeoutError::Disconnected) => Err(self.broke_off(broken())),
            Err(RecvTimeoutError::Timeout) => Err(DecoderError::TimedOut { limit }),
        }
    }

    fn broke_off(&mut self, source: io::Error) -> DecoderError {
        self.child.kill().ok();
        let status = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        DecoderError::BrokeOff { status, source }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The child may be gone already; there is nobody to tell if it cannot be ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The thread's loop: one request, one answer, until either side is gone.
fn converse(
    mut input: ChildStdin,
    mut output: BufReader<ChildStdout>,
    hello: &Hello,
    requests: &Receiver<(FrameRequest, Vec<u8>)>,
    answers: &Sender<io::Result<Decoded>>,
) {
    let mut greeted = protocol::write(&mut input, hello, &[]);
    for (mut request, stream) in requests {
        request.payload = stream.len();
        let answer = std::mem::replace(&mut greeted, Ok(()))
            .and_then(|()| protocol::write(&mut input, &request, &stream))
            .and_then(|()| read_answer(&mut output, &request));
        let broken = answer.is_err();
        if answers.send(answer).is_err() || broken {
            return;
        }
    }
}

fn read_answer(output: &mut impl Read, request: &FrameRequest) -> io::Result<Decoded> {
    let answer = protocol::read_header::<Answer>(output)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    if let Some(reason) = answer.error {
        return Ok(Err(reason));
    }
    let expected = request.frame_bytes();
    if answer.payload != expected {
        return Err(io::Error::other(format!(
            "an answer of {} bytes, expected {expected}",
            answer.payload
        )));
    }
    protocol::read_payload(output, expected).map(Ok)
}
