//! Hours of the day.

/// Hours of a day by the wall clock, the first included and the last not; they may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u8,
    to: u8,
}

impl Hours {
    /// From a text such as `22-6`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (from < 24 && to <= 24 && from != to).then_some(Self { from, to })
    }

    /// Whether an hour from 0 to 23 is one of them.
    #[must_use]
    pub fn contain(self, hour: u8) -> bool {
        let Self { from, to } = self;
        if from < to { (from..to).contains(&hour) } else { hour >= from || hour < to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_pass_midnight() {
        let check = |text: &str, open: &[u8]| {
            let hours = Hours::parse(text).unwrap();
            let found: Vec<u8> = (0..24).filter(|hour| hours.contain(*hour)).collect();
            assert_eq!(found, open, "{text}");
        };
        check("22-2", &[0, 1, 22, 23]);
        check("0-3", &[0, 1, 2]);
        check("21 - 24", &[21, 22, 23]);
        check("23-0", &[23]);
        for text in ["", "22", "24-3", "3-25", "5-5", "-1-5", "22:00-6:00"] {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
    }
}
