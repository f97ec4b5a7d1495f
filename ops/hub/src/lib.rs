//! The hub of a referral hospital.
