//! What a clinic's box and the hub of its referral hospital say to each other.
//!
//! The box keeps an outbox of numbered [`row::Row`]s and hands them over in [`wire`] batches; the
//! hub answers for each row, after its commit, whether it has it, and puts what it wants to tell the
//! box ([`command::Command`]) behind the answers. Large objects go before the rows that name them,
//! by tus 1.0. The [`courier`] is the box's side of the conversation, without a clock, a socket or a
//! disk of its own; a [`stick`] carries the same rows where there is no link at all.
//!
//! | module | what |
//! |---|---|
//! | [`row`] | keys, priorities, digests |
//! | [`flag`] | P0: this patient, this reason, please answer |
//! | [`manifest`] | P1 and P2: which objects belong to a study |
//! | [`telemetry`] | P3: how the box is, and what became of its studies, without patients |
//! | [`command`] | the way back: answers, kill switch, models |
//! | [`offer`] | a model bundle that a hub offers, and its files on their way to a box |
//! | [`wire`] | batches as bytes, within limits |
//! | [`enrolment`] | a one-time code for a certificate |
//! | [`courier`] | what is sent next, in which pieces, and when again |
//! | [`stick`] | outbox files, encrypted and signed |
//! | [`fhir`] | a referral as a FHIR R4 transaction |
//! | [`stow`] | a DICOM object as a STOW-RS request |
//! | [`push`] | the way to the servers that take these |

pub mod command;
pub mod courier;
pub mod enrolment;
pub mod fhir;
pub mod flag;
pub mod manifest;
pub mod offer;
pub mod push;
pub mod row;
pub mod stick;
pub mod stow;
pub mod telemetry;
pub mod wire;
