//! New settings on trial: said over every page, kept by an administrator, and by nobody later.

use std::fs;

use crate::store::users::Role;

use super::*;

const TRIAL: &str = "0123456789abcdef";
const KEEP: &str = "trial=0123456789abcdef";

impl Site {
    /// As `firmware-config` writes it, and the daemon publishes it.
    fn stands(&self, standing: &str, trial: Option<Trial>) {
        let file = self.web.place.root.join("run/prima/standing.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // What the sandbox leaves to the daemon.
        fs::create_dir_all(self.daemon()).unwrap();
        fs::write(file, standing).unwrap();
        self.status.send_modify(|status| status.trial = trial);
    }

    /// Settings wait for nine minutes and a half.
    fn awaits(&self) {
        let until_s = firmware_config::trial::uptime_s() + 570;
        let standing = format!("state = \"awaiting\"\nid = \"{TRIAL}\"\nuntil_s = {until_s}\n");
        let trial = Trial::Awaiting { id: TRIAL.to_owned(), until: NOW + 570_000 };
        self.stands(&standing, Some(trial));
    }

    fn daemon(&self) -> std::path::PathBuf {
        self.web.place.root.join("run/prima-daemon")
    }

    /// Files that the trial looks for.
    fn confirmations(&self) -> Vec<String> {
        let entries = fs::read_dir(self.daemon()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// What stands between the header and the page.
fn banner(answer: &Answer) -> String {
    let (_, rest) = answer.text.split_once("</header>").unwrap();
    rest.split_once("<main").unwrap().0.to_owned()
}

#[tokio::test]
async fn every_page_says_that_new_settings_are_on_trial() {
    let appliance = Site::new();
    assert!(!banner(&appliance.get("/system").await).contains("TRIAL"));
    appliance.awaits();
    let said = "Those from before come back in 9 min unless an administrator keeps the new ones.";
    for path in ["/", "/system", "/users", "/nope"] {
        let banner = banner(&appliance.get(path).await);
        assert!(banner.contains("NEW NETWORK SETTINGS ON TRIAL.") && banner.contains(said));
        assert!(banner.contains(TRIAL) && banner.contains("Keep them"), "{path}: {banner}");
    }
    // Whoever came over the new network has to log in first, and need not be an administrator.
    let stranger = Request::get("/login").header("host", "192.168.1.20:8042");
    let stranger = appliance.send(stranger.body(Body::empty()).unwrap()).await;
    let store = &appliance.web.store;
    store.add_user("Reader", Role::Reader, "no hash", "test").unwrap();
    store.set_password("Reader", "no hash", false, "test").unwrap();
    let reader = store.account("Reader").unwrap().unwrap().user;
    store.open_session(&reader, &accounts::digest("r"), 3_600_000, "test").unwrap();
    let page = Request::get("/").header("host", "192.168.1.20:8042").header("cookie", "session=r");
    let page = appliance.send(page.body(Body::empty()).unwrap()).await;
    for banner in [banner(&stranger), banner(&page)] {
        assert!(banner.contains(said) && !banner.contains(TRIAL), "{banner}");
    }
    appliance.clock.advance(Duration::from_secs(570));
    assert!(!banner(&appliance.get("/system").await).contains("TRIAL"), "their time is over");
}

#[tokio::test]
async fn an_administrator_keeps_new_settings() {
    let appliance = Site::new();
    appliance.awaits();
    let other = appliance.form("/system/trial", "trial=fedcba9876543210").await;
    refused(&other, 409, "No new settings wait to be kept.");
    assert_eq!(appliance.confirmations(), [""; 0]);
    let trial = async {
        // The program of the trial sees the file and keeps the settings; the daemon says so.
        while appliance.confirmations().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(appliance.confirmations(), [format!("confirmed-{TRIAL}")]);
        appliance.stands(&format!("state = \"kept\"\nid = \"{TRIAL}\"\n"), None);
    };
    let (answer, ()) = tokio::join!(appliance.form("/system/trial", KEEP), trial);
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/system"));
    assert_eq!(appliance.audit(), [("web: Dr Ó".to_owned(), "settings.keep".to_owned())]);
    assert!(!banner(&appliance.get("/system").await).contains("TRIAL"));
    refused(&appliance.form("/system/trial", KEEP).await, 409, "No new settings wait to be kept.");
}

#[tokio::test]
async fn who_comes_too_late_keeps_nothing() {
    let appliance = Site::new();
    appliance.awaits();
    let why = "nobody confirmed them within 10 min".to_owned();
    let standing = format!("state = \"undone\"\nwhy = \"{why}\"\n");
    appliance.stands(&standing, Some(Trial::Undone { why }));
    refused(
        &appliance.form("/system/trial", KEEP).await,
        409,
        "Too late: nobody confirmed them within 10 min; the settings from before are in force.",
    );
    assert_eq!((appliance.confirmations(), appliance.audit()), (Vec::new(), Vec::new()));
    let system = appliance.get("/api/v1/system").await.json();
    assert_eq!(system["status"]["trial"]["state"], "undone");
}
