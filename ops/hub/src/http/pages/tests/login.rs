//! Who gets in, who may do what, and what a page elsewhere gets.

use super::*;

const PASSWORD: &str = "four words in a row";

/// Method, path, and whom it lets in: coordinator, specialist, admin.
const ROUTES: [(&str, &str, [bool; 3]); 14] = [
    ("GET", "/", [true, true, false]),
    ("GET", "/referral/{id}", [true, true, false]),
    ("POST", "/referral/{id}/answer", [true, true, false]),
    ("GET", "/referral/{id}/picture/{sha256}", [true, true, false]),
    ("GET", "/sites", [true, false, true]),
    ("POST", "/sites/{id}", [false, false, true]),
    ("GET", "/quality", [true, false, true]),
    ("GET", "/quality.csv", [true, false, true]),
    ("GET", "/systems", [true, false, true]),
    ("POST", "/systems", [false, false, true]),
    ("GET", "/users", [false, false, true]),
    ("POST", "/users", [false, false, true]),
    ("GET", "/account", [true, true, true]),
    ("POST", "/account", [true, true, true]),
];

#[tokio::test]
async fn every_route_asks_for_its_right() {
    let hub = Hub::new();
    for (method, route, allowed) in ROUTES {
        let path = route.replace(['{', '}'], "");
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            let status = hub.ask(method, &path, role.word(), "").await.status.as_u16();
            assert_eq!(!matches!(status, 401 | 403), allowed, "{method} {path}: {status}");
        }
        let stranger = hub.ask(method, &path, "unknown", "").await;
        let expected = if method == "GET" { 303 } else { 401 };
        assert_eq!(stranger.status.as_u16(), expected, "{method} {path} of a stranger");
        assert!(!stranger.header("content-security-policy").is_empty());
    }
    for (_, path, _) in routes() {
        assert!(ROUTES.iter().any(|(_, route, _)| *route == path), "{path} is not looked at");
    }
}

#[tokio::test]
async fn a_form_from_elsewhere_is_refused() {
    let hub = Hub::new();
    let id = hub.flag(&flag("urgent"), 1);
    let answer = |name: &'static str, value: &'static str| {
        let request = Request::post(format!("/referral/{id}/answer"))
            .header("host", "hub.test")
            .header("cookie", "session=specialist")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(name, value);
        request.body(Body::from("act=accept&version=1")).unwrap()
    };
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("origin", "https://hub.test.evil.test"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("x-none", "of both"),
    ] {
        let refused = hub.send(answer(name, value)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let taken = hub.send(answer("sec-fetch-site", "same-origin")).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER);
    let rebound = Request::get("/").header("host", "evil.test").header("cookie", "session=admin");
    let rebound = hub.send(rebound.body(Body::empty()).unwrap()).await;
    assert_eq!(rebound.status, StatusCode::MISDIRECTED_REQUEST);
}

impl Hub {
    fn user(&self, name: &str, role: Role, must_change: bool) {
        let (store, hashed) = (&self.pages.store, accounts::hash(PASSWORD).unwrap());
        store.add_account(name, role, &hashed, "test").unwrap().unwrap();
        store.set_password(name, &hashed, must_change, "test").unwrap().unwrap();
    }

    async fn log_in(&self, name: &str, password: &str, back: &str) -> Answer {
        let form = format!("name={name}&password={}&back={back}", password.replace(' ', "+"));
        self.ask("POST", "/login", "", &form).await
    }
}

#[tokio::test]
async fn a_login_comes_back_to_its_page_with_a_guarded_cookie() {
    let hub = Hub::new();
    hub.user("ada", Role::Specialist, false);
    let asked = hub.ask("GET", "/?state=all", "", "").await;
    assert_eq!(asked.header("location"), "/login?back=%2F%3Fstate%3Dall");
    let entered = hub.log_in("Ada", PASSWORD, "%2F%3Fstate%3Dall").await;
    assert_eq!(entered.header("location"), "/?state=all");
    let cookie = entered.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/; Max-Age=36000; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    let secret = cookie.strip_prefix("session=").unwrap().split(';').next().unwrap();
    assert_eq!(hub.ask("GET", "/", secret, "").await.status, StatusCode::OK);
    hub.ask("POST", "/logout", secret, "").await;
    assert_eq!(hub.ask("GET", "/", secret, "").await.status, StatusCode::SEE_OTHER);
    for back in ["//evil.test", "https://evil.test", "/%5Cevil.test"] {
        assert_eq!(hub.log_in("ada", PASSWORD, back).await.header("location"), "/", "{back}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_and_written_down() {
    let hub = Hub::new();
    hub.user("ada", Role::Admin, false);
    // One router, because it counts.
    let router = pages_router(hub.pages.clone());
    let guess = |password: &'static str| {
        let form = format!("name=ada&password={password}");
        let request = Request::post("/login")
            .header("host", "hub.test")
            .header("origin", "https://hub.test")
            .header("content-type", "application/x-www-form-urlencoded");
        router.clone().oneshot(request.body(Body::from(form)).unwrap())
    };
    for _ in 0..5 {
        assert_eq!(guess("wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let soon = guess("four+words+in+a+row").await.unwrap();
    assert_eq!(soon.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(soon.headers()["retry-after"], "2");
    hub.clock.forward(2000);
    let right = guess("four+words+in+a+row").await.unwrap();
    assert_eq!(right.headers()["location"], "/sites", "an administrator sees no patient");
    let logged = hub.pages.store.audit_rows(0, 99).unwrap();
    assert_eq!(logged.iter().filter(|row| row.action == "login.failure").count(), 5);
}

#[tokio::test]
async fn a_password_for_once_opens_the_form_for_an_own_one_only() {
    let hub = Hub::new();
    hub.user("ada", Role::Specialist, true);
    let entered = hub.log_in("ada", PASSWORD, "").await;
    assert_eq!(entered.header("location"), "/account");
    let cookie = entered.header("set-cookie").to_owned();
    let secret = cookie.strip_prefix("session=").unwrap().split(';').next().unwrap();
    assert_eq!(hub.ask("GET", "/", secret, "").await.header("location"), "/account");
    let form = |new: &str, again: &str| {
        format!("present={}&new={new}&again={again}", PASSWORD.replace(' ', "+"))
    };
    for (form, words) in [
        (form("another+long+word", "another+long+ward"), "typed in two ways"),
        (form("short", "short"), "at least 10 are needed"),
        (form("four+words+in+a+row", "four+words+in+a+row"), "is the present one"),
    ] {
        let answer = hub.ask("POST", "/account", secret, &form).await;
        assert_eq!(answer.status.as_u16(), 422);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let form = form("another+long+word", "another+long+word");
    let changed = hub.ask("POST", "/account", secret, &form).await;
    assert_eq!(changed.header("location"), "/", "{}", changed.text());
    assert_eq!(hub.ask("GET", "/", secret, "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_administrator_adds_and_removes_users() {
    let hub = Hub::new();
    let added = hub.ask("POST", "/users", "admin", "action=add&name=Bo&role=specialist").await;
    let text = added.text();
    let password = text.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let entered = hub.log_in("bo", password, "").await;
    assert_eq!(entered.header("location"), "/account", "{}", entered.text());
    let again = hub.ask("POST", "/users", "admin", "action=add&name=bo&role=admin").await;
    assert!(again.text().contains("There is a user bo already."), "{}", again.text());
    hub.ask("POST", "/users", "admin", "action=remove&name=bo").await;
    assert_eq!(hub.log_in("bo", password, "").await.status, StatusCode::UNAUTHORIZED);
    let last = hub.ask("POST", "/users", "admin", "action=remove&name=admin").await;
    assert!(last.text().contains("only administrator"), "{}", last.text());
}
