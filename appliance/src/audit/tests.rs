use std::sync::Arc;

use models::table::Head;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::store::audit::Entry;

fn store(folder: &tempfile::TempDir) -> Store {
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let store = Store::open(&folder.path().join("a.sqlite"), clock).unwrap();
    store.sql(
        "INSERT INTO study (id, uid, patient_id, first_at, last_at) VALUES (12, '1.2.3', 'P1', 0, 0)",
    );
    for (action, object) in [("appliance.start", ""), ("study.done", "study 12")] {
        let detail = &json!({});
        store.audit(&Entry { actor: "Dr. A", action, object, detail }).unwrap();
    }
    store
}

fn lines(store: &Store, after: i64, framing: Framing) -> (i64, Vec<String>) {
    let origin = Origin { source: "BOX 1".to_owned(), site: String::new() };
    let mut out = Vec::new();
    let last = export(store, after, &origin, framing, &mut out).unwrap();
    (last, String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn rows_are_exported_one_a_line_and_from_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let (last, all) = lines(&store, 0, Framing::Plain);
    assert_eq!((last, all.len()), (2, 2));
    assert!(all[0].starts_with("<AuditMessage><EventIdentification "), "{}", all[0]);
    assert!(all[1].contains(r#"ParticipantObjectID="1.2.3""#), "{}", all[1]);
    assert!(all[1].contains(r#"ParticipantObjectID="P1""#), "{}", all[1]);
    assert_eq!(lines(&store, 1, Framing::Plain), (2, vec![all[1].clone()]));
    assert_eq!(lines(&store, 2, Framing::Plain), (2, Vec::new()));
    let (_, syslog) = lines(&store, 1, Framing::Syslog);
    let header = "<85>1 2027-01-15T08:00:00Z BOX1 appliance - DICOM+RFC3881 - \u{feff}";
    assert_eq!(syslog, [format!("{header}{}", all[1])]);
}

#[test]
fn a_table_that_changed_is_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let store = Store::open(&folder.path().join("a.sqlite"), clock).unwrap();
    let head = |version: &str, sha256: &str| Head {
        version: version.to_owned(),
        sha256: sha256.to_owned(),
        ..Head::default()
    };
    let noted = |tables: &[(&str, &Head)]| -> Vec<(String, String)> {
        store.note_tables(tables).unwrap();
        let rows = store.audit_rows(0, 100).unwrap().into_iter();
        rows.map(|row| {
            assert_eq!((row.actor.as_str(), row.action.as_str()), ("appliance", "table.change"));
            let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap();
            let versions = format!("{} {}", detail["from"]["version"], detail["to"]["version"]);
            (row.object, versions)
        })
        .collect()
    };
    let row = |name: &str, versions: &str| (name.to_owned(), versions.to_owned());
    let (one, same, other) = (head("1", "aa"), head("1 again", "aa"), head("1", "bb"));
    let mut expected = vec![row("a.toml", "null \"1\""), row("b.toml", "null \"1\"")];
    assert_eq!(noted(&[("a.toml", &one), ("b.toml", &one)]), expected);
    assert_eq!(noted(&[("a.toml", &same), ("b.toml", &one)]), expected, "by digest alone");
    expected.push(row("b.toml", "\"1\" \"1\""));
    assert_eq!(noted(&[("a.toml", &one), ("b.toml", &other)]), expected);
    expected.push(row("b.toml", "\"1\" \"1\""));
    assert_eq!(noted(&[("a.toml", &one), ("b.toml", &one)]), expected, "and back");
    assert_eq!(store.verify_audit().unwrap().first_bad, None);
}

#[test]
fn the_chain_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let head = store.verify_audit().unwrap().head;
    let check = |expected: &str| assert_eq!(verdict(&store.verify_audit().unwrap()), expected);
    check(&format!("the audit log is whole: 2 rows, the last has the hash {head}"));
    store.sql("DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'Dr. B' WHERE seq = 2");
    check(
        "the audit log is damaged: row 2 is missing or was changed, the 1 rows before it are \
         whole; keep the database and its backups as they are, and compare with a backup or with \
         exported messages",
    );
    let empty = AuditCheck { rows: 0, head: String::new(), first_bad: None };
    assert_eq!(verdict(&empty), "the audit log is empty");
}
