//! Character sets of text values (PS3.5 6.1 and 6.2), including ISO 2022 code extensions.

use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

const ESCAPE: u8 = 0x1B;

/// Escape sequences without the ESC byte, and the character set that each switches to
/// (PS3.3 C.12.1.1.2, tables C.12-3 and C.12-4).
const ESCAPES: [(&[u8], &str); 17] = [
    (b"(B", "ISO_IR 6"),
    (b"(J", "ISO_IR 13"),
    (b")I", "ISO_IR 13"),
    (b"-A", "ISO_IR 100"),
    (b"-B", "ISO_IR 101"),
    (b"-C", "ISO_IR 109"),
    (b"-D", "ISO_IR 110"),
    (b"-F", "ISO_IR 126"),
    (b"-G", "ISO_IR 127"),
    (b"-H", "ISO_IR 138"),
    (b"-L", "ISO_IR 144"),
    (b"-T", "ISO_IR 166"),
    (b"$B", "ISO_IR 87"),
    (b"$@", "ISO_IR 87"),
    (b"$(D", "ISO_IR 87"),
    (b"$)C", "ISO_IR 149"),
    (b"$)A", "ISO 2022 IR 58"),
];

/// The character set in force in a data set; items inherit it.
#[derive(Clone, Debug, Default)]
pub(super) struct Charset(SpecificCharacterSet);

impl Charset {
    /// From the bytes of Specific Character Set (0008,0005). Only the first value is kept: it is
    /// in force at the start of every value, the others announce escape sequences that may
    /// follow. A term nobody knows reads as ISO 8859-1, so that no text is lost.
    pub(super) fn new(value: &[u8]) -> Self {
        let first = value.split(|&b| b == b'\\').next().unwrap_or_default();
        let term = String::from_utf8_lossy(first);
        Self(SpecificCharacterSet::from_code(term.trim()).unwrap_or_default())
    }

    /// Decodes a whole value, backslashes included: in several multi-byte sets a backslash byte
    /// may be half a character, so that splitting has to come after decoding.
    pub(super) fn decode(&self, value: &[u8]) -> String {
        let mut runs = value.split(|&b| b == ESCAPE);
        let mut text = decode(&self.0, runs.next().unwrap_or_default());
        for run in runs {
            text.push_str(&decode_escaped(run));
        }
        text
    }
}

/// Decodes a run of bytes that followed an ESC byte.
fn decode_escaped(run: &[u8]) -> String {
    let Some((sequence, term)) = ESCAPES.iter().find(|(sequence, _)| run.starts_with(sequence))
    else {
        return decode(&SpecificCharacterSet::ISO_IR_6, run);
    };
    let set = SpecificCharacterSet::from_code(term).unwrap_or_default();
    if *term == "ISO_IR 87" {
        // This codec is a state machine of its own and wants to see the escape sequence.
        let with_escape: Vec<u8> = std::iter::once(ESCAPE).chain(run.iter().copied()).collect();
        return decode(&set, &with_escape);
    }
    decode(&set, run.get(sequence.len()..).unwrap_or_default())
}

fn decode(set: &SpecificCharacterSet, bytes: &[u8]) -> String {
    if bytes.is_ascii() && *set == SpecificCharacterSet::ISO_IR_6 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    set.decode(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned())
}
