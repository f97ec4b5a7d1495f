//! The list of what a box is made of, read by the schema of those who define such lists.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tests::repository;

use crate::interop::{available, succeed};

const VALIDATE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
found = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(found) if found else 0)
";

#[test]
fn the_parts_list_is_cyclonedx_and_names_every_licence() {
    let python = std::env::var_os("PRIMA_PEERS_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| "python3".into());
    if !available("cyclonedx", Command::new(&python).args(["-c", "import cyclonedx.validation"])) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("status");
    fs::write(
        &status,
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u9\n\n\
         Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
    )
    .unwrap();
    let program = repository().join("ops/image/sbom.py");
    let run = Command::new("python3")
        .current_dir(repository())
        .arg(program)
        .args([folder.path(), &status])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let list = folder.path().join("prima.cdx.json");
    succeed(&python, &["-c".into(), VALIDATE.into(), list.clone().into_os_string()]);

    let parts: Value = serde_json::from_str(&fs::read_to_string(&list).unwrap()).unwrap();
    let parts = parts["components"].as_array().unwrap();
    let has = |name: &str| parts.iter().any(|part| part["name"] == name);
    assert!(has("burn") && has("dicom-ul") && has("libc6"), "{} parts", parts.len());
    // What only tests and builds use is not in a box.
    assert!(!has("proptest") && !has("criterion") && !has("gone"));
    let licences = fs::read_to_string(folder.path().join("licences.txt")).unwrap();
    assert_eq!(licences.lines().count(), parts.len());
}
