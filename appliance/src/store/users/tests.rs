use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;

const HOUR: i64 = 3_600_000;

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Fixture {
    /// With the administrator `Ada`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
        store.add_first_user("Ada", "hash").unwrap();
        Self { _folder: folder, clock, store }
    }

    fn user(&self, name: &str) -> User {
        self.store.account(name).unwrap().unwrap().user
    }

    fn log_in(&self, name: &str, secret: u8) {
        self.store.open_session(&self.user(name), &[secret; 32], 10 * HOUR, "web").unwrap();
    }

    fn holder(&self, secret: u8) -> Option<String> {
        self.store.session(&[secret; 32], HOUR).unwrap().map(|session| session.user.name)
    }

    fn pass(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }
}

#[test]
fn names_differ_in_more_than_case() {
    let box_ = Fixture::new();
    let refused =
        |name: &str| box_.store.add_user(name, Role::Tech, "hash", "test").unwrap_err().to_string();
    assert_eq!(refused("ADA"), "there is a user Ada already");
    for name in ["", "  ", "a:b", "a\nb", &"x".repeat(41)] {
        assert!(refused(name).contains("cannot be a name"), "{name:?}");
    }
    let added = box_.store.add_user(" Désirée Ó ", Role::Tech, "hash", "test").unwrap();
    assert_eq!((added.name.as_str(), added.must_change), ("Désirée Ó", true));
    assert_eq!(box_.user("désirée ó").id, added.id);
}

#[test]
fn only_the_first_user_comes_without_one() {
    let box_ = Fixture::new();
    assert!(!box_.store.has_no_users().unwrap());
    let refused = box_.store.add_first_user("Eve", "hash").unwrap_err();
    assert!(matches!(refused, UserError::NotFirst), "{refused}");
    assert_eq!(box_.store.users().unwrap().len(), 1);
}

#[test]
fn an_administrator_is_always_left() {
    let box_ = Fixture::new();
    let last = "Ada is the only administrator; make another one first";
    assert_eq!(box_.store.set_role("ada", Role::Tech, "test").unwrap_err().to_string(), last);
    assert_eq!(box_.store.set_disabled("ada", true, "test").unwrap_err().to_string(), last);
    assert_eq!(box_.user("ada").role, Role::Admin);
    box_.store.add_user("Bob", Role::Tech, "hash", "test").unwrap();
    box_.store.set_role("Bob", Role::Admin, "test").unwrap();
    box_.store.set_disabled("Ada", true, "test").unwrap();
    assert_eq!(
        box_.store.set_role("Bob", Role::Reader, "test").unwrap_err().to_string(),
        "Bob is the only administrator; make another one first"
    );
}

#[test]
fn a_session_ends_by_time_by_silence_and_by_hand() {
    let box_ = Fixture::new();
    box_.log_in("Ada", 1);
    for _ in 0..10 {
        assert_eq!(box_.holder(1).as_deref(), Some("Ada"));
        box_.pass(59);
    }
    assert_eq!(box_.holder(1).as_deref(), Some("Ada"));
    box_.pass(10);
    assert_eq!(box_.holder(1), None, "ten hours are over");

    box_.log_in("Ada", 2);
    box_.pass(61);
    assert_eq!(box_.holder(2), None, "it was silent for an hour");

    box_.log_in("Ada", 3);
    box_.store.close_session(&[3; 32], "web: Ada").unwrap();
    assert_eq!(box_.holder(3), None);
}

#[test]
fn who_is_kept_out_is_out_at_once() {
    let box_ = Fixture::new();
    let store = &box_.store;
    store.add_user("Bob", Role::Reader, "hash", "test").unwrap();
    box_.log_in("Bob", 1);
    store.add_token("Bob", "viewer", &[2; 32], "test").unwrap();
    let again = store.add_token("Bob", "viewer", &[9; 32], "test").unwrap_err();
    assert_eq!(again.to_string(), "Bob has a token for viewer already; revoke it first");
    box_.pass(100_000);
    assert_eq!(box_.holder(1), None);
    assert_eq!(box_.holder(2).as_deref(), Some("Bob"), "a token lasts");

    box_.log_in("Bob", 3);
    store.set_password("Bob", "other", false, "web: Bob").unwrap();
    assert_eq!((box_.holder(3), box_.holder(2).as_deref()), (None, Some("Bob")));
    store.set_password("Bob", "other", true, "test").unwrap();
    assert_eq!(box_.holder(2), None, "a password for once ends tokens too");

    store.add_token("Bob", "viewer", &[4; 32], "test").unwrap();
    store.set_disabled("Bob", true, "test").unwrap();
    assert_eq!(box_.holder(4), None);
    store.set_disabled("Bob", false, "test").unwrap();
    assert_eq!(box_.holder(4), None, "what was ended stays so");
}

#[test]
fn tokens_are_listed_and_revoked() {
    let box_ = Fixture::new();
    let store = &box_.store;
    store.add_token("Ada", "viewer", &[1; 32], "test").unwrap();
    let programs = |store: &Store| -> Vec<String> {
        store.tokens().unwrap().into_iter().map(|token| token.program).collect()
    };
    assert_eq!(programs(store), ["viewer"]);
    let unknown = store.revoke_token("Ada", "", "test").unwrap_err();
    assert_eq!(unknown.to_string(), "Ada has no token for \"\"");
    store.revoke_token("Ada", "viewer", "test").unwrap();
    assert_eq!((programs(store), box_.holder(1)), (Vec::new(), None));
}
