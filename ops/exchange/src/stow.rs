//! STOW-RS (PS3.18 10.5): one DICOM object as a request, and what the answer to it means.

use serde_json::Value;

use crate::push::Verdict;

/// Behind the root of a DICOMweb service.
pub const PATH: &str = "/studies";
/// What the answer is asked to be.
pub const ACCEPT: &str = "application/dicom+json";
/// Failed SOP Sequence (0008,1198).
const FAILED: &str = "00081198";
/// Failure Reason (0008,1197).
const REASON: &str = "00081197";

/// What stands around the bytes of an object in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `Content-Type` of the request.
    pub content_type: String,
    /// In front of the object.
    pub head: Vec<u8>,
    /// Behind it.
    pub tail: Vec<u8>,
}

impl Envelope {
    /// For the object with this digest, hexadecimal: no object contains its own.
    #[must_use]
    pub fn around(sha256: &str) -> Self {
        let head = format!("--{sha256}\r\nContent-Type: application/dicom\r\n\r\n");
        Self {
            content_type: format!(
                "multipart/related; type=\"application/dicom\"; boundary={sha256}"
            ),
            head: head.into_bytes(),
            tail: format!("\r\n--{sha256}--\r\n").into_bytes(),
        }
    }
}

/// What the answer to one object says. Some servers answer 200 and name the failure in the body.
#[must_use]
pub fn verdict(status: u16, body: &str) -> Verdict {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let failed = &answer[FAILED]["Value"][0];
    if failed.is_object() {
        let why = match failed[REASON]["Value"][0].as_u64() {
            Some(reason) => format!("it did not store the object, reason 0x{reason:04X}"),
            None => "it did not store the object and gave no reason".to_owned(),
        };
        return Verdict::refused(why, "");
    }
    Verdict::of_status(status, body).unwrap_or(Verdict::Taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_lies_between_two_boundaries() {
        let envelope = Envelope::around("abc");
        let body = [envelope.head, b"DICM".to_vec(), envelope.tail].concat();
        let expected = "--abc\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--abc--\r\n";
        assert_eq!(String::from_utf8_lossy(&body), expected);
        assert!(envelope.content_type.ends_with("; boundary=abc"));
    }

    #[test]
    fn a_failure_in_the_body_is_a_failure() {
        let failed = r#"{"00081198": {"vr": "SQ", "Value": [
            {"00081197": {"vr": "US", "Value": [42752]}}]}}"#;
        let why = "it did not store the object, reason 0xA700";
        for status in [200, 202, 409] {
            assert_eq!(verdict(status, failed), Verdict::refused(why, ""));
        }
        let stored = r#"{"00081199": {"vr": "SQ", "Value": [{}]}, "00081198": {"vr": "SQ"}}"#;
        assert_eq!(verdict(200, stored), Verdict::Taken);
        assert_eq!(verdict(200, "<xml/>"), Verdict::Taken);
        assert!(matches!(verdict(503, ""), Verdict::Silent(_)));
    }
}
