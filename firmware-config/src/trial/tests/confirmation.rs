//! Which settings a person has to confirm, and what becomes of them with and without that.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::collection::vec;
use proptest::prelude::*;
use toml::{Table, Value};

use super::*;
use crate::settings::{BUILT_IN, Settings};

const ELSEWHERE: &str = "[network]\ninterface = 'eth0'\naddress = '192.168.66.5/24'";
const FEWER: &str = "firewall.page_networks = ['192.168.66.0/24']";
const UNIT: &str = "/run/systemd/network/10-prima.network";

/// A healthy box in which something happens after so many seconds of waiting.
struct Waiting<F> {
    started_s: u64,
    waited_s: u64,
    at_s: u64,
    happens: F,
    said: Vec<String>,
}

impl<F: FnMut()> Waiting<F> {
    fn and_after(at_s: u64, happens: F) -> Self {
        Self { started_s: uptime_s(), waited_s: 0, at_s, happens, said: Vec::new() }
    }
}

impl<F: FnMut()> Services for Waiting<F> {
    fn apply(&mut self, _: &BTreeSet<Effect>) -> Result<(), String> {
        Ok(())
    }

    fn wait_until_healthy(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn uptime_s(&self) -> u64 {
        self.started_s + self.waited_s
    }

    fn pause(&mut self) {
        self.waited_s += 1;
        if self.waited_s == self.at_s {
            (self.happens)();
        }
    }

    fn say(&mut self, sentence: &str) {
        self.said.push(sentence.to_owned());
    }
}

impl Clinic {
    /// With the folder that systemd makes for the appliance.
    fn with_daemon() -> Self {
        let one = Self::new();
        fs::create_dir_all(one.place.below(Path::new(render::DAEMON))).unwrap();
        one.apply("dicom.port = 4242", &mut Plan::default()).unwrap();
        one
    }

    fn change<F: FnMut()>(
        &self,
        settings: &str,
        person: Person,
        services: &mut Waiting<F>,
    ) -> Result<(), TrialError> {
        let path = self.folder.path().join("candidate.toml");
        fs::write(&path, settings).unwrap();
        self.place.apply(&path, person, services)
    }

    /// The trial that waits.
    fn awaiting(&self) -> String {
        match self.place.standing() {
            Some(Standing::Awaiting { id, .. }) => id,
            other => panic!("no trial waits: {other:?}"),
        }
    }

    #[track_caller]
    fn is_as_before(&self) {
        assert_eq!(self.place.start().unwrap().from, "the settings in force");
        assert!(self.read(FIREWALL).unwrap().contains("4242"));
        assert_eq!(self.read(UNIT), None);
    }

    /// What whoever confirms the latest trial now is told.
    #[track_caller]
    fn is_too_late_for(&self, id: &str) -> String {
        let refused = [Door::Page, Door::Shell].map(|door| self.place.confirm(id, door));
        let [page, shell] = refused.map(|refused| refused.unwrap_err().to_string());
        assert_eq!(page, shell);
        page
    }
}

#[test]
fn settings_that_somebody_confirms_stay() {
    for (settings, door) in [(ELSEWHERE, Door::Page), (FEWER, Door::Shell)] {
        let one = Clinic::with_daemon();
        let mut services = Waiting::and_after(599, || {
            // They are in use, and would not be after a start.
            let kept = fs::read_to_string(one.place.settings("settings.toml")).unwrap();
            assert_eq!(kept, "dicom.port = 4242");
            assert!(one.read(FIREWALL).unwrap().contains("11112"));
            let id = one.awaiting();
            let other = one.place.confirm("another", door).unwrap_err();
            assert_eq!(other.to_string(), "no new settings wait to be kept");
            one.place.confirm(&id, door).unwrap();
        });
        one.change(settings, Person::Elsewhere, &mut services).unwrap();
        let said = services.said.join("\n");
        assert!(said.contains("within 10 min: \"Keep them\" on its page"), "{said}");
        assert_eq!(fs::read_to_string(one.place.settings("settings.toml")).unwrap(), settings);
        assert!(matches!(one.place.standing(), Some(Standing::Kept { .. })));
        let files = ["previous.toml", "secret", "settings-1.toml", "settings.toml"];
        assert_eq!(one.files(), files);
        // What is in force is no change, and a wish to keep it no trial.
        one.apply(settings, &mut Plan::default()).unwrap();
        assert_eq!(one.place.standing(), None);
        assert_eq!(one.is_too_late_for(""), "no new settings wait to be kept");
    }
}

#[test]
fn settings_that_nobody_confirms_go_again() {
    let one = Clinic::with_daemon();
    let before = one.read(FIREWALL);
    let settings = format!("trial.confirm_within_min = 2\n{ELSEWHERE}");
    let mut id = String::new();
    let mut services = Waiting::and_after(1, || {
        assert!(one.read(UNIT).unwrap().contains("192.168.66.5/24"));
        id = one.awaiting();
    });
    let error = one.change(&settings, Person::Elsewhere, &mut services).unwrap_err();
    assert_eq!(
        error.to_string(),
        "these settings were not kept, and those from before are in force again: nobody confirmed \
         them within 2 min"
    );
    assert_eq!(services.waited_s, 120);
    assert_eq!(services.said.len(), 2, "{:?}", services.said);
    assert_eq!((one.read(FIREWALL), one.read(UNIT)), (before, None));
    assert_eq!(one.files(), ["failed.toml", "secret", "settings-1.toml", "settings.toml"]);
    assert_eq!(
        one.is_too_late_for(&id),
        "too late: nobody confirmed them within 2 min; the settings from before are in force"
    );
    one.is_as_before();
    assert_eq!(one.files(), ["failed.toml", "secret", "settings-1.toml", "settings.toml"]);
}

/// The power goes while a trial waits for a person.
#[test]
fn a_power_cut_confirms_nothing() {
    let one = Clinic::with_daemon();
    let mut services = Waiting::and_after(60, || panic!("the power is gone"));
    let cut =
        catch_unwind(AssertUnwindSafe(|| one.change(FEWER, Person::Elsewhere, &mut services)));
    assert!(cut.is_err());
    let id = one.awaiting();
    assert!(one.place.has_trial());
    fs::remove_dir_all(one.place.below(Path::new("/run"))).unwrap();
    let started = one.place.start().unwrap();
    assert!(started.not_kept.is_some() && !one.place.has_trial());
    let said = one.is_too_late_for(&id);
    assert!(said.starts_with("too late: the box was started again"), "{said}");
    assert_eq!(fs::read_to_string(one.place.settings("failed.toml")).unwrap(), FEWER);
    one.is_as_before();
    // It is said once.
    assert_eq!(one.place.start().unwrap().not_kept, None);
}

/// An upgrade of the package renders the settings in force in the middle of a trial.
#[test]
fn a_start_of_the_services_ends_a_trial_that_goes_on() {
    let one = Clinic::with_daemon();
    let mut services = Waiting::and_after(60, || {
        let id = one.awaiting();
        one.place.start().unwrap();
        one.is_too_late_for(&id);
    });
    let error = one.change(ELSEWHERE, Person::Elsewhere, &mut services).unwrap_err();
    assert!(matches!(error, TrialError::Unconfirmed { .. }), "{error}");
    assert_eq!(services.waited_s, 60);
    one.is_as_before();
}

/// A disk that takes nothing when somebody has confirmed.
#[test]
fn what_is_confirmed_and_cannot_be_kept_goes_again() {
    let one = Clinic::with_daemon();
    let mut services = Waiting::and_after(1, || {
        fs::create_dir(one.place.settings("settings.partial")).unwrap();
        one.place.confirm(&one.awaiting(), Door::Page).unwrap();
    });
    let error = one.change(ELSEWHERE, Person::Elsewhere, &mut services).unwrap_err();
    assert!(matches!(error, TrialError::Unhealthy { .. }), "{error}");
    let Some(Standing::Undone { why }) = one.place.standing() else { panic!("it stands") };
    assert!(why.contains("Is a directory"), "{why}");
    one.is_as_before();
}

#[test]
fn who_stands_at_the_box_need_not_confirm() {
    let one = Clinic::with_daemon();
    let mut services = Waiting::and_after(1, || panic!("it waits"));
    one.change(ELSEWHERE, Person::AtTheBox, &mut services).unwrap();
    assert_eq!((one.place.standing(), services.waited_s), (None, 0));
    assert_eq!(fs::read_to_string(one.place.settings("settings.toml")).unwrap(), ELSEWHERE);
}

/// Every key there is, changed alone.
#[test]
fn the_network_and_the_firewall_and_nothing_else_have_to_be_confirmed() {
    fn change(value: &mut Value) {
        match value {
            Value::String(text) => text.push('x'),
            Value::Integer(number) => *number += 1,
            Value::Boolean(flag) => *flag = !*flag,
            Value::Array(list) => list.push("x".into()),
            other => panic!("{other} is of no kind that settings have"),
        }
    }
    fn keys(table: &Table, path: &[String], found: &mut Vec<Vec<String>>) {
        for (key, value) in table {
            let path = [path, std::slice::from_ref(key)].concat();
            match value {
                Value::Table(inner) => keys(inner, &path, found),
                _ => found.push(path),
            }
        }
    }
    let built_in: Table = BUILT_IN.parse().unwrap();
    let before: Settings = built_in.clone().try_into().unwrap();
    let (mut all, mut asked) = (Vec::new(), Vec::new());
    keys(&built_in, &[], &mut all);
    for path in &all {
        let mut changed = built_in.clone();
        let (key, tables) = path.split_last().unwrap();
        let table =
            tables.iter().fold(&mut changed, |table, name| table[name].as_table_mut().unwrap());
        change(&mut table[key]);
        let after: Settings = changed.try_into().unwrap();
        if needs_confirmation(&before, &after) {
            asked.push(path.join("."));
        }
        assert_eq!(needs_confirmation(&before, &after), needs_confirmation(&after, &before));
    }
    assert!(all.len() > 70 && !needs_confirmation(&before, &before));
    let ours = |path: &&Vec<String>| ["network", "firewall"].contains(&path[0].as_str());
    let expected: Vec<String> = all.iter().filter(ours).map(|path| path.join(".")).collect();
    assert_eq!(asked, expected);
    assert_eq!(asked.len(), 6);
}

fn network() -> impl Strategy<Value = String> {
    (any::<[u8; 4]>(), 1_u8..=32)
        .prop_map(|(ip, bits)| format!("{}/{bits}", std::net::Ipv4Addr::from(ip)))
}

/// `[network]` and `[firewall]` of a site.
fn way_in() -> impl Strategy<Value = String> {
    let interface = prop_oneof![Just("eth0"), Just("en*"), Just("")];
    (interface, prop::option::of(network()), vec(network(), 0..3), vec(network(), 0..2)).prop_map(
        |(interface, address, pages, ssh)| {
            let address = address.filter(|_| interface == "eth0").unwrap_or_default();
            format!(
                "[network]\ninterface = '{interface}'\naddress = '{address}'\n\
                 [firewall]\npage_networks = {pages:?}\nssh_networks = {ssh:?}\n"
            )
        },
    )
}

/// Everything else.
fn the_rest() -> impl Strategy<Value = String> {
    let numbers = (1_u16.., 16_u32..2000, 1_u64..=60);
    let web = prop_oneof![Just("127.0.0.1:8042"), Just("[::]:443")];
    ("[a-z]{1,8}", numbers, vec(network(), 0..3), web).prop_map(
        |(name, (port, journal, minutes), networks, web)| {
            format!(
                "[site]\nname = '{name}'\n[dicom]\nport = {port}\nnetworks = {networks:?}\n\
                 [clock]\nserve_networks = {networks:?}\n[web]\nlisten = '{web}'\n\
                 [journal]\nmax_mib = {journal}\n[trial]\nconfirm_within_min = {minutes}\n"
            )
        },
    )
}

proptest! {
    #[test]
    fn whether_somebody_is_asked_depends_on_the_way_in_alone(
        ways in (way_in(), way_in()),
        rests in (the_rest(), the_rest()),
    ) {
        let settings = |way: &str, rest: &str| {
            Checked::parse(&format!("{way}{rest}"), "site.toml").unwrap().settings
        };
        let before = settings(&ways.0, &rests.0);
        prop_assert!(!needs_confirmation(&before, &settings(&ways.0, &rests.1)));
        let moved = needs_confirmation(&before, &settings(&ways.1, &rests.1));
        prop_assert_eq!(moved, ways.0 != ways.1);
    }
}
