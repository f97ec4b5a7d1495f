//! Who gets in, who may do what, and what an attacker gets.

use super::*;
use crate::store::users::{Role, User};

const PASSWORD: &str = "four words in a row";

impl Site {
    fn user(&self, name: &str, role: Role) -> User {
        let hashed = accounts::hash(PASSWORD).unwrap();
        self.web.store.add_user(name, role, &hashed, "test").unwrap();
        self.web.store.set_password(name, &hashed, false, "test").unwrap();
        self.web.store.account(name).unwrap().unwrap().user
    }

    /// One request with these headers, from a page of ours.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "192.168.1.20:8042")
            .header("origin", "http://192.168.1.20:8042");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn log_in(&self, name: &str, password: &str) -> Answer {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("name={name}&password={}&back=/system", password.replace(' ', "+"));
        self.ask("POST", "/login", &form, &body).await
    }

    /// The status that somebody with this cookie gets.
    async fn status(&self, method: &str, path: &str, cookie: &str) -> u16 {
        let form = [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)];
        self.ask(method, path, &form, "").await.status.as_u16()
    }
}

/// `session=...` of the cookie that an answer sets.
fn session(answer: &Answer) -> String {
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=36000; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

/// Method, path, and whom it lets in: technologist, reader, administrator, service.
const ROUTES: [(&str, &str, [bool; 4]); 42] = [
    ("GET", "/", [true, true, true, false]),
    ("GET", "/study/1", [true, true, true, false]),
    ("GET", "/study/1/picture/0", [true, true, true, false]),
    ("GET", "/study/1/series/1", [true, true, true, false]),
    ("GET", "/study/1/series/1/slice/1.jpg", [true, true, true, false]),
    ("GET", "/study/1/series/1/thumbnail.jpg", [true, true, true, false]),
    ("GET", "/study/1/series/1/volume", [true, true, true, false]),
    ("GET", "/study/1/series/1/volume.nii.gz", [true, true, true, false]),
    ("GET", "/study/1/series/1/explanation.nii.gz", [true, true, true, false]),
    ("POST", "/study/1/context", [true, true, true, false]),
    ("POST", "/study/1/decide", [false, true, true, false]),
    ("POST", "/study/1/undo", [false, true, true, false]),
    ("GET", "/system", [true, true, true, true]),
    ("GET", "/settings", [true, true, true, true]),
    ("POST", "/system/models/ab", [true, true, true, true]),
    ("POST", "/system/deliveries/1", [true, true, true, true]),
    ("POST", "/system/outbox/1", [true, true, true, true]),
    ("POST", "/system/trial", [false, false, true, false]),
    ("GET", "/metrics", [true, true, true, true]),
    ("GET", "/quality", [true, true, true, true]),
    ("POST", "/quality/alarms/1", [true, true, true, true]),
    ("POST", "/quality/scanners/1", [false, false, true, false]),
    ("GET", "/users", [false, false, true, false]),
    ("POST", "/users", [false, false, true, false]),
    ("GET", "/account", [true, true, true, true]),
    ("POST", "/account", [true, true, true, true]),
    ("GET", "/api/v1/worklist", [true, true, true, false]),
    ("GET", "/api/v1/studies/1", [true, true, true, false]),
    ("GET", "/api/v1/studies/1/results/1", [true, true, true, false]),
    ("POST", "/api/v1/studies/1/context", [true, true, true, false]),
    ("POST", "/api/v1/studies/1/decisions", [false, true, true, false]),
    ("POST", "/api/v1/decisions/1/undo", [false, true, true, false]),
    ("GET", "/api/v1/system", [true, true, true, true]),
    ("GET", "/api/v1/quality", [true, true, true, true]),
    ("POST", "/api/v1/deliveries/1/retry", [true, true, true, true]),
    ("POST", "/api/v1/models/ab/mode", [true, true, true, true]),
    ("GET", "/dicomweb/studies", [true, true, true, false]),
    ("GET", "/dicomweb/studies/1.2/series", [true, true, true, false]),
    ("GET", "/dicomweb/studies/1.2/metadata", [true, true, true, false]),
    ("GET", "/dicomweb/studies/1.2", [true, true, true, false]),
    ("POST", "/dicomweb/studies", [true, true, true, false]),
    ("POST", "/dicomweb/studies/1.2", [true, true, true, false]),
];

#[tokio::test]
async fn every_route_asks_for_its_right() {
    let appliance = Site::new();
    appliance.study("A", false);
    for (role, name) in Role::ALL.into_iter().zip(["t", "r", "a", "s"]) {
        let user = appliance.user(name, role);
        let digest = accounts::digest(name);
        appliance.web.store.open_session(&user, &digest, 36_000_000, "test").unwrap();
    }
    for (method, path, allowed) in ROUTES {
        for (name, allowed) in ["t", "r", "a", "s"].into_iter().zip(allowed) {
            let status = appliance.status(method, path, &format!("session={name}")).await;
            let refused = matches!(status, 401 | 403);
            assert_eq!(refused, !allowed, "{method} {path} as {name}: {status}");
        }
        let page = method == "GET"
            && !["/api", "/dicomweb", "/metrics"].iter().any(|p| path.starts_with(p));
        let stranger = appliance.status(method, path, "session=unknown").await;
        assert_eq!(stranger, if page { 303 } else { 401 }, "{method} {path} of a stranger");
    }
    // An empty form empties the context; what was asked of the archive is on record.
    let done = ["study.context", "query", "query"]
        .map(|action| ["t", "r", "a"].map(|name| (format!("web: {name}"), action.to_owned())));
    assert_eq!(appliance.audit(), done.concat());
}

#[tokio::test]
async fn a_page_comes_back_after_the_login() {
    let appliance = Site::new();
    appliance.user("ada", Role::Reader);
    let asked = appliance.ask("GET", "/study/1?x=1", &[], "").await;
    assert_eq!(asked.location(), "/login?back=%2Fstudy%2F1%3Fx%3D1");
    let page = appliance.ask("GET", asked.location(), &[], "").await;
    assert!(page.text.contains(r#"name="back" value="/study/1?x=1""#), "{}", page.text);
    let entered = appliance.log_in("Ada", PASSWORD).await;
    assert_eq!((entered.status.as_u16(), entered.location()), (303, "/system"));
    let cookie = session(&entered);
    assert_eq!(appliance.status("GET", "/", &cookie).await, 200);
    let left = appliance.ask("POST", "/logout", &[("cookie", &cookie)], "").await;
    assert_eq!(left.location(), "/login");
    assert_eq!(appliance.status("GET", "/", &cookie).await, 303);
    for back in ["//evil.example", "https://evil.example", "/%5Cevil.example", "/%0D%0Ax"] {
        let page = appliance.ask("GET", &format!("/login?back={back}"), &[], "").await;
        assert!(page.text.contains(r#"name="back" value="/""#), "{back}");
    }
}

#[tokio::test]
async fn service_comes_to_the_system_page() {
    let appliance = Site::new();
    appliance.user("sven", Role::Service);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("name=sven&password={}&back=/", PASSWORD.replace(' ', "+"));
    let entered = appliance.ask("POST", "/login", &form, &body).await;
    assert_eq!(entered.location(), "/system");
    let lost = appliance.ask("GET", "/", &[("cookie", &session(&entered))], "").await;
    assert!(lost.text.contains(r#"<a class="button" href="/system">"#), "{}", lost.text);
}

#[tokio::test]
async fn a_session_cannot_be_fixed_by_somebody_else() {
    let appliance = Site::new();
    appliance.user("ada", Role::Reader);
    let planted = "session=planted";
    let form = [("content-type", "application/x-www-form-urlencoded"), ("cookie", planted)];
    let body = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
    let entered = appliance.ask("POST", "/login", &form, &body).await;
    assert_ne!(session(&entered), planted);
    assert_eq!(appliance.status("GET", "/", planted).await, 303);
    // And a second login does not give the first one's secret.
    assert_ne!(session(&appliance.log_in("ada", PASSWORD).await), session(&entered));
}

#[tokio::test]
async fn a_session_over_tls_goes_over_nothing_else() {
    let mut appliance = Site::new();
    appliance.web.encrypted = true;
    appliance.user("ada", Role::Reader);
    let entered = appliance.log_in("ada", PASSWORD).await;
    let left = appliance.ask("POST", "/logout", &[], "").await;
    for answer in [&entered, &left] {
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        // A clinic may go back to plain HTTP when its certificate has run out.
        assert!(!answer.headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn guessing_gets_slower_for_a_name_and_says_nothing() {
    let appliance = Site::new();
    appliance.user("ada", Role::Reader);
    let said = "This name and this password do not belong together.";
    check(&appliance.log_in("ada", "wrong guess").await, 401, said);
    check(&appliance.log_in("nobody", "wrong guess").await, 401, said);
    appliance.log_in("ada", PASSWORD).await;
    for _ in 0..5 {
        appliance.log_in("ada", "wrong guess").await;
    }
    let waiting = appliance.log_in("ada", PASSWORD).await;
    refused(&waiting, 429, "Too many wrong guesses; wait 2 seconds and try again.");
    assert_eq!(waiting.headers["retry-after"], "2");
    appliance.clock.advance(Duration::from_secs(2));
    assert_eq!(appliance.log_in("ada", PASSWORD).await.status.as_u16(), 303);
    let failures = appliance.web.store.audit_rows(0, 100).unwrap();
    let failures = failures.iter().filter(|row| row.action == "login.failure");
    assert_eq!(failures.count(), 7, "each look at a password, and no more");
}

#[tokio::test]
async fn a_password_for_once_opens_only_the_form_for_a_new_one() {
    let appliance = Site::new();
    let page = appliance.form("/users", "action=add&name=Bob&role=tech").await;
    let secret = page.text.split_once("class=\"secret\">").unwrap().1.split('<').next().unwrap();
    let entered = appliance.log_in("bob", secret).await;
    assert_eq!(entered.location(), "/account");
    let cookie = session(&entered);
    assert_eq!(appliance.status("GET", "/", &cookie).await, 403);
    assert_eq!(appliance.status("GET", "/api/v1/worklist", &cookie).await, 403);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("cookie", &cookie)];
    let change = async |present: &str, new: &str, again: &str| {
        let body = format!("present={present}&new={new}&again={again}");
        appliance.ask("POST", "/account", &form, &body).await
    };
    refused(
        &change("x", "long+enough+now", "long+enough+now").await,
        400,
        "The present password is another one.",
    );
    refused(
        &change(secret, "long+enough+now", "long+enough").await,
        400,
        "The new password was typed in two ways.",
    );
    refused(&change(secret, secret, secret).await, 400, "The new password is the present one.");
    let changed = change(secret, "long+enough+now", "long+enough+now").await;
    assert_eq!(changed.location(), "/");
    assert_eq!(appliance.status("GET", "/", &cookie).await, 303, "the old session is over");
    assert_eq!(appliance.status("GET", "/", &session(&changed)).await, 200);
}

#[tokio::test]
async fn the_first_visitor_needs_the_code_of_the_box() {
    let mut appliance = Site::new();
    let first = "code=12345678&name=Eve&password=long+enough+now";
    refused(
        &appliance.form("/setup", first).await,
        409,
        "This box has users already; ask its administrator to add you.",
    );
    let clock = appliance.clock.clone();
    let folder = tempfile::tempdir().unwrap();
    let empty = Store::open(&folder.path().join("b.sqlite"), clock).unwrap();
    appliance.web.store = Arc::new(empty);
    assert_eq!(appliance.ask("GET", "/login", &[], "").await.location(), "/setup");
    let wrong = "code=1234-5679&name=Eve&password=long+enough+now";
    let answer = appliance.form("/setup", wrong).await;
    assert_eq!(answer.status.as_u16(), 403, "{}", answer.text);
    let short = "code=1234-5678&name=Eve&password=short";
    assert_eq!(appliance.form("/setup", short).await.status.as_u16(), 400);
    let made = appliance.form("/setup", first).await;
    assert_eq!(made.location(), "/");
    assert_eq!(appliance.status("GET", "/users", &session(&made)).await, 200);
}

#[tokio::test]
async fn programs_come_with_tokens() {
    let appliance = Site::new();
    appliance.user("ada", Role::Reader);
    let page = appliance.form("/users", "action=token&name=ada&program=viewer").await;
    let token = page.text.split_once("class=\"secret\">").unwrap().1.split('<').next().unwrap();
    let path = "/api/v1/worklist";
    let asked = async |authorization: &str| {
        appliance.ask("GET", path, &[("authorization", authorization)], "").await.status.as_u16()
    };
    let basic = |pair: &str| {
        use base64::Engine as _;
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
    };
    assert_eq!(asked(&format!("Bearer {token}")).await, 200);
    assert_eq!(asked(&basic(&format!("Ada:{token}"))).await, 200);
    assert_eq!(asked(&basic(&format!("bob:{token}"))).await, 401, "another name");
    assert_eq!(asked(&basic(&format!("ada:{PASSWORD}"))).await, 401, "a password is no token");
    assert_eq!(asked(&format!("Bearer {ADMIN}")).await, 401, "a cookie is no token");
    assert_eq!(asked("Bearer").await, 401);
    assert_eq!(asked("Basic %%%").await, 401);
    assert_eq!(appliance.status("GET", path, &format!("session={token}")).await, 401);

    // It needs no page of ours, but a page elsewhere cannot use it.
    let post = async |origin: Option<&str>| {
        let mut request = Request::post("/api/v1/decisions/7/undo")
            .header("host", "192.168.1.20:8042")
            .header("authorization", format!("Bearer {token}"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        appliance.send(request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    assert_eq!((post(None).await, post(Some("http://evil.example")).await), (404, 403));
    appliance.form("/users", "action=revoke&name=ada&program=viewer").await;
    assert_eq!(asked(&format!("Bearer {token}")).await, 401);
}

#[tokio::test]
async fn anybody_throws_the_kill_switch_and_few_release_it() {
    let appliance = Site::new();
    let model = appliance.model();
    let tech = appliance.user("tom", Role::Tech);
    appliance.web.store.open_session(&tech, &accounts::digest("t"), 36_000_000, "test").unwrap();
    let path = format!("/system/models/{}", model.digest);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("cookie", "session=t")];
    let thrown = appliance.ask("POST", &path, &form, "kill=true").await;
    assert_eq!(thrown.status.as_u16(), 303);
    let released = appliance.ask("POST", &path, &form, "kill=false").await;
    refused(
        &released,
        403,
        "Your role here is tech, which may not choose models; ask the administrator of this box.",
    );
    assert!(appliance.web.store.models().unwrap()[0].killed_at.is_some());
    let api = format!("/api/v1/models/{}/mode", model.digest);
    let json = [("content-type", "application/json"), ("cookie", "session=t")];
    let status = async |mode: &str| {
        let body = format!("{{\"mode\": \"{mode}\"}}");
        appliance.ask("POST", &api, &json, &body).await.status.as_u16()
    };
    assert_eq!((status("killed").await, status("revived").await), (200, 403));
}

#[tokio::test]
async fn strangers_write_no_audit_log() {
    let appliance = Site::new();
    let rows = || appliance.web.store.audit_rows(0, 100).unwrap().len();
    let before = rows();
    appliance.ask("POST", "/logout", &[("cookie", "session=unknown")], "").await;
    assert_eq!(rows(), before);
    appliance.log_in(&"x".repeat(9000), "wrong guess").await;
    let written = appliance.web.store.audit_rows(0, 100).unwrap().pop().unwrap();
    assert_eq!((rows(), written.object.len()), (before + 1, "user ".len() + 40));
}

#[tokio::test]
async fn who_looks_at_a_patient_is_written_down() {
    let appliance = Site::new();
    appliance.study("A", false);
    appliance.get("/study/1").await;
    appliance.get("/api/v1/studies/1").await;
    let rows = appliance.web.store.audit_rows(0, 100).unwrap();
    let views = rows.iter().filter(|row| row.action == "study.view");
    let views: Vec<_> = views.map(|row| (row.actor.as_str(), row.object.as_str())).collect();
    assert_eq!(views, [("web: Dr Ó", "study 1"); 2]);
}
