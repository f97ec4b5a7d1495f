//! Answers to referrals and commands to boxes, as forms send them.

use exchange::command::{Command, Status};

use super::*;
use crate::store::commands;

impl Hub {
    fn told(&self) -> Vec<Command> {
        let (commands, _) = self.pages.store.write_for_tests(|tx| commands::after(tx, "clinic", 0));
        commands.into_iter().map(|numbered| numbered.command).collect()
    }
}

#[tokio::test]
async fn an_answer_goes_to_the_clinic() {
    let hub = Hub::new();
    let id = hub.flag(&flag("urgent"), 1);
    let path = format!("/referral/{id}/answer");
    let form = "act=accept&version=1&service=neurosurgery&note=send+her%0D%0Atoday\
                &actions=head+up%0D%0A%0D%0Ano+sedation";
    let answer = hub.ask("POST", &path, "specialist", form).await;
    assert_eq!(answer.header("location"), format!("/referral/{id}"), "{}", answer.text());
    let told = hub.told();
    let [Command::Referral(told)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((told.status, told.by.as_str()), (Status::Accepted, "specialist, neurosurgery"));
    assert_eq!((told.note.as_str(), told.actions.len()), ("send her\ntoday", 2));
    let page = hub.page(&format!("/referral/{id}"), Role::Coordinator).await;
    assert!(page.contains("not at the clinic&#39;s box yet"), "{page}");
    assert!(page.contains("accepted, with specialist"), "{page}");
    hub.pages.store.write_for_tests(|tx| commands::acknowledged(tx, "clinic", 1));
    let page = hub.page(&format!("/referral/{id}"), Role::Coordinator).await;
    assert!(page.contains("the clinic&#39;s box has it"), "{page}");
    // Somebody whose page is older.
    let late = hub.ask("POST", &path, "coordinator", "act=decline&version=1&note=no+bed").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert_eq!(hub.told().len(), 1);
}

#[tokio::test]
async fn what_may_not_follow_is_refused_in_words() {
    let hub = Hub::new();
    let id = hub.flag(&flag("urgent"), 1);
    let path = format!("/referral/{id}/answer");
    for (form, status, words) in [
        ("act=decline&version=1", 422, "Say why it is declined"),
        ("act=dance&version=1", 400, "is no answer"),
        ("act=reassign&version=1&assignee=admin", 422, "has no account here"),
        ("act=accept", 400, "cannot be read"),
    ] {
        let answer = hub.ask("POST", &path, "coordinator", form).await;
        assert_eq!(answer.status.as_u16(), status, "{form}: {}", answer.text());
        assert!(answer.text().contains(words), "{form}: {}", answer.text());
    }
    hub.flag(&Flag { asked: false, ..flag("urgent") }, 2);
    let page = hub.page(&format!("/referral/{id}"), Role::Specialist).await;
    assert!(!page.contains("value=\"accept\"") && page.contains("took this back"), "{page}");
    let answer = hub.ask("POST", &path, "specialist", "act=accept&version=2").await;
    assert_eq!(answer.status.as_u16(), 422);
    assert!(hub.told().is_empty());
}

#[tokio::test]
async fn a_coordinator_hands_over_to_a_specialist() {
    let hub = Hub::new();
    let id = hub.flag(&flag("urgent"), 1);
    let form = "act=reassign&version=1&assignee=Specialist&note=yours";
    hub.ask("POST", &format!("/referral/{id}/answer"), "coordinator", form).await;
    let page = hub.page("/", Role::Specialist).await;
    assert!(page.contains("no answer yet, with specialist"), "{page}");
}

#[tokio::test]
async fn an_administrator_commands_boxes() {
    let hub = Hub::new();
    let without = hub.ask("POST", "/sites/clinic", "admin", "action=kill&reason=+").await;
    assert_eq!(without.status.as_u16(), 422);
    let nobody = hub.ask("POST", "/sites/none", "admin", "action=kill&reason=drift").await;
    assert_eq!(nobody.status.as_u16(), 404);
    for form in ["action=kill&reason=drift", "action=release&reason=fixed"] {
        let answer = hub.ask("POST", "/sites/clinic", "admin", form).await;
        assert_eq!(answer.header("location"), "/sites", "{}", answer.text());
    }
    let kill = |on, reason: &str| Command::KillSwitch { on, reason: reason.into() };
    assert_eq!(hub.told(), [kill(true, "drift"), kill(false, "fixed")]);
    hub.ask("POST", "/sites/clinic", "admin", "action=revoke&reason=stolen").await;
    assert!(hub.pages.store.sites().unwrap()[0].revoked_ms.is_some());
    let page = hub.page("/sites", Role::Admin).await;
    assert!(page.contains("Shut out") && !page.contains("Command this box"), "{page}");
    let logged = hub.pages.store.audit_rows(0, 99).unwrap();
    let by_admin = |action: &str| logged.iter().any(|r| r.actor == "admin" && r.action == action);
    assert!(by_admin("site.kill_switch") && by_admin("site.revoke"));
}
