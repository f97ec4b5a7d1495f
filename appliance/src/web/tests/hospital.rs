//! What the pages say of the referral hospital.

use exchange::command::{self, Command, Numbered, Status};

use super::*;
use crate::store::outbox::{HubProfile, Identity, SeriesSent};

impl Site {
    /// Referrals go to a hub from now on.
    pub(super) fn refer_to_hub(&self) {
        let profile = HubProfile { identity: Identity::Full, series: SeriesSent::None };
        self.web.store.set_hub(Some(&profile)).unwrap();
    }

    /// The hub answers for study A.
    pub(super) fn hub_answers(&self, number: i64, status: Status) {
        let answer = command::Answer {
            study: "1.2.A".to_owned(),
            status,
            by: "Dr Mwangi".to_owned(),
            note: "Send her <today>.".to_owned(),
            actions: vec!["dexamethasone".to_owned(), "fasting".to_owned()],
            at_ms: 5,
        };
        let command = Command::Referral(answer);
        self.web.store.obey(&[Numbered { number, command }]).unwrap();
    }
}

#[tokio::test]
async fn the_worklist_says_where_a_referral_is_and_what_became_of_it() {
    let appliance = Site::new();
    appliance.refer_to_hub();
    appliance.study("A", false);
    appliance.analyse(None);
    let marks = async |expected: &str| {
        let page = appliance.get("/?queue=urgent").await;
        check(&page, 200, &format!("analysed (1 image) {expected} mass effect"));
    };
    check(&appliance.get("/").await, 200, "analysed (1 image) mass effect");
    appliance.clock.advance(Duration::from_secs(15 * 60));
    marks("NOT SENT YET").await;
    appliance.web.store.row_failed(1, "it is damaged", None).unwrap();
    marks("NOT AT HOSPITAL").await;
    appliance.web.store.retry_row(1, "test").unwrap();
    appliance.web.store.sql("UPDATE outbox SET state = 'acknowledged' WHERE seq = 1");
    for (number, status, mark) in [
        (1, Status::Accepted, "ACCEPTED"),
        (2, Status::Declined, "DECLINED"),
        (3, Status::Completed, "ANSWERED"),
    ] {
        appliance.hub_answers(number, status);
        marks(mark).await;
    }
}

#[tokio::test]
async fn the_study_page_shows_the_answer() {
    let appliance = Site::new();
    appliance.study("B", false);
    appliance.analyse(None);
    assert!(!read(&appliance.get("/study/1").await.text).contains("Referral hospital"));
    appliance.refer_to_hub();
    appliance.study("A", false);
    appliance.analyse(None);
    check(&appliance.get("/study/2").await, 200, "The referral waits to be sent, just now");
    appliance.hub_answers(1, Status::Accepted);
    let expected = "Accepted Dr Mwangi , just now 2026-11-24 00:31 UTC Note Send her &#60;today&#62;. \
                    Please do dexamethasone ; fasting";
    check(&appliance.get("/study/2").await, 200, expected);
    let no = format!("kind=disagree&finding={FINDING}&text=artefact");
    appliance.form("/study/2/decide", &no).await;
    let expected = "The referral was taken back, which the hospital does not know yet";
    check(&appliance.get("/study/2").await, 200, expected);
}

#[tokio::test]
async fn messages_that_were_given_up_are_sent_again_by_a_person() {
    let appliance = Site::new();
    appliance.refer_to_hub();
    appliance.study("A", false);
    appliance.analyse(None);
    appliance.web.store.row_failed(1, "it is damaged", None).unwrap();
    let expected = "Not at the referral hospital 1 referral of study 1 : it is damaged , just now";
    check(&appliance.get("/system").await, 200, expected);
    let lost = "1 message of this study was given up; see the page System.";
    check(&appliance.get("/study/1").await, 200, lost);
    let again = appliance.form("/system/outbox/1", "").await;
    assert_eq!((again.status.as_u16(), again.location()), (303, "/system#unsent"));
    assert!(appliance.web.store.dead_rows(9).unwrap().is_empty());
    let again = appliance.form("/system/outbox/1", "").await;
    let none = "No delivery 1 was given up; it may have been sent again already.";
    refused(&again, 404, none);
    assert!(appliance.audit().contains(&("web: Dr Ó".to_owned(), "hub.retry".to_owned())));
}
