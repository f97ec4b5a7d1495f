//! What is asked over the network.

pub mod sites;
pub mod tls;
