//! What a large hub rests on: no statement walks over a table that grows, and a hub of an earlier
//! version keeps what it has.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exchange::flag::{Flag, Referral as Asked, Study};
use exchange::manifest::{Manifest, Object};
use exchange::row::{Key, Kind, Row};
use exchange::telemetry::{AuditHead, Outcome as Case, Telemetry};
use exchange::wire::{Hello, Request};

use super::answers::{Act, Given};
use super::inbox::{Filter, Place, State};
use super::outbound::Kind as Takes;
use super::testing::{NOW_MS, database, hands, store};
use super::*;
use crate::db::{Record, Value, Work};

/// Tables that grow as long as there are patients.
const LARGE: [&str; 12] = [
    "outbox_row",
    "outbox_fork",
    "blob",
    "referral",
    "referral_service",
    "referral_flag",
    "referral_answer",
    "study_object",
    "escalation",
    "command",
    "outbound",
    "outcome",
];
const QUOTA: u64 = 1 << 20;

/// A database that remembers every statement, with the number of its values.
#[derive(Debug)]
struct Watched {
    database: Arc<dyn Database>,
    seen: Mutex<BTreeSet<(String, usize)>>,
}

struct Statements<'a> {
    tx: &'a mut dyn Transaction,
    watched: &'a Watched,
}

impl Watched {
    fn note(&self, sql: &str, values: &[Value]) {
        let seen = &mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((sql.to_owned(), values.len()));
    }
}

impl Transaction for Statements<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbError> {
        self.watched.note(sql, values);
        self.tx.execute(sql, values)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Record>, DbError> {
        self.watched.note(sql, values);
        self.tx.query(sql, values)
    }
}

impl Database for Watched {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        self.database.transaction(&mut |tx| work(&mut Statements { tx, watched: self }))
    }

    fn read(&self, work: &mut Work<'_>) -> Result<(), DbError> {
        self.database.read(&mut |tx| work(&mut Statements { tx, watched: self }))
    }

    fn script(&self, sql: &str) -> Result<(), DbError> {
        self.database.script(sql)
    }

    fn has_partitions(&self) -> bool {
        self.database.has_partitions()
    }
}

fn row(seq: i64, kind: Kind, study: &str, body: &impl Serialize) -> Row {
    let key = Key { epoch: "e".into(), seq };
    Row::seal(key, kind, study.into(), 1, serde_json::to_string(body).unwrap())
}

fn flag(study: &str) -> Flag {
    let study = Study { uid: study.into(), ..Study::default() };
    let asked = Asked { service: "neurology".into(), ..Asked::default() };
    Flag { asked: true, study, referrals: vec![asked], ..Flag::default() }
}

fn manifest(study: &str) -> Manifest {
    let object = Object { sha256: "ab".into(), bytes: 7, ..Object::default() };
    Manifest { study: study.into(), objects: vec![object], ..Manifest::default() }
}

/// Every kind of row, new, again and contradicted.
fn receive(store: &Store) {
    store.announce("a", "ab", 7, QUOTA).unwrap();
    store.completed("a", "ab").unwrap();
    let rows = |text: &str| {
        vec![
            row(1, Kind::Flag, "1.2", &flag("1.2")),
            row(2, Kind::Objects, "1.2", &manifest("1.2")),
            row(3, Kind::Outcome, "", &Case { case: text.into(), ..Case::default() }),
            row(4, Kind::Telemetry, "", &Telemetry::default()),
            row(5, Kind::AuditHead, "", &AuditHead { seq: 5, ..AuditHead::default() }),
            row(6, Kind::Flag, "1.2", &Flag { asked: false, ..flag("1.2") }),
            row(7, Kind::Flag, "1.2", &flag("1.2")),
        ]
    };
    let hello = || Hello { wall_ms: NOW_MS, ..Hello::default() };
    for rows in [rows("x"), rows("y"), Vec::new(), Vec::new()] {
        store.take("a", &Request { hello: hello(), rows }, QUOTA).unwrap().unwrap();
    }
    store.take_late("a", 1, &[], QUOTA).unwrap().unwrap();
    store.stored_rows("a").unwrap();
    store.stale_blobs(NOW_MS).unwrap();
    store.blob("a", "ab").unwrap();
}

/// What people ask for and do, and what goes on to other systems.
fn work(store: &Store) {
    let all = Filter { state: State::All, ..Filter::default() };
    let first = store.inbox(&all, 9, None).unwrap().remove(0);
    let place = Place::from(&first);
    for (site, service) in [("", ""), ("a", ""), ("", "neurology"), ("a", "neurology")] {
        let filter = Filter { site: site.into(), service: service.into(), ..all.clone() };
        store.inbox(&filter, 9, Some(&place)).unwrap();
        store.inbox(&filter, 9, None).unwrap();
        store.inbox_count(&filter, 9).unwrap();
    }
    for waiting in store.waiting().unwrap() {
        store.begin_escalation(&waiting).unwrap();
        store.end_escalation(&waiting, true, "").unwrap();
    }
    let given = Given {
        referral: &first.id,
        version: first.version,
        act: Act::Accept,
        by: "ada",
        service: "",
        assignee: "",
        note: "",
        actions: &[],
    };
    store.answer(&given).unwrap().unwrap();
    store.referral(&first.id).unwrap().unwrap();
    store.flags(&first.id).unwrap();
    store.answers(&first.id).unwrap();
    store.escalations(&first.id).unwrap();
    store.result_objects("a", "1.2").unwrap();
    store.open_counts().unwrap();
    store.escalation_counts().unwrap();
    store.quality(NOW_MS).unwrap();
    store.services().unwrap();
    store.sites().unwrap();
    for destination in ["ehr", "pacs"] {
        let job = store.begin_outbound(destination, Duration::from_secs(9)).unwrap().unwrap();
        store.told(&job.site, &job.study).unwrap().unwrap();
        store.outbound_object(&job).unwrap();
        store.outbound_sending(&job, "{}").unwrap();
        store.outbound_refused(&job, "no", "", None).unwrap();
        store.outbound_sent(&job).unwrap();
        store.retry_outbound(destination, "ada").unwrap();
    }
    store.outbound_queues().unwrap();
    store.dead_outbound(9).unwrap();
}

/// How the database would do a statement: lines of words.
fn plan(tx: &mut dyn Transaction, is_postgres: bool, sql: &str, values: usize) -> Vec<String> {
    let texts = |rows: Vec<Record>, column| -> Vec<String> {
        rows.iter().map(|row| row.text(column).unwrap().to_owned()).collect()
    };
    if !is_postgres {
        let nothing = vec![Value::Null; values];
        return texts(tx.query(&format!("EXPLAIN QUERY PLAN {sql}"), &nothing).unwrap(), 3);
    }
    tx.execute(&format!("PREPARE asked AS {sql}"), &[]).unwrap();
    let nothing =
        if values == 0 { String::new() } else { format!("({})", vec!["NULL"; values].join(", ")) };
    let plan = texts(tx.query(&format!("EXPLAIN EXECUTE asked{nothing}"), &[]).unwrap(), 0);
    tx.execute("DEALLOCATE asked", &[]).unwrap();
    plan
}

/// True when a line of a plan goes from one end of a large table to the other, or over all that a
/// destination was ever sent.
fn is_walk(line: &str) -> bool {
    // An index of a part of the table is as long as that part.
    if line.contains("outbound_dead") || line.contains("outbound_waiting") {
        return false;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let walked = match (words.as_slice(), line.split_once("Seq Scan on ")) {
        (["SCAN", table, ..], _) => *table,
        (["SEARCH", table, .., "sqlite_autoindex_outbound_1", "(destination=?)"], _) => *table,
        (_, Some((_, behind))) => behind.split_whitespace().next().unwrap_or_default(),
        _ => return false,
    };
    let is_part = |table: &str| {
        walked.strip_prefix(table).is_some_and(|part| {
            part.trim_start_matches('_').chars().all(|digit| digit.is_ascii_digit())
        })
    };
    // SQLite shows what a statement calls a table: the queue, forks, services.
    ["o", "f", "s"].contains(&walked) || LARGE.into_iter().any(is_part)
}

#[test]
fn no_statement_walks_over_a_table_that_grows() {
    for walk in [
        "SCAN referral",
        "SCAN o USING INDEX x",
        "  ->  Seq Scan on outbox_row_3 outbox_row  (cost=1)",
        "SEARCH o USING INDEX sqlite_autoindex_outbound_1 (destination=?)",
    ] {
        assert!(is_walk(walk), "{walk}");
    }
    for none in ["SCAN site", "SCAN service", "SEARCH referral USING INDEX referral_site (site=?)"]
    {
        assert!(!is_walk(none), "{none}");
    }
    let watched = Arc::new(Watched { database: database(), seen: Mutex::default() });
    let store = Store::open(Arc::clone(&watched) as Arc<dyn Database>, hands()).unwrap();
    store.add_site("a", "A").unwrap();
    let systems = [("ehr", Takes::Fhir), ("pacs", Takes::Stow)];
    store.set_outbound_destinations(&systems).unwrap();
    receive(&store);
    work(&store);
    let is_postgres = watched.has_partitions();
    let seen = watched.seen.lock().unwrap().clone();
    assert!(seen.len() > 60, "only {} statements", seen.len());
    let mut found = Vec::new();
    let mut explain = |tx: &mut dyn Transaction| {
        if is_postgres {
            // Small tables are walked over for good reason; this says what else there is.
            tx.execute("SET LOCAL enable_seqscan = off", &[])?;
            tx.execute("SET LOCAL plan_cache_mode = force_generic_plan", &[])?;
        }
        for (sql, values) in &seen {
            for line in plan(tx, is_postgres, sql, *values) {
                if is_walk(&line) {
                    found.push(format!("{sql}: {line}"));
                }
            }
        }
        Ok(())
    };
    watched.database.transaction(&mut explain).unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_hub_of_an_earlier_version_keeps_what_it_has() {
    let (database, clock) = (database(), hands());
    Store::open_with(&STEPS[..8], Arc::clone(&database), clock.clone()).unwrap();
    database
        .script(
            "INSERT INTO site (id, name, ordinal) VALUES ('a', 'A', 2), ('b', 'B', 1);
             INSERT INTO outbox_row VALUES
                 ('a', 'e', 1, 'outcome', '', 's1', '{}', 1, 2, 1),
                 ('a', 'e', 2, 'audit_head', '', 's2', '{}', 1, 2, 2),
                 ('b', 'e', 1, 'outcome', '', 's3', '{}', 1, 2, 1);
             INSERT INTO referral_service VALUES ('r1', 'neurology'), ('r2', 'neurology'),
                 ('r2', 'surgery');
             INSERT INTO outbound_destination VALUES ('ehr', 'fhir', NULL, '');
             INSERT INTO outbound VALUES
                 ('ehr', 'a', '1', '', 'sent', 1, 0, 0, 0, 5, 5, '', '', ''),
                 ('ehr', 'a', '2', '', 'waiting', 1, 0, 0, 0, 5, 5, '', '', '');
             INSERT INTO escalation VALUES ('r1', 1, 1, 1, ''), ('r1', 2, 1, 0, ''),
                 ('r2', 1, 1, NULL, '');",
        )
        .unwrap();
    let store = Store::open(Arc::clone(&database), clock.clone()).unwrap();
    let digests = |site: &str| -> Vec<String> {
        store.stored_rows(site).unwrap().into_iter().map(|row| row.sha256).collect()
    };
    assert_eq!((digests("a"), digests("b")), (vec!["s1".into(), "s2".into()], vec!["s3".into()]));
    assert_eq!(store.services().unwrap(), ["neurology", "surgery"]);
    let queue = store.outbound_queues().unwrap().remove(0);
    assert_eq!((queue.waiting, queue.sent), (1, 1));
    let counts: Vec<_> = store.escalation_counts().unwrap().into_iter().collect();
    assert_eq!(counts, [("failed".into(), 1), ("good".into(), 1), ("started".into(), 1)]);
    // A row that was there is still the same row.
    let again = row(1, Kind::Outcome, "", &Case::default());
    let request = Request { hello: Hello::default(), rows: vec![again] };
    let taken = store.take("a", &request, QUOTA).unwrap().unwrap();
    assert!(matches!(taken.answers[0].outcome, exchange::wire::Outcome::Rejected { .. }));
    Store::open(database, clock).unwrap();
}

#[test]
fn a_look_that_says_nothing_new_writes_nothing() {
    let (store, clock) = store();
    store.add_site("a", "A").unwrap();
    let look = |hello: &Hello| {
        let request = Request { hello: hello.clone(), rows: Vec::new() };
        store.take("a", &request, QUOTA).unwrap().unwrap();
        store.sites().unwrap()[0].contact_ms.unwrap() - NOW_MS
    };
    let mut hello = Hello { wall_ms: NOW_MS, ..Hello::default() };
    assert_eq!(look(&hello), 0);
    clock.forward(15_000);
    hello.wall_ms += 15_300;
    assert_eq!(look(&hello), 0, "it spoke a quarter of a minute ago");
    hello.backlog[0] = 1;
    assert_eq!(look(&hello), 15_000, "a flag waits there");
    clock.forward(60_000);
    hello.wall_ms += 60_000;
    assert_eq!(look(&hello), 75_000, "a minute has gone by");
    store.kill_switch("a", true, "test", "ada").unwrap();
    let request = Request { hello: hello.clone(), rows: Vec::new() };
    assert_eq!(store.take("a", &request, QUOTA).unwrap().unwrap().commands.len(), 1);
    hello.cursor = 1;
    look(&hello);
    assert_eq!(store.acknowledged_command("a").unwrap(), 1, "the box has the command");
    hello.wall_ms += 5000;
    assert_eq!(look(&hello), 75_000);
    assert_eq!(store.sites().unwrap()[0].offset_ms, Some(5300), "its clock was moved");
}
