//! The way to the hub of a referral hospital. [`outbox`] is the memory that a courier works
//! through: rows in the database, files in the archive.

pub mod outbox;
