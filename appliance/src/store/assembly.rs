//! Which studies are complete (see [`crate::assembly`] for the rule's reasons).

use super::{Store, StoreError};

/// When a study counts as complete; milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Without an image.
    pub quiet: i64,
    /// Without an image after the association was released in good order.
    pub after_release: i64,
    /// After the last announced image.
    pub all_announced: i64,
    /// Without an image, while announced images are missing: then the study is taken as partial.
    pub partial: i64,
}

/// A study that just became complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its row.
    pub study_id: i64,
    /// 1 for the first time, higher after late images.
    pub generation: i64,
    /// Announced images are missing.
    pub partial: bool,
}

/// Open studies with the moments that decide. `missing` is true while the scanner has announced
/// more images than have come, for the study or for one of its series. The second condition on the
/// state is the one that the index of open studies has.
const CANDIDATES: &str = "
    SELECT s.id, s.generation, s.last_at, s.released_at,
           s.expected_instances IS NOT NULL
             AND (SELECT count(*) FROM instance i WHERE i.study_id = s.id) >= s.expected_instances,
           (s.expected_instances IS NOT NULL
             AND (SELECT count(*) FROM instance i WHERE i.study_id = s.id) < s.expected_instances)
           OR EXISTS (SELECT 1 FROM series e WHERE e.study_id = s.id
             AND e.expected_instances >
               (SELECT count(*) FROM instance i WHERE i.series_id = e.id))
    FROM study s WHERE s.state = 'receiving' AND s.state <> 'settled'";

impl Store {
    /// Marks every study that is complete by now as waiting for analysis.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn complete_due(&self, periods: Periods) -> Result<Vec<Completed>, StoreError> {
        let now = self.clock.now();
        // Nearly always nothing is due, and readers do not wait for the writer.
        let due = |db: &rusqlite::Connection| -> Result<Vec<Completed>, StoreError> {
            let mut query = db.prepare_cached(CANDIDATES)?;
            let rows = query.query_map([], |row| {
                let (study_id, generation): (i64, i64) = (row.get(0)?, row.get(1)?);
                let open = Open {
                    last_at: row.get(2)?,
                    released_at: row.get(3)?,
                    all_announced: row.get(4)?,
                    missing: row.get(5)?,
                };
                Ok((study_id, generation + 1, open.verdict(now, periods)))
            })?;
            let mut completed = Vec::new();
            for row in rows {
                if let (study_id, generation, Some(partial)) = row? {
                    completed.push(Completed { study_id, generation, partial });
                }
            }
            Ok(completed)
        };
        if self.read(due)?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            let completed = due(tx)?;
            let mut update = tx.prepare_cached(
                "UPDATE study SET state = 'waiting', generation = ?, partial = ?, complete_at = ?
                 WHERE id = ?",
            )?;
            for study in &completed {
                update.execute((study.generation, study.partial, now, study.study_id))?;
            }
            Ok(completed)
        })
    }
}

/// What is known of a study that images still come for.
struct Open {
    last_at: i64,
    released_at: Option<i64>,
    all_announced: bool,
    missing: bool,
}

impl Open {
    /// `Some(partial)` when the study is complete.
    fn verdict(&self, now: i64, periods: Periods) -> Option<bool> {
        let since = |moment: i64| now.saturating_sub(moment);
        if self.missing {
            return (since(self.last_at) >= periods.partial).then_some(true);
        }
        let complete = since(self.last_at) >= periods.quiet
            || self.released_at.is_some_and(|at| since(at) >= periods.after_release)
            || (self.all_announced && since(self.last_at) >= periods.all_announced);
        complete.then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIODS: Periods =
        Periods { quiet: 60_000, after_release: 10_000, all_announced: 1000, partial: 600_000 };

    fn check(
        (last, released): (i64, Option<i64>),
        (all_announced, missing): (bool, bool),
        expected: Option<bool>,
    ) {
        let now = 10_000_000;
        let open = Open {
            last_at: now - 1000 * last,
            released_at: released.map(|s| now - 1000 * s),
            all_announced,
            missing,
        };
        assert_eq!(open.verdict(now, PERIODS), expected, "last {last} s, released {released:?}");
    }

    #[test]
    fn quiet_release_and_announcements_complete_a_study() {
        let unknown = (false, false);
        check((59, None), unknown, None);
        check((60, None), unknown, Some(false));
        check((30, Some(9)), unknown, None);
        check((30, Some(10)), unknown, Some(false));
        let all_here = (true, false);
        check((0, None), all_here, None);
        check((1, None), all_here, Some(false));
        let missing = (false, true);
        check((599, Some(598)), missing, None);
        check((600, None), missing, Some(true));
    }
}
