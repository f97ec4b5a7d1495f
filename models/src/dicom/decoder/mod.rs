//! Compressed frames are decoded in a child process.
//!
//! Codecs are the part of a DICOM reader that crashes: two of ours are C++ and machine-translated
//! C. In a child with a memory limit, and with a time limit watched from outside, the worst that
//! a hostile frame can do is to cost that frame: a child that dies, hangs or answers nonsense is
//! replaced.
//!
//! [`Decoder`] is the parent's side; [`serve`] is the child's main loop, run by the hidden
//! subcommand `decode-worker` of the binaries.

mod codec;
mod protocol;
mod rle;
mod shape;
mod worker;

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) use protocol::FrameRequest;
use protocol::{Answer, Hello};
use worker::Worker;

/// What a decoder process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Address space beyond what the program occupies when it starts.
    pub memory_bytes: u64,
    /// From sending a frame to having its pixels.
    pub time_per_frame: Duration,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, time_per_frame: Duration::from_secs(20) }
    }
}

/// Why a compressed frame was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The decoder process did not start.
    #[error("the decoder process {} did not start", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The decoder process took too long and was ended.
    #[error("the decoder process was ended after {} s on one frame", limit.as_secs_f64())]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// The decoder process ended in the middle of a frame.
    #[error("the decoder process broke off ({status}); the frame may need too much memory")]
    BrokeOff {
        /// How it ended.
        status: String,
        /// What the pipe said.
        #[source]
        source: io::Error,
    },
    /// The codec does not know this kind of stream, or found it corrupt.
    #[error("{reason}")]
    Refused {
        /// The codec's words.
        reason: String,
    },
    /// On the child's side: the pipe to the parent failed.
    #[error("the pipe to the parent process failed")]
    Pipe {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// On the child's side: the memory limit was not accepted.
    #[error("the memory limit of {memory_bytes} bytes could not be set")]
    Limit {
        /// The limit.
        memory_bytes: u64,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A pool of decoder processes. Children are started when needed, as many as there are threads
/// that decode at the same time, and kept until the decoder is dropped.
#[derive(Debug)]
pub struct Decoder {
    program: PathBuf,
    args: Vec<OsString>,
    limits: DecoderLimits,
    idle: Mutex<Vec<Worker>>,
}

impl Decoder {
    /// A decoder whose children run `program` with `args`, which must lead to [`serve`].
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<OsString>, limits: DecoderLimits) -> Self {
        Self { program, args, limits, idle: Mutex::new(Vec::new()) }
    }

    /// Decodes the compressed bytes of one frame to little-endian containers of Bits Allocated,
    /// samples interleaved; exactly as many bytes as the frame has.
    pub(super) fn decode(
        &self,
        request: FrameRequest,
        stream: Vec<u8>,
    ) -> Result<Vec<u8>, DecoderError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => Worker::start(&self.program, &self.args, self.limits.memory_bytes)
                .map_err(|source| DecoderError::Start { program: self.program.clone(), source })?,
        };
        // A worker that fails is dropped here, which ends its process.
        let answer = worker.decode(request, stream, self.limits.time_per_frame)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        answer.map_err(|reason| DecoderError::Refused { reason })
    }
}

/// The child's main loop: frames in on standard input, pixels out on standard output, until the
/// parent closes the pipe. Sets its own memory limit first.
///
/// # Errors
/// When the memory limit cannot be set, or the pipe breaks in the middle of a message.
pub fn serve() -> Result<(), DecoderError> {
    let mut input = io::stdin().lock();
    let pipe = |source| DecoderError::Pipe { source };
    let Some(hello) = protocol::read_header::<Hello>(&mut input).map_err(pipe)? else {
        return Ok(());
    };
    limit_memory(hello.memory_bytes)
        .map_err(|source| DecoderError::Limit { memory_bytes: hello.memory_bytes, source })?;
    // A codec's panic is an answer, not a message for an operator.
    std::panic::set_hook(Box::new(|_| {}));
    answer_frames(&mut input, &mut io::stdout().lock()).map_err(pipe)
}

fn answer_frames(input: &mut impl io::Read, output: &mut impl io::Write) -> io::Result<()> {
    while let Some(request) = protocol::read_header::<FrameRequest>(input)? {
        let stream = protocol::read_payload(input, request.payload)?;
        let decoded = catch_unwind(AssertUnwindSafe(|| codec::decode(&request, &stream)))
            .unwrap_or_else(|panic| Err(format!("the codec failed: {}", panic_text(&*panic))));
        let (answer, pixels) = match decoded {
            Ok(pixels) => (Answer { error: None, payload: pixels.len() }, pixels),
            Err(reason) => (Answer { error: Some(reason), payload: 0 }, Vec::new()),
        };
        protocol::write(output, &answer, &pixels)?;
    }
    Ok(())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// Limits this process' address space to what it has now and `memory_bytes` more.
fn limit_memory(memory_bytes: u64) -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let occupied_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|size| size.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .ok_or_else(|| io::Error::other("no VmSize in /proc/self/status"))?;
    let limit = (occupied_kib * 1024).saturating_add(memory_bytes);
    rlimit::setrlimit(rlimit::Resource::AS, limit, limit)?;
    // A core file of a patient's image must not stay behind.
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)
}

#[cfg(test)]
mod tests;
