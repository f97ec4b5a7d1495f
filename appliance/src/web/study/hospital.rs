//! What the referral hospital knows of a study, and what it answered.

use super::super::language::{Language, Sentence};
use super::super::worklist::Moment;
use crate::store::outbox::{AnswerView, AtHub, FlagState};

/// What the page shows.
pub(super) struct Hospital {
    pub(super) flag: Sentence,
    pub(super) since: Moment,
    /// Messages that were given up, in words.
    pub(super) lost: Option<Sentence>,
    pub(super) answer: Option<Answer>,
}

/// What the hospital answered.
pub(super) struct Answer {
    pub(super) status: Sentence,
    pub(super) by: String,
    pub(super) at: Moment,
    pub(super) note: String,
    pub(super) actions: Vec<String>,
}

impl Hospital {
    pub(super) fn of(hub: &AtHub, now: i64, words: Language) -> Self {
        let flag = match (hub.flag, hub.asked) {
            (FlagState::Dead, _) => words.say("hospital-dead").with("why", &hub.why),
            (FlagState::Waiting, true) => words.say("hospital-waiting"),
            (FlagState::There, true) => words.say("hospital-there"),
            (FlagState::Waiting, false) => words.say("hospital-withdrawn-waiting"),
            (FlagState::There, false) => words.say("hospital-withdrawn-there"),
        };
        Self {
            flag,
            since: Moment::new(hub.since, now, words),
            lost: (hub.dead > 0).then(|| words.say("hospital-lost").n(hub.dead)),
            answer: hub.answer.as_ref().map(|answer| Answer::of(answer, now, words)),
        }
    }
}

impl Answer {
    fn of(answer: &AnswerView, now: i64, words: Language) -> Self {
        let status = match answer.status.as_str() {
            "accepted" => "hospital-accepted",
            "declined" => "hospital-declined",
            "completed" => "hospital-completed",
            _ => "hospital-received",
        };
        Self {
            status: words.say(status),
            by: answer.by.clone(),
            at: Moment::new(answer.at, now, words),
            note: answer.note.clone(),
            actions: answer.actions.clone(),
        }
    }
}
