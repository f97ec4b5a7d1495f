//! Trials that go well, that do not, and that the power ends.

mod confirmation;

use super::*;

/// Services that fail when asked to, and say what they were told.
#[derive(Default)]
struct Plan {
    healthy: Vec<Result<(), String>>,
    refuses: usize,
    told: Vec<BTreeSet<Effect>>,
}

impl Services for Plan {
    fn apply(&mut self, effects: &BTreeSet<Effect>) -> Result<(), String> {
        self.told.push(effects.clone());
        if self.refuses == 0 {
            return Ok(());
        }
        self.refuses -= 1;
        Err("`systemctl restart prima.service` failed".to_owned())
    }

    fn wait_until_healthy(&mut self) -> Result<(), String> {
        if self.healthy.is_empty() { Ok(()) } else { self.healthy.remove(0) }
    }

    fn uptime_s(&self) -> u64 {
        0
    }

    fn pause(&mut self) {
        panic!("nobody has to confirm these settings")
    }

    fn say(&mut self, _: &str) {}
}

struct Clinic {
    folder: tempfile::TempDir,
    place: Place,
}

impl Clinic {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { root: folder.path().join("root") };
        place.start().unwrap();
        Self { folder, place }
    }

    fn apply(&self, settings: &str, services: &mut Plan) -> Result<(), TrialError> {
        let path = self.folder.path().join("candidate.toml");
        fs::write(&path, settings).unwrap();
        self.place.apply(&path, Person::Elsewhere, services)
    }

    /// Names of the files of the settings.
    fn files(&self) -> Vec<String> {
        let folder = self.place.settings("");
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.place.below(Path::new(path))).ok()
    }
}

const FIREWALL: &str = "/run/prima/firewall.nft";

#[test]
fn what_works_stays() {
    let (one, mut services) = (Clinic::new(), Plan::default());
    one.apply("dicom.port = 4242", &mut services).unwrap();
    assert!(one.read(FIREWALL).unwrap().contains("4242"));
    one.apply("dicom.port = 4343\nformat_version = 2", &mut services).unwrap();
    assert!(one.read(FIREWALL).unwrap().contains("4343"));
    assert_eq!(one.files(), ["previous.toml", "secret", "settings-1.toml", "settings.toml"]);
    assert_eq!(one.place.start().unwrap().from, "the settings in force");
    let earlier = one.read("/var/lib/prima/settings/settings-1.toml").unwrap();
    assert!(!earlier.contains("format_version") && earlier.contains("4343"), "{earlier}");
    // The daemon and the firewall, and nothing else, were started again.
    let restarted: Vec<&Effect> = services.told[1].iter().collect();
    let expected =
        [Effect::Restart("prima-firewall.service".into()), Effect::Restart("prima.service".into())];
    assert_eq!(restarted, expected.iter().collect::<Vec<_>>());
    // The same again changes nothing.
    one.apply("dicom.port = 4343\nformat_version = 2", &mut services).unwrap();
    assert!(services.told[2].is_empty(), "{:?}", services.told[2]);
}

#[test]
fn what_does_not_work_goes_again() {
    let (one, mut services) = (Clinic::new(), Plan::default());
    one.apply("dicom.port = 4242", &mut services).unwrap();
    let before = one.read(FIREWALL);
    services.healthy = vec![Err("prima.service is failed".to_owned()), Ok(())];
    let error = one.apply("dicom.port = 104\n[ups]\ndriver = 'usbhid-ups'", &mut services);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the box did not work with these settings, so those from before are in force again: \
         prima.service is failed"
    );
    assert_eq!(one.read(FIREWALL), before);
    // What only the failed ones had is gone, and stopped.
    assert_eq!(one.read("/run/prima/nut/upsmon.conf"), None);
    assert!(services.told[2].contains(&Effect::Stop("prima-ups.target".into())));
    assert_eq!(one.files(), ["failed.toml", "secret", "settings-1.toml", "settings.toml"]);

    services.healthy = vec![Err("a".to_owned()), Err("b".to_owned())];
    let error = one.apply("dicom.port = 105", &mut services).unwrap_err();
    assert!(matches!(error, TrialError::Stuck { .. }), "{error}");
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let (one, mut services) = (Clinic::new(), Plan::default());
    let error = one.apply("dicom.prot = 1", &mut services).unwrap_err();
    assert!(matches!(error, TrialError::Settings(_)), "{error}");
    assert!(services.told.is_empty());
    assert_eq!(one.files(), ["secret"]);
}

/// The power goes while a trial waits for health; `/run` is empty after it.
#[test]
fn a_power_cut_ends_a_trial() {
    struct PowerCut;
    impl Services for PowerCut {
        fn apply(&mut self, _: &BTreeSet<Effect>) -> Result<(), String> {
            Ok(())
        }
        fn wait_until_healthy(&mut self) -> Result<(), String> {
            panic!("the power is gone")
        }
        fn uptime_s(&self) -> u64 {
            0
        }
        fn pause(&mut self) {}
        fn say(&mut self, _: &str) {}
    }
    let one = Clinic::new();
    one.apply("dicom.port = 4242", &mut Plan::default()).unwrap();
    let path = one.folder.path().join("candidate.toml");
    fs::write(&path, "dicom.port = 4343").unwrap();
    let cut =
        std::panic::AssertUnwindSafe(|| one.place.apply(&path, Person::Elsewhere, &mut PowerCut));
    assert!(std::panic::catch_unwind(cut).is_err());
    fs::remove_dir_all(one.place.below(Path::new("/run"))).unwrap();
    assert_eq!(one.place.start().unwrap().from, "the settings in force");
    assert!(one.read(FIREWALL).unwrap().contains("4242"));
    assert_eq!(one.files(), ["secret", "settings-1.toml", "settings.toml"]);
}

#[test]
fn a_start_never_goes_without_a_firewall() {
    let one = Clinic::new();
    let mut services = Plan::default();
    one.apply("dicom.port = 4242", &mut services).unwrap();
    one.apply("dicom.port = 4343", &mut services).unwrap();
    fs::write(one.place.settings("settings.toml"), "dicom.port = 'x'").unwrap();
    let started = one.place.start().unwrap();
    assert_eq!((started.from, started.refused.len()), ("the settings from before", 1));
    assert!(one.read(FIREWALL).unwrap().contains("4242"));
    fs::write(one.place.settings("previous.toml"), "no toml").unwrap();
    let started = one.place.start().unwrap();
    assert_eq!((started.from, started.refused.len()), ("the built-in settings", 2));
    assert!(one.read(FIREWALL).unwrap().contains("11112"));
}

/// A service that cannot even be started with them.
#[test]
fn services_that_refuse_are_given_what_they_had() {
    let one = Clinic::new();
    one.apply("dicom.port = 4242", &mut Plan::default()).unwrap();
    let before = one.read(FIREWALL);
    let mut services = Plan { refuses: 1, ..Plan::default() };
    let error = one.apply("dicom.port = 4343", &mut services).unwrap_err();
    assert!(matches!(error, TrialError::Unhealthy { .. }), "{error}");
    assert_eq!(one.read(FIREWALL), before);
    assert_eq!(services.told.len(), 2);
}

/// A file that cannot be written in the middle of a trial.
#[test]
fn what_cannot_be_written_is_taken_back() {
    let one = Clinic::new();
    one.apply("dicom.port = 4242", &mut Plan::default()).unwrap();
    // A folder stands where a file of the UPS belongs.
    fs::create_dir_all(one.place.below(Path::new("/run/prima/nut/upsd.conf"))).unwrap();
    let error = one.apply("[ups]\ndriver = 'usbhid-ups'", &mut Plan::default()).unwrap_err();
    assert!(matches!(error, TrialError::Unhealthy { .. }), "{error}");
    assert!(error.to_string().contains("upsd.conf"), "{error}");
    assert_eq!(one.place.start().unwrap().from, "the settings in force");
    assert!(one.read(FIREWALL).unwrap().contains("4242"));
}

#[test]
fn an_earlier_program_reads_its_own_copy_and_a_torn_file_counts_as_none() {
    let one = Clinic::new();
    one.apply("dicom.port = 4242", &mut Plan::default()).unwrap();
    // What a later program would leave: its own format, and ours beside it.
    fs::write(one.place.settings("settings.toml"), "format_version = 3\nnew = 1").unwrap();
    fs::write(one.place.settings("settings-2.toml"), "format_version = 2\ndicom.port = 4444")
        .unwrap();
    let started = one.place.start().unwrap();
    assert_eq!(started.from, "the settings in force, in the format of this program");
    assert!(one.read(FIREWALL).unwrap().contains("4444"));
    fs::write(one.place.settings("settings.toml"), "").unwrap();
    fs::remove_file(one.place.settings("settings-2.toml")).unwrap();
    let started = one.place.start().unwrap();
    assert_eq!(started.from, "the built-in settings");
    let unit = one.read("/run/systemd/system/prima.service").unwrap();
    assert!(unit.contains("--data \"/var/lib/prima/data\""), "the same data: {unit}");
}
