//! The inbox: referrals by how they stand, most urgent first. What a page costs does not depend on
//! how many there are: each is read from runs of an index, and begins where the last one ended.

use exchange::command::Status;

use super::referrals::{COLUMNS, Referral, Urgency, referral};
use super::{Store, expected};
use crate::db::{DbError, Record, Transaction, Value};

/// Which referrals are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// How they stand.
    pub state: State,
    /// Of this site; empty for all.
    pub site: String,
    /// To this service; empty for all.
    pub service: String,
}

/// How referrals stand that are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Received or accepted, and not taken back.
    #[default]
    Open,
    /// Nobody has answered.
    Received,
    /// Somebody sees to it.
    Accepted,
    /// Nobody will.
    Declined,
    /// Done.
    Completed,
    /// Taken back by the clinic.
    Withdrawn,
    /// Any.
    All,
}

impl State {
    /// All, as they are offered.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Received,
        Self::Accepted,
        Self::Declined,
        Self::Completed,
        Self::Withdrawn,
        Self::All,
    ];

    /// In an address and on the page.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Completed => "completed",
            Self::Withdrawn => "withdrawn",
            Self::All => "all",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether they are asked for and their status, one pair for each run of the inbox's index.
    fn runs(self) -> &'static [(bool, Status)] {
        use Status::{Accepted, Completed, Declined, Received};
        match self {
            Self::Open => &[(true, Received), (true, Accepted)],
            Self::Received => &[(true, Received)],
            Self::Accepted => &[(true, Accepted)],
            Self::Declined => &[(true, Declined)],
            Self::Completed => &[(true, Completed)],
            Self::Withdrawn => {
                &[(false, Received), (false, Accepted), (false, Declined), (false, Completed)]
            }
            Self::All => &[
                (true, Received),
                (true, Accepted),
                (true, Declined),
                (true, Completed),
                (false, Received),
                (false, Accepted),
                (false, Declined),
                (false, Completed),
            ],
        }
    }
}

/// Where a page of the inbox ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of its last referral.
    pub urgency: Urgency,
    /// Since when that one waits.
    pub asked_ms: i64,
    /// Its name.
    pub id: String,
}

impl From<&Referral> for Place {
    fn from(last: &Referral) -> Self {
        Self { urgency: last.urgency, asked_ms: last.asked_ms, id: last.id.clone() }
    }
}

impl Store {
    /// Referrals that fit, most urgent first, and of those the oldest first, from where an earlier
    /// page ended. What a page costs does not depend on how many come before it or after.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn inbox(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<&Place>,
    ) -> Result<Vec<Referral>, DbError> {
        self.read(|tx| {
            let mut found = Vec::new();
            for urgency in Urgency::ALL {
                let after = match after {
                    Some(place) if place.urgency < urgency => continue,
                    after => after.filter(|place| place.urgency == urgency),
                };
                let mut run = Vec::new();
                for stands in filter.state.runs() {
                    let left = limit - found.len();
                    run.extend(part(tx, filter, *stands, urgency, after, left)?);
                }
                run.sort_by(|a, b| (a.asked_ms, &a.id).cmp(&(b.asked_ms, &b.id)));
                found.extend(run);
                found.truncate(limit);
                if found.len() == limit {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// How many referrals fit; `most` when there are so many or more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn inbox_count(&self, filter: &Filter, most: i64) -> Result<i64, DbError> {
        self.read(|tx| {
            let mut count = 0;
            for stands in filter.state.runs() {
                let (condition, mut values) = condition(filter, *stands);
                values.push((most - count).into());
                let sql = format!(
                    "SELECT count(*) FROM (SELECT 1 FROM referral WHERE {condition} LIMIT ${}) fit",
                    values.len()
                );
                let rows = tx.query(&sql, &values)?;
                count += rows.first().ok_or_else(|| expected("a count"))?.int(0)?;
            }
            Ok(count)
        })
    }

    /// How many referrals are open, by status and urgency.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn open_counts(&self) -> Result<Vec<(String, Urgency, i64)>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT status, urgency, count(*) FROM referral
                 WHERE asked = 1 AND status IN ('received', 'accepted')
                 GROUP BY status, urgency ORDER BY status, urgency",
                &[],
            )?;
            let count = |row: &Record| {
                Ok((row.text(0)?.to_owned(), Urgency::of_number(row.int(1)?), row.int(2)?))
            };
            rows.iter().map(count).collect()
        })
    }

    /// Services that are asked for anywhere.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn services(&self) -> Result<Vec<String>, DbError> {
        self.read(|tx| {
            let rows = tx.query("SELECT name FROM service ORDER BY name", &[])?;
            rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
        })
    }
}

/// The first referrals of one run of the index, behind a place of the same urgency.
fn part(
    tx: &mut dyn Transaction,
    filter: &Filter,
    stands: (bool, Status),
    urgency: Urgency,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Referral>, DbError> {
    let (mut condition, mut values) = condition(filter, stands);
    values.push(urgency.number().into());
    condition.push_str(&format!(" AND urgency = ${}", values.len()));
    if let Some(place) = after {
        values.extend([place.asked_ms.into(), place.id.as_str().into()]);
        let last = values.len();
        condition.push_str(&format!(" AND (asked_ms, id) > (${}, ${last})", last - 1));
    }
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM referral WHERE {condition} ORDER BY asked_ms, id LIMIT ${}",
        values.len()
    );
    tx.query(&sql, &values)?.iter().map(referral).collect()
}

/// The condition of a filter, for one run of the index, and its values.
fn condition(filter: &Filter, (asked, status): (bool, Status)) -> (String, Vec<Value>) {
    let mut condition = "asked = $1 AND status = $2".to_owned();
    let mut values = vec![asked.into(), status.word().into()];
    if !filter.site.is_empty() {
        values.push(filter.site.as_str().into());
        condition.push_str(&format!(" AND site = ${}", values.len()));
    }
    if !filter.service.is_empty() {
        values.push(filter.service.as_str().into());
        condition.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM referral_service s
                          WHERE s.referral = referral.id AND s.service = ${})",
            values.len()
        ));
    }
    (condition, values)
}

#[cfg(test)]
mod tests;
