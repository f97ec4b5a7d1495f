//! The forms of the study page. Each ends by showing the page again.

use axum::Form;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;

use crate::store::decisions::Decision;
use crate::triage::Acuity;
use crate::web::language::Language;
use crate::web::who::Who;
use crate::web::{Error, Web};

/// Longest clinical context, in characters.
pub(super) const MAX_CONTEXT: usize = 4000;

/// Fields of every form that decides; each form has some of them.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Typed {
    kind: String,
    #[serde(default)]
    finding: String,
    #[serde(default)]
    acuity: String,
    /// Picked from the list.
    #[serde(default)]
    choice: String,
    /// Typed.
    #[serde(default)]
    text: String,
}

impl Typed {
    fn decision(self) -> Result<Decision, Error> {
        let Self { kind, finding, acuity, choice, text } = self;
        let reason = match (choice.trim(), text.trim()) {
            (one, "") | ("", one) => one.to_owned(),
            (choice, text) => format!("{choice}: {text}"),
        };
        Ok(match kind.as_str() {
            "agree" => Decision::Agree { finding },
            "disagree" => Decision::Disagree { finding, reason },
            "reprioritise" => {
                let acuity = Acuity::from_word(&acuity)
                    .ok_or_else(|| Error::Refused(Language::En.say("error-choose-acuity")))?;
                Decision::Reprioritise { acuity, reason }
            }
            "done" => Decision::Done,
            "reopen" => Decision::Reopen { reason },
            other => {
                let said = Language::En.say("error-no-decision-kind");
                return Err(Error::Refused(said.with("kind", format!("{other:?}"))));
            }
        })
    }
}

/// Takes a decision.
pub(in crate::web) async fn decide(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Typed>, FormRejection>,
) -> Result<Redirect, Error> {
    let (Path(id), Form(typed)) = (id?, form?);
    let decision = typed.decision()?;
    web.store(move |web| Ok(web.store.decide(id, &decision, &who.actor())?)).await?;
    Ok(Redirect::to(&format!("/study/{id}")))
}

/// Which decision.
#[derive(Deserialize)]
pub(in crate::web) struct Undo {
    decision: i64,
}

/// Takes a decision back.
pub(in crate::web) async fn undo(
    State(web): State<Web>,
    who: Who,
    form: Result<Form<Undo>, FormRejection>,
) -> Result<Redirect, Error> {
    let Form(Undo { decision }) = form?;
    let id = web.store(move |web| Ok(web.store.undo(decision, &who.actor())?)).await?;
    Ok(Redirect::to(&format!("/study/{id}")))
}

/// The clinical context as typed, or the wish to go back to the scanner's.
#[derive(Deserialize)]
pub(in crate::web) struct Context {
    #[serde(default)]
    context: String,
    #[serde(default)]
    from_scanner: bool,
}

/// Sets the clinical context.
pub(in crate::web) async fn context(
    State(web): State<Web>,
    who: Who,
    id: Result<Path<i64>, PathRejection>,
    form: Result<Form<Context>, FormRejection>,
) -> Result<Redirect, Error> {
    let (Path(id), Form(Context { context, from_scanner })) = (id?, form?);
    set_context(&web, id, (!from_scanner).then_some(context), &who).await?;
    Ok(Redirect::to(&format!("/study/{id}#context")))
}

/// Stores a context and has the study scored again; `None` goes back to the scanner's.
pub(in crate::web) async fn set_context(
    web: &Web,
    id: i64,
    typed: Option<String>,
    who: &Who,
) -> Result<(), Error> {
    // Browsers send line ends as CR LF (HTML, "constructing the entry list").
    let typed = typed.map(|text| text.replace("\r\n", "\n").trim().to_owned());
    let length = typed.as_ref().map_or(0, |text| text.chars().count());
    if length > MAX_CONTEXT {
        let said = Language::En.say("error-context-long").n(length);
        return Err(Error::Refused(said.with("most", MAX_CONTEXT)));
    }
    let actor = who.actor();
    let known =
        web.store(move |web| Ok(web.store.set_context(id, typed.as_deref(), &actor)?)).await?;
    if !known {
        return Err(Error::NoStudy(id));
    }
    web.poke();
    Ok(())
}
