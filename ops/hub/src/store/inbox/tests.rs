//! The order of the inbox, its filters and its pages.

use exchange::flag::Flag;

use super::*;
use crate::clock::Clock as _;
use crate::store::referrals::apply_flag;
use crate::store::referrals::tests::flag;
use crate::store::testing::store;

#[test]
fn the_inbox_is_sorted_and_filtered() {
    let (store, clock) = store();
    for (study, site, urgency) in
        [("1", "a", "soon"), ("2", "b", "emergency"), ("3", "a", "emergency"), ("4", "a", "new!")]
    {
        let mut flag = flag(urgency);
        flag.study.uid = study.to_owned();
        store.write(|tx| apply_flag(tx, site, &flag, ("e", 1), clock.now_ms())).unwrap();
        clock.forward(1000);
    }
    let studies = |filter: &Filter, limit| {
        let rows = store.inbox(filter, limit, None).unwrap();
        rows.into_iter().map(|referral| referral.study).collect::<Vec<_>>()
    };
    assert_eq!(studies(&Filter::default(), 9), ["2", "3", "4", "1"]);
    assert_eq!(studies(&Filter::default(), 2), ["2", "3"]);
    let site = Filter { site: "b".into(), ..Filter::default() };
    assert_eq!(studies(&site, 9), ["2"]);
    let service = |service: &str| Filter {
        service: service.to_owned(),
        site: "a".into(),
        ..Filter::default()
    };
    assert_eq!(studies(&service("neurosurgery"), 9), ["3", "4", "1"]);
    assert!(studies(&service("cardiology"), 9).is_empty());
    assert_eq!(store.services().unwrap(), ["neurology", "neurosurgery"]);
    let counts = store.open_counts().unwrap();
    assert_eq!(counts.iter().map(|(_, _, n)| n).sum::<i64>(), 4);
}

#[test]
fn pages_of_the_inbox_leave_nothing_out_and_nothing_twice() {
    let (store, clock) = store();
    for n in 0..40 {
        let mut flag = flag(["soon", "emergency", "routine"][n % 3]);
        flag.study.uid = n.to_string();
        let taken_back = Flag { asked: n % 5 > 0, ..flag.clone() };
        let now_ms = clock.now_ms();
        store.write(|tx| apply_flag(tx, "a", &flag, ("e", 1), now_ms)).unwrap();
        store.write(|tx| apply_flag(tx, "a", &taken_back, ("e", 2), now_ms)).unwrap();
        // Some came in the same moment.
        clock.forward(i64::from(n % 4 == 0));
    }
    for state in [State::Open, State::Withdrawn, State::All] {
        let filter = Filter { state, ..Filter::default() };
        let whole = store.inbox(&filter, 99, None).unwrap();
        let order = |r: &Referral| (std::cmp::Reverse(r.urgency), r.asked_ms, r.id.clone());
        assert!(whole.is_sorted_by_key(order));
        assert_eq!(store.inbox_count(&filter, 99).unwrap(), whole.len() as i64);
        assert_eq!(store.inbox_count(&filter, 3).unwrap(), 3);
        let mut pages: Vec<Referral> = Vec::new();
        loop {
            let after = pages.last().map(Place::from);
            let page = store.inbox(&filter, 7, after.as_ref()).unwrap();
            if page.is_empty() {
                break;
            }
            pages.extend(page);
        }
        assert_eq!(pages, whole, "{state:?}");
    }
}
