//! Files to volumes: what a slice's attributes say (`header`, `mosaic`), which slices belong
//! together (`split`), in which order they lie (`order`), and their pixels (`stack`,
//! `samples`).

pub(in crate::dicom) mod header;
mod mosaic;
pub(in crate::dicom) mod order;
pub(in crate::dicom) mod samples;
pub(in crate::dicom) mod split;
pub(in crate::dicom) mod stack;

pub use stack::read_stack;

/// The name given to the series-name encoder (specification §1c): description and protocol with
/// everything but letters and digits replaced, the UID where both are absent.
#[must_use]
pub fn series_name(description: Option<&str>, protocol: Option<&str>, uid: &str) -> String {
    let description = description.map(plain).filter(|text| !text.is_empty());
    let protocol = protocol.map(plain).filter(|text| !text.is_empty());
    match (description, protocol) {
        (Some(description), Some(protocol)) if description != protocol => {
            format!("{description}-{protocol}-Protocol")
        }
        (Some(description), _) => description,
        (None, Some(protocol)) => format!("{protocol}-Protocol"),
        (None, None) => format!("UNK-{uid}"),
    }
}

fn plain(text: &str) -> String {
    let spelled = text.replace('+', "_plus_").replace('*', "_star_");
    spelled.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
