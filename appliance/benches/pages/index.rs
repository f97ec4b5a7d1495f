//! What an image costs while the index grows: small images by the archive, in process, into
//! databases that hold so many already. Rounds of all sizes are interleaved, so that a busy moment
//! of the machine hits all alike; the best round of each is told.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use appliance::archive::Archive;
use appliance::clock::SystemClock;
use appliance::store::Store;
use tempfile::TempDir;

use super::image;
use super::site::opened;

/// Images of a round, fewer than the write-ahead log holds before it is emptied.
const ROUND: usize = 400;
const ROUNDS: usize = 3;
/// Images of a study, a quarter of them in each series.
const STUDY: usize = 100;
/// Associations at once.
const SEVERAL: usize = 4;
/// A page in the write-ahead log, with its header.
const FRAME: u64 = 4096 + 24;

struct Index {
    images: usize,
    archive: Archive,
    received: usize,
    /// Of each round, for one association and for several.
    each: [Vec<Duration>; 2],
    /// Pages written for an image of one association.
    pages: f64,
    _folder: TempDir,
}

pub(crate) fn tell(most: usize) {
    let sizes = std::iter::successors(Some(100), |size| Some(size * 10));
    let mut indices: Vec<Index> = sizes.take_while(|size| *size <= most).map(Index::new).collect();
    for _ in 0..ROUNDS {
        indices.iter_mut().for_each(Index::round);
    }
    println!("\nTime of an image of 4 KB until it is safe, by the images in the index\n");
    println!("| images | one association, us | ratio | {SEVERAL} at once, us | ratio | pages |");
    println!("|---:|---:|---:|---:|---:|---:|");
    let best =
        |index: &Index| [0, 1].map(|who| index.each[who].iter().min().unwrap().as_secs_f64() * 1e6);
    let [first, first_several] = best(&indices[0]);
    for index in &indices {
        let [one, several] = best(index);
        let (ratio, ratio_several) = (one / first, several / first_several);
        println!(
            "| {} | {one:.0} | {ratio:.2} | {several:.0} | {ratio_several:.2} | {:.1} |",
            index.images, index.pages
        );
    }
}

impl Index {
    fn new(images: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("appliance.sqlite");
        let store = Arc::new(Store::open(&path, Arc::new(SystemClock::new())).unwrap());
        seed(&path, images);
        let archive = opened(&folder.path().join("archive"), &store);
        let each = Default::default();
        Self { images, archive, received: 0, each, pages: 0.0, _folder: folder }
    }

    fn round(&mut self) {
        empty_log(self.archive.store().path());
        let begun = Instant::now();
        self.receive(ROUND);
        self.each[0].push(begun.elapsed() / u32::try_from(ROUND).unwrap());
        let log = self.archive.store().path().with_extension("sqlite-wal");
        self.pages = std::fs::metadata(log).unwrap().len() as f64 / (FRAME * ROUND as u64) as f64;
        let begun = Instant::now();
        let first = self.received;
        thread::scope(|scope| {
            for number in 0..SEVERAL {
                let archive = &self.archive;
                scope.spawn(move || receive(archive, first + number * ROUND, ROUND));
            }
        });
        self.received += SEVERAL * ROUND;
        self.each[1].push(begun.elapsed() / u32::try_from(SEVERAL * ROUND).unwrap());
    }

    fn receive(&mut self, count: usize) {
        receive(&self.archive, self.received, count);
        self.received += count;
    }
}

fn receive(archive: &Archive, first: usize, count: usize) {
    for number in first..first + count {
        let (study, image) = (number / STUDY, number % STUDY);
        // Behind those that were there.
        image::receive(archive, 1_000_000_000 + study, image / (STUDY / 4), image);
    }
}

fn empty_log(path: &Path) {
    let database = rusqlite::Connection::open(path).unwrap();
    let busy: i64 =
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0, "the log is in use");
}

/// Writes images of earlier studies past the store, in one transaction.
fn seed(path: &Path, images: usize) {
    let database = rusqlite::Connection::open(path).unwrap();
    let sql = format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS
             (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {images} - 1) SELECT i FROM n;
         INSERT INTO study (id, uid, patient_id, patient_name, accession, study_date, state,
                            generation, first_at, last_at, complete_at, queue, done_at)
             SELECT i / {STUDY} + 1, '1.3.12.2.1107.5.2.19.45152.' || printf('%016d', i / {STUDY}),
                    'MRN' || i, 'Family' || i || '^Given', 'ACC' || i, '20250101', 'settled', 1, i,
                    i, i, 'done', i
             FROM n WHERE i % {STUDY} = 0;
         INSERT INTO series (id, study_id, uid, number, description, modality)
             SELECT i / ({STUDY} / 4) + 1, study.id, study.uid || '.' || (i / ({STUDY} / 4) % 4),
                    i / ({STUDY} / 4) % 4, 'AX T1', 'MR'
             FROM n JOIN study ON study.id = i / {STUDY} + 1 WHERE i % ({STUDY} / 4) = 0;
         INSERT INTO instance (study_id, series_id, sop_uid, sop_class, transfer_syntax, sha256,
                               bytes, path, source, received_at)
             SELECT study_id, series.id, series.uid || '.' || printf('%04d', i % {STUDY}),
                    '1.2.840.10008.5.1.4.1.1.4', '1.2.840.10008.1.2.1', randomblob(32), 4300,
                    'studies/' || lower(hex(randomblob(16))) || '/' || lower(hex(randomblob(16)))
                    || '.dcm', 'scp BENCH', i
             FROM n JOIN series ON series.id = i / ({STUDY} / 4) + 1;
         DROP TABLE n;
         COMMIT;"
    );
    database.execute_batch(&sql).unwrap();
}
