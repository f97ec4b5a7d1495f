//! Radiology reports: sections, summaries, labels by rules or by a language model, and what the
//! labels mean for acuity and referral.

pub mod command;
pub mod llm;
pub mod mapping;
mod normal;
pub mod rules;
pub mod sections;
pub mod summarize;
