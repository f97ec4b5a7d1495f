//! What boxes and hubs put into servers of a hospital over HTTP, and what these answer.

mod http;

pub use http::{Http, Missed, PATIENCE, Parcel, Server};

/// Longest text of a server that is kept, in characters.
const SAID: usize = 200;

/// What became of what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has it.
    Taken,
    /// The server does not want this; others may pass.
    Refused {
        /// Why, in our words.
        why: String,
        /// What the server wrote with it, empty for nothing. It may quote the patient.
        said: String,
    },
    /// Nothing that is sent would be taken now; in our words.
    Silent(String),
}

impl Verdict {
    /// What became of a parcel, where `judge` knows what answers of this kind of server mean.
    #[must_use]
    pub fn of(posted: Result<(u16, String), Missed>, judge: fn(u16, &str) -> Self) -> Self {
        match posted {
            Ok((status, text)) => judge(status, &text),
            Err(Missed::Unreached(why)) => Self::Silent(why),
            Err(Missed::Broken(why)) => Self::Refused { why, said: String::new() },
        }
    }

    /// A refusal with the first words of what the server wrote.
    #[must_use]
    pub fn refused(why: impl Into<String>, said: &str) -> Self {
        let said = said.chars().map(|c| if c.is_control() { ' ' } else { c });
        let said = said.take(SAID).collect::<String>().trim().to_owned();
        Self::Refused { why: why.into(), said }
    }

    /// What a status means for whatever was sent; `None` for success, which each kind of server
    /// says more about.
    pub(crate) fn of_status(status: u16, said: &str) -> Option<Self> {
        match status {
            200..=299 => None,
            401 | 403 => Some(Self::Silent(format!(
                "it does not let us in (status {status}); check the token of this destination"
            ))),
            // Too slow, too much, nobody behind a proxy. 404 and 500 may be about what was sent.
            408 | 425 | 429 | 502..=504 => {
                Some(Self::Silent(format!("it answers with status {status}")))
            }
            _ => Some(Self::refused(format!("it refused with status {status}"), said)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_server_is_no_refusal() {
        for status in [401, 403, 429, 502, 503] {
            assert!(matches!(Verdict::of_status(status, "x"), Some(Verdict::Silent(_))));
        }
        for status in [400, 404, 409, 412, 422, 500] {
            assert!(matches!(Verdict::of_status(status, "x"), Some(Verdict::Refused { .. })));
        }
        assert_eq!(Verdict::of_status(201, ""), None);
    }

    #[test]
    fn what_a_server_writes_is_cut() {
        let Verdict::Refused { said, .. } = Verdict::refused("no", &"ü\n".repeat(500)) else {
            panic!("a refusal")
        };
        assert_eq!(said.chars().count(), SAID - 1, "{said}");
        assert!(!said.contains('\n'));
    }
}
