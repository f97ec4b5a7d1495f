//! The settings of a box, and everything that is rendered from them.
//!
//! One file holds what differs at a site; [`settings`] checks it, [`render`] makes of it every file
//! that a service of the box reads, and [`trial`] puts new settings in force in a way that a mistake
//! does not survive. The appliance reads the same settings through [`settings::Checked`].

pub mod render;
pub mod settings;
pub mod trial;

/// What the daemon tells systemd once receiving, the database and the analysis have each moved; new
/// settings are kept when it does.
pub const WORKING: &str = "receiving, database and analysis work";
