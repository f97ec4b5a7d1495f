//! Models that a hub offers: fetched through a bad link, or refused in a sentence.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minisign::KeyPair;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tests::chaos::{Trouble, Weather};
use tests::hub::Hub;
use tests::repository;
use tests::site::Site;

use super::SIDE;

/// The model that ships: 6 MB, with a golden study.
const MODEL: &str = "models/bundles/edge-simulated-2";
/// Most that two kills cost, each a piece under way, and what else is said meanwhile.
const LOST: u64 = 1_600_000;

/// A hub, a clinic whose box trusts one signer, and that signer's bundles.
struct Road {
    folder: TempDir,
    hub: Hub,
    site: Site,
    signer: KeyPair,
}

impl Road {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let hub = Hub::new(folder.path(), "").unwrap();
        let site = Site::new(&hub, "mbeya", 1);
        let signer = KeyPair::generate_unencrypted_keypair().unwrap();
        Self { folder, hub, site, signer }
    }

    /// The box takes models of the signer from now on.
    fn trust(&mut self) {
        let key = self.signer.pk.to_base64();
        self.site.launch.settings += &format!("analysis.model_keys = [{key:?}]\n");
        self.site.restart();
    }

    /// A copy of the model with another manifest, signed.
    fn bundle(&self, name: &str, signer: &KeyPair, change: fn(&mut toml::Table)) -> PathBuf {
        let bundle = self.folder.path().join(name);
        copy(&repository().join(MODEL), &bundle);
        let path = bundle.join("manifest.toml");
        let mut manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        manifest.insert("id".to_owned(), name.into());
        change(&mut manifest);
        let text = manifest.to_string();
        let signed = minisign::sign(None, &signer.sk, Cursor::new(&text), None, None).unwrap();
        fs::write(path, text).unwrap();
        fs::write(bundle.join("manifest.toml.minisig"), signed.into_string()).unwrap();
        bundle
    }

    fn offer(&self, bundle: &Path) {
        self.hub.command(&["offer", bundle.to_str().unwrap(), "--note", "better"]).unwrap();
    }

    /// The offer as the box shows it, once it is what is looked for.
    fn shows(&self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        self.site.sees(what, |api| {
            let offer = api.get("system")["status"]["hub"]["offer"].clone();
            look(&offer).then_some(offer)
        })
    }

    /// Why the box refuses the offer of this name; the hospital sees it as well.
    fn refusal(&self, name: &str) -> String {
        let offer = self.shows(&format!("{name} refused"), |offer| {
            offer["name"] == name && offer["stage"] == "refused"
        });
        let why = offer["why"].as_str().unwrap().to_owned();
        let beginning: String = why.chars().take(40).collect();
        self.hospital_sees(&format!("model {name}: refused: {beginning}"));
        assert!(self.models().iter().all(|model| model["name"] != name));
        let offered = self.site.launch.data().join("offered");
        self.site.sees("nothing left of it", |_| {
            fs::read_dir(&offered).is_ok_and(|left| left.count() == 0).then_some(())
        });
        why
    }

    fn hospital_sees(&self, said: &str) {
        self.site.sees(said, |_| {
            let list = self.hub.command(&["site", "list"]).unwrap();
            list.contains(said).then_some(())
        });
    }

    fn models(&self) -> Vec<Value> {
        self.site.api().get("system")["models"].as_array().unwrap().clone()
    }

    /// Bytes that came from the hub.
    fn came(&self) -> u64 {
        self.site.link.passed()[1]
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn here(offer: &Value) -> u64 {
    offer["here"].as_u64().unwrap_or(0)
}

#[test]
fn a_model_comes_through_kills_behind_a_flag_and_waits_for_an_administrator() {
    let mut road = Road::new();
    road.trust();
    let bundle = road.bundle("edge-3", &road.signer, |_| {});
    let slow =
        Weather { rate: 40_000, latency: Duration::from_millis(50), loss: 5, ..Weather::default() };
    road.site.link.set(slow);
    let before = road.came();
    road.offer(&bundle);
    let offer = road.shows("the model coming", |offer| here(offer) > 100_000);
    assert_eq!(offer["stage"], "coming");
    let bytes = offer["bytes"].as_u64().unwrap();
    assert!(bytes > 5_000_000, "{bytes}");
    road.hospital_sees("% there");
    // A patient's referral does not wait for it.
    road.site.scan(1, 6, SIDE);
    road.site.result();
    road.site.sees("the flag at the hub", |api| {
        (api.get("worklist")["rows"][0]["hub"]["flag"] == "there").then_some(())
    });
    assert_eq!(road.shows("the offer", |_| true)["stage"], "coming");
    // The box is killed, then the hub, and the line is cut under both.
    road.site.link.set(Weather { rate: 400_000, ..slow });
    let before_kill = here(&road.shows("a third of it", |offer| here(offer) > bytes / 3));
    road.site.restart();
    let offer = road.shows("what was there before", |offer| here(offer) > 0);
    assert!(here(&offer) >= before_kill, "{before_kill}, then {offer}");
    road.shows("two thirds of it", |offer| here(offer) > bytes / 3 * 2);
    road.hub.kill().unwrap();
    road.site.link.cut();
    road.hub.start().unwrap();
    road.site.link.set(Weather::default());
    road.shows("the model installed", |offer| offer["stage"] == "installed");
    let came = road.came() - before;
    assert!(came < bytes + LOST, "{came} bytes came for a model of {bytes}: something came twice");
    let models = road.models();
    let uses = |name: &str| models.iter().find(|m| m["name"] == name).unwrap()["mode"].clone();
    assert_eq!((uses("edge-3"), uses("untrained-tiny-1")), ("off".into(), "assist".into()));
    road.hospital_sees("model edge-3: installed");
    let log = road.hub.command(&["audit-export"]).unwrap();
    for entry in [
        "\"action\":\"site.model_offer\",\"actor\":\"command line\"",
        "\"action\":\"site.model_installed\",\"actor\":\"mbeya\"",
    ] {
        assert!(log.contains(entry), "no {entry} in {log}");
    }
}

#[test]
fn a_model_that_is_not_to_be_trusted_is_refused_in_a_sentence() {
    let mut road = Road::new();
    let strangers = KeyPair::generate_unencrypted_keypair().unwrap();
    let foreign = road.bundle("foreign", &strangers, |_| {});
    // Whoever names no keys fetches nothing, and whoever names them nothing of a stranger's.
    let before = road.came();
    road.offer(&foreign);
    road.shows("why nothing comes", |offer| {
        offer["why"].as_str().is_some_and(|why| why.contains("analysis.model_keys names nobody"))
    });
    road.trust();
    let why = road.refusal("foreign");
    assert!(why.contains("is not signed by any of analysis.model_keys"), "{why}");
    assert!(road.came() - before < LOST, "weights came with {} bytes", road.came() - before);

    let lower = road.bundle("lower", &road.signer, |manifest| {
        // No golden logit is off by so much.
        let logits = manifest.get_mut("golden").unwrap().get_mut("diagnosis").unwrap();
        let first = &mut logits.as_array_mut().unwrap()[0];
        *first = (first.as_float().unwrap() + 5.0).into();
    });
    road.offer(&lower);
    let why = road.refusal("lower");
    assert!(why.contains("the self-test failed: the golden study differs by"), "{why}");

    let good = road.bundle("good", &road.signer, |_| {});
    road.site.link.set(Weather { trouble: Trouble::BlackHole, ..Weather::default() });
    road.offer(&good);
    let weights = fs::read(good.join("network.safetensors")).unwrap();
    let digest = Sha256::digest(&weights);
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = road.hub.folder().join("blobs/whole/_offered").join(&name[..2]).join(&name);
    let mut changed = fs::read(&kept).unwrap();
    changed[1_000_000] ^= 1;
    fs::write(&kept, changed).unwrap();
    road.site.link.set(Weather::default());
    road.site.link.cut();
    let why = road.refusal("good");
    assert!(why.contains("network.safetensors came with SHA-256"), "{why}");
    assert!(why.contains("it was changed at the hub; tell the hospital"), "{why}");
    // Mended, it is offered again.
    fs::write(&kept, weights).unwrap();
    road.offer(&good);
    road.shows("it installed", |offer| offer["stage"] == "installed");
    let said = road.hub.command(&["withdraw", "good"]).unwrap();
    assert!(said.contains("told with their next contact: mbeya"), "{said}");
    road.shows("no offer", Value::is_null);
    assert!(road.models().iter().any(|model| model["name"] == "good"), "it stays");
}
