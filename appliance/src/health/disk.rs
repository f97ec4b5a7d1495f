//! How full the data disk is, in bytes and in inodes, and what follows from it.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::words;

/// Marks as fractions of the disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// From here on people are told.
    pub tight: f64,
    /// From here on images that nobody needs any more are deleted, until below `tight`.
    pub evicting: f64,
    /// From here on no image is taken, so that the scanner keeps it.
    pub full: f64,
    /// A mark is left behind only this far below it, so that a level does not flicker.
    pub hysteresis: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tight: 0.80, evicting: 0.90, full: 0.95, hysteresis: 0.02 }
    }
}

/// How full the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskLevel {
    /// Nothing to do.
    #[default]
    Normal,
    /// People are told.
    Tight,
    /// Images are deleted, where that is allowed.
    Evicting,
    /// New images are refused as well.
    Full,
}

/// A file system's room as an unprivileged program sees it, so that the blocks reserved for root
/// count as used, as `df` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that can still be written.
    pub free: u64,
    /// Inodes in use; 0 where the file system makes them as needed.
    pub inodes_used: u64,
    /// Inodes that can still be made.
    pub inodes_free: u64,
}

/// What must go for the disk to be below [`Config::tight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// Room of the file system that holds `folder`.
///
/// # Errors
///
/// When the folder is not there or its file system does not answer.
pub fn space(folder: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(Space {
        used: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
        inodes_free: stat.f_favail,
    })
}

impl Space {
    /// Fraction in use, of bytes or of inodes, whichever is scarcer.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        fraction(self.used, self.free).max(fraction(self.inodes_used, self.inodes_free))
    }

    /// What is beyond the lowest mark.
    #[must_use]
    pub fn excess(&self, config: &Config) -> Excess {
        Excess {
            bytes: beyond(self.used, self.free, config.tight),
            files: beyond(self.inodes_used, self.inodes_free, config.tight),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a fraction needs no more than 52 bits")]
fn fraction(used: u64, free: u64) -> f64 {
    if used + free == 0 { 0.0 } else { used as f64 / (used as f64 + free as f64) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the mark is a fraction of an unsigned number; a rounding error of bytes is harmless"
)]
fn beyond(used: u64, free: u64, mark: f64) -> u64 {
    used.saturating_sub((mark * (used as f64 + free as f64)) as u64)
}

/// The level that follows from the room and the level before.
#[must_use]
pub fn level(space: &Space, previous: DiskLevel, config: &Config) -> DiskLevel {
    let used = space.fraction();
    let reached = |level: DiskLevel, mark: f64| {
        used >= mark || previous >= level && used >= mark - config.hysteresis
    };
    if reached(DiskLevel::Full, config.full) {
        DiskLevel::Full
    } else if reached(DiskLevel::Evicting, config.evicting) {
        DiskLevel::Evicting
    } else if reached(DiskLevel::Tight, config.tight) {
        DiskLevel::Tight
    } else {
        DiskLevel::Normal
    }
}

/// For example `91 % full, 180 GB free`.
impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = fraction(self.used, self.free);
        let inodes = fraction(self.inodes_used, self.inodes_free);
        write!(f, "{:.0} % full, {} free", 100.0 * bytes, words::size(self.free))?;
        if inodes > bytes {
            let free = self.inodes_free;
            write!(f, ", {:.0} % of its inodes in use, {free} free", 100.0 * inodes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of 1000 bytes and 1000 inodes.
    fn disk(used: u64, inodes_used: u64) -> Space {
        Space { used, free: 1000 - used, inodes_used, inodes_free: 1000 - inodes_used }
    }

    fn check(used: u64, inodes: u64, previous: DiskLevel, expected: DiskLevel) {
        let config = Config::default();
        assert_eq!(level(&disk(used, inodes), previous, &config), expected, "{used} {inodes}");
    }

    #[test]
    fn a_level_is_entered_at_its_mark_and_left_below_it() {
        use DiskLevel::{Evicting, Full, Normal, Tight};
        check(0, 0, Normal, Normal);
        check(799, 0, Normal, Normal);
        check(800, 0, Normal, Tight);
        check(899, 0, Normal, Tight);
        check(900, 0, Normal, Evicting);
        check(949, 0, Evicting, Evicting);
        check(950, 0, Normal, Full);
        check(1000, 0, Normal, Full);
        // On the way down.
        check(931, 0, Full, Full);
        check(929, 0, Full, Evicting);
        check(881, 0, Full, Evicting);
        check(879, 0, Evicting, Tight);
        check(781, 0, Evicting, Tight);
        check(779, 0, Tight, Normal);
        check(781, 0, Normal, Normal);
        check(100, 0, Full, Normal);
        // Inodes run out as well as bytes.
        check(100, 905, Normal, Evicting);
        check(960, 905, Normal, Full);
        // A file system without an inode table.
        let space = Space { used: 10, free: 90, inodes_used: 0, inodes_free: 0 };
        assert_eq!(level(&space, Normal, &Config::default()), Normal);
    }

    #[test]
    fn excess_is_what_is_beyond_the_lowest_mark() {
        let check = |used, inodes, bytes, files| {
            let excess = disk(used, inodes).excess(&Config::default());
            assert_eq!(excess, Excess { bytes, files }, "{used} {inodes}");
        };
        check(700, 0, 0, 0);
        check(800, 0, 0, 0);
        check(910, 0, 110, 0);
        check(910, 801, 110, 1);
    }

    #[test]
    fn room_in_words() {
        let check = |space: Space, expected: &str| assert_eq!(space.to_string(), expected);
        let gb = 1_000_000_000;
        check(disk(910, 0), "91 % full, 90 bytes free");
        check(
            Space { used: 1820 * gb, free: 180 * gb, inodes_used: 5, inodes_free: 95 },
            "91 % full, 180 GB free",
        );
        check(
            Space { used: gb, free: 9 * gb, inodes_used: 99, inodes_free: 1 },
            "10 % full, 9 GB free, 99 % of its inodes in use, 1 free",
        );
    }

    #[test]
    fn a_real_folder_has_room() {
        let folder = tempfile::tempdir().unwrap();
        assert!(space(folder.path()).unwrap().free > 0);
        assert_eq!(space(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
