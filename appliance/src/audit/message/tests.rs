use super::*;

/// A tiny reader of the XML that is written here, which stops at anything that is not well formed.
#[derive(Clone, Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn read(xml: &str) -> Self {
        let mut open = vec![Self::default()];
        let mut rest = xml;
        while let Some((text, tail)) = rest.split_once('<') {
            open.last_mut().unwrap().text += &unescape(text);
            let (tag, tail) = tail.split_once('>').expect("a tag ends");
            rest = tail;
            if let Some(name) = tag.strip_prefix('/') {
                let element = open.pop().unwrap();
                assert_eq!(element.name, name);
                open.last_mut().unwrap().children.push(element);
            } else if let Some(tag) = tag.strip_suffix('/') {
                open.last_mut().unwrap().children.push(Self::tag(tag));
            } else {
                open.push(Self::tag(tag));
            }
        }
        assert_eq!((open.len(), rest), (1, ""));
        open.remove(0).children.remove(0)
    }

    fn tag(tag: &str) -> Self {
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element = Self { name: name.to_owned(), ..Self::default() };
        while !rest.is_empty() {
            let (name, tail) = rest.split_once("=\"").expect("an attribute has a value");
            let (value, tail) = tail.split_once('"').expect("a value ends");
            assert!(name.chars().all(|c| c.is_ascii_alphabetic() || c == '-'), "{name}");
            assert!(element.attributes.iter().all(|(known, _)| known != name), "{name} twice");
            element.attributes.push((name.to_owned(), unescape(value)));
            rest = tail.strip_prefix(' ').unwrap_or(tail);
        }
        element
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<&Self> {
        self.children.iter().filter(|child| child.name == name).collect()
    }
}

fn unescape(text: &str) -> String {
    assert!(text.chars().all(|c| c >= ' ' && !"<>\"'".contains(c)), "{text:?}");
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (entity, tail) = part.split_once(';').expect("an entity ends");
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#').unwrap().parse().unwrap();
                char::from_u32(number).unwrap()
            }
        });
        plain += tail;
    }
    plain
}

/// The part of the schema of PS3.15 A.5.1 that is used: children in their order with their least
/// and greatest number, and attributes, those that must be there marked with `!`.
fn check_schema(element: &Element) {
    type Children = &'static [(&'static str, usize, usize)];
    const CODED: &[&str] = &["!csd-code", "!codeSystemName", "displayName", "!originalText"];
    const MANY: usize = usize::MAX;
    let (children, attributes): (Children, &[&str]) = match element.name.as_str() {
        "AuditMessage" => (
            &[
                ("EventIdentification", 1, 1),
                ("ActiveParticipant", 1, MANY),
                ("AuditSourceIdentification", 1, 1),
                ("ParticipantObjectIdentification", 0, MANY),
            ],
            &[],
        ),
        "EventIdentification" => (
            &[("EventID", 1, 1), ("EventTypeCode", 0, MANY), ("EventOutcomeDescription", 0, 1)],
            &["EventActionCode", "!EventDateTime", "!EventOutcomeIndicator"],
        ),
        "ActiveParticipant" => (
            &[("RoleIDCode", 0, MANY), ("MediaIdentifier", 0, 1)],
            &["!UserID", "AlternativeUserID", "UserName", "!UserIsRequestor"],
        ),
        "AuditSourceIdentification" => {
            (&[("AuditSourceTypeCode", 0, MANY)], &["AuditEnterpriseSiteID", "!AuditSourceID"])
        }
        "AuditSourceTypeCode" => (&[], &["!csd-code"]),
        "ParticipantObjectIdentification" => (
            &[
                ("ParticipantObjectIDTypeCode", 1, 1),
                ("ParticipantObjectName", 1, 1),
                ("ParticipantObjectDetail", 0, MANY),
            ],
            &["!ParticipantObjectID", "ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole"],
        ),
        "ParticipantObjectDetail" => (&[], &["!type", "!value"]),
        "ParticipantObjectName" => (&[], &[]),
        "EventID" | "EventTypeCode" | "RoleIDCode" | "ParticipantObjectIDTypeCode" => (&[], CODED),
        other => panic!("{other} is not in the schema"),
    };
    let order: Vec<usize> = element
        .children
        .iter()
        .map(|child| children.iter().position(|(name, ..)| *name == child.name).unwrap())
        .collect();
    assert!(order.is_sorted(), "{}: order of {order:?}", element.name);
    for (name, least, most) in children {
        let found = element.all(name).len();
        assert!((*least..=*most).contains(&found), "{}: {found} of {name}", element.name);
    }
    let allowed = |name: &str| attributes.iter().any(|a| a.trim_start_matches('!') == name);
    assert!(element.attributes.iter().all(|(name, _)| allowed(name)), "{element:?}");
    for attribute in attributes.iter().filter_map(|a| a.strip_prefix('!')) {
        assert!(element.get(attribute).is_some(), "{}: no {attribute}", element.name);
    }
    element.children.iter().for_each(check_schema);
}

fn record(action: &str, actor: &str, object: &str) -> Record {
    Record {
        seq: 7,
        at: 1_800_000_000_123,
        wall_at: 1_800_000_000_000,
        actor: actor.to_owned(),
        action: action.to_owned(),
        object: object.to_owned(),
        detail: r#"{"n":1}"#.to_owned(),
        prev: Vec::new(),
        hash: vec![0xab; 32],
    }
}

fn origin() -> Origin {
    Origin { source: "PRIMA".to_owned(), site: "Clinic".to_owned() }
}

/// Event, further types, verb and outcome of an action, and every message keeps to the schema.
fn check(action: &str, expected: &str) {
    let subject = Subject { study_uid: "1.2".to_owned(), patient_id: "P".to_owned() };
    for actor in ["appliance", "Dr. A"] {
        for subject in [None, Some(&subject)] {
            let xml = message(&record(action, actor, "study 1"), &origin(), subject);
            let message = Element::read(&xml);
            check_schema(&message);
            let event = &message.children[0];
            let codes = event.children.iter().map(|code| code.get("csd-code").unwrap());
            let codes: Vec<_> = codes.collect();
            let (verb, outcome) =
                (event.get("EventActionCode"), event.get("EventOutcomeIndicator"));
            let got = format!("{} {} {}", codes.join(" "), verb.unwrap(), outcome.unwrap());
            assert_eq!(got, expected);
            let requestors = message.all("ActiveParticipant").into_iter();
            let requestor: Vec<_> = requestors
                .filter(|p| p.get("UserIsRequestor") == Some("true"))
                .map(|p| p.get("UserID").unwrap().replace("PRIMA", "appliance"))
                .collect();
            assert_eq!(requestor, [actor]);
        }
    }
}

#[test]
fn every_action_is_an_event() {
    check("appliance.start", "110100 110120 appliance.start E 0");
    check("appliance.stop", "110100 110121 appliance.stop E 0");
    check("study.done", "110103 study.done R 0");
    check("study.reopen", "110103 study.reopen U 0");
    check("study.context", "110103 study.context U 0");
    check("decision.agree", "110103 decision.agree U 0");
    check("decision.undo", "110103 decision.undo U 0");
    check("commitment.request", "110104 commitment.request R 0");
    check("query", "110112 query E 0");
    check("query.sent", "110112 query.sent E 0");
    check("retrieve.begin", "110102 retrieve.begin E 0");
    check("retrieve.sent", "110104 retrieve.sent R 0");
    check("retention.evict", "110105 retention.evict D 0");
    check("import", "110107 import C 0");
    check("association.refused", "110113 110126 association.refused E 4");
    check("model.install", "110113 110131 model.install E 0");
    check("model.kill", "110113 110131 model.kill E 0");
    check("settings.keep", "110113 110128 settings.keep E 0");
    check("table.change", "110113 110131 table.change E 0");
    check("store", "110104 store C 0");
    check("store.backup", "110113 110141 store.backup E 0");
    check("store.restore", "110113 110141 store.restore E 0");
    check("brand.new", "110113 110132 brand.new E 0");
}

#[test]
fn the_whole_message() {
    let subject = Subject { study_uid: "1.2.3".to_owned(), patient_id: "P<1>".to_owned() };
    let xml =
        message(&record("study.done", "Dr. \"A\" & B", "study 12"), &origin(), Some(&subject));
    let hash = BASE64_STANDARD.encode("ab".repeat(32));
    assert_eq!(
        xml.replace("><", ">\n<"),
        format!(
            r#"<AuditMessage>
<EventIdentification EventActionCode="R" EventDateTime="2027-01-15T08:00:00.123Z" EventOutcomeIndicator="0">
<EventID csd-code="110103" codeSystemName="DCM" originalText="DICOM Instances Accessed"/>
<EventTypeCode csd-code="study.done" codeSystemName="99PRIMA" originalText="study.done"/>
</EventIdentification>
<ActiveParticipant UserID="Dr. &quot;A&quot; &amp; B" UserIsRequestor="true">
</ActiveParticipant>
<ActiveParticipant UserID="PRIMA" UserIsRequestor="false">
<RoleIDCode csd-code="110150" codeSystemName="DCM" originalText="Application"/>
</ActiveParticipant>
<AuditSourceIdentification AuditSourceID="PRIMA" AuditEnterpriseSiteID="Clinic">
<AuditSourceTypeCode csd-code="4"/>
</AuditSourceIdentification>
<ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">
<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID"/>
<ParticipantObjectName>study 12</ParticipantObjectName>
<ParticipantObjectDetail type="row" value="Nw=="/>
<ParticipantObjectDetail type="hash" value="{hash}"/>
<ParticipantObjectDetail type="wall clock" value="MjAyNy0wMS0xNVQwODowMDowMFo="/>
<ParticipantObjectDetail type="detail" value="eyJuIjoxfQ=="/>
</ParticipantObjectIdentification>
<ParticipantObjectIdentification ParticipantObjectID="P&lt;1&gt;" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">
<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"/>
<ParticipantObjectName>
</ParticipantObjectName>
</ParticipantObjectIdentification>
</AuditMessage>"#
        )
    );
}

#[test]
fn roles_of_peers_and_media() {
    let participants = |action: &str, actor: &str| -> Vec<String> {
        let message =
            Element::read(&message(&record(action, actor, "/media/usb"), &origin(), None));
        let code = |p: &Element| {
            p.children.first().map_or_else(String::new, |role| role.get("csd-code").unwrap().into())
        };
        let participants = message.all("ActiveParticipant").into_iter();
        participants
            .map(|p| {
                let other = p.get("AlternativeUserID").unwrap_or_default();
                format!("{} {other} {}", p.get("UserID").unwrap(), code(p))
            })
            .collect()
    };
    assert_eq!(
        participants("commitment.request", "MR1"),
        ["MR1 AETITLES=MR1 110153", "PRIMA  110152"]
    );
    assert_eq!(participants("association.refused", "MR1"), ["MR1 AETITLES=MR1 ", "PRIMA  110150"]);
    assert_eq!(
        participants("import", "operator"),
        ["operator  ", "PRIMA  110152", "/media/usb  110155"]
    );
    assert_eq!(participants("appliance.start", "appliance"), ["PRIMA  110150"]);
    let viewer = "api: PACS (viewer)";
    let said = ["api: PACS (viewer)  110153", "PRIMA  110152"];
    assert_eq!(participants("store", viewer), said);
}

#[test]
fn texts_are_escaped() {
    let check = |text: &str, expected: &str| assert_eq!(escape(text), expected, "{text:?}");
    check("Müller 张", "Müller 张");
    check("<a b='c' d=\"e\">&", "&lt;a b=&apos;c&apos; d=&quot;e&quot;&gt;&amp;");
    check("a\tb\nc\rd", "a&#9;b&#10;c&#13;d");
    check("a\0\u{1b}\u{1f}\u{ffff}b", "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b");
}
