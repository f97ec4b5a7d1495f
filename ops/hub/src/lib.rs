//! The hub of a referral hospital: what boxes in clinics send, kept and shown to whoever answers.
//!
//! | module | what |
//! |---|---|
//! | [`clock`] | what time it is |
//! | [`db`] | SQLite or PostgreSQL, behind one trait |
//! | [`store`] | all that is remembered, and all SQL |
//! | [`outward`] | what goes on to other systems of the hospital |

pub mod clock;
pub mod db;
pub mod outward;
pub mod store;
