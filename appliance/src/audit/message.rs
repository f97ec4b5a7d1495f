//! One row of the audit log as a DICOM audit message (PS3.15 A.5), in XML.
//!
//! Which event each of our actions is:
//!
//! | action | event | why |
//! |---|---|---|
//! | `appliance.start`, `appliance.stop` | 110100 Application Activity | its very meaning |
//! | `study.*`, `decision.*` | 110103 DICOM Instances Accessed | a reader worked on a study |
//! | `result.sent` | 110104 DICOM Instances Transferred | a result went to an archive |
//! | `result.retry` | 110103 DICOM Instances Accessed | a person has it sent again |
//! | `commitment.*` | 110104 DICOM Instances Transferred | the scanner hands images over for good |
//! | `query` | 110112 Query | a workstation asked what is here |
//! | `query.sent` | 110112 Query | an archive was asked for prior studies |
//! | `retrieve.begin` | 110102 Begin Transferring DICOM Instances | images are about to leave |
//! | `retrieve.sent` | 110104 DICOM Instances Transferred | they have left |
//! | `store` | 110104 DICOM Instances Transferred | a program has stored images here |
//! | `retention.*` | 110105 DICOM Study Deleted | the images are gone from here |
//! | `import` | 110107 Import | from a folder or a medium |
//! | `login.*` | 110114 User Authentication | somebody comes or goes |
//! | `user.*` | 110113 Security Alert, User Security Attributes Changed | its very meaning |
//! | `association.refused` | 110113 Security Alert, Node Authentication | failed |
//! | `model.*`, `table.*` | 110113 Security Alert, Software Configuration | what the box says changes |
//! | `settings.*` | 110113 Security Alert, Network Configuration | people reach the box another way |
//! | `store.*` | 110113 Security Alert, Local Service Operation | on the whole database |
//! | any other | 110113 Security Alert, Use of Restricted Function | rather too loud than silent |
//!
//! Our own word for the action always follows as a second type code of the scheme `99PRIMA`, so
//! that nothing is lost by the mapping.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::store::audit::Record;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of this box, unique at the site.
    pub source: String,
    /// Name of the site; empty when it has none.
    pub site: String,
}

/// The study that a row speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Study Instance UID.
    pub study_uid: String,
    /// Patient ID; may be empty.
    pub patient_id: String,
}

/// Code, scheme and meaning.
type Code = (&'static str, &'static str, &'static str);

const APPLICATION_ACTIVITY: Code = ("110100", "DCM", "Application Activity");
const BEGIN_TRANSFERRING: Code = ("110102", "DCM", "Begin Transferring DICOM Instances");
const INSTANCES_ACCESSED: Code = ("110103", "DCM", "DICOM Instances Accessed");
const INSTANCES_TRANSFERRED: Code = ("110104", "DCM", "DICOM Instances Transferred");
const STUDY_DELETED: Code = ("110105", "DCM", "DICOM Study Deleted");
const IMPORT: Code = ("110107", "DCM", "Import");
const QUERY: Code = ("110112", "DCM", "Query");
const SECURITY_ALERT: Code = ("110113", "DCM", "Security Alert");
const USER_AUTHENTICATION: Code = ("110114", "DCM", "User Authentication");

const APPLICATION_START: Code = ("110120", "DCM", "Application Start");
const APPLICATION_STOP: Code = ("110121", "DCM", "Application Stop");
const LOGIN: Code = ("110122", "DCM", "Login");
const LOGOUT: Code = ("110123", "DCM", "Logout");
const NODE_AUTHENTICATION: Code = ("110126", "DCM", "Node Authentication");
const NETWORK_CONFIGURATION: Code = ("110128", "DCM", "Network Configuration");
const SOFTWARE_CONFIGURATION: Code = ("110131", "DCM", "Software Configuration");
const RESTRICTED_FUNCTION: Code = ("110132", "DCM", "Use of Restricted Function");
const USER_ATTRIBUTES: Code = ("110137", "DCM", "User Security Attributes Changed");
const LOCAL_SERVICE: Code = ("110141", "DCM", "Local Service Operation Started");

const APPLICATION: Code = ("110150", "DCM", "Application");
const LAUNCHER: Code = ("110151", "DCM", "Application Launcher");
const DESTINATION: Code = ("110152", "DCM", "Destination Role ID");
const SOURCE: Code = ("110153", "DCM", "Source Role ID");
const SOURCE_MEDIA: Code = ("110155", "DCM", "Source Media");

const STUDY_UID: Code = ("110180", "DCM", "Study Instance UID");
const PATIENT_NUMBER: Code = ("2", "RFC-3881", "Patient Number");
const OWN_OBJECT: Code = ("object", "99PRIMA", "Object of the appliance");

/// What an action is in the standard's words.
#[derive(Clone, Copy, Debug)]
struct Kind {
    event: Code,
    detail: Option<Code>,
    /// Create, Read, Update, Delete, Execute.
    verb: char,
    /// 0 success, 4 minor failure.
    outcome: u8,
    /// Roles of whoever acted and of this box.
    roles: [Option<Code>; 2],
    /// Whoever acted is an application entity.
    entity: bool,
}

fn kind(action: &str) -> Kind {
    let plain = Kind {
        event: SECURITY_ALERT,
        detail: Some(RESTRICTED_FUNCTION),
        verb: 'E',
        outcome: 0,
        roles: [None, Some(APPLICATION)],
        entity: false,
    };
    let activity = |detail| Kind {
        event: APPLICATION_ACTIVITY,
        detail: Some(detail),
        roles: [Some(LAUNCHER), Some(APPLICATION)],
        ..plain
    };
    let accessed = |verb| Kind { event: INSTANCES_ACCESSED, detail: None, verb, ..plain };
    let exchanged =
        |event, verb, roles| Kind { event, detail: None, verb, roles, entity: true, ..plain };
    let (subject, verb) = action.split_once('.').unwrap_or((action, ""));
    match (subject, verb) {
        ("appliance", "start") => activity(APPLICATION_START),
        ("appliance", "stop") => activity(APPLICATION_STOP),
        ("study", "done" | "view") => accessed('R'),
        ("study" | "decision", _) => accessed('U'),
        ("result", "sent") => {
            exchanged(INSTANCES_TRANSFERRED, 'R', [Some(DESTINATION), Some(SOURCE)])
        }
        ("result", _) => accessed('U'),
        ("commitment", _) => {
            exchanged(INSTANCES_TRANSFERRED, 'R', [Some(SOURCE), Some(DESTINATION)])
        }
        ("query", "sent") => {
            Kind { event: QUERY, detail: None, roles: [None, Some(SOURCE)], ..plain }
        }
        ("query", _) => exchanged(QUERY, 'E', [Some(SOURCE), Some(DESTINATION)]),
        // The requester of a C-MOVE may be another than the destination, which `detail` names.
        ("retrieve", "begin") => exchanged(BEGIN_TRANSFERRING, 'E', [None, Some(SOURCE)]),
        ("retrieve", _) => exchanged(INSTANCES_TRANSFERRED, 'R', [None, Some(SOURCE)]),
        ("retention", _) => Kind { event: STUDY_DELETED, detail: None, verb: 'D', ..plain },
        ("import", _) => Kind {
            event: IMPORT,
            detail: None,
            verb: 'C',
            roles: [None, Some(DESTINATION)],
            ..plain
        },
        ("login", verb) => Kind {
            event: USER_AUTHENTICATION,
            detail: Some(if verb == "out" { LOGOUT } else { LOGIN }),
            outcome: if verb == "failure" { 4 } else { 0 },
            ..plain
        },
        ("user", _) => Kind { detail: Some(USER_ATTRIBUTES), ..plain },
        ("association", _) => {
            Kind { detail: Some(NODE_AUTHENTICATION), outcome: 4, entity: true, ..plain }
        }
        ("model" | "table", _) => Kind { detail: Some(SOFTWARE_CONFIGURATION), ..plain },
        ("settings", _) => Kind { detail: Some(NETWORK_CONFIGURATION), ..plain },
        ("store", "") => exchanged(INSTANCES_TRANSFERRED, 'C', [Some(SOURCE), Some(DESTINATION)]),
        ("store", _) => Kind { detail: Some(LOCAL_SERVICE), ..plain },
        _ => plain,
    }
}

/// The message, in one line without an XML declaration, as it is sent by syslog.
#[must_use]
pub fn message(record: &Record, origin: &Origin, subject: Option<&Subject>) -> String {
    let kind = kind(&record.action);
    let mut xml = Xml(String::from("<AuditMessage>"));
    let event = [
        ("EventActionCode", kind.verb.to_string()),
        ("EventDateTime", time(record.at)),
        ("EventOutcomeIndicator", kind.outcome.to_string()),
    ];
    xml.open("EventIdentification", &event);
    xml.code("EventID", kind.event);
    if let Some(detail) = kind.detail {
        xml.code("EventTypeCode", detail);
    }
    xml.code("EventTypeCode", (&record.action, "99PRIMA", &record.action));
    xml.close("EventIdentification");
    participants(&mut xml, record, kind, origin);
    let mut source = vec![("AuditSourceID", origin.source.clone())];
    if !origin.site.is_empty() {
        source.push(("AuditEnterpriseSiteID", origin.site.clone()));
    }
    xml.open("AuditSourceIdentification", &source);
    // 4 is an application server (RFC 3881 5.4.3).
    xml.empty("AuditSourceTypeCode", &[("csd-code", "4".to_owned())]);
    xml.close("AuditSourceIdentification");
    objects(&mut xml, record, subject);
    xml.close("AuditMessage");
    xml.0
}

fn participants(xml: &mut Xml, record: &Record, kind: Kind, origin: &Origin) {
    let itself = record.actor == "appliance";
    let [actor_role, own_role] = kind.roles;
    if !itself {
        let mut actor = vec![("UserID", record.actor.clone())];
        if kind.entity && !is_web(&record.actor) {
            actor.push(("AlternativeUserID", format!("AETITLES={}", record.actor)));
        }
        actor.push(("UserIsRequestor", "true".to_owned()));
        xml.open("ActiveParticipant", &actor);
        if let Some(role) = actor_role {
            xml.code("RoleIDCode", role);
        }
        xml.close("ActiveParticipant");
    }
    let own = [("UserID", origin.source.clone()), ("UserIsRequestor", itself.to_string())];
    xml.open("ActiveParticipant", &own);
    if let Some(role) = own_role {
        xml.code("RoleIDCode", role);
    }
    xml.close("ActiveParticipant");
    if kind.event == IMPORT {
        let medium = [("UserID", record.object.clone()), ("UserIsRequestor", "false".to_owned())];
        xml.open("ActiveParticipant", &medium);
        xml.code("RoleIDCode", SOURCE_MEDIA);
        xml.close("ActiveParticipant");
    }
}

/// Whoever came by HTTP has no AE title.
fn is_web(actor: &str) -> bool {
    actor == "web" || actor.starts_with("web: ") || actor.starts_with("api: ")
}

/// The object itself with the row's place in the chain; for a study also the patient, whom
/// PS3.15 A.5.3 asks for.
fn objects(xml: &mut Xml, record: &Record, subject: Option<&Subject>) {
    // Types: 1 person, 2 system. Roles: 1 patient, 3 report (an imaging study), 4 resource.
    let (id, code, role) = match subject {
        Some(subject) => (subject.study_uid.clone(), STUDY_UID, "3"),
        None => (record.object.clone(), OWN_OBJECT, "4"),
    };
    xml.object(&id, ["2", role], code, &record.object);
    xml.detail("row", &record.seq.to_string());
    xml.detail("hash", &crate::hex::lower(&record.hash));
    xml.detail("wall clock", &time(record.wall_at));
    xml.detail("detail", &record.detail);
    xml.close("ParticipantObjectIdentification");
    if let Some(subject) = subject {
        xml.object(&subject.patient_id, ["1", "1"], PATIENT_NUMBER, "");
        xml.close("ParticipantObjectIdentification");
    }
}

/// `xsd:dateTime` in UTC.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

/// XML that is being written.
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.start(name, attributes);
        self.0.push('>');
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.start(name, attributes);
        self.0.push_str("/>");
    }

    fn start(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            // Writing to a String cannot fail.
            write!(self.0, " {name}=\"{}\"", escape(value)).unwrap_or_default();
        }
    }

    fn close(&mut self, name: &str) {
        write!(self.0, "</{name}>").unwrap_or_default();
    }

    fn code(&mut self, name: &str, (code, scheme, meaning): (&str, &str, &str)) {
        let attributes = [
            ("csd-code", code.to_owned()),
            ("codeSystemName", scheme.to_owned()),
            ("originalText", meaning.to_owned()),
        ];
        self.empty(name, &attributes);
    }

    /// Opens an object; the schema wants a name in each.
    fn object(&mut self, id: &str, [kind, role]: [&str; 2], code: Code, name: &str) {
        let attributes = [
            ("ParticipantObjectID", id.to_owned()),
            ("ParticipantObjectTypeCode", kind.to_owned()),
            ("ParticipantObjectTypeCodeRole", role.to_owned()),
        ];
        self.open("ParticipantObjectIdentification", &attributes);
        self.code("ParticipantObjectIDTypeCode", code);
        self.open("ParticipantObjectName", &[]);
        self.0.push_str(&escape(name));
        self.close("ParticipantObjectName");
    }

    fn detail(&mut self, name: &str, value: &str) {
        let attributes = [("type", name.to_owned()), ("value", BASE64_STANDARD.encode(value))];
        self.empty("ParticipantObjectDetail", &attributes);
    }
}

/// Text for an attribute or an element. Characters that XML 1.0 has no way to write (2.2 Char)
/// become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
