//! A stored data set on its way out, in pieces.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::{Archive, ArchiveError, meta};

/// More than our own meta group, which stands before every data set.
const META: u64 = 16 << 10;

/// A data set that is read from its beginning to its end. It stays readable when its file is
/// deleted meanwhile.
#[derive(Debug)]
pub(crate) struct StoredDataSet {
    file: File,
    left: u64,
}

impl Archive {
    /// Opens the data set of an instance, by its path in the index.
    pub(crate) fn open_data_set(&self, path: &str) -> Result<StoredDataSet, ArchiveError> {
        let path = self.root().join(path);
        let fails = |source: io::Error| ArchiveError::io(&path, source);
        let mut file = File::open(&path).map_err(fails)?;
        let mut start = Vec::new();
        (&file).take(META).read_to_end(&mut start).map_err(fails)?;
        let meta = meta::read(&start).ok_or_else(|| fails(io::ErrorKind::InvalidData.into()))?;
        let data_at = meta.data_at as u64;
        let whole = file.metadata().map_err(fails)?.len();
        file.seek(SeekFrom::Start(data_at)).map_err(fails)?;
        Ok(StoredDataSet { file, left: whole.saturating_sub(data_at) })
    }
}

impl StoredDataSet {
    /// Nothing is left to read.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Replaces `piece` by what comes next, as much of it as `piece` is long or as there is.
    pub(crate) fn read(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        piece.truncate(length);
        self.file.read_exact(piece)?;
        self.left -= length as u64;
        Ok(())
    }
}
