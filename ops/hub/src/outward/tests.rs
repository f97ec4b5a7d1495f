use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::Mutex;

use exchange::push::Missed;
use exchange::row::hex;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::blobs::Folder;
use crate::store::outbound::Queue;
use crate::store::outbound::testing::{flag, object, perhaps_sent, unknown};
use crate::store::testing::{Hands, NOW_MS, store};

/// Answers as it is told, then with success.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Posted>>);

/// Answers to come, and bodies that came.
type Posted = (VecDeque<Result<u16, Missed>>, Vec<String>);

impl Fake {
    fn next(&self, answer: Result<u16, Missed>) {
        self.0.lock().unwrap().0.push_back(answer);
    }

    fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Door for Fake {
    fn hand_over(&mut self, load: Load) -> Verdict {
        let (mut parcel, judge) = load.parcel();
        let mut body = String::new();
        parcel.body.read_to_string(&mut body).unwrap();
        assert_eq!(parcel.bytes, body.len() as u64);
        let mut fake = self.0.lock().unwrap();
        fake.1.push(body);
        let answer = fake.0.pop_front().unwrap_or(Ok(200));
        Verdict::of(answer.map(|status| (status, String::new())), judge)
    }
}

struct Hospital {
    store: Store,
    hands: Arc<Hands>,
    door: Fake,
    blobs: Arc<Folder>,
    worker: Worker,
    _folder: TempDir,
}

impl Hospital {
    fn new(kind: Kind) -> Self {
        let (store, hands) = store();
        store.set_outbound_destinations(&[("it", kind)]).unwrap();
        let (door, folder) = (Fake::default(), tempfile::tempdir().unwrap());
        let blobs = Arc::new(Folder::new(folder.path()));
        let shared = Arc::clone(&blobs) as Arc<dyn BlobStore>;
        let worker = Worker::new("it", kind, Box::new(door.clone()), store.clone(), shared);
        Self { store, hands, door, blobs, worker, _folder: folder }
    }

    fn queue(&self) -> Queue {
        self.store.outbound_queues().unwrap().remove(0)
    }

    fn seconds(&mut self) -> u64 {
        let pause = self.worker.step();
        self.hands.forward(i64::try_from(pause.as_millis()).unwrap());
        pause.as_secs()
    }
}

#[test]
fn a_destination_that_cannot_be_reached_is_waited_for() {
    let mut hospital = Hospital::new(Kind::Fhir);
    flag(&hospital.store, "1.2", 1, true);
    let answers = [
        Err(Missed::Unreached("refused".into())),
        Ok(503),
        Ok(401),
        Ok(429),
        Err(Missed::Unreached("refused".into())),
        Ok(503),
        Ok(200),
    ];
    answers.into_iter().for_each(|answer| hospital.door.next(answer));
    let pauses: Vec<u64> = (0..6).map(|_| hospital.seconds()).collect();
    assert_eq!(pauses, [15, 30, 60, 120, 240, 300]);
    assert_eq!(hospital.queue().silent_ms, Some(NOW_MS));
    assert_eq!((hospital.seconds(), hospital.seconds()), (0, 2));
    let Queue { waiting, sent, dead, silent_ms, .. } = hospital.queue();
    assert_eq!((waiting, sent, dead, silent_ms), (0, 1, 0, None));
}

#[test]
fn what_is_refused_lets_others_pass_and_is_given_up_in_the_end() {
    let mut hospital = Hospital::new(Kind::Fhir);
    flag(&hospital.store, "1", 1, true);
    flag(&hospital.store, "2", 2, true);
    hospital.door.next(Ok(400));
    // Refused, the other taken, nothing.
    assert_eq!([hospital.seconds(), hospital.seconds(), hospital.seconds()], [0, 0, 2]);
    let [waiting, sent] = [hospital.queue().waiting, hospital.queue().sent];
    assert_eq!((waiting, sent), (1, 1));
    for answer in [Ok(422), Err(Missed::Broken("cut off".into()))].into_iter().cycle().take(9) {
        hospital.door.next(answer);
    }
    for _ in 0..9 {
        hospital.hands.forward(3_600_000);
        assert_eq!(hospital.seconds(), 0);
    }
    hospital.hands.forward(3_600_000);
    assert_eq!(hospital.seconds(), 2);
    let Queue { waiting, dead, .. } = hospital.queue();
    assert_eq!((waiting, dead), (0, 1));
}

#[test]
fn a_transaction_says_what_is_known_when_it_is_sent() {
    let mut hospital = Hospital::new(Kind::Fhir);
    flag(&hospital.store, "1.2", 1, true);
    flag(&hospital.store, "1.2", 2, false);
    assert_eq!([hospital.seconds(), hospital.seconds()], [0, 2]);
    let bodies = hospital.door.bodies();
    let [body] = &bodies[..] else { panic!("one transaction: {bodies:?}") };
    assert!(body.contains("The clinic has withdrawn its request."), "{body}");
    // What nobody knows any more is not sent.
    unknown(&hospital.store, "9");
    assert_eq!(hospital.seconds(), 0);
    assert_eq!(hospital.queue().dead, 1);
}

#[test]
fn an_earlier_transaction_is_taken_back_even_if_nobody_knows_that_it_arrived() {
    let mut hospital = Hospital::new(Kind::Fhir);
    flag(&hospital.store, "1.2", 1, true);
    let gone = json!({"entry": [{"resource":
        {"resourceType": "ServiceRequest", "id": "gone", "status": "active"}}]});
    perhaps_sent(&hospital.store, &gone.to_string());
    assert_eq!(hospital.seconds(), 0);
    assert!(hospital.door.bodies()[0].contains("\"revoked\""));
}

#[test]
fn an_object_is_sent_whole() {
    let mut hospital = Hospital::new(Kind::Stow);
    let sha256 = hex(&Sha256::digest(b"DICM"));
    let name = Name::new("a", &sha256).unwrap();
    hospital.blobs.append(&name, 0, b"DICM").unwrap();
    hospital.blobs.finish(&name, 4).unwrap();
    object(&hospital.store, &sha256);
    object(&hospital.store, &"0".repeat(64));
    assert_eq!([hospital.seconds(), hospital.seconds(), hospital.seconds()], [0, 0, 2]);
    let bodies = hospital.door.bodies();
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].contains(&format!("\r\n\r\nDICM\r\n--{sha256}--")), "{bodies:?}");
    let Queue { sent, dead, .. } = hospital.queue();
    assert_eq!((sent, dead), (1, 1));
}
