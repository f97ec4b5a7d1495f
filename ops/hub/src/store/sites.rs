//! Sites: which clinics there are, which certificates they hold, and the codes they enrol with.

use std::collections::BTreeMap;

use exchange::row::hex;
use exchange::wire::Hello;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Store, audit};
use crate::db::{DbError, Record, Transaction, Value};

/// Longest identifier of a site.
const ID_BYTES: usize = 48;
/// Longest word that a box says of itself, in characters.
pub(super) const WORD_CHARS: usize = 120;
/// How long a code is good for.
const CODE_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Contact that says nothing new is written down once in so long.
const FRESH_MS: i64 = 60_000;
/// So far a clock may move before that is something new.
const STEADY_MS: i64 = 1000;
/// Letters and digits that nobody takes for each other.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a code, 5 bits each, and how many stand together.
const CODE_CHARS: usize = 20;
const CODE_GROUP: usize = 5;

/// Why sites were not changed.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// No identifier.
    #[error(
        "{found:?} cannot name a site: expected lower-case letters, digits and single hyphens, at \
         most {ID_BYTES}, such as mbeya-district"
    )]
    Id {
        /// What was given.
        found: String,
    },
    /// Nobody has this identifier.
    #[error("there is no site {0}; `hub site list` shows all")]
    Unknown(String),
    /// The system has no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Why nobody was enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Never given out, used by another box, or too old. Which of them is nobody's business.
    #[error("this code is wrong, used or expired; `hub site add` at the hospital makes a new one")]
    Code,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// A site as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Lower-case words.
    pub id: String,
    /// For people.
    pub name: String,
    /// Since when nobody of it is let in.
    pub revoked_ms: Option<i64>,
    /// A box of it holds a certificate.
    pub enrolled: bool,
    /// When it spoke last.
    pub contact_ms: Option<i64>,
    /// Its wall clock minus ours.
    pub offset_ms: Option<i64>,
    /// Version of its program.
    pub software: String,
    /// Model in force.
    pub model: String,
    /// Rows that wait there, by priority.
    pub backlog: [i64; 4],
    /// Rows that it gave up.
    pub dead: i64,
    /// Rows that came with other content under a key that is taken: two boxes use one identity.
    pub forks: i64,
    /// Bytes of rows that are here.
    pub row_bytes: i64,
    /// Bytes of blobs that are here or announced.
    pub blob_bytes: i64,
}

/// Whether a certificate is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is its site's.
    Admitted,
    /// It was, or its site was.
    Revoked,
    /// This hub never gave it to this site.
    Unknown,
}

/// What a site has here already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) ordinal: i64,
    pub(super) row_bytes: i64,
}

/// True for lower-case words with single hyphens between them.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    id.len() <= ID_BYTES && id.split('-').all(word)
}

impl Store {
    /// Makes a site, or lets one in again that was revoked, and returns the code that its box
    /// enrols with.
    ///
    /// # Errors
    ///
    /// When the identifier is none, or the database fails.
    pub fn add_site(&self, id: &str, name: &str) -> Result<String, SiteError> {
        if !is_id(id) {
            return Err(SiteError::Id { found: id.to_owned() });
        }
        let code = new_code().map_err(SiteError::Random)?;
        let now_ms = self.clock().now_ms();
        self.write(|tx| {
            tx.execute(
                "INSERT INTO site (id, name, created_ms) VALUES ($1, $2, $3)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, revoked_ms = NULL",
                &[id.into(), name.into(), now_ms.into()],
            )?;
            tx.execute(
                "INSERT INTO site_code (digest, site, expires_ms) VALUES ($1, $2, $3)",
                &[code_digest(&code).into(), id.into(), (now_ms + CODE_MS).into()],
            )?;
            record(tx, now_ms, "hub", "site.add", id)
        })?;
        Ok(code)
    }

    /// Lets nobody of a site in any more; what it sent stays.
    ///
    /// # Errors
    ///
    /// When there is no such site, or the database fails.
    pub fn revoke_site(&self, id: &str) -> Result<(), SiteError> {
        let now_ms = self.clock().now_ms();
        let found = self.write(|tx| {
            let found = tx.execute(
                "UPDATE site SET revoked_ms = coalesce(revoked_ms, $1) WHERE id = $2",
                &[now_ms.into(), id.into()],
            )?;
            revoke_certificates(tx, id, now_ms)?;
            tx.execute("DELETE FROM site_code WHERE site = $1", &[id.into()])?;
            if found > 0 {
                record(tx, now_ms, "hub", "site.revoke", id)?;
            }
            Ok(found)
        })?;
        if found == 0 { Err(SiteError::Unknown(id.to_owned())) } else { Ok(()) }
    }

    /// All sites, by identifier.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn sites(&self) -> Result<Vec<Site>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT id, name, revoked_ms,
                        EXISTS (SELECT 1 FROM site_certificate c
                                WHERE c.site = site.id AND c.revoked_ms IS NULL),
                        contact_ms, offset_ms, software, model, backlog_p0, backlog_p1, backlog_p2,
                        backlog_p3, dead,
                        (SELECT count(*) FROM outbox_fork f WHERE f.site = site.id),
                        row_bytes, blob_bytes
                 FROM site ORDER BY id",
                &[],
            )?;
            rows.iter().map(site).collect()
        })
    }

    /// Names of all sites by their identifiers.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn site_names(&self) -> Result<BTreeMap<String, String>, DbError> {
        self.read(|tx| {
            let rows = tx.query("SELECT id, name FROM site", &[])?;
            rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
        })
    }

    /// Who signs the outbox files of a site; `None` before its enrolment, and for revoked ones.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn minisign_key(&self, site: &str) -> Result<Option<String>, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT minisign_key FROM site WHERE id = $1 AND revoked_ms IS NULL",
                &[site.into()],
            )?;
            let key = rows.first().map(|row| row.text(0)).transpose()?;
            Ok(key.filter(|key| !key.is_empty()).map(str::to_owned))
        })
    }

    /// The site that a code was made for, if a request may still use it.
    ///
    /// # Errors
    ///
    /// When it may not, or the database fails.
    pub fn site_of_code(&self, code: &str, request: &str) -> Result<String, EnrolError> {
        let now_ms = self.clock().now_ms();
        let site = self.read(|tx| {
            let rows = tx.query(
                "SELECT site FROM site_code
                 WHERE digest = $1 AND expires_ms > $2 AND (used_by IS NULL OR used_by = $3)",
                &[code_digest(code).into(), now_ms.into(), request.into()],
            )?;
            rows.first().map(|row| row.text(0).map(str::to_owned)).transpose()
        })?;
        site.ok_or(EnrolError::Code)
    }

    /// Uses a code up and takes on a certificate in place of all that the site had before. The same
    /// request may use the code again, because its answer may have been lost on the way.
    ///
    /// # Errors
    ///
    /// When the code was used meanwhile, or the database fails.
    pub fn enrol(
        &self,
        code: &str,
        request: &str,
        site: &str,
        serial: &str,
        minisign_key: &str,
    ) -> Result<(), EnrolError> {
        let now_ms = self.clock().now_ms();
        let used = self.write(|tx| {
            let used = tx.execute(
                "UPDATE site_code SET used_by = $1
                 WHERE digest = $2 AND site = $3 AND expires_ms > $4
                   AND (used_by IS NULL OR used_by = $1)",
                &[request.into(), code_digest(code).into(), site.into(), now_ms.into()],
            )?;
            if used == 0 {
                return Ok(false);
            }
            revoke_certificates(tx, site, now_ms)?;
            tx.execute(
                "INSERT INTO site_certificate (serial, site, issued_ms) VALUES ($1, $2, $3)",
                &[serial.into(), site.into(), now_ms.into()],
            )?;
            tx.execute(
                "UPDATE site SET minisign_key = $1 WHERE id = $2",
                &[minisign_key.into(), site.into()],
            )?;
            record(tx, now_ms, site, "site.enrol", serial)?;
            Ok(true)
        })?;
        if used { Ok(()) } else { Err(EnrolError::Code) }
    }

    /// Whether this certificate is let in for this site.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn admission(&self, site: &str, serial: &str) -> Result<Admission, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT coalesce(c.revoked_ms, s.revoked_ms)
                 FROM site_certificate c JOIN site s ON s.id = c.site
                 WHERE c.serial = $1 AND c.site = $2",
                &[serial.into(), site.into()],
            )?;
            let Some(row) = rows.first() else { return Ok(Admission::Unknown) };
            let revoked = row.maybe_int(0)?.is_some();
            Ok(if revoked { Admission::Revoked } else { Admission::Admitted })
        })
    }
}

/// What the first line of a batch says of a box; other writers of this site wait from here to the
/// commit. `None` for a site that is not known.
pub(super) fn contact(
    tx: &mut dyn Transaction,
    site: &str,
    hello: &Hello,
    now_ms: i64,
) -> Result<Option<Held>, DbError> {
    let rows = tx.query(
        "UPDATE site SET contact_ms = $1, offset_ms = $2, software = $3, model = $4,
                backlog_p0 = $5, backlog_p1 = $6, backlog_p2 = $7, backlog_p3 = $8, dead = $9
         WHERE id = $10 RETURNING ordinal, row_bytes",
        &said(site, hello, now_ms),
    )?;
    held(&rows)
}

/// True when [`contact`] would change nothing but the time of the last contact, which is not long
/// ago, and the box's cursor is no news either.
pub(super) fn is_as_said(
    tx: &mut dyn Transaction,
    site: &str,
    hello: &Hello,
    now_ms: i64,
) -> Result<bool, DbError> {
    let mut values: Vec<Value> = said(site, hello, now_ms).into();
    values.extend([now_ms - FRESH_MS, STEADY_MS, hello.cursor].map(Value::Int));
    let rows = tx.query(
        "SELECT 1 FROM site WHERE id = $10 AND contact_ms > $11 AND contact_ms <= $1
           AND abs(offset_ms - $2) <= $12 AND software = $3 AND model = $4 AND backlog_p0 = $5
           AND backlog_p1 = $6 AND backlog_p2 = $7 AND backlog_p3 = $8 AND dead = $9
           AND $13 <= coalesce((SELECT acknowledged FROM command_counter WHERE site = $10), 0)",
        &values,
    )?;
    Ok(!rows.is_empty())
}

/// What a box says of itself: when, its clock, its words and its counts, and whose it is.
fn said(site: &str, hello: &Hello, now_ms: i64) -> [Value; 10] {
    let word = |text: &str| text.chars().take(WORD_CHARS).collect::<String>();
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let [p0, p1, p2, p3] = hello.backlog.map(count);
    [
        now_ms.into(),
        hello.wall_ms.saturating_sub(now_ms).into(),
        word(&hello.software).into(),
        word(&hello.model).into(),
        p0.into(),
        p1.into(),
        p2.into(),
        p3.into(),
        count(hello.dead).into(),
        site.into(),
    ]
}

/// As [`contact`], when the box said nothing now.
pub(super) fn hold(tx: &mut dyn Transaction, site: &str) -> Result<Option<Held>, DbError> {
    let rows = tx.query(
        "UPDATE site SET ordinal = ordinal WHERE id = $1 RETURNING ordinal, row_bytes",
        &[site.into()],
    )?;
    held(&rows)
}

fn held(rows: &[Record]) -> Result<Option<Held>, DbError> {
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Held { ordinal: row.int(0)?, row_bytes: row.int(1)? }))
}

fn revoke_certificates(tx: &mut dyn Transaction, site: &str, now_ms: i64) -> Result<u64, DbError> {
    tx.execute(
        "UPDATE site_certificate SET revoked_ms = $1 WHERE site = $2 AND revoked_ms IS NULL",
        &[now_ms.into(), site.into()],
    )
}

fn record(
    tx: &mut dyn Transaction,
    now_ms: i64,
    actor: &str,
    action: &str,
    object: &str,
) -> Result<(), DbError> {
    audit::append(tx, now_ms, &audit::Entry { actor, action, object, detail: &json!({}) })
}

fn site(row: &Record) -> Result<Site, DbError> {
    Ok(Site {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        revoked_ms: row.maybe_int(2)?,
        enrolled: row.flag(3)?,
        contact_ms: row.maybe_int(4)?,
        offset_ms: row.maybe_int(5)?,
        software: row.text(6)?.to_owned(),
        model: row.text(7)?.to_owned(),
        backlog: [row.int(8)?, row.int(9)?, row.int(10)?, row.int(11)?],
        dead: row.int(12)?,
        forks: row.int(13)?,
        row_bytes: row.int(14)?,
        blob_bytes: row.int(15)?,
    })
}

/// 100 random bits, in groups that can be read out over the telephone.
fn new_code() -> Result<String, getrandom::Error> {
    let mut bytes = [0; CODE_CHARS];
    getrandom::fill(&mut bytes)?;
    let letters = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> =
        letters.chunks(CODE_GROUP).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

/// Of the code as it was meant: without hyphens and blanks, in any case.
fn code_digest(code: &str) -> String {
    let meant: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    hex(&Sha256::digest(meant))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::testing::store;

    #[test]
    fn identifiers_are_safe_as_names_of_folders() {
        for good in ["a", "mbeya-district", "site-7-b"] {
            assert!(is_id(good), "{good}");
        }
        let long = "x".repeat(ID_BYTES + 1);
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a/b", "..", "a.b", "ü", "a b", &long] {
            assert!(!is_id(bad), "{bad}");
        }
        let (store, _) = store();
        let refused = store.add_site("../x", "x").unwrap_err();
        assert!(matches!(refused, SiteError::Id { .. }));
    }

    #[test]
    fn a_code_is_used_once_by_one_request() {
        let (store, _) = store();
        let code = store.add_site("kilosa", "Kilosa").unwrap();
        let spoken = code.to_uppercase().replace('-', " ");
        assert_eq!(store.site_of_code(&spoken, "r1").unwrap(), "kilosa");
        store.enrol(&code, "r1", "kilosa", "01", "key").unwrap();
        assert_eq!(store.admission("kilosa", "01").unwrap(), Admission::Admitted);
        assert_eq!(store.minisign_key("kilosa").unwrap().unwrap(), "key");
        // Another box with the code that somebody overheard.
        assert!(matches!(store.site_of_code(&code, "r2"), Err(EnrolError::Code)));
        let stolen = store.enrol(&code, "r2", "kilosa", "02", "other");
        assert!(matches!(stolen, Err(EnrolError::Code)));
        assert_eq!(store.admission("kilosa", "02").unwrap(), Admission::Unknown);
        // The same box, whose answer was lost.
        assert_eq!(store.site_of_code(&code, "r1").unwrap(), "kilosa");
        store.enrol(&code, "r1", "kilosa", "03", "key").unwrap();
        assert_eq!(store.admission("kilosa", "01").unwrap(), Admission::Revoked);
        assert_eq!(store.admission("kilosa", "03").unwrap(), Admission::Admitted);
    }

    #[test]
    fn a_code_does_not_outlive_its_week_or_serve_another_site() {
        let (store, clock) = store();
        let code = store.add_site("a", "A").unwrap();
        store.add_site("b", "B").unwrap();
        assert!(matches!(store.enrol(&code, "r", "b", "01", "k"), Err(EnrolError::Code)));
        clock.forward(CODE_MS);
        assert!(matches!(store.site_of_code(&code, "r"), Err(EnrolError::Code)));
        assert!(matches!(store.enrol(&code, "r", "a", "01", "k"), Err(EnrolError::Code)));
    }

    #[test]
    fn a_revoked_site_is_out_until_it_enrols_again() {
        let (store, _) = store();
        let code = store.add_site("a", "A").unwrap();
        store.enrol(&code, "r", "a", "01", "k").unwrap();
        let unused = store.add_site("a", "A").unwrap();
        store.revoke_site("a").unwrap();
        assert_eq!(store.admission("a", "01").unwrap(), Admission::Revoked);
        assert_eq!(store.minisign_key("a").unwrap(), None);
        assert!(matches!(store.site_of_code(&unused, "r"), Err(EnrolError::Code)));
        assert!(matches!(store.revoke_site("c"), Err(SiteError::Unknown(_))));
        let code = store.add_site("a", "A again").unwrap();
        assert_eq!(store.admission("a", "01").unwrap(), Admission::Revoked);
        store.enrol(&code, "r", "a", "02", "k").unwrap();
        assert_eq!(store.admission("a", "02").unwrap(), Admission::Admitted);
        assert_eq!(store.admission("b", "02").unwrap(), Admission::Unknown);
        let sites = store.sites().unwrap();
        assert_eq!((sites.len(), sites[0].name.as_str(), sites[0].enrolled), (1, "A again", true));
    }

    #[test]
    fn codes_differ() {
        let codes: HashSet<String> = (0..100).map(|_| new_code().unwrap()).collect();
        assert_eq!(codes.len(), 100);
        assert!(codes.iter().all(|code| code.len() == 23 && code.split('-').count() == 4));
    }
}
