//! Multipart bodies, taken apart and put together (RFC 2046 5.1), without holding a part in
//! memory.

use std::io::{self, Read};
use std::mem;

use super::stream::{CHUNK, Output};

/// Longest header of a part.
const LONGEST_HEADER: usize = 16 << 10;
/// Longest boundary (RFC 2046 5.1.1).
const LONGEST_BOUNDARY: usize = 70;
/// Bytes in front of parts, behind refused ones and of refused ones that are read over, all
/// together: as for a refused C-STORE.
const MOST_SKIPPED: u64 = 1 << 30;

/// Why a body cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum MultipartError {
    /// The `Content-Type` names no boundary, or one that cannot be.
    #[error(
        "the header Content-Type needs a parameter `boundary` of 1 to 70 characters, found {0:?}"
    )]
    Boundary(String),
    /// The body ended without the boundary that ends it.
    #[error("the body ends without its final boundary; it was cut off, send it again")]
    CutOff,
    /// A part without the empty line behind its header.
    #[error("a part of the body has no header of at most 16 KiB with an empty line behind it")]
    Header,
    /// Nothing usable for too long.
    #[error("more than 1 GiB of the body had to be read over")]
    Skipped,
    /// The connection failed.
    #[error("the body cannot be read")]
    Read(#[source] io::Error),
}

/// A multipart body that is read part by part.
pub(super) struct Multipart<R> {
    source: R,
    /// What is between two parts, its line break included.
    delimiter: Vec<u8>,
    /// Read and not handed out.
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that belong to the part.
    clear: usize,
    /// The delimiter stands behind them.
    delimited: bool,
    skipped: u64,
}

impl<R: Read> Multipart<R> {
    /// A body with this boundary.
    pub(super) fn new(source: R, boundary: &str) -> Result<Self, MultipartError> {
        if !(1..=LONGEST_BOUNDARY).contains(&boundary.len()) {
            let found = boundary.chars().take(LONGEST_BOUNDARY).collect();
            return Err(MultipartError::Boundary(found));
        }
        Ok(Self {
            source,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first boundary may begin the body; the line break in front is ours.
            buffer: b"\r\n".to_vec(),
            clear: 0,
            delimited: false,
            skipped: 0,
        })
    }

    /// The next part, after what is left of the present one; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Part<'_, R>>, MultipartError> {
        loop {
            self.look()?;
            if self.clear == 0 && self.delimited {
                break;
            }
            self.skipped += self.clear as u64;
            if self.skipped > MOST_SKIPPED {
                return Err(MultipartError::Skipped);
            }
            self.consume();
        }
        self.buffer.drain(..self.delimiter.len());
        self.delimited = false;
        while self.buffer.len() < 2 {
            self.fill()?;
        }
        if self.buffer.starts_with(b"--") {
            return Ok(None);
        }
        let content_type = self.header()?;
        Ok(Some(Part { parts: self, content_type }))
    }

    /// Reads the header of a part, and returns its `Content-Type`.
    fn header(&mut self) -> Result<Option<String>, MultipartError> {
        // The boundary's own line may end in spaces.
        let end = loop {
            let head = self.buffer.get(..LONGEST_HEADER).unwrap_or(&self.buffer);
            let at = head.windows(4).position(|window| window == b"\r\n\r\n");
            match at {
                Some(at) => break at,
                None if self.buffer.len() >= LONGEST_HEADER => return Err(MultipartError::Header),
                None => self.fill()?,
            }
        };
        let lines: Vec<u8> = self.buffer.drain(..end + 4).take(end).collect();
        let lines = String::from_utf8_lossy(&lines).into_owned();
        let mut lines = lines.split("\r\n");
        if lines.next().is_none_or(|rest| !rest.trim().is_empty()) {
            return Err(MultipartError::Header);
        }
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        };
        Ok(lines.find_map(value))
    }

    /// Reads until something of the part, or the delimiter behind it, is in the buffer.
    fn look(&mut self) -> Result<(), MultipartError> {
        while self.clear == 0 && !self.delimited {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                (self.clear, self.delimited) = (at, true);
            } else {
                // What could be the beginning of the delimiter stays.
                self.clear = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
                if self.clear == 0 {
                    self.fill()?;
                }
            }
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), MultipartError> {
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[start..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(MultipartError::CutOff),
            Ok(_) => Ok(()),
            Err(error) => Err(MultipartError::Read(error)),
        }
    }

    fn consume(&mut self) {
        self.buffer.drain(..mem::take(&mut self.clear));
    }
}

/// Where `delimiter`, which begins with a carriage return, stands first.
fn find(bytes: &[u8], delimiter: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == b'\r')?;
        if bytes.get(at..)?.starts_with(delimiter) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// A part being read.
pub(super) struct Part<'a, R> {
    parts: &'a mut Multipart<R>,
    /// `Content-Type` of the part.
    pub(super) content_type: Option<String>,
}

impl<R: Read> Part<'_, R> {
    /// Appends up to about `limit` bytes of the part; what is appended less is its end.
    pub(super) fn read(&mut self, bytes: &mut Vec<u8>, limit: usize) -> Result<(), MultipartError> {
        let parts = &mut *self.parts;
        let end = bytes.len() + limit;
        while bytes.len() < end {
            parts.look()?;
            if parts.clear == 0 {
                break;
            }
            bytes.extend_from_slice(&parts.buffer[..parts.clear]);
            parts.consume();
        }
        Ok(())
    }
}

/// Writes a multipart body.
pub(super) struct Writer<'a> {
    output: &'a Output,
    boundary: &'a str,
    begun: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(output: &'a Output, boundary: &'a str) -> Self {
        Self { output, boundary, begun: false }
    }

    /// Begins a part; its bytes go to the output.
    pub(super) fn part(&mut self, content_type: &str) -> io::Result<()> {
        let line_break = if mem::replace(&mut self.begun, true) { "\r\n" } else { "" };
        let boundary = self.boundary;
        let head = format!("{line_break}--{boundary}\r\nContent-Type: {content_type}\r\n\r\n");
        self.output.send(head)
    }

    /// Ends the body.
    pub(super) fn end(self) -> io::Result<()> {
        self.output.send(format!("\r\n--{}--\r\n", self.boundary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, so that everything is cut everywhere.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.1);
            Read::read(&mut self.0, &mut buffer[..length])
        }
    }

    /// Types and contents of all parts.
    fn read(body: &[u8], step: usize) -> Result<Vec<(String, Vec<u8>)>, MultipartError> {
        let mut parts = Multipart::new(Trickle(body, step), "b")?;
        let mut all = Vec::new();
        while let Some(mut part) = parts.next()? {
            let mut bytes = Vec::new();
            part.read(&mut bytes, 1 << 20)?;
            all.push((part.content_type.unwrap_or_default(), bytes));
        }
        Ok(all)
    }

    #[test]
    fn parts_are_what_stands_between_boundaries() {
        let check = |body: &str, expected: &[(&str, &str)]| {
            for step in [1, 2, 3, 7, 1000] {
                let found = read(body.as_bytes(), step).unwrap();
                let expected: Vec<_> = (expected.iter())
                    .map(|(kind, text)| ((*kind).to_owned(), text.as_bytes().to_vec()))
                    .collect();
                assert_eq!(found, expected, "{body:?} by {step}");
            }
        };
        let part = "Content-Type: x/y\r\n\r\n";
        check(&format!("--b\r\n{part}one\r\n--b--"), &[("x/y", "one")]);
        check(
            &format!(
                "preamble\r\n--b \t\r\n{part}1\r\n--b\r\nA: b\r\ncontent-TYPE:z\r\n\r\n\r\n--b--x"
            ),
            &[("x/y", "1"), ("z", "")],
        );
        check("--b\r\n\r\nno header\r\n--b--\r\nepilogue", &[("", "no header")]);
        check(
            &format!("--b\r\n{part}\r\n-\r\r\n--\r\n--c\r\n--b--"),
            &[("x/y", "\r\n-\r\r\n--\r\n--c")],
        );
        check("--b--\r\n", &[]);
    }

    #[test]
    fn broken_bodies_are_refused() {
        let check = |body: &str, expected: &str| {
            for step in [7, 1000] {
                assert_eq!(
                    read(body.as_bytes(), step).unwrap_err().to_string(),
                    expected,
                    "{body:?}"
                );
            }
        };
        let cut_off = "the body ends without its final boundary; it was cut off, send it again";
        let header =
            "a part of the body has no header of at most 16 KiB with an empty line behind it";
        check("", cut_off);
        check("--b\r\n\r\ntext", cut_off);
        check("--b\r\n\r\ntext\r\n--b", cut_off);
        check("--b\r\nContent-Type: x", cut_off);
        check("--bc\r\n\r\n\r\n--b--", header);
        check(&format!("--b\r\nX: {}", "x".repeat(LONGEST_HEADER)), header);
        assert!(matches!(Multipart::new(&b""[..], ""), Err(MultipartError::Boundary(_))));
        assert!(matches!(
            Multipart::new(&b""[..], &"b".repeat(71)),
            Err(MultipartError::Boundary(_))
        ));
    }

    #[test]
    fn parts_that_nobody_reads_are_read_over() {
        let body = b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--";
        let mut parts = Multipart::new(&body[..], "b").unwrap();
        parts.next().unwrap();
        let mut second = parts.next().unwrap().unwrap();
        let mut bytes = Vec::new();
        second.read(&mut bytes, 100).unwrap();
        assert_eq!(bytes, b"two");
        assert!(parts.next().unwrap().is_none());
    }
}
