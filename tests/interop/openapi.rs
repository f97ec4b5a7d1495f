//! The API beside its own description: schemathesis reads the description and asks what it allows
//! and what it does not, of a daemon that has a study.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use appliance::accounts;
use appliance::clock::SystemClock;
use appliance::store::Store;
use appliance::store::users::Role;
use appliance::worklist::AgeCaps;
use tests::sender::{Association, Peer, slice};

use super::{Clinic, available, eventually};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// A token of an administrator.
fn token(store: &Store) -> String {
    store.add_user("schemathesis", Role::Admin, "no hash", "test").expect("a user");
    store.set_password("schemathesis", "no hash", false, "test").expect("a password that stays");
    let token = accounts::secret().expect("a secret");
    store.add_token("schemathesis", "test", &accounts::digest(&token), "test").expect("a token");
    token
}

#[test]
fn schemathesis() {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut probe = Command::new(&python);
    if !available("schemathesis", probe.args(["-c", "import schemathesis"])) {
        return;
    }
    let clinic = Clinic::open("assembly.quiet_s = 2\nassembly.quiet_after_release_s = 1\n");
    let database = clinic.launch.data().join("appliance.sqlite");
    let store = Store::open(&database, Arc::new(SystemClock::new())).expect("the database");
    let mut association = Association::open(&Peer::new(clinic.daemon.dicom)).expect("a scanner");
    assert_eq!(association.store(&slice(7, 1, 1, 1, 16)).expect("an answer").status, 0);
    association.release().expect("a release");
    eventually("the result", || {
        store.worklist_row(1, &AgeCaps::default()).expect("a row")?.inference_id
    });

    let token = token(&store);
    let web = format!("http://{}", clinic.daemon.web);
    let authorization = format!("Bearer {token}");
    let described = ureq::get(format!("{web}/api/v1/openapi.json"))
        .header("authorization", &authorization)
        .call()
        .expect("the description")
        .body_mut()
        .read_to_string()
        .expect("text");
    let description = clinic.folder.path().join("openapi.json");
    fs::write(&description, described).expect("a file");
    let mut schemathesis = Command::new(python);
    schemathesis
        .current_dir(clinic.folder.path())
        .args(["-m", "schemathesis.cli", "run"])
        .arg(&description)
        .args(["--url", &web, "--header", &format!("Authorization: {authorization}")])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "1"])
        .args(["--checks", CHECKS])
        .args(["--generation-with-security-parameters", "false"])
        .args(["--generation-database", "none", "--warnings", "off", "--no-color"]);
    let output = schemathesis.output().expect("schemathesis");
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("Selected: 11/11"), "{said}");
}
