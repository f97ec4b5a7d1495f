//! The description of the API beside the API.

use std::collections::BTreeSet;

use exchange::command::Status;

use super::*;
use crate::store::audit::Entry;
use crate::store::events::Level;
use crate::store::quarantine::{Aside, Kind};
use crate::store::users::Role;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document() -> Value {
    serde_json::from_str(include_str!("../assets/openapi.json")).unwrap()
}

/// What a schema promises and a value breaks, at its place. Fields that are not described are
/// found too, where the schema does not say that there may be others.
fn faults(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(name) = schema["$ref"].as_str() {
        let named = document.pointer(name.strip_prefix('#').unwrap());
        return faults(document, named.unwrap_or_else(|| panic!("no {name}")), value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| faults(document, choice, value, place).is_empty();
        if choices.iter().filter(fits).count() != 1 {
            found.push(format!("{place} fits not exactly one of {} schemas", choices.len()));
        }
    }
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    };
    let right = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    };
    let among = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let constant = schema.get("const").is_none_or(|constant| constant == value);
    if !(right && among && constant) {
        found.push(format!("{place} is {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(document, &schema["items"], item, &format!("{place}/{index}")));
    }
    let (Some(fields), Some(described)) = (value.as_object(), schema["properties"].as_object())
    else {
        return found;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            found.push(format!("{place} lacks {name}"));
        }
    }
    for (name, value) in fields {
        match described.get(name) {
            Some(schema) => {
                found.extend(faults(document, schema, value, &format!("{place}/{name}")));
            }
            None if schema["additionalProperties"] == true => {}
            None => found.push(format!("{place}/{name} is not described")),
        }
    }
    found
}

struct Program {
    appliance: Site,
    document: Value,
    token: String,
    /// Operation and status of every answer.
    seen: BTreeSet<String>,
}

impl Program {
    fn new() -> Self {
        let appliance = Site::new();
        let store = &appliance.web.store;
        store.add_user("Programs", Role::Admin, "no hash", "test").unwrap();
        store.set_password("Programs", "no hash", false, "test").unwrap();
        let token = accounts::secret().unwrap();
        store.add_token("Programs", "test", &accounts::digest(&token), "test").unwrap();
        Self { appliance, document: document(), token, seen: BTreeSet::new() }
    }

    /// Asks, and holds the answer against what is said of this address.
    async fn ask(&mut self, method: &str, path: &str, body: &str, status: u16) {
        let request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(path)
            .header("host", "127.0.0.1")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let answer = self.appliance.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{method} {path}");
        let fits = |described: &&String| {
            let [described, asked] = [described.as_str(), path.split('?').next().unwrap()]
                .map(|path| path.split('/').collect::<Vec<_>>());
            let same = |(one, other): (&&str, &&str)| one.starts_with('{') || one == other;
            described.len() == asked.len() && described.iter().zip(&asked).all(same)
        };
        let paths = self.document["paths"].as_object().unwrap();
        let described = paths.keys().find(fits).unwrap_or_else(|| panic!("{path} is unknown"));
        let responses = &paths[described][method]["responses"];
        let mut response = &responses[status.to_string()];
        if let Some(name) = response["$ref"].as_str() {
            response = self.document.pointer(name.strip_prefix('#').unwrap()).unwrap();
        }
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {described} does not speak of {status}");
        let found = faults(&self.document, schema, &answer.json(), "");
        assert!(found.is_empty(), "{method} {path}: {found:#?}");
        self.seen.insert(format!("{method} {described} {status}"));
    }

    /// A box with something in every list.
    fn fill(&self) {
        let appliance = &self.appliance;
        let store = Arc::clone(&appliance.web.store);
        appliance.send_to_pacs();
        appliance.refer_to_hub();
        appliance.study("A", false);
        appliance.study("B", false);
        appliance.analyse(None);
        let delivery = store.begin_delivery("PACS").unwrap().unwrap();
        store.delivery_refused(delivery.id, "it said no", "no patient Ó", None).unwrap();
        appliance.hub_answers(1, Status::Accepted);
        store.row_failed(1, "no", None).unwrap();
        store.note(Level::Warning, "receive", "something happened").unwrap();
        let modalities = vec!["MR".to_owned()];
        let prior =
            PriorElsewhere { uid: "1.9".to_owned(), modalities, ..PriorElsewhere::default() };
        store.priors_found(1, &[prior]).unwrap();
        let aside = Aside {
            kind: Kind::Unreadable,
            study_uid: String::new(),
            sop_uid: String::new(),
            sha256: [0; 32],
            bytes: 1,
            path: "quarantine/1".to_owned(),
            reason: "no DICOM".to_owned(),
            source: "import".to_owned(),
        };
        store.set_aside(&aside).unwrap();
        let association = Association {
            calling: "SCANNER1".to_owned(),
            peer: "192.168.1.30".to_owned(),
            since: NOW,
            images: 3,
        };
        appliance.status.send_modify(|status| {
            status.receive.associations = vec![association];
            status.model = Some(ModelNow::default());
            status.trial = Some(Trial::Undone { why: "nobody kept them".to_owned() });
            status.selection = Some(SelectionNow::default());
            status.checks = vec![Check {
                name: "disk".to_owned(),
                verdict: Verdict::Notice,
                said: "half full".to_owned(),
            }];
        });
        appliance.watched();
        let entry = Entry { actor: "x", action: "y", object: "", detail: &serde_json::json!({}) };
        store.audit(&entry).unwrap();
    }
}

#[tokio::test]
async fn every_answer_is_as_described() {
    let mut program = Program::new();
    program.ask("get", "/api/v1/worklist", "", 200).await;
    program.fill();
    let digest = "ab".repeat(32);
    let mode = format!("/api/v1/models/{digest}/mode");
    let mode = mode.as_str();
    let agree = format!(r#"{{"kind": "agree", "finding": "{FINDING}"}}"#);
    let unknown = r#"{"kind": "agree", "finding": "x"}"#;
    for (method, path, body, status) in [
        ("get", "/api/v1/openapi.json", "", 200),
        ("post", "/api/v1/studies/1/decisions", agree.as_str(), 200),
        ("post", "/api/v1/studies/1/decisions", unknown, 409),
        ("post", "/api/v1/studies/1/decisions", "{", 400),
        ("post", "/api/v1/studies/9/decisions", r#"{"kind": "done"}"#, 404),
        ("get", "/api/v1/worklist?queue=urgent&search=a&offset=0&limit=9", "", 200),
        ("get", "/api/v1/worklist?queue=x", "", 400),
        ("get", "/api/v1/worklist?color=red", "", 400),
        ("get", "/api/v1/studies/1", "", 200),
        ("get", "/api/v1/studies/x", "", 400),
        ("get", "/api/v1/studies/9", "", 404),
        ("get", "/api/v1/studies/1/results/1", "", 200),
        ("get", "/api/v1/studies/1/results/99999999999999999999", "", 400),
        ("get", "/api/v1/studies/1/results/9", "", 404),
        ("get", "/api/v1/system", "", 200),
        ("get", "/api/v1/quality", "", 200),
        ("post", "/api/v1/decisions/1/undo", "", 200),
        ("post", "/api/v1/decisions/1/undo", "", 409),
        ("post", "/api/v1/decisions/x/undo", "", 400),
        ("post", "/api/v1/decisions/9/undo", "", 404),
        ("post", "/api/v1/studies/1/context", r#"{"context": null}"#, 200),
        ("post", "/api/v1/studies/1/context", r#"{"context": 1}"#, 400),
        ("post", "/api/v1/studies/9/context", "{}", 404),
        ("post", "/api/v1/deliveries/1/retry", "", 200),
        ("post", "/api/v1/deliveries/x/retry", "", 400),
        ("post", "/api/v1/deliveries/1/retry", "", 404),
        ("post", mode, r#"{"mode": "killed"}"#, 200),
        ("post", mode, r#"{"mode": "assist"}"#, 409),
        ("post", mode, r#"{"mode": "on"}"#, 400),
        ("post", "/api/v1/models/unknown/mode", r#"{"mode": "off"}"#, 404),
        ("post", "/api/v1/models/%FF/mode", r#"{"mode": "off"}"#, 400),
    ] {
        program.ask(method, path, body, status).await;
    }
    program.token.clear();
    program.ask("get", "/api/v1/system", "", 401).await;
    // What can be brought about here was; left are those that every address has.
    for (path, operations) in program.document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                let one = format!("{method} {path} {status}");
                let general = ["401", "403", "405", "421", "500", "503", "507"];
                let known = general.contains(&status.as_str()) || program.seen.contains(&one);
                assert!(known, "{one} was never seen");
            }
        }
    }
}

#[tokio::test]
async fn what_is_described_is_all_there_is() {
    let program = Program::new();
    let paths = program.document["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    let routes = api::routes();
    let routed: BTreeSet<&str> = routes.iter().map(|(_, path, _)| *path).collect();
    assert_eq!(described, routed);
    for (right, path, _) in routes {
        for method in METHODS {
            let uri =
                path.replace("{digest}", "x").replace("{id}", "9").replace("{inference}", "9");
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(uri)
                .header("host", "127.0.0.1")
                .header("authorization", format!("Bearer {}", program.token));
            let answer = program.appliance.send(request.body(Body::empty()).unwrap()).await;
            let operation = &paths[path][method];
            assert_eq!(answer.status.as_u16() != 405, operation.is_object(), "{method} {path}");
            if operation.is_null() {
                continue;
            }
            let roles: Vec<&str> = Role::ALL
                .into_iter()
                .filter(|role| accounts::may(*role, right))
                .map(Role::word)
                .collect();
            assert_eq!(operation["x-roles"], serde_json::json!(roles), "{method} {path}");
        }
    }
}

#[test]
fn faults_are_found() {
    let document = document();
    let check = |schema: &str, value: Value, expected: &str| {
        let schema = &document["components"]["schemas"][schema];
        let found = faults(&document, schema, &value, "");
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
    };
    check("Error", serde_json::json!({"error": {"code": "x"}}), "lacks \"message\"");
    check("Error", serde_json::json!({"error": {"code": 1, "message": "x"}}), "/error/code is 1");
    check("Nothing", serde_json::json!({"more": 1}), "/more is not described");
    check("Acuity", serde_json::json!("very"), "is \"very\"");
    check("Decision", serde_json::json!({"kind": "agree"}), "fits not exactly one of 5");
    check("Outcome", serde_json::json!({"kind": "analysed", "scores": {}}), "fits not exactly");
    check("Trial", serde_json::json!({"state": "awaiting", "id": "1"}), "fits not exactly");
}
