//! Errors as a page says them. Their own text stays English, for the log and for programs; the
//! messages of `languages/en.ftl` are the same texts, which a test compares.

use axum::http::StatusCode;
use firmware_config::trial::ConfirmError;

use super::Error;
use crate::accounts::{AccountError, MAX_PASSWORD, MIN_PASSWORD, Right};
use crate::slices::{MOST_VOX, SliceError, VolumeError};
use crate::store::decisions::{DecisionError, MAX_REASON};
use crate::store::models::ModelSwitchError;
use crate::store::quality::alarms::AlarmError;
use crate::store::users::{MAX_NAME, UserError};
use crate::web::language::{Language, Sentence};

/// In English, to be translated; nothing for texts that come from elsewhere and for failures
/// inside, of which a page says no detail.
pub(super) fn said(error: &Error) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        Error::NoPage(page) => say("error-no-page").with("page", page),
        Error::NoStudy(study) => say("error-no-study").with("study", study),
        Error::NoPicture(study) => say("error-no-picture").with("study", study),
        Error::NoSeries { study_id, series_id } => {
            say("error-no-series").with("study", study_id).with("series", series_id)
        }
        Error::NoSlice { slice, count } => {
            say("error-no-slice").with("slice", slice).with("count", count)
        }
        Error::NoVolume { volume, count } => {
            say("error-no-volume").with("volume", volume).with("count", count)
        }
        Error::SeriesChanged => say("error-series-changed"),
        Error::Evicted(study) => say("error-evicted").with("study", study),
        Error::Slice(error) => return slice(error),
        Error::Volume(error) => return volume(error),
        Error::NoDelivery(delivery) => say("error-no-delivery").with("delivery", delivery),
        Error::NoResult { study_id, inference_id } => {
            say("error-no-result").with("study", study_id).with("result", inference_id)
        }
        Error::Method => say("error-method"),
        Error::Host(host) => say("error-host").with("host", format!("{host:?}")),
        Error::Origin => say("error-origin"),
        Error::LogIn => say("error-log-in"),
        Error::NewPassword => say("error-new-password"),
        Error::Role { role, right } => {
            say("error-role").with("role", role).message("right", self::right(*right))
        }
        Error::Wait { seconds } => say("error-wait").n(*seconds),
        Error::SetupCode => say("error-setup-code"),
        Error::Refused(said) => said.clone(),
        Error::Account(error) => return account(error),
        Error::Users(error) => return users(error),
        Error::Decision(error) => return decision(error),
        Error::Model(error) => return model(error),
        Error::Confirm(error) => return confirm(error),
        Error::Alarm(error) => return alarm(error),
        Error::Request(_)
        | Error::Dicom(_)
        | Error::Streams
        | Error::Store(_)
        | Error::Stored(_)
        | Error::Template(_)
        | Error::Panic(_) => return None,
    })
}

/// What a role does not include, in words that follow "may not".
fn right(right: Right) -> &'static str {
    match right {
        Right::Operate => "right-operate",
        Right::Patients => "right-patients",
        Right::Decide => "right-decide",
        Right::Models => "right-models",
        Right::Reference => "right-reference",
        Right::Users => "right-users",
        Right::Settings => "right-settings",
    }
}

fn slice(error: &SliceError) -> Option<Sentence> {
    match error {
        SliceError::Unreadable(why) => Some(Language::En.say("error-slice").with("why", why)),
        SliceError::Encode(_) | SliceError::Panic(_) => None,
    }
}

fn volume(error: &VolumeError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        VolumeError::Places => say("error-volume-places"),
        VolumeError::OneSlice => say("error-volume-one"),
        VolumeError::Uneven { off_mm } => say("error-volume-uneven").with("off", off_mm),
        VolumeError::TooLarge { size } => {
            say("error-volume-large").with("size", size).with("most", MOST_VOX)
        }
        VolumeError::Colour => say("error-volume-colour"),
        VolumeError::Slice(error) => return slice(error),
        VolumeError::Compress(_) => return None,
    })
}

fn account(error: &AccountError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        AccountError::Short(n) => say("error-password-short").n(*n).with("least", MIN_PASSWORD),
        AccountError::Long(n) => say("error-password-long").n(*n).with("most", MAX_PASSWORD),
        AccountError::Name => say("error-password-name"),
        AccountError::System(_) => return None,
    })
}

fn users(error: &UserError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        UserError::Name { name } => {
            say("error-user-name").with("name", format!("{name:?}")).with("most", MAX_NAME)
        }
        UserError::Exists { name } => say("error-user-exists").with("name", name),
        UserError::Unknown { name } => say("error-no-user").with("name", format!("{name:?}")),
        UserError::LastAdmin { name } => say("error-last-admin").with("name", name),
        UserError::NotFirst => say("error-not-first"),
        UserError::TokenExists { user, program } => {
            say("error-token-exists").with("name", user).with("program", program)
        }
        UserError::NoToken { user, program } => {
            say("error-no-token").with("name", user).with("program", format!("{program:?}"))
        }
        UserError::Store(_) => return None,
    })
}

fn decision(error: &DecisionError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        DecisionError::NoStudy(study) => say("error-no-study").with("study", study),
        DecisionError::NoDecision(id) => say("error-no-decision").with("decision", id),
        DecisionError::AlreadyUndone(id) => say("error-already-undone").with("decision", id),
        DecisionError::NoFinding { study_id, finding } => {
            let finding = format!("{finding:?}");
            say("error-no-finding").with("study", study_id).with("finding", finding)
        }
        DecisionError::NoReason => say("error-no-reason"),
        DecisionError::LongReason(n) => say("error-reason-long").n(*n).with("most", MAX_REASON),
        DecisionError::Store(_) => return None,
    })
}

fn model(error: &ModelSwitchError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        ModelSwitchError::Unknown { name } => {
            say("error-no-such-model").with("name", format!("{name:?}"))
        }
        ModelSwitchError::Ambiguous { name, count } => {
            say("error-ambiguous-model").with("name", format!("{name:?}")).with("count", count)
        }
        ModelSwitchError::Killed { name } => say("error-killed").with("name", name),
        ModelSwitchError::NoEarlier => say("error-no-earlier"),
        ModelSwitchError::Store(_) => return None,
    })
}

fn confirm(error: &ConfirmError) -> Option<Sentence> {
    match error {
        ConfirmError::Nothing => Some(Language::En.say("error-no-trial")),
        ConfirmError::Late { why } => Some(Language::En.say("error-trial-late").with("why", why)),
        ConfirmError::Disk { .. } => None,
    }
}

fn alarm(error: &AlarmError) -> Option<Sentence> {
    let say = |key: &'static str| Language::En.say(key);
    Some(match error {
        AlarmError::NoAlarm(id) => say("error-no-alarm").with("alarm", id),
        AlarmError::NoScanner(id) => say("error-no-scanner").with("scanner", id),
        AlarmError::NoReason => say("error-no-reason"),
        AlarmError::LongReason(n) => say("error-reason-long").n(*n).with("most", MAX_REASON),
        AlarmError::Store(_) => return None,
    })
}

/// The key of what a status is called.
pub(super) fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "title-400",
        401 => "title-401",
        403 => "title-403",
        404 => "title-404",
        405 => "title-405",
        409 => "title-409",
        410 => "title-410",
        421 => "title-421",
        422 => "title-422",
        429 => "title-429",
        503 => "title-503",
        507 => "title-507",
        _ => "title-500",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::error::INTERNAL;

    #[test]
    fn english_pages_say_what_the_log_says() {
        let text = || "x \"y\"".to_owned();
        let errors = [
            Error::NoPage(text()),
            Error::NoStudy(1),
            Error::NoPicture(1),
            Error::NoSeries { study_id: 1, series_id: 2 },
            Error::NoSlice { slice: 3, count: 2 },
            Error::NoVolume { volume: 3, count: 2 },
            Error::Volume(VolumeError::Places),
            Error::Volume(VolumeError::OneSlice),
            Error::Volume(VolumeError::Uneven { off_mm: "18.7".to_owned() }),
            Error::Volume(VolumeError::TooLarge { size: text() }),
            Error::Volume(VolumeError::Colour),
            Error::SeriesChanged,
            Error::Evicted(1),
            Error::NoDelivery(1),
            Error::NoResult { study_id: 1, inference_id: 2 },
            Error::Method,
            Error::Host(text()),
            Error::Origin,
            Error::LogIn,
            Error::NewPassword,
            Error::Role { role: "tech", right: Right::Models },
            Error::Wait { seconds: 1 },
            Error::Wait { seconds: 2 },
            Error::SetupCode,
            Error::Slice(SliceError::Unreadable(models::study::LeftOutReason::Encrypted)),
            Error::Account(AccountError::Short(1)),
            Error::Account(AccountError::Long(1)),
            Error::Account(AccountError::Name),
            Error::Users(UserError::Name { name: text() }),
            Error::Users(UserError::Exists { name: text() }),
            Error::Users(UserError::Unknown { name: text() }),
            Error::Users(UserError::LastAdmin { name: text() }),
            Error::Users(UserError::NotFirst),
            Error::Users(UserError::TokenExists { user: text(), program: text() }),
            Error::Users(UserError::NoToken { user: text(), program: text() }),
            Error::Decision(DecisionError::NoStudy(1)),
            Error::Decision(DecisionError::NoDecision(1)),
            Error::Decision(DecisionError::AlreadyUndone(1)),
            Error::Decision(DecisionError::NoFinding { study_id: 1, finding: text() }),
            Error::Decision(DecisionError::NoReason),
            Error::Decision(DecisionError::LongReason(1)),
            Error::Model(ModelSwitchError::Unknown { name: text() }),
            Error::Model(ModelSwitchError::Ambiguous { name: text(), count: 2 }),
            Error::Model(ModelSwitchError::Killed { name: text() }),
            Error::Model(ModelSwitchError::NoEarlier),
            Error::Confirm(ConfirmError::Nothing),
            Error::Confirm(ConfirmError::Late { why: text() }),
            Error::Alarm(AlarmError::NoAlarm(1)),
            Error::Alarm(AlarmError::NoScanner(1)),
            Error::Alarm(AlarmError::NoReason),
            Error::Alarm(AlarmError::LongReason(1)),
        ];
        for error in errors {
            let in_english = said(&error).unwrap();
            assert_eq!(in_english.to_string(), error.to_string());
            let in_french = in_english.clone().translated(Language::Fr);
            assert_ne!(in_french.to_string(), in_english.to_string());
        }
        assert_eq!(Language::En.say("error-internal").to_string(), INTERNAL);
    }

    #[test]
    fn rights_are_named_as_elsewhere() {
        for right in [
            Right::Operate,
            Right::Patients,
            Right::Decide,
            Right::Models,
            Right::Reference,
            Right::Users,
            Right::Settings,
        ] {
            assert_eq!(Language::En.say(super::right(right)).to_string(), right.words());
        }
    }

    #[test]
    fn statuses_are_called_as_in_http() {
        for code in [400, 401, 403, 404, 405, 409, 410, 421, 422, 429, 500, 503, 507] {
            let status = StatusCode::from_u16(code).unwrap();
            let said = Language::En.say(title(status)).to_string();
            assert_eq!(Some(said.as_str()), status.canonical_reason());
        }
    }
}
