//! The box at the clinic. Modules stand in the order data flows through them:
//!
//! 1. [`scp`] receives images from scanners, [`import`] takes them from folders and media;
//! 2. [`archive`] keeps each as a file that survives a power cut;
//! 3. [`assembly`] says when a study is complete;
//! 4. [`inference`] analyses it: a folder of DICOM files to scores, in a process of its own;
//! 5. [`triage`] turns scores into acuity, findings and referrals by the site's rules;
//! 6. [`worklist`] orders studies for reading;
//! 7. [`results`] sends what was found to the PACS, [`hub`] to the referral hospital;
//! 8. [`web`] shows them.
//!
//! Under them lies [`store`], which holds all state. Around them: [`slices`] makes pictures of
//! images for the pages, [`health`] looks at the box, [`quality`] at what scanners and readers
//! make of it,
//! [`retention`] makes room on its disk, [`audit`] and [`doctor`] explain it to others,
//! [`accounts`] says who may do what,
//! [`model_install`] puts models in place, [`feedback`] gives readers' corrections out,
//! [`console`] prints one result, [`config`] holds the settings and [`app`] the daemon. [`clock`],
//! [`fault`] and [`hex`] are used by all, and [`tls`] by every port.
//!
//! Research use; not a medical device.

pub mod accounts;
pub mod app;
pub mod archive;
pub mod assembly;
pub mod audit;
pub mod clock;
pub mod config;
pub mod console;
pub mod doctor;
pub mod fault;
pub mod feedback;
pub mod health;
pub mod hex;
pub mod hub;
pub mod import;
pub mod inference;
pub mod model_install;
pub mod quality;
pub mod results;
pub mod retention;
pub mod scp;
pub mod slices;
pub mod store;
pub mod tls;
pub mod triage;
pub mod web;
pub mod worklist;
