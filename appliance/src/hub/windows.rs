//! When images may go over the link, and how many: a metered line belongs to flags and results
//! first, which neither limit holds up.

use firmware_config::settings::Hours;

/// When images may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// At any hour without them.
    pub hours: Option<Hours>,
    /// As many as there are without it.
    pub bytes_per_day: Option<u64>,
}

impl Windows {
    /// Whether images may be sent at an hour of a day on which so many bytes of them were.
    #[must_use]
    pub fn are_open(&self, hour: u8, sent: u64) -> bool {
        self.hours.is_none_or(|hours| hours.contain(hour))
            && self.bytes_per_day.is_none_or(|most| sent < most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold() {
        let windows = Windows { hours: Hours::parse("22-6"), bytes_per_day: Some(10) };
        assert!(windows.are_open(23, 9));
        assert!(!windows.are_open(23, 10));
        assert!(!windows.are_open(12, 0));
        assert!(Windows::default().are_open(12, u64::MAX));
    }
}
