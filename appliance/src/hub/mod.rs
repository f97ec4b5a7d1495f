//! The way to the hub of a referral hospital. [`outbox`] is the memory that a courier works
//! through: rows in the database, files in the archive. [`enrol`] makes this box one of the hub's,
//! [`identity`] is who it is there, [`link`] the connection, [`windows`] when images may go over it,
//! and [`task`] what keeps it going; [`stick`] is the way where there is no connection. [`offers`]
//! fetches a model that the hub offers, [`install`] installs it.

pub mod enrol;
pub mod identity;
pub mod install;
pub mod link;
pub mod offers;
pub mod outbox;
pub mod stick;
pub mod task;
pub mod windows;
