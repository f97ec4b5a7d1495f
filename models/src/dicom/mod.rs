//! DICOM files to a study: bounded parser, decoder process, series splitting.
//!
//! In the order data flows: [`parse`] turns one file into a data set without trusting a single
//! length in it; [`pixels`] turns a frame of it into stored values, with the help of
//! [`decoder`] (a child process) for every compressed transfer syntax; [`series`] splits files
//! into volumes; [`select`] says which are looked at; [`read`] stacks the pixels; [`published`]
//! does the same as the published pipeline does; [`slices`] is for people: every image, one by one.
pub mod decoder;
pub mod parse;
pub mod pixels;
pub mod published;
pub mod read;
pub mod select;
pub mod series;
pub mod slices;
