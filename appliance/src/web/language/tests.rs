//! The files against each other, against templates and code, and pages in each language.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, StatusCode};
use firmware_config::trial::Place;
use models::labels::DIAGNOSES;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::accounts;
use crate::archive::{self, Archive};
use crate::clock::ManualClock;
use crate::slices::tests::no_decoder;
use crate::store::Store;
use crate::store::changes::Changes;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::web::{Gate, Live, Niivue, Receive, Status, Trial, Web, router};
use crate::worklist::AgeCaps;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web");
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");

/// Messages as they are written, by key.
fn messages(language: Language) -> BTreeMap<&'static str, String> {
    let mut messages: BTreeMap<_, String> = BTreeMap::new();
    let mut key = "";
    for line in language.source().lines().filter(|line| !line.starts_with('#')) {
        let mut text = line;
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            (key, text) = line.split_once(" =").unwrap();
        }
        messages.entry(key).or_default().push_str(text);
    }
    messages.remove("");
    messages
}

fn variables(message: &str) -> BTreeSet<&str> {
    let begins = message.split('$').skip(1);
    begins.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap()).collect()
}

/// A key up to its first hyphen.
fn beginning(key: &str) -> &str {
    key.split('-').next().unwrap_or_default()
}

/// Files of a folder and those in it, without tests.
fn files(folder: &Path, extension: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            texts.extend(files(&path, extension));
        }
        if path.extension().is_some_and(|e| e == extension) && !path.ends_with("tests.rs") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// Keys in templates and code. In code every text in the form of a key is one, if it begins like
/// one of English.
fn used() -> BTreeSet<String> {
    let known: BTreeSet<&str> = messages(Language::En).into_keys().map(beginning).collect();
    let like_key = |text: &&str| {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        text.contains('-') && text.bytes().all(letter) && known.contains(beginning(text))
    };
    let mut used = BTreeSet::new();
    for text in files(Path::new(SOURCES), "rs") {
        used.extend(text.split('"').filter(like_key).map(str::to_owned));
    }
    for text in files(Path::new(TEMPLATES), "html") {
        let said = text.split("say(\"").skip(1);
        used.extend(said.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    used.extend(DIAGNOSES.map(|label| format!("diagnosis-{label}")));
    used
}

#[test]
fn every_file_is_read_without_an_error() {
    for language in Language::ALL {
        let resource = FluentResource::try_new(language.source().to_owned());
        let resource = resource.map_err(|(_, errors)| errors).unwrap();
        let mut bundle = Bundle::new_concurrent(vec![LanguageIdentifier::default()]);
        bundle.add_resource(resource).unwrap();
    }
}

#[test]
fn english_has_what_is_used_and_nothing_else() {
    let known: BTreeSet<String> = messages(Language::En).keys().map(ToString::to_string).collect();
    let used = used();
    assert_eq!(used.difference(&known).collect::<Vec<_>>(), [""; 0], "not in English");
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), [""; 0], "not used");
    assert!(used.contains("worklist-title") && used.contains("queue-urgent"), "{used:?}");
}

#[test]
fn languages_have_the_same_messages_with_the_same_values() {
    let english = messages(Language::En);
    for language in Language::OFFERED {
        let own = messages(language);
        assert_eq!(
            own.keys().collect::<Vec<_>>(),
            english.keys().collect::<Vec<_>>(),
            "{language:?}"
        );
        for (key, message) in &own {
            assert_eq!(variables(message), variables(&english[key]), "{key} in {language:?}");
            // Some stand in attributes, and some are shown as they are.
            let markup = message.contains(['<', '&']);
            assert!(!markup, "{key} in {language:?}");
            let quoted = language == Language::En && *key == "window-note";
            assert!(quoted || !message.contains('"'), "{key} in {language:?}");
        }
    }
}

#[test]
fn every_message_can_be_said() {
    for language in Language::ALL {
        for (key, message) in messages(language) {
            let mut sentence = language.say(key);
            for name in variables(&message) {
                // Of static life, as names in the code are.
                let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
                sentence = sentence.number(name, 3);
            }
            let said = sentence.to_string();
            assert!(!said.is_empty() && !said.contains(['{', '$']), "{key}: {said}");
        }
    }
}

#[test]
fn plurals_follow_the_language() {
    let check = |language: Language, key: &'static str, n: i64, expected: &str| {
        assert_eq!(language.say(key).n(n).to_string(), expected);
    };
    check(Language::En, "count-images", 0, "0 images");
    check(Language::En, "count-images", 1, "1 image");
    check(Language::Fr, "count-images", 0, "0 image");
    check(Language::Fr, "count-images", 2, "2 images");
    check(Language::Es, "count-images", 0, "0 imágenes");
    check(Language::Sw, "age-years", 1, "mwaka 1");
    check(Language::Sw, "age-years", 1234, "miaka 1234");
    check(Language::Hi, "count-files", 0, "0 फ़ाइल");
    check(Language::Hi, "count-files", 2, "2 फ़ाइलें");
}

#[test]
fn values_are_escaped_and_messages_are_not() {
    let said = Language::En.say("frame-you").bdi("name", "O'Neill <b>");
    assert_eq!(said.to_string(), "You: O'Neill <b>");
    assert_eq!(said.html().to_string(), "You: <bdi>O&#39;Neill &#60;b&#62;</bdi>");
    let said = Language::En.say("findings-acuity").with("reasons", "<i>");
    assert_eq!(said.html().to_string(), "The model's acuity comes from: &#60;i&#62;.");
    let said = Language::En.say("error-role").with("role", "tech");
    let said = said.message("right", "right-models").translated(Language::Es);
    assert!(said.to_string().contains("no permite elegir modelos"), "{said}");
}

#[test]
fn diagnoses_have_names() {
    for label in DIAGNOSES {
        assert_eq!(Language::En.diagnosis(label), display_name(label));
    }
    assert_eq!(Language::Fr.diagnosis("structural_mass_effect"), "effet de masse");
    assert_eq!(Language::Fr.diagnosis("tumor_adult_new_kind"), "new kind");
}

#[test]
fn browsers_ask_for_languages_by_quality() {
    let check = |header: &str, expected: Option<Language>| {
        assert_eq!(accepted(header), expected, "{header}");
    };
    check("fr", Some(Language::Fr));
    check("fr-CD, en;q=0.8", Some(Language::Fr));
    check("en;q=0.8, SW-ke;q=0.9", Some(Language::Sw));
    check("de, es;q=0.5, hi; q=0.7", Some(Language::Hi));
    check("de, *;q=0.5, fr;q=0.3", Some(Language::En));
    check("es, fr", Some(Language::Es));
    check("fr;q=0", None);
    check("fr;q=x, es;q=0.1", Some(Language::Es));
    check("de, zh", None);
    check("qps", None);
    check("", None);
}

#[test]
fn the_cookie_wins() {
    let of = |cookie: &'static str, asked: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static(cookie));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(asked));
        Language::of(&headers)
    };
    assert_eq!(of("session=1; language=hi", "fr"), Language::Hi);
    assert_eq!(of("session=1", "fr"), Language::Fr);
    assert_eq!(of("language=xx", "fr"), Language::Fr);
    assert_eq!(of("language=qps", "fr"), Language::Pseudo);
    assert_eq!(of("", "zh"), Language::En);
    assert_eq!(Language::of(&HeaderMap::new()), Language::En);
}

#[test]
fn the_pseudo_language_is_longer_than_english() {
    for key in messages(Language::En).into_keys() {
        let length = |language: Language| language.say(key).to_string().chars().count();
        let (english, pseudo) = (length(Language::En), length(Language::Pseudo));
        assert!(100 * pseudo >= (100 + LONGER) * english, "{key}");
    }
    assert_eq!(Language::Pseudo.say("queue-done").to_string(), "[Döñé ~]");
}

/// A box with one study and one user who may see everything.
struct Clinic {
    web: Web,
    session: String,
    _folder: tempfile::TempDir,
}

impl Clinic {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_795_480_260_000));
        let store = Store::open(&folder.path().join("a.sqlite"), clock).unwrap();
        let store = Arc::new(store);
        let config = archive::Config::default();
        let archive = Archive::open(&folder.path().join("archive"), Arc::clone(&store), config);
        let receive = Receive { ae_title: "PRIMA".to_owned(), ..Receive::default() };
        let now = 1_795_480_260_000;
        let trial = Some(Trial::Awaiting { id: "1".to_owned(), until: now + 540_000 });
        let status = Status { at: now, started_at: now, receive, trial, ..Status::default() };
        let arrival = Arrival {
            study: StudyFacts {
                uid: "1.2.3".to_owned(),
                patient_name: "Otieno^Grace".to_owned(),
                ..StudyFacts::default()
            },
            series: SeriesFacts { uid: "1.2.3.1".to_owned(), ..SeriesFacts::default() },
            sop_uid: "1.2.3.1.1".to_owned(),
            source: "1".to_owned(),
            path: "1.dcm".to_owned(),
            ..Arrival::default()
        };
        store.index(arrival).unwrap();
        let user = store.add_first_user("Otieno", "no hash").unwrap();
        let session = accounts::secret().unwrap();
        store.open_session(&user, &accounts::digest(&session), 3_600_000, "test").unwrap();
        let web = Web {
            store,
            archive: Arc::new(archive.unwrap()),
            decoder: Arc::new(no_decoder()),
            slices: Arc::default(),
            status: watch::channel(status).1,
            poke: Arc::default(),
            caps: AgeCaps::default(),
            hosts: Arc::from([]),
            settings: Arc::from(""),
            gate: Gate::new(None),
            live: Live::new(watch::channel(Changes::default()).1),
            niivue: Some(Arc::new(Niivue::new(Vec::new()))),
            encrypted: false,
            place: Place { root: folder.path().to_owned() },
        };
        Self { web, session, _folder: folder }
    }

    async fn page(&self, path: &str, language: Language) -> String {
        let cookie = format!("session={}; language={}", self.session, language.tag());
        let request = Request::get(path).header("host", "192.168.1.20").header("cookie", cookie);
        let request = request.body(Body::empty()).unwrap();
        let response = router(self.web.clone()).oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 1 << 22).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

const PAGES: [&str; 11] = [
    "/",
    "/?queue=done",
    "/?search=nobody",
    "/study/1",
    "/study/1/series/1",
    "/study/1/series/1/volume",
    "/system",
    "/quality",
    "/users",
    "/account",
    "/nope",
];

#[tokio::test]
async fn pages_are_in_the_language_that_was_chosen() {
    const ENGLISH: [&str; 13] = [
        "Worklist",
        "System",
        "Users",
        "Log out",
        "You:",
        "Search",
        "Acuity",
        "Queue",
        "Clinical",
        "Checks",
        "Receiving",
        "Password",
        "There is no",
    ];
    let clinic = Clinic::new();
    for language in [Language::Fr, Language::Es, Language::Sw, Language::Hi] {
        for path in PAGES {
            let page = clinic.page(path, language).await;
            let tag = language.tag();
            assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{path}: {page}");
            let unreviewed = escaped(&language.say("language-unreviewed").to_string());
            assert!(page.contains(&unreviewed), "{path}: {page}");
            for word in ENGLISH {
                assert!(!page.contains(word), "{word} in {path} in {tag}:\n{page}");
            }
        }
    }
    let page = clinic.page("/", Language::En).await;
    assert!(page.contains("<html lang=\"en\">") && !page.contains("native speaker"));
}

/// Words of a pseudo-language page that stand outside brackets: nobody can translate them.
fn unsaid(page: &str) -> BTreeSet<String> {
    let mut outside = String::new();
    let (mut tag, mut brackets) = (false, 0);
    for c in page.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            _ if tag => {}
            '[' => brackets += 1,
            ']' => brackets -= 1,
            c if brackets == 0 => outside.push(c),
            _ => {}
        }
    }
    let words = outside.split(|c: char| !c.is_alphabetic()).filter(|w| w.chars().count() > 2);
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_text_of_a_page_is_a_message() {
    // Names, roles and formats.
    const KNOWN: [&str; 11] = [
        "English",
        "Kiswahili",
        "JSON",
        "UTC",
        "PRIMA",
        "Otieno",
        "Grace",
        "tech",
        "reader",
        "admin",
        "service",
    ];
    let clinic = Clinic::new();
    for path in PAGES {
        let page = clinic.page(path, Language::Pseudo).await;
        let mut unsaid = unsaid(&page);
        // The name of Hindi is letters and signs.
        unsaid.retain(|word| word.is_ascii() && !KNOWN.contains(&word.as_str()));
        assert_eq!(unsaid, BTreeSet::new(), "{path}:\n{page}");
    }
}

#[tokio::test]
async fn a_language_is_chosen_by_a_form_that_anybody_may_send() {
    let clinic = Clinic::new();
    let send = async |body: &'static str| {
        let request = Request::post("/language")
            .header("host", "192.168.1.20")
            .header("origin", "http://192.168.1.20")
            .header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(Body::from(body)).unwrap();
        router(clinic.web.clone()).oneshot(request).await.unwrap()
    };
    let chosen = send("language=sw&back=%2Fstudy%2F1").await;
    assert_eq!(chosen.status(), StatusCode::SEE_OTHER);
    assert_eq!(chosen.headers()["location"], "/study/1");
    assert_eq!(
        chosen.headers()["set-cookie"],
        "language=sw; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    );
    assert_eq!(send("language=sw&back=//evil.example").await.headers()["location"], "/");
    let refused = send("language=xx").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(!refused.headers().contains_key("set-cookie"));
}
