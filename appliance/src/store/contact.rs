//! What is remembered of the link to the hub, beside what goes over it.

use super::properties::{property, set_property};
use super::{Store, StoreError};

/// Property: box time and clock offset of the hub's latest answer.
const CONTACT: &str = "hub_contact";
/// Property: a day, and the bytes of images that were sent on it.
const IMAGES: &str = "hub_images";

/// What a hub's answer says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Contact {
    /// When it came, box time in milliseconds.
    pub at: i64,
    /// The hub's clock minus this box's wall clock, milliseconds.
    pub clock_offset_ms: i64,
}

impl Store {
    /// The hub's latest answer that was written down.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn hub_contact(&self) -> Result<Option<Contact>, StoreError> {
        let text = self.read(|db| property(db, CONTACT))?;
        let numbers = text.as_deref().and_then(|text| text.split_once(' '));
        Ok(numbers.and_then(|(at, offset)| {
            Some(Contact { at: at.parse().ok()?, clock_offset_ms: offset.parse().ok()? })
        }))
    }

    /// Writes an answer of the hub down.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note_hub_contact(&self, contact: Contact) -> Result<(), StoreError> {
        let text = format!("{} {}", contact.at, contact.clock_offset_ms);
        self.write(|tx| set_property(tx, CONTACT, &text))
    }

    /// Bytes of images that went to the hub on a day.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn images_sent(&self, day: &str) -> Result<u64, StoreError> {
        let text = self.read(|db| property(db, IMAGES))?;
        let sent = text.as_deref().and_then(|text| text.split_once(' '));
        Ok(sent.filter(|(of, _)| *of == day).and_then(|(_, n)| n.parse().ok()).unwrap_or(0))
    }

    /// Writes down how many bytes of images went to the hub on a day.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn note_images_sent(&self, day: &str, bytes: u64) -> Result<(), StoreError> {
        self.write(|tx| set_property(tx, IMAGES, &format!("{day} {bytes}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn what_was_written_down_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.sqlite"), Arc::new(ManualClock::new(1)));
        let store = store.unwrap();
        assert_eq!(store.hub_contact().unwrap(), None);
        let contact = Contact { at: 5, clock_offset_ms: -700 };
        store.note_hub_contact(contact).unwrap();
        assert_eq!(store.hub_contact().unwrap(), Some(contact));
        store.note_images_sent("2026-11-24", 9).unwrap();
        assert_eq!(store.images_sent("2026-11-24").unwrap(), 9);
        assert_eq!(store.images_sent("2026-11-25").unwrap(), 0);
    }
}
