use std::sync::Arc;

use super::*;
use crate::store::testing::{Hands, store};

const LEASE: Duration = Duration::from_secs(600);

struct Desk(Store, Arc<Hands>);

impl Desk {
    fn new() -> Self {
        let (store, hands) = store();
        let all = [("epic", Kind::Fhir), ("other", Kind::Fhir), ("pacs", Kind::Stow)];
        store.set_outbound_destinations(&all).unwrap();
        Self(store, hands)
    }

    fn queue(&self, study: &str) {
        self.0.write(|tx| queue_flag(tx, "a", study)).unwrap();
    }

    fn begin(&self, destination: &str) -> Option<Job> {
        self.0.begin_outbound(destination, LEASE).unwrap()
    }

    fn of(&self, destination: &str) -> [i64; 3] {
        let queues = self.0.outbound_queues().unwrap();
        let queue = queues.iter().find(|queue| queue.destination == destination).unwrap();
        [queue.waiting, queue.sent, queue.dead]
    }
}

#[test]
fn a_study_is_sent_anew_when_it_has_changed_and_an_object_once() {
    let desk = Desk::new();
    desk.queue("1.2");
    let first = desk.begin("epic").unwrap();
    assert_eq!((first.study.as_str(), first.version), ("1.2", 1));
    // Leased, also when something new comes meanwhile: the old must not arrive after the new.
    desk.queue("1.2");
    assert_eq!(desk.begin("epic"), None);
    desk.0.outbound_sent(&first).unwrap();
    let second = desk.begin("epic").unwrap();
    assert_eq!(second.version, 2);
    desk.0.outbound_sent(&second).unwrap();
    assert_eq!((desk.begin("epic"), desk.of("epic")), (None, [0, 1, 0]));
    assert_eq!(desk.of("other"), [1, 0, 0]);
    for _ in 0..2 {
        testing::object(&desk.0, "abc");
        if let Some(job) = desk.begin("pacs") {
            assert_eq!(job.object, "abc");
            desk.0.outbound_sent(&job).unwrap();
        }
    }
    assert_eq!(desk.of("pacs"), [0, 1, 0]);
}

#[test]
fn what_a_dead_process_was_sending_is_sent_when_its_lease_ends() {
    let desk = Desk::new();
    desk.queue("1.2");
    let lost = desk.begin("epic").unwrap();
    desk.0.outbound_sending(&lost, "{}").unwrap();
    desk.1.forward(600_000);
    let again = desk.begin("epic").unwrap();
    assert_eq!(again, Job { sent: "{}".into(), ..lost });
    desk.0.outbound_interrupted(&again).unwrap();
    assert!(desk.begin("epic").is_some());
}

#[test]
fn a_refusal_lets_others_pass_and_concerns_what_was_refused_only() {
    let desk = Desk::new();
    desk.queue("1");
    desk.queue("2");
    let refused = desk.begin("epic").unwrap();
    desk.0.outbound_refused(&refused, "no", "", Some(Duration::from_secs(15))).unwrap();
    let other = desk.begin("epic").unwrap();
    assert_ne!(other.study, refused.study);
    assert_eq!(desk.begin("epic"), None);
    desk.1.forward(15_000);
    let again = desk.begin("epic").unwrap();
    assert_eq!((&again.study, again.attempts), (&refused.study, 1));
    // A change meanwhile has not been refused.
    desk.queue(&again.study);
    desk.0.outbound_refused(&again, "no", "", None).unwrap();
    assert_eq!(desk.begin("epic").unwrap().attempts, 0);
}

#[test]
fn what_is_given_up_is_seen_and_can_be_sent_again() {
    let desk = Desk::new();
    desk.queue("1.2");
    let job = desk.begin("epic").unwrap();
    desk.0.outbound_refused(&job, "it refused", "Okello, Grace", None).unwrap();
    assert_eq!((desk.begin("epic"), desk.of("epic")), (None, [0, 0, 1]));
    let dead = desk.0.dead_outbound(10).unwrap();
    assert_eq!((dead.len(), dead[0].last_error.as_str()), (1, "it refused"));
    assert!(!format!("{dead:?}").contains("Okello"));
    assert_eq!(desk.0.retry_outbound("epic", "otieno").unwrap(), 1);
    assert_eq!(desk.0.retry_outbound("epic", "otieno").unwrap(), 0);
    assert_eq!(desk.begin("epic").unwrap().attempts, 0);
}

#[test]
fn a_destination_that_leaves_the_settings_takes_its_queue_along() {
    let desk = Desk::new();
    desk.queue("1.2");
    desk.0.outbound_silent("other", Some("no answer")).unwrap();
    desk.0.set_outbound_destinations(&[("other", Kind::Fhir)]).unwrap();
    let queues = desk.0.outbound_queues().unwrap();
    let [queue] = &queues[..] else { panic!("{queues:?}") };
    assert_eq!((queue.destination.as_str(), queue.waiting), ("other", 1));
    assert_eq!((queue.silent_ms.is_some(), queue.said.as_str()), (true, "no answer"));
    desk.0.outbound_silent("other", None).unwrap();
    assert_eq!(desk.0.outbound_queues().unwrap()[0].silent_ms, None);
}
