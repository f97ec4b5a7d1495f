//! Why pixel data could not be had.

use std::path::PathBuf;

use dicom_core::Tag;

use crate::dicom::decoder::DecoderError;

/// Why pixel data could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PixelError {
    /// The file holds no image.
    #[error("{}: no pixel data", path.display())]
    NoPixelData {
        /// The file.
        path: PathBuf,
    },
    /// An attribute that describes the pixels is missing or out of range.
    #[error("{}: {name} {tag} is {found}, expected {expected}", path.display())]
    Attribute {
        /// The file.
        path: PathBuf,
        /// Name of the attribute.
        name: &'static str,
        /// Its tag.
        tag: Tag,
        /// Its value, or that it is missing.
        found: String,
        /// What this reader accepts.
        expected: String,
    },
    /// A frame larger than this reader accepts.
    #[error("{}: a frame of {found} bytes, at most {limit} are accepted", path.display())]
    FrameTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of one frame.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A frame number beyond Number of Frames.
    #[error("{}: there is no frame {frame}, the file has {frames} (counted from 0)", path.display())]
    NoSuchFrame {
        /// The file.
        path: PathBuf,
        /// The frame asked for.
        frame: u32,
        /// Frames in the file.
        frames: u32,
    },
    /// The file ends before the frame does.
    #[error(
        "{}: pixel data of frame {frame} are cut off: {found} bytes, expected {expected}",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The frame.
        frame: u32,
        /// Bytes there.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// Fragments that cannot be told apart into frames.
    #[error(
        "{}: cannot find frame {frame}: {fragments} fragments for {frames} frames and no usable \
         offset table",
        path.display()
    )]
    Fragments {
        /// The file.
        path: PathBuf,
        /// The frame.
        frame: u32,
        /// Fragments in the file.
        fragments: usize,
        /// Frames in the file.
        frames: u32,
    },
    /// Transfer syntax and form of the pixel data contradict each other, or it is unknown.
    #[error(
        "{}: pixel data are {form}, which transfer syntax {uid} does not allow or this reader \
         does not know",
        path.display()
    )]
    TransferSyntax {
        /// The file.
        path: PathBuf,
        /// Transfer syntax UID.
        uid: String,
        /// `native` or `encapsulated`.
        form: &'static str,
    },
    /// Frames that cannot be had without rewriting them.
    #[error(
        "{}: its frames do not lie one by one in the file as little-endian bytes (transfer syntax \
         {uid})",
        path.display()
    )]
    NotInPlace {
        /// The file.
        path: PathBuf,
        /// Transfer syntax UID.
        uid: String,
    },
    /// The decoder process gave no frame.
    #[error("{}: frame {frame} (transfer syntax {uid}) cannot be decoded", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The frame.
        frame: u32,
        /// Transfer syntax UID.
        uid: String,
        /// The cause.
        #[source]
        source: DecoderError,
    },
}
