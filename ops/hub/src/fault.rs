//! Errors as people read them.

use std::error::Error;

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(", because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
