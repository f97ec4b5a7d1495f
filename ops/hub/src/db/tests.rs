//! What the trait promises, on each database.

use std::sync::{Arc, Barrier};
use std::thread;

use super::sqlite::Sqlite;
use super::*;

/// Runs a test on each database that is here.
fn on_each(test: impl Fn(Arc<dyn Database>)) {
    test(Arc::new(Sqlite::memory().unwrap()));
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(Sqlite::open(&folder.path().join("hub.sqlite")).unwrap()));
    if let Some(postgres) = testing::postgres(8) {
        test(Arc::new(postgres));
    }
}

fn with_table(database: &dyn Database) {
    database
        .script("CREATE TABLE t (k TEXT PRIMARY KEY, n BIGINT); INSERT INTO t VALUES ('a', 1);")
        .unwrap();
}

fn ask(database: &dyn Database, sql: &str, values: &[Value]) -> Vec<Record> {
    let mut records = Vec::new();
    database
        .transaction(&mut |tx| {
            records = tx.query(sql, values)?;
            Ok(())
        })
        .unwrap();
    records
}

#[test]
fn values_come_back_as_they_went() {
    on_each(|database| {
        with_table(&*database);
        let text = "ü 'quoted' \u{1f9e0}";
        let stored = ask(
            &*database,
            "INSERT INTO t (k, n) VALUES ($1, $2) RETURNING n, k, n IS NULL, 7",
            &[text.into(), Value::Null],
        );
        let expected = vec![Value::Null, text.into(), Value::Int(1), Value::Int(7)];
        assert_eq!(stored, [Record(expected)]);
        let big = ask(&*database, "UPDATE t SET n = $1 RETURNING n", &[i64::MIN.into()]);
        assert_eq!(big.iter().map(|row| row.int(0).unwrap()).collect::<Vec<_>>(), [i64::MIN; 2]);
        let sum = "SELECT CAST(sum(n) AS BIGINT), count(*) FROM t WHERE k = $1 OR k = $1";
        assert_eq!(ask(&*database, sum, &["a".into()])[0].0[1], Value::Int(1));
        let nul = ask(&*database, "SELECT k FROM t WHERE k = $1", &["a\0".into()]);
        assert!(nul.is_empty(), "{nul:?}");
    });
}

#[test]
fn conflicts_and_counts_are_the_same() {
    on_each(|database| {
        with_table(&*database);
        let insert = "INSERT INTO t (k, n) VALUES ($1, $2) ON CONFLICT (k) DO NOTHING";
        let mut changed = Vec::new();
        let mut work = |tx: &mut dyn Transaction| -> Result<(), DbError> {
            changed.push(tx.execute(insert, &["a".into(), Value::Int(5)])?);
            changed.push(tx.execute(insert, &["b".into(), Value::Int(5)])?);
            changed.push(tx.execute("UPDATE t SET n = n + $1", &[Value::Int(1)])?);
            changed.push(tx.execute("DELETE FROM t WHERE k = $1", &["c".into()])?);
            Ok(())
        };
        database.transaction(&mut work).unwrap();
        assert_eq!(changed, [0, 1, 2, 0]);
    });
}

#[test]
fn what_failed_did_not_happen() {
    on_each(|database| {
        with_table(&*database);
        let failed = database.transaction(&mut |tx| {
            tx.execute("UPDATE t SET n = $1", &[Value::Int(9)])?;
            tx.query("SELECT nothing FROM t", &[]).map(drop)
        });
        assert!(matches!(failed, Err(DbError::Backend(_))), "{failed:?}");
        let refused = database.transaction(&mut |tx| {
            tx.execute("UPDATE t SET n = $1", &[Value::Int(9)])?;
            Err(DbError::Busy)
        });
        assert!(matches!(refused, Err(DbError::Busy)), "{refused:?}");
        assert!(
            database
                .script("INSERT INTO t VALUES ('b', 1); INSERT INTO t VALUES ('b', 2);")
                .is_err()
        );
        assert!(
            database
                .transaction(&mut |tx| tx.execute("DELETE FROM t WHERE k = $1", &[]).map(drop))
                .is_err()
        );
        let rows = ask(&*database, "SELECT k, n FROM t", &[]);
        assert_eq!(rows, [Record(vec!["a".into(), Value::Int(1)])]);
    });
}

#[test]
fn writers_of_a_row_wait_for_each_other() {
    on_each(|database| {
        with_table(&*database);
        let start = Arc::new(Barrier::new(4));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (database, start) = (Arc::clone(&database), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let mut numbers = Vec::new();
                    for _ in 0..25 {
                        let next = "UPDATE t SET n = n + 1 WHERE k = $1 RETURNING n";
                        numbers.push(ask(&*database, next, &["a".into()])[0].int(0).unwrap());
                    }
                    numbers
                })
            })
            .collect();
        let mut all: Vec<i64> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (2..=101).collect::<Vec<_>>(), "no number twice, and none left out");
    });
}

#[test]
fn work_that_meets_other_work_head_on_is_done_again() {
    on_each(|database| {
        with_table(&*database);
        ask(&*database, "INSERT INTO t (k, n) VALUES ('b', 1) RETURNING n", &[]);
        // Each takes the two rows in another order, the classic deadlock.
        let writers: Vec<_> = [["a", "b"], ["b", "a"]]
            .map(|order| {
                let database = Arc::clone(&database);
                thread::spawn(move || {
                    for _ in 0..5 {
                        let mut work = |tx: &mut dyn Transaction| -> Result<(), DbError> {
                            order.into_iter().try_for_each(|k| {
                                let sql = "UPDATE t SET n = n + 1 WHERE k = $1";
                                tx.execute(sql, &[k.into()]).map(drop)
                            })
                        };
                        database.transaction(&mut work).unwrap();
                    }
                })
            })
            .into();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let rows = ask(&*database, "SELECT n FROM t", &[]);
        assert!(rows.iter().all(|row| row.int(0).unwrap() == 11), "{rows:?}");
    });
}

#[test]
fn reading_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = Sqlite::open(&folder.path().join("hub.sqlite")).unwrap();
    with_table(&database);
    let wrote = database.read(&mut |tx| tx.execute("UPDATE t SET n = 2", &[]).map(drop));
    assert!(wrote.is_err());
    database
        .transaction(&mut |tx| {
            tx.execute("UPDATE t SET n = 3", &[])?;
            // While it writes, others read what was.
            database.read(&mut |other| {
                assert_eq!(other.query("SELECT n FROM t", &[])?[0].int(0)?, 1);
                Ok(())
            })
        })
        .unwrap();
}

#[test]
fn a_lost_connection_is_replaced() {
    let Some(database) = testing::postgres(1) else { return };
    let mut lost = false;
    database
        .transaction(&mut |tx| {
            if !lost {
                lost = true;
                tx.query("SELECT pg_terminate_backend(pg_backend_pid())", &[])?;
            }
            assert_eq!(tx.query("SELECT 1", &[])?[0].int(0)?, 1);
            Ok(())
        })
        .unwrap();
}
