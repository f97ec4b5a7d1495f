//! Media types in `Accept` and `Content-Type` (RFC 9110 8.3.1 and 12.5.1), as far as DICOMweb
//! needs them (PS3.18 8.7).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::DicomError;

pub(super) const DICOM: &str = "application/dicom";
pub(super) const DICOM_JSON: &str = "application/dicom+json";
pub(super) const JPEG: &str = "image/jpeg";
pub(super) const JSON: &str = "application/json";
pub(super) const MULTIPART: &str = "multipart/related";
pub(super) const OCTETS: &str = "application/octet-stream";

/// A media type or range with its parameters; names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    pub(super) essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = split(text, ';').into_iter();
        let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquoted(value.trim())))
        };
        Self { essence, parameters: parts.filter_map(parameter).collect() }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether this range includes a type, such as `application/*` does `application/dicom`.
    fn covers(&self, essence: &str) -> bool {
        match self.essence.split_once('/') {
            Some(("*", "*")) => true,
            Some((family, "*")) => essence.split('/').next() == Some(family),
            _ => self.essence == essence,
        }
    }

    /// Whether it includes multipart with parts of this type.
    fn covers_parts(&self, part: &str) -> bool {
        let parts = self.parameter("type");
        self.covers(MULTIPART) && parts.is_none_or(|parts| Self::parse(parts).covers(part))
    }
}

/// What a client wants. Weights are not looked at, except that a weight of 0 excludes.
#[derive(Clone, Debug, Default)]
pub(super) struct Accept(Vec<MediaType>);

impl Accept {
    /// Without the header everything is accepted.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(ACCEPT).into_iter().filter_map(|text| text.to_str().ok());
        let ranges = texts.flat_map(|text| split(text, ',')).map(MediaType::parse);
        let wanted = |range: &MediaType| {
            let weight = range.parameter("q").and_then(|weight| weight.parse().ok());
            !range.essence.is_empty() && weight != Some(0.0_f32)
        };
        let mut ranges: Vec<MediaType> = ranges.filter(wanted).collect();
        if !headers.contains_key(ACCEPT) {
            ranges.push(MediaType::parse("*/*"));
        }
        Self(ranges)
    }

    pub(super) fn takes(&self, essence: &str) -> bool {
        self.0.iter().any(|range| range.covers(essence))
    }

    /// The JSON that is accepted.
    pub(super) fn json(&self) -> Result<&'static str, DicomError> {
        let offered = [DICOM_JSON, JSON].into_iter().find(|offer| self.takes(offer));
        offered.ok_or_else(|| DicomError::NotAcceptable(DICOM_JSON.to_owned()))
    }

    /// Transfer syntaxes that are accepted of parts of this type; `None` when such parts are not.
    pub(super) fn parts(&self, part: &str) -> Option<Syntaxes<'_>> {
        Syntaxes::of(self.0.iter().filter(|range| range.covers_parts(part)))
    }

    /// Transfer syntaxes that are accepted of a body of this type; `None` when it is not.
    pub(super) fn whole(&self, essence: &str) -> Option<Syntaxes<'_>> {
        Syntaxes::of(self.0.iter().filter(|range| range.covers(essence)))
    }
}

/// Transfer syntaxes that a client takes; empty for any.
#[derive(Debug)]
pub(super) struct Syntaxes<'a>(Vec<&'a str>);

impl<'a> Syntaxes<'a> {
    fn of(ranges: impl Iterator<Item = &'a MediaType>) -> Option<Self> {
        let syntaxes: Vec<_> = ranges.map(|range| range.parameter("transfer-syntax")).collect();
        if syntaxes.is_empty() {
            return None;
        }
        // Who names none gets what is stored: we convert nothing.
        let any = syntaxes.iter().any(|syntax| matches!(syntax, None | Some("*")));
        Some(Self(if any { Vec::new() } else { syntaxes.into_iter().flatten().collect() }))
    }

    pub(super) fn include(&self, transfer_syntax: &str) -> bool {
        self.0.is_empty() || self.0.contains(&transfer_syntax)
    }
}

/// Splits where the separator does not stand between quotation marks.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let ends = |c: char| {
        if escaped {
            escaped = false;
        } else if c == '"' {
            quoted = !quoted;
        } else if c == '\\' {
            escaped = quoted;
        }
        c == separator && !quoted
    };
    text.split(ends).collect()
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let Some(inner) = inner else { return value.to_owned() };
    let mut text = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().unwrap());
        Accept::of(&headers)
    }

    #[test]
    fn quotation_marks_keep_separators() {
        let kind = MediaType::parse(r#"Multipart/Related; Type="a/b;c,d" ;boundary="x\"y""#);
        assert_eq!(kind.essence, "multipart/related");
        assert_eq!(kind.parameter("type"), Some("a/b;c,d"));
        assert_eq!(kind.parameter("boundary"), Some("x\"y"));
        let ranges = accept(r#"multipart/related; type="application/dicom, x", image/jpeg"#);
        assert!(ranges.takes(JPEG) && !ranges.takes(DICOM) && ranges.parts(DICOM).is_none());
    }

    #[test]
    fn ranges_cover_types() {
        let check = |text: &str, json: bool, parts: bool| {
            let ranges = accept(text);
            assert_eq!(
                (ranges.json().is_ok(), ranges.parts(DICOM).is_some()),
                (json, parts),
                "{text}"
            );
        };
        check("*/*", true, true);
        check("application/*", true, false);
        check("multipart/related", false, true);
        check("multipart/related; type=application/dicom", false, true);
        check(r#"multipart/related; type="application/octet-stream""#, false, false);
        check("text/html, application/json;q=0.1", true, false);
        check("application/dicom+json;q=0", false, false);
        check("text/html", false, false);
        assert!(Accept::of(&HeaderMap::new()).json().is_ok());
    }

    #[test]
    fn transfer_syntaxes_are_any_or_those_named() {
        let check = |parameter: &str, expected: bool| {
            let ranges = accept(&format!("multipart/related; type=\"{DICOM}\"{parameter}"));
            assert_eq!(ranges.parts(DICOM).unwrap().include("1.2.3"), expected, "{parameter}");
        };
        check("", true);
        check("; transfer-syntax=*", true);
        check("; transfer-syntax=1.2.3", true);
        check("; transfer-syntax=1.2.4", false);
        check("; transfer-syntax=1.2.4, multipart/related; transfer-syntax=1.2.3", true);
    }
}
