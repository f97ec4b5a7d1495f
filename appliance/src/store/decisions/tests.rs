//! Decisions: what each does to the study, in every order, and what is left of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Decision, DecisionError, recompute, recompute_open};
use crate::clock::ManualClock;
use crate::store::Store;
use crate::store::instances::{Arrival, SeriesFacts, StudyFacts};
use crate::triage::Acuity;
use crate::worklist::AgeCaps;

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    images: std::cell::Cell<u32>,
}

impl Fixture {
    /// With study 1, of which one image has arrived, and the models `m` that assists and `n`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let store = Store::open(&folder.path().join("test.sqlite"), clock.clone()).unwrap();
        let new = Self { _folder: folder, clock, store, images: 0.into() };
        new.image(1);
        new.sql(
            "INSERT INTO model (digest, name, folder, mode, installed_at)
             VALUES ('m', 'm', '', 'assist', 0), ('n', 'n', '', 'off', 0)",
        );
        new
    }

    fn sql(&self, sql: &str) {
        self.store.write(|tx| Ok(tx.execute_batch(sql)?)).unwrap();
    }

    /// A second later an image arrives.
    fn image(&self, study: i64) {
        self.clock.advance(SECOND);
        self.images.set(self.images.get() + 1);
        let arrival = Arrival {
            study: StudyFacts { uid: format!("1.{study}"), ..Default::default() },
            series: SeriesFacts { uid: format!("1.{study}.1"), ..Default::default() },
            sop_uid: format!("1.9.{}", self.images.get()),
            ..Default::default()
        };
        self.store.index(arrival).unwrap();
        self.recompute(study);
    }

    fn recompute(&self, study: i64) {
        self.store.write(|tx| recompute(tx, study, 0)).unwrap();
    }

    /// A second later a result is there: `-` for not analysed.
    fn result(&self, study: i64, generation: i64, model: &str, acuity: &str, labels: &[&str]) {
        self.clock.advance(SECOND);
        let findings: Vec<_> = labels
            .iter()
            .map(|label| {
                serde_json::json!({ "label": label, "name": label, "margin": 1.0,
                                    "probability": null, "acuity": "low" })
            })
            .collect();
        let analysed = Acuity::from_word(acuity);
        let assessment = analysed.map(|acuity| {
            serde_json::json!({
                "acuity": acuity, "acuity_from": [], "findings": findings, "referrals": [],
                "rules_version": "1", "rules_approver": "", "rules_sha256": "",
            })
            .to_string()
        });
        self.store
            .write(|tx| {
                tx.execute(
                    "INSERT INTO inference (study_id, generation, model_digest, mode, outcome,
                                            reason, acuity, partial, finished_at, assessment)
                     VALUES (?, ?, ?, 'assist', ?, ?, ?, 0, ?, ?)",
                    (
                        study,
                        generation,
                        model,
                        if analysed.is_some() { "analysed" } else { "not_analysed" },
                        if analysed.is_some() { "" } else { "no usable series" },
                        analysed.map(Acuity::word),
                        self.store.clock().now(),
                        assessment,
                    ),
                )?;
                recompute(tx, study, 0)
            })
            .unwrap();
    }

    /// A second later a reader decides.
    fn decide(&self, decision: &Decision) -> i64 {
        self.clock.advance(SECOND);
        self.store.decide(1, decision, "Dr. A").unwrap()
    }

    fn undo(&self, decision: i64) {
        self.clock.advance(SECOND);
        assert_eq!(self.store.undo(decision, "Dr. B").unwrap(), 1);
    }

    /// Queue, acuity, acuity of the model and of a reader, reason of not being analysed.
    #[track_caller]
    fn check(&self, expected: &str) {
        let row = self.store.worklist_row(1, &AgeCaps::default()).unwrap().unwrap();
        let word = |acuity: Option<Acuity>| acuity.map_or("-", Acuity::word);
        let found = format!(
            "{} {} model {} reader {}{}",
            row.queue,
            word(row.acuity),
            word(row.model_acuity),
            word(row.overridden_acuity),
            row.not_analysed.map(|why| format!(": {why}")).unwrap_or_default(),
        );
        assert_eq!(found, expected);
        assert_eq!(row.done_at.is_some(), row.queue.word() == "done");
    }
}

fn set(acuity: Acuity) -> Decision {
    Decision::Reprioritise { acuity, reason: "seen".to_owned() }
}

fn agree(finding: &str) -> Decision {
    Decision::Agree { finding: finding.to_owned() }
}

fn disagree(finding: &str) -> Decision {
    Decision::Disagree { finding: finding.to_owned(), reason: "artefact".to_owned() }
}

#[test]
fn a_result_puts_a_study_into_its_queue() {
    let check = |acuity, expected| {
        let b = Fixture::new();
        b.check("review - model - reader -");
        b.result(1, 1, "m", acuity, &[]);
        b.check(expected);
    };
    check("high", "urgent high model high reader -");
    check("medium", "review medium model medium reader -");
    check("low", "review low model low reader -");
    check("none", "review none model none reader -");
    check("-", "not_analysed - model - reader -: no usable series");
}

#[test]
fn the_latest_generation_is_shown() {
    let b = Fixture::new();
    b.result(1, 2, "m", "low", &[]);
    b.check("review low model low reader -");
    // Whatever comes late of an earlier one.
    b.result(1, 1, "m", "high", &[]);
    b.check("review low model low reader -");
    b.result(1, 3, "n", "medium", &[]);
    b.check("review medium model medium reader -");
}

#[test]
fn a_failed_analysis_takes_nothing_out_of_urgent() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &[]);
    b.result(1, 2, "m", "-", &[]);
    b.check("urgent high model - reader -: no usable series");
    let b = Fixture::new();
    b.result(1, 1, "m", "low", &[]);
    b.result(1, 2, "m", "-", &[]);
    b.check("not_analysed - model - reader -: no usable series");
}

#[test]
fn the_assisting_model_is_shown() {
    let b = Fixture::new();
    b.result(1, 1, "m", "low", &[]);
    b.result(1, 1, "n", "high", &[]);
    b.result(1, 1, "", "-", &[]);
    b.check("review low model low reader -");
    let switch = |sql: &str, expected: &str| {
        b.sql(sql);
        b.store.write(|tx| recompute_open(tx, 0)).unwrap();
        b.check(expected);
    };
    switch(
        "UPDATE model SET mode = 'off'; UPDATE model SET mode = 'assist' WHERE digest = 'n'",
        "urgent high model high reader -",
    );
    // A killed model said nothing, and an older one's word does not stand in for it.
    let nothing = "not_analysed - model - reader -: no usable series";
    switch("UPDATE model SET killed_at = 1 WHERE digest = 'n'", nothing);
    switch("UPDATE model SET killed_at = 1 WHERE digest = 'm'", nothing);
    switch("UPDATE model SET killed_at = NULL", "urgent high model high reader -");
    // What a shadow said is shown only once its model assists.
    switch(
        "UPDATE inference SET mode = 'shadow' WHERE model_digest = 'n'",
        "urgent high model high reader -",
    );
    // The study's page and the interface have what the list says.
    let seen = |digest: &str| {
        let results = b.store.study_view(1).unwrap().unwrap().results;
        let result = results.iter().find(|result| result.model_digest == digest)?;
        b.store.stored_result(1, result.id).unwrap().map(|stored| stored.view.id)
    };
    assert!(seen("n").is_some());
    switch("UPDATE model SET mode = 'shadow'", nothing);
    assert_eq!(seen("n"), None);
}

#[test]
fn the_present_context_is_shown() {
    let b = Fixture::new();
    b.result(1, 1, "m", "low", &[]);
    b.sql(
        "INSERT INTO inference (study_id, generation, model_digest, context, mode, outcome, acuity,
                                partial, finished_at)
         VALUES (1, 1, 'm', 'headache', 'assist', 'analysed', 'medium', 0, 0),
                (1, 1, 'm', 'coma', 'assist', 'analysed', 'high', 0, 0)",
    );
    let check = |context: &str, expected: &str| {
        b.sql(&format!("UPDATE study SET {context}"));
        b.recompute(1);
        b.check(expected);
    };
    check("typed_context = 'headache'", "review medium model medium reader -");
    check("typed_context = 'coma'", "urgent high model high reader -");
    check("typed_context = ''", "review low model low reader -");
    check("typed_context = NULL, reason = 'headache'", "review medium model medium reader -");
}

#[test]
fn a_readers_acuity_replaces_the_models_until_it_is_undone() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &[]);
    let low = b.decide(&set(Acuity::Low));
    b.check("review low model high reader low");
    let none = b.decide(&set(Acuity::None));
    b.check("review none model high reader none");
    b.undo(low);
    b.check("review none model high reader none");
    b.undo(none);
    b.check("urgent high model high reader -");

    let b = Fixture::new();
    b.result(1, 1, "m", "-", &[]);
    b.decide(&set(Acuity::None));
    b.check("review none model - reader none: no usable series");
    b.decide(&set(Acuity::High));
    b.check("urgent high model - reader high: no usable series");
}

#[test]
fn later_images_raise_a_readers_acuity_and_never_lower_it() {
    let check = |reader, model, expected: &str| {
        let b = Fixture::new();
        b.result(1, 1, "m", "medium", &[]);
        b.decide(&set(reader));
        b.image(1);
        b.result(1, 2, "m", model, &[]);
        b.check(expected);
        // Another look at the new images settles it.
        b.decide(&set(Acuity::Low));
        b.check(&format!("review low model {model} reader low"));
    };
    check(Acuity::None, "high", "urgent high model high reader none");
    check(Acuity::High, "none", "urgent high model none reader high");
    check(Acuity::Low, "low", "review low model low reader low");
}

#[test]
fn done_lasts_until_it_is_undone_or_images_arrive() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &[]);
    let done = b.decide(&Decision::Done);
    b.check("done high model high reader -");
    let reopened = b.decide(&Decision::Reopen { reason: String::new() });
    b.check("urgent high model high reader -");
    b.undo(reopened);
    b.check("done high model high reader -");
    b.undo(done);
    b.check("urgent high model high reader -");

    b.decide(&Decision::Done);
    // A result for the same images does not call the reader back; new images do.
    b.result(1, 1, "n", "high", &[]);
    b.check("done high model high reader -");
    b.image(1);
    b.check("urgent high model high reader -");
    b.result(1, 2, "m", "low", &[]);
    b.check("review low model low reader -");
}

#[test]
fn deciding_about_a_finding_moves_nothing() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &["edema"]);
    b.decide(&disagree("edema"));
    b.check("urgent high model high reader -");
}

#[test]
fn a_second_tap_is_not_a_second_decision() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &["edema", "cyst"]);
    let again = |decision: &Decision| {
        let first = b.decide(decision);
        assert_eq!(b.decide(decision), first, "{decision:?}");
        first
    };
    let agreed = again(&agree("edema"));
    assert_ne!(again(&agree("cyst")), agreed);
    assert_ne!(again(&disagree("edema")), agreed);
    assert_ne!(again(&agree("edema")), agreed);
    again(&set(Acuity::Low));
    again(&set(Acuity::None));
    let done = again(&Decision::Done);
    // After new images it says something new.
    b.image(1);
    assert_ne!(again(&Decision::Done), done);
    assert_eq!(b.store.decisions(1).unwrap().len(), 8);
}

#[test]
fn refusals_say_why_and_write_nothing() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &["edema"]);
    let undone = b.decide(&Decision::Done);
    b.undo(undone);
    let before = (b.store.decisions(1).unwrap(), b.store.audit_rows(0, 100).unwrap());
    let check = |result: Result<i64, DecisionError>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
        let after = (b.store.decisions(1).unwrap(), b.store.audit_rows(0, 100).unwrap());
        assert_eq!(after, before, "{expected}");
    };
    let decide = |study, decision| b.store.decide(study, &decision, "Dr. A");
    check(decide(7, Decision::Done), "there is no study 7");
    check(
        decide(1, agree("cyst")),
        "the result shown for study 1 has no finding \"cyst\"; load the page again",
    );
    check(
        decide(1, agree("")),
        "the result shown for study 1 has no finding \"\"; load the page again",
    );
    let disagree = |reason: String| Decision::Disagree { finding: "edema".to_owned(), reason };
    check(decide(1, disagree(" \n".to_owned())), "give a reason in one or a few words");
    check(
        decide(1, Decision::Reprioritise { acuity: Acuity::Low, reason: String::new() }),
        "give a reason in one or a few words",
    );
    check(decide(1, disagree("ä".repeat(501))), "the reason has 501 characters; 500 are the most");
    check(b.store.undo(99, "Dr. A"), "there is no decision 99");
    check(b.store.undo(undone, "Dr. A"), &format!("decision {undone} is undone already"));
    assert!(decide(1, disagree("ä".repeat(500))).is_ok());
}

#[test]
fn every_decision_is_in_the_audit_log_and_in_the_list() {
    let b = Fixture::new();
    b.result(1, 1, "m", "high", &["edema"]);
    for decision in [agree("edema"), disagree("edema"), set(Acuity::Low), Decision::Done] {
        b.decide(&decision);
    }
    let last = b.decide(&Decision::Reopen { reason: " call ".to_owned() });
    b.undo(last);
    let log: Vec<String> = b
        .store
        .audit_rows(0, 100)
        .unwrap()
        .iter()
        .map(|r| format!("{} {} {} {}", r.actor, r.action, r.object, r.detail))
        .collect();
    assert_eq!(
        log,
        [
            r#"Dr. A decision.agree study 1 {"decision":1,"made":{"finding":"edema","kind":"agree"}}"#,
            r#"Dr. A decision.disagree study 1 {"decision":2,"made":{"finding":"edema","kind":"disagree","reason":"artefact"}}"#,
            r#"Dr. A decision.reprioritise study 1 {"decision":3,"made":{"acuity":"low","kind":"reprioritise","reason":"seen"}}"#,
            r#"Dr. A study.done study 1 {"decision":4,"made":{"kind":"done"}}"#,
            r#"Dr. A study.reopen study 1 {"decision":5,"made":{"kind":"reopen","reason":" call "}}"#,
            r#"Dr. B decision.undo study 1 {"decision":5}"#,
        ]
    );
    assert_eq!(b.store.verify_audit().unwrap().first_bad, None);
    let list: Vec<String> = b
        .store
        .decisions(1)
        .unwrap()
        .iter()
        .map(|d| format!("{} {}{:?} {} {:?}", d.kind, d.finding, d.acuity, d.reason, d.undone_by))
        .collect();
    assert_eq!(
        list,
        [
            "agree edemaNone  None",
            "disagree edemaNone artefact None",
            "reprioritise Some(Low) seen None",
            "done None  None",
            "reopen None call Some(\"Dr. B\")",
        ]
    );
}

#[test]
fn statistics_count_the_latest_decision_in_force() {
    let b = Fixture::new();
    for study in 1..=6 {
        b.image(study);
        let model = if study == 6 { "n" } else { "m" };
        b.result(study, 1, model, "high", if study == 5 { &["cyst"] } else { &["edema"] });
    }
    let decide = |study, decision: Decision| {
        b.clock.advance(SECOND);
        b.store.decide(study, &decision, "Dr. A").unwrap()
    };
    let check = |model: &str, expected: &str| {
        let found: Vec<String> = b
            .store
            .finding_statistics(model, &["cyst", "edema", "none has it"])
            .unwrap()
            .iter()
            .map(|s| {
                let ppv = s.ppv.map_or("-".to_owned(), |p| format!("{p:.2}"));
                let rate = s.override_rate.map_or("-".to_owned(), |r| format!("{r:.2}"));
                format!(
                    "{} shown {} +{} -{} ppv {ppv} overridden {}/{} {rate}",
                    s.label, s.shown, s.agreed, s.disagreed, s.overridden, s.reviewed
                )
            })
            .collect();
        assert_eq!(found.join("; "), expected);
    };
    check(
        "m",
        "cyst shown 1 +0 -0 ppv - overridden 0/0 -; edema shown 4 +0 -0 ppv - overridden 0/0 -",
    );
    decide(1, agree("edema"));
    decide(2, agree("edema"));
    let second = decide(2, disagree("edema"));
    decide(3, set(Acuity::High));
    decide(4, set(Acuity::Low));
    decide(5, Decision::Done);
    decide(6, disagree("edema"));
    check(
        "m",
        "cyst shown 1 +0 -0 ppv - overridden 0/1 0.00; \
         edema shown 4 +1 -1 ppv 0.50 overridden 2/4 0.50",
    );
    check("n", "edema shown 1 +0 -1 ppv 0.00 overridden 1/1 1.00");
    check("o", "");
    b.store.undo(second, "Dr. A").unwrap();
    check(
        "m",
        "cyst shown 1 +0 -0 ppv - overridden 0/1 0.00; \
         edema shown 4 +2 -0 ppv 1.00 overridden 1/4 0.25",
    );
}
