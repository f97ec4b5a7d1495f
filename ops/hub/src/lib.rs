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
//! | [`import`] | the same from a stick |
//! | [`http`] | the same over the network |
//! | [`config`], [`setup`], [`app`] | settings, a hub's folder, the running hub |
//! | [`outward`] | what goes on to other systems of the hospital |

pub mod clock;
pub mod fault;
pub mod db;
pub mod outward;
pub mod store;
pub mod blobs;
pub mod receive;
pub mod authority;
pub mod enrolment;
pub mod import;
pub mod http;
pub mod config;
pub mod setup;
pub mod app;
