//! The clinical tables of a site, from its settings to the worklist, the archive, the audit log and
//! what the box says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use appliance::clock::SystemClock;
use appliance::store::Store;
use models::dicom::select::Selection;
use models::weights::manifest::SelectionSeen;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tests::{program, repository};

use super::{Clinic, PATIENCE};

/// High by the shipped rules.
const WITHHELD: &str = "structural_brain_herniation";
/// Low by them.
const SHOWN: &str = "cyst_arachnoid_cyst";
const REASON: &str = "Too many false alarms here.";

/// A shipped table with changes, each of which must change it, as a file of the site.
fn site_table(folder: &Path, name: &str, changes: &[(&str, &str)]) -> PathBuf {
    let shipped = fs::read_to_string(repository().join("firmware-config").join(name)).unwrap();
    let text = changes.iter().fold(shipped, |text, (from, to)| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        changed
    });
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A bundle as `trainer init` makes it, with changes to its manifest.
fn changed_bundle(clinic: &Clinic, change: impl FnOnce(&mut toml::Table)) -> PathBuf {
    let bundle = clinic.init(1);
    let path = bundle.join("manifest.toml");
    let mut manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
    bundle
}

/// The model finds these two in every study, and nothing else.
fn find_two(manifest: &mut toml::Table) {
    let decide = |heads: &mut toml::Value| {
        for head in heads.as_array_mut().unwrap() {
            let found = [WITHHELD, SHOWN].contains(&head["name"].as_str().unwrap());
            head["threshold"] = if found { -1e3 } else { 1e3 }.into();
        }
    };
    decide(&mut manifest["diagnosis"]);
    if let Some(context) = manifest.get_mut("context") {
        decide(&mut context["diagnosis"]);
    }
}

/// The content of every object that a box has stored.
fn stored(clinic: &Clinic) -> Vec<Vec<u8>> {
    let mut folders = vec![clinic.launch.data().join("archive/studies")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(fs::read(path).unwrap());
            }
        }
    }
    found
}

fn holds(object: &[u8], words: &str) -> bool {
    object.windows(words.len()).any(|window| window == words.as_bytes())
}

/// The archive is another box of ours.
#[test]
fn what_a_site_withholds_is_scored_and_named_and_goes_nowhere() {
    let (pacs, tables) = (Clinic::new(""), TempDir::new().unwrap());
    let withheld = format!("\"withheld\", reason = {REASON:?}");
    let line =
        |finding: &str| format!("{WITHHELD} = {{ category = \"structural\", finding = {finding}");
    let [shown, hidden] = [line("\"shown\""), line(&withheld)];
    let labels = site_table(tables.path(), "labels.toml", &[(shown.as_str(), hidden.as_str())]);
    // The priority head of the untrained model says anything.
    let classes = "low = \"low\"\nmedium = \"medium\"\nhigh = \"high\"";
    let none = "low = \"none\"\nmedium = \"none\"\nhigh = \"none\"";
    let rules = site_table(tables.path(), "referral.toml", &[(classes, none)]);
    let clinic = Clinic::new(&format!(
        "analysis.labels_file = {labels:?}\nanalysis.referral_rules_file = {rules:?}\n\
         results.archives = [{{ae_title = 'PRIMA', host = '127.0.0.1', port = {}}}]\n",
        pacs.daemon().dicom.port()
    ));
    let bundle = changed_bundle(&clinic, find_two);
    clinic.appliance(&["model", "install", bundle.to_str().unwrap()]);
    clinic.appliance(&["model", "promote", "untrained-tiny-1"]);
    clinic.send(1, 1..=8);

    let row = clinic.row(|row| row["state"] == "settled" && row["acuity"].is_string());
    assert_eq!(row["acuity"], "low", "{row:#}");
    let named = |list: &Value, key: &str| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|item| item[key].clone()).collect()
    };
    assert_eq!(named(&row["findings"], "label"), [json!(SHOWN)]);
    assert_eq!(named(&row["referrals"], "urgency"), [json!("routine")]);
    let result = clinic.get(&format!("studies/{}/results/{}", row["id"], row["inference_id"]));
    let name = "brain herniation";
    let expected = json!([{"label": WITHHELD, "name": name, "reason": REASON}]);
    assert_eq!(result["assessment"]["withheld"], expected);
    let digest: String =
        Sha256::digest(fs::read(&labels).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(result["assessment"]["labels"]["sha256"], digest);
    let scores = result["result"]["outcome"]["scores"]["diagnosis"].as_array().unwrap();
    let score = scores.iter().find(|score| score["name"] == WITHHELD).unwrap();
    assert!(score["margin"].as_f64().unwrap() > 0.0, "the model is sure of it: {score}");

    // Report, picture and places.
    let started = Instant::now();
    while clinic.get("system")["archives"][0]["sent"] != 3 {
        assert!(started.elapsed() < PATIENCE, "never sent: {}", clinic.launch.log());
        sleep(Duration::from_millis(100));
    }
    let objects = stored(&pacs);
    assert_eq!(objects.len(), 3);
    assert!(objects.iter().any(|object| holds(object, SHOWN)), "the report names what it found");
    for words in [WITHHELD, name] {
        assert!(!objects.iter().any(|object| holds(object, words)), "{words} reached the archive");
    }
}

/// Table and what is noted of its change, oldest first, once so many starts are noted.
fn changes(clinic: &Clinic, starts: usize) -> Vec<(String, Value)> {
    let database = clinic.launch.data().join("appliance.sqlite");
    let store = Store::open(&database, Arc::new(SystemClock::new())).unwrap();
    let since = Instant::now();
    loop {
        let rows = store.audit_rows(0, 1000).unwrap();
        let found = rows.iter().filter(|row| row.action == "appliance.start").count();
        if found == starts {
            let changes = rows.into_iter().filter(|row| row.action == "table.change");
            let noted = |detail: &str| serde_json::from_str(detail).unwrap();
            return changes.map(|row| (row.object, noted(&row.detail))).collect();
        }
        assert!(since.elapsed() < PATIENCE, "{found} starts: {}", clinic.launch.log());
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_start_with_another_table_is_in_the_audit_log() {
    let (mut clinic, tables) = (Clinic::new(""), TempDir::new().unwrap());
    let first = changes(&clinic, 1);
    let mut starts = 1;
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["labels.toml", "referral.toml", "series-selection.toml"]);
    assert!(first.iter().all(|(_, detail)| detail["from"].is_null()), "{first:#?}");
    let mut restart = |settings: &str| {
        clinic.daemon.take().unwrap().stop().unwrap();
        clinic.launch.settings += settings;
        clinic.start();
        starts += 1;
        changes(&clinic, starts)
    };
    assert_eq!(restart(""), first, "the same tables again are no change");
    let rules = site_table(
        tables.path(),
        "referral.toml",
        &[("version = \"2\"", "version = \"our 3\""), ("approver = \"\"", "approver = \"Dr. A\"")],
    );
    let now = restart(&format!("analysis.referral_rules_file = {rules:?}\n"));
    let [.., (name, detail)] = &now[..] else { panic!("no row") };
    assert_eq!((now.len(), name.as_str()), (4, "referral.toml"));
    assert_eq!(detail["from"], first[1].1["to"]);
    assert_eq!(
        (&detail["to"]["version"], &detail["to"]["approver"]),
        (&json!("our 3"), &json!("Dr. A"))
    );
    assert_ne!(detail["to"]["sha256"], detail["from"]["sha256"]);
    // An edit in place counts from the next start on.
    fs::write(&rules, fs::read_to_string(&rules).unwrap() + "\n# Read again.\n").unwrap();
    let now = restart("");
    assert_eq!(now.len(), 5);
    assert_eq!(now[4].1["to"]["version"], now[4].1["from"]["version"]);
    assert!(clinic.appliance(&["verify"]).contains("in order"));
}

#[test]
fn a_box_that_selects_series_otherwise_than_training_says_so() {
    let tables = TempDir::new().unwrap();
    let name = "series-selection.toml";
    let many = [("min_slices = 3", "min_slices = 9"), ("version = \"1\"", "version = \"our 2\"")];
    let rules = site_table(tables.path(), name, &many);
    let clinic = Clinic::new(&format!("analysis.series_selection_file = {rules:?}\n"));
    let bundle = changed_bundle(&clinic, |manifest| {
        let seen = SelectionSeen::of(&Selection::built_in().unwrap());
        manifest.insert("selection".to_owned(), toml::Value::try_from(seen).unwrap());
    });
    let config = clinic.folder.path().join("appliance.toml");
    let config = config.to_str().unwrap();
    let installed =
        clinic.appliance(&["model", "install", bundle.to_str().unwrap(), "--config", config]);
    let said = "training saw series selected by version 1 (de213afe), this box selects by version \
                our 2 (";
    assert!(installed.contains(&format!("warning: {said}")), "{installed}");
    let unchanged = clinic.appliance(&["model", "install", bundle.to_str().unwrap()]);
    assert!(!unchanged.contains("warning"), "by the built-in rules: {unchanged}");
    clinic.appliance(&["model", "promote", "untrained-tiny-1"]);

    clinic.system_says(said);
    let metrics = ureq::get(format!("http://{}/metrics", clinic.daemon().web))
        .header("Authorization", format!("Bearer {}", clinic.api().token))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    for line in [
        "prima_selection_differs{trained=\"1\",here=\"our 2\"} 1",
        "prima_check{check=\"series selection\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    // Whatever else the doctor finds on this machine.
    let mut doctor = Command::new(program("appliance"));
    let output = doctor.args(["doctor", "--config", config]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&format!("Notice series selection: {said}")), "{page}");

    // The model's process selects by the site's rules, and the result names them.
    clinic.send(1, 1..=8);
    let row = clinic.settled(1);
    assert_eq!(row["not_analysed"], "no series of the study can be used");
    let result = clinic.get(&format!("studies/{}/results/{}", row["id"], row["inference_id"]));
    let result = &result["result"];
    assert_eq!(result["selection"]["version"], "our 2");
    let reason = json!({"kind": "too_few_slices", "found": 8, "needed": 9});
    assert_eq!(result["left_out"][0]["reason"], reason);
}
