//! Rows as boxes write them, and millions of them in a database without their way there.

use std::sync::atomic::{AtomicU64, Ordering};

use exchange::flag::{Finding, Flag, Model, Patient, Referral, Study};
use exchange::row::{Key, Kind, Row};
use exchange::telemetry::Outcome as Case;
use hub::db::{Database, Transaction, Value};
use hub::store::Store;
use hub::store::referrals::id;

/// Clinics, whatever the number of rows.
pub(crate) const SITES: u64 = 1000;
/// What a study makes.
pub(crate) const SHAPE: &str = "of four rows two flags of a study and twice what came of it; one \
    referral of each site is open";
const ROWS_OF_A_STUDY: u64 = 4;
/// Values of one INSERT: SQLite looks each up by its name, and a round trip to PostgreSQL takes long.
const VALUES: [usize; 2] = [320, 10_000];
/// Rows in one transaction.
const COMMIT: u64 = 50_000;
/// When the first row came: 2024-01-01.
const FIRST_MS: i64 = 1_704_067_200_000;

pub(crate) fn site(number: u64) -> String {
    format!("clinic-{number}")
}

/// Of its certificate.
pub(crate) fn serial(number: u64) -> String {
    format!("{number:032x}")
}

fn study(site: u64, number: u64) -> String {
    format!("2.25.{site}.{}", number / ROWS_OF_A_STUDY)
}

/// The row of this number of a site, from 0.
pub(crate) fn row(site: u64, number: u64) -> Row {
    let key = Key { epoch: "e1".into(), seq: int(number) + 1 };
    let study = study(site, number);
    let body = body(site, number);
    match number % ROWS_OF_A_STUDY {
        0 | 1 => Row::seal(key, Kind::Flag, study, 1, body),
        _ => Row::seal(key, Kind::Outcome, String::new(), 1, body),
    }
}

fn body(site: u64, number: u64) -> String {
    match number % ROWS_OF_A_STUDY {
        0 | 1 => serde_json::to_string(&flag(site, number)).unwrap(),
        _ => serde_json::to_string(&case(site, number)).unwrap(),
    }
}

fn case(site: u64, number: u64) -> Case {
    Case {
        case: study(site, number),
        outcome: "analysed".into(),
        acuity: "high".into(),
        sex: "F".into(),
        age_band: "40-64".into(),
        vendor: "siemens".into(),
        result_s: Some(95),
        ..Case::default()
    }
}

fn urgency(number: u64) -> usize {
    usize::try_from(number / ROWS_OF_A_STUDY % 4).unwrap()
}

fn flag(site: u64, number: u64) -> Flag {
    let finding = Finding {
        label: "vascular_hemorrhagic_intracranial_hemorrhage".into(),
        name: "intracranial hemorrhage".into(),
        margin: 0.5,
        probability: Some(0.7),
        acuity: "high".into(),
    };
    let referral = Referral {
        service: "neurosurgery".into(),
        urgency: ["routine", "soon", "urgent", "emergency"][urgency(number)].into(),
        reason: "Intracranial haemorrhage can grow within hours.".into(),
        findings: vec![finding.label.clone()],
    };
    Flag {
        asked: true,
        patient: Patient { id: "P1".into(), name: "PHIRI^GRACE".into(), ..Patient::default() },
        study: Study { uid: study(site, number), ..Study::default() },
        acuity: "high".into(),
        referrals: vec![referral],
        findings: vec![finding],
        model: Model { id: "edge-simulated-2".into(), ..Model::default() },
        ..Flag::default()
    }
}

/// How many rows each site has.
pub(crate) struct Seed(Vec<AtomicU64>);

impl Seed {
    /// Lets all sites in.
    pub(crate) fn new(store: &Store) -> Self {
        for number in 0..SITES {
            let (site, serial) = (site(number), serial(number));
            let code = store.add_site(&site, "Clinic").unwrap();
            store.enrol(&code, "request", &site, &serial, "key").unwrap();
        }
        Self((0..SITES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Rows of a site.
    pub(crate) fn rows(&self, site: u64) -> u64 {
        self.0[usize::try_from(site).unwrap()].load(Ordering::Relaxed)
    }

    /// Rows of all sites.
    pub(crate) fn all(&self) -> u64 {
        (0..SITES).map(|number| self.rows(number)).sum()
    }

    /// The next rows of a site belong to whoever asks; returns the first.
    pub(crate) fn take(&self, site: u64, rows: u64) -> u64 {
        self.0[usize::try_from(site).unwrap()].fetch_add(rows, Ordering::Relaxed)
    }

    /// Until there are so many rows, whole studies at a time.
    pub(crate) fn fill(&mut self, database: &dyn Database, rows: u64) {
        let wanted = rows / SITES;
        let answered = "UPDATE referral SET status = 'completed', answered_ms = first_ms
                        WHERE asked = 1 AND status = 'received'";
        database.transaction(&mut |tx| tx.execute(answered, &[]).map(drop)).unwrap();
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        for number in 0..SITES {
            let (first, last) = (self.rows(number), wanted.max(self.rows(number)));
            waiting.extend((first..last).map(|n| (number, n)));
            self.take(number, last - first);
            if waiting.len() as u64 > COMMIT || number == SITES - 1 {
                let chunk = std::mem::take(&mut waiting);
                let most = VALUES[usize::from(database.has_partitions())];
                database.transaction(&mut |tx| store(tx, most, &chunk, wanted)).unwrap();
            }
        }
        let ordinals = "UPDATE site SET ordinal = (SELECT coalesce(max(o.seq), 0)
                        FROM outbox_row o WHERE o.site = site.id AND o.epoch = 'e1')";
        database.transaction(&mut |tx| tx.execute(ordinals, &[]).map(drop)).unwrap();
    }
}

/// What the hub's own statements would have left behind.
fn store(
    tx: &mut dyn Transaction,
    most: usize,
    rows: &[(u64, u64)],
    wanted: u64,
) -> Result<(), hub::db::DbError> {
    let is_flag = |n: u64| n % ROWS_OF_A_STUDY < 2;
    let each = |keep: &dyn Fn(u64) -> bool, values: &dyn Fn(u64, u64) -> Vec<Value>| {
        let kept = rows.iter().filter(|(_, n)| keep(*n));
        kept.map(|(site, n)| values(*site, *n)).collect::<Vec<_>>()
    };
    let whole = each(&|_| true, &|number, n| {
        let Row { key, kind, study, created_ms, sha256, body } = row(number, n);
        let (kind, at) = (kind.word().into(), FIRST_MS + int(n));
        let seq = key.seq.into();
        let epoch = key.epoch.into();
        let rest = [kind, study.into(), sha256.into(), body.into(), created_ms.into(), at.into()];
        [vec![site(number).into(), epoch, seq], rest.into(), vec![(int(n) + 1).into()]].concat()
    });
    insert(tx, most, "outbox_row", &whole)?;
    let flags = each(&is_flag, &|number, n| {
        let name = id(&site(number), &study(number, n));
        let body = body(number, n);
        vec![name.into(), "e1".into(), (int(n) + 1).into(), body.into(), (FIRST_MS + int(n)).into()]
    });
    insert(tx, most, "referral_flag", &flags)?;
    let first = |n: u64| n.is_multiple_of(ROWS_OF_A_STUDY);
    let referrals = each(&first, &|number, n| {
        let open = n + ROWS_OF_A_STUDY >= wanted;
        let at = Value::Int(FIRST_MS + int(n));
        let status = if open { "received" } else { "completed" };
        let (study, urgency) = (study(number, n), i64::try_from(urgency(n)).unwrap());
        let (name, site) = (id(&site(number), &study), site(number));
        let key = [name.into(), site.into(), study.into(), "e1".into(), (int(n) + 1).into()];
        let texts = [body(number, n).into(), Value::Int(1), urgency.into(), "".into(), "".into()];
        let stands = [status.into(), "".into(), Value::Int(1), at.clone(), at.clone(), at.clone()];
        let answered = if open { Value::Null } else { at };
        [key.to_vec(), texts.to_vec(), stands.to_vec(), vec![answered]].concat()
    });
    insert(tx, most, "referral", &referrals)?;
    let services = each(&first, &|number, n| {
        vec![id(&site(number), &study(number, n)).into(), "neurosurgery".into()]
    });
    insert(tx, most, "referral_service", &services)?;
    tx.execute("INSERT INTO service VALUES ('neurosurgery') ON CONFLICT DO NOTHING", &[])?;
    let outcomes = each(&|n| n % ROWS_OF_A_STUDY == 2, &|number, n| {
        let case = case(number, n);
        let texts = [case.acuity, case.sex, case.age_band, case.vendor].map(Value::from);
        let key = [site(number).into(), case.case.into(), (FIRST_MS + int(n)).into()];
        let rest = [Value::Int(95), Value::Null, "".into(), 0.into(), 0.into(), 0.into()];
        [key.to_vec(), vec![1.into(), "".into()], texts.to_vec(), rest.to_vec()].concat()
    });
    insert(tx, most, "outcome", &outcomes)
}

fn insert(
    tx: &mut dyn Transaction,
    most: usize,
    table: &str,
    rows: &[Vec<Value>],
) -> Result<(), hub::db::DbError> {
    for rows in rows.chunks((most / rows.first().map_or(1, Vec::len)).max(1)) {
        let mut last = 0;
        let places: Vec<String> = rows
            .iter()
            .map(|row| {
                let places: Vec<String> = row
                    .iter()
                    .map(|_| {
                        last += 1;
                        format!("${last}")
                    })
                    .collect();
                format!("({})", places.join(", "))
            })
            .collect();
        let sql = format!("INSERT INTO {table} VALUES {}", places.join(", "));
        tx.execute(&sql, &rows.concat())?;
    }
    Ok(())
}

fn int(number: u64) -> i64 {
    number.try_into().unwrap()
}
