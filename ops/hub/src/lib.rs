//! The hub of a referral hospital: what boxes in clinics send, kept and shown to whoever answers.
//!
//! | module | what |
//! |---|---|
//! | [`clock`], [`fault`] | what time it is; errors as people read them |
//! | [`db`] | SQLite or PostgreSQL, behind one trait |
//! | [`store`] | all that is remembered, and all SQL |
//! | [`blobs`] | the bytes of large objects, in a folder or an object store |
//! | [`receive`] | what sites ask for, as plain functions |
//! | [`authority`], [`enrolment`] | certificates, and how a box gets one |
//! | [`import`] | what sites ask for, from a stick |
//! | [`offer`] | a model that boxes are offered |
//! | [`outward`] | what goes on to other systems of the hospital |
//! | [`accounts`], [`users_cli`] | passwords, roles and rights; users from the command line |
//! | [`escalation`] | when nobody answers |
//! | [`http`] | sites and people over the network |
//! | [`config`], [`setup`], [`app`] | settings, a hub's folder, the running hub |

pub mod accounts;
pub mod app;
pub mod authority;
pub mod blobs;
pub mod clock;
pub mod config;
pub mod db;
pub mod enrolment;
pub mod escalation;
pub mod fault;
pub mod http;
pub mod import;
pub mod offer;
pub mod outward;
pub mod receive;
pub mod setup;
pub mod store;
pub mod users_cli;
