//! What is known of large objects; their bytes lie in the blob store.

use super::Store;
use crate::db::{DbError, Record, Transaction};

/// A blob of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// As announced, and as it is once complete.
    pub bytes: u64,
    /// When it was announced.
    pub created_ms: i64,
    /// All of it is there, and is what its name says.
    pub complete: bool,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// There is a place for it; there may have been one before.
    Placed(Blob),
    /// The site keeps as much here as it may.
    Full {
        /// Bytes that it keeps.
        held: u64,
    },
    /// There is no such site.
    Unknown,
}

impl Store {
    /// What is known of a blob.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn blob(&self, site: &str, sha256: &str) -> Result<Option<Blob>, DbError> {
        self.read(|tx| find(tx, site, sha256))
    }

    /// Makes a place for a blob, unless the site would keep more than `quota` bytes here.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn announce(
        &self,
        site: &str,
        sha256: &str,
        bytes: u64,
        quota: u64,
    ) -> Result<Announced, DbError> {
        let now_ms = self.clock().now_ms();
        let more = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.write(|tx| {
            let held = tx.query(
                "UPDATE site SET blob_bytes = blob_bytes WHERE id = $1 RETURNING blob_bytes",
                &[site.into()],
            )?;
            let Some(held) = held.first().map(|row| row.int(0)).transpose()? else {
                return Ok(Announced::Unknown);
            };
            if let Some(blob) = find(tx, site, sha256)? {
                return Ok(Announced::Placed(blob));
            }
            let held_bytes = u64::try_from(held).unwrap_or(0);
            if held_bytes.saturating_add(bytes) > quota {
                return Ok(Announced::Full { held: held_bytes });
            }
            tx.execute(
                "INSERT INTO blob (site, sha256, bytes, created_ms) VALUES ($1, $2, $3, $4)",
                &[site.into(), sha256.into(), more.into(), now_ms.into()],
            )?;
            tx.execute(
                "UPDATE site SET blob_bytes = $1 WHERE id = $2",
                &[held.saturating_add(more).into(), site.into()],
            )?;
            Ok(Announced::Placed(Blob { bytes, created_ms: now_ms, complete: false }))
        })
    }

    /// All of a blob is there, and is what its name says.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn completed(&self, site: &str, sha256: &str) -> Result<(), DbError> {
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            tx.execute(
                "UPDATE blob SET complete_ms = coalesce(complete_ms, $1)
                 WHERE site = $2 AND sha256 = $3",
                &[now_ms.into(), site.into(), sha256.into()],
            )
            .map(drop)
        })
    }

    /// Blobs that were announced before this time and are not complete: site and digest.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn stale_blobs(&self, before_ms: i64) -> Result<Vec<(String, String)>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT site, sha256 FROM blob
                 WHERE complete_ms IS NULL AND created_ms < $1 ORDER BY created_ms",
                &[before_ms.into()],
            )?;
            rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
        })
    }

    /// Forgets a blob that never became complete.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn forget_blob(&self, site: &str, sha256: &str) -> Result<(), DbError> {
        self.write(|tx| {
            // The site first, as everybody does.
            tx.execute("UPDATE site SET blob_bytes = blob_bytes WHERE id = $1", &[site.into()])?;
            let gone = tx.query(
                "DELETE FROM blob WHERE site = $1 AND sha256 = $2 AND complete_ms IS NULL
                 RETURNING bytes",
                &[site.into(), sha256.into()],
            )?;
            let Some(bytes) = gone.first().map(|row| row.int(0)).transpose()? else {
                return Ok(());
            };
            tx.execute(
                "UPDATE site SET blob_bytes = blob_bytes - $1 WHERE id = $2",
                &[bytes.into(), site.into()],
            )
            .map(drop)
        })
    }
}

fn find(tx: &mut dyn Transaction, site: &str, sha256: &str) -> Result<Option<Blob>, DbError> {
    let rows = tx.query(
        "SELECT bytes, created_ms, complete_ms FROM blob WHERE site = $1 AND sha256 = $2",
        &[site.into(), sha256.into()],
    )?;
    let blob = |row: &Record| -> Result<Blob, DbError> {
        Ok(Blob {
            bytes: u64::try_from(row.int(0)?).unwrap_or(0),
            created_ms: row.int(1)?,
            complete: row.maybe_int(2)?.is_some(),
        })
    };
    rows.first().map(blob).transpose()
}

/// Length of a blob that is complete.
pub(super) fn complete_bytes(
    tx: &mut dyn Transaction,
    site: &str,
    sha256: &str,
) -> Result<Option<i64>, DbError> {
    let rows = tx.query(
        "SELECT bytes FROM blob WHERE site = $1 AND sha256 = $2 AND complete_ms IS NOT NULL",
        &[site.into(), sha256.into()],
    )?;
    rows.first().map(|row| row.int(0)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    fn held(store: &Store, site: &str) -> i64 {
        let sites = store.sites().unwrap();
        sites.iter().find(|known| known.id == site).unwrap().blob_bytes
    }

    #[test]
    fn the_quota_counts_what_is_announced_once() {
        let (store, clock) = store();
        store.add_site("a", "A").unwrap();
        let announce = |name: &str, bytes| store.announce("a", name, bytes, 100).unwrap();
        assert!(matches!(announce("x", 60), Announced::Placed(Blob { complete: false, .. })));
        assert!(matches!(announce("x", 60), Announced::Placed(_)), "the same again costs nothing");
        assert_eq!(announce("y", 41), Announced::Full { held: 60 });
        assert!(matches!(announce("z", u64::MAX), Announced::Full { .. }));
        assert!(matches!(announce("y", 40), Announced::Placed(_)));
        assert_eq!(held(&store, "a"), 100);
        store.completed("a", "x").unwrap();
        clock.forward(1);
        let stale = store.stale_blobs(store.clock().now_ms()).unwrap();
        assert_eq!(stale, [("a".to_owned(), "y".to_owned())]);
        store.forget_blob("a", "y").unwrap();
        store.forget_blob("a", "x").unwrap();
        assert_eq!(held(&store, "a"), 60, "a complete blob stays");
    }

    #[test]
    fn blobs_of_another_site_are_nobodys_business() {
        let (store, _) = store();
        store.add_site("a", "A").unwrap();
        store.add_site("b", "B").unwrap();
        store.announce("a", "x", 5, 100).unwrap();
        store.completed("a", "x").unwrap();
        assert!(store.blob("a", "x").unwrap().unwrap().complete);
        assert_eq!(store.blob("b", "x").unwrap(), None);
        assert!(matches!(
            store.announce("b", "x", 5, 100).unwrap(),
            Announced::Placed(Blob { complete: false, .. })
        ));
        assert_eq!(store.announce("c", "x", 5, 100).unwrap(), Announced::Unknown);
        assert_eq!((held(&store, "a"), held(&store, "b")), (5, 5));
    }
}
