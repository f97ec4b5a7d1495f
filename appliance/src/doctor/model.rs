//! The model that assists, and the clinical tables beside it.

use super::{Check, Facts, SelfTest, good, notice, problem};

/// What follows when a box selects series otherwise than the training of its model did.
pub const SELECTS_OTHERWISE: &str =
    "what the model says of series that training never saw is less sure";

pub(super) fn checks(facts: &Facts) -> impl Iterator<Item = Check> {
    let tables = facts.tables.as_ref().map(|why| {
        problem(
            "clinical tables",
            why,
            "correct the file, or name another one in the settings, table analysis; the appliance \
             does not start until then",
        )
    });
    let selection = facts.selects_otherwise.as_ref().map(|difference| {
        notice(
            "series selection",
            format!("{difference}; {SELECTS_OTHERWISE}"),
            "if that is not meant, leave analysis.series_selection_file empty, or ask for a model \
             that was trained by these rules",
        )
    });
    [Some(model(facts)), tables, selection].into_iter().flatten()
}

fn model(facts: &Facts) -> Check {
    match &facts.model {
        Some((name, SelfTest::Passed)) => good("model", format!("{name}, self-test passed")),
        Some((name, SelfTest::Failed(why))) => problem(
            "model",
            format!("{name} failed its self-test ({why})"),
            "run `appliance model rollback`, and tell the supplier",
        ),
        Some((name, SelfTest::Never)) => notice(
            "model",
            format!("{name}, not self-tested yet"),
            "start the appliance and wait a minute",
        ),
        None => notice(
            "model",
            "no model assists; studies are listed by age",
            "install one with `appliance model install`, then `appliance model promote`",
        ),
    }
}
