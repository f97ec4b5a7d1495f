//! What is asked over the network.

pub mod pages;
pub mod sites;
pub mod tls;
