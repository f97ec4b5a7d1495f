//! The referral hospital's hub: what is sent there, what comes back, and the link between.
//!
//! [`identity`] is who this box is there, [`link`] the connection, [`windows`] when images may go
//! over it, and [`task`] what keeps it going.

pub mod identity;
pub mod link;
pub mod task;
pub mod windows;
