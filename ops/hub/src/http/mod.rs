//! What is asked over the network.

pub mod pages;
