//! The hub of a referral hospital: what boxes in clinics send, kept and shown to whoever answers.
//!
//! | module | what |
//! |---|---|
//! | [`accounts`] | passwords, roles and rights |
//! | [`clock`] | what time it is |
//! | [`db`] | SQLite or PostgreSQL, behind one trait |
//! | [`store`] | all that is remembered, and all SQL |
//! | [`escalation`] | when nobody answers |
//! | [`users_cli`] | users from the command line |
//! | [`http`] | what is asked over the network |

pub mod accounts;
pub mod clock;
pub mod db;
pub mod escalation;
pub mod http;
pub mod store;
pub mod users_cli;
