//! The figures that show who is left behind, without patients.

use std::fmt::Write as _;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::inbox::site_names;
use super::who::Who;
use super::words::{percent, seconds};
use super::{Error, Frame, Web, html};
use crate::store::quality::{Dimension, Figures, Group, SMALLEST, Share, Spread};

const DAY_MS: i64 = 86_400_000;
/// Periods to choose from, in days.
const PERIODS: [u32; 3] = [30, 90, 365];

#[derive(Template)]
#[template(path = "quality.html")]
struct Page {
    frame: Frame,
    days: u32,
    periods: [u32; 3],
    tables: Vec<TableView>,
    smallest: usize,
}

struct TableView {
    title: &'static str,
    rows: Vec<RowView>,
}

struct RowView {
    name: String,
    /// Nothing where the group is too small.
    cells: Option<Vec<String>>,
}

/// The period that is asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    days: Option<u32>,
}

impl Wanted {
    fn days(&self) -> u32 {
        let days = self.days.unwrap_or(90);
        if PERIODS.contains(&days) { days } else { 90 }
    }
}

/// Shows the figures.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let days = wanted?.0.days();
    let frame = Frame::new(&web, &who, "quality");
    web.blocking(move |web| {
        let groups = read(web, days)?;
        let table = |dimension: Dimension| TableView {
            title: dimension.word(),
            rows: groups.iter().filter(|group| group.dimension == dimension).map(row).collect(),
        };
        let tables = Dimension::ALL.map(table).into();
        html(&Page { frame, days, periods: PERIODS, tables, smallest: SMALLEST })
    })
    .await
}

/// The figures as a table for other programs.
pub(super) async fn csv(
    State(web): State<Web>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let days = wanted?.0.days();
    let groups = web.blocking(move |web| read(web, days)).await?;
    let name = format!("attachment; filename=\"quality-{days}-days.csv\"");
    let headers =
        [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, table(&groups)).into_response())
}

/// The groups, with the names that people know.
fn read(web: &Web, days: u32) -> Result<Vec<Group>, Error> {
    let since_ms = web.now_ms().saturating_sub(i64::from(days) * DAY_MS);
    let (mut groups, sites) = (web.store().quality(since_ms)?, site_names(web)?);
    for group in &mut groups {
        let known = if group.dimension == Dimension::Site { sites.get(&group.name) } else { None };
        if let Some(name) = known {
            group.name.clone_from(name);
        }
        if group.name.is_empty() {
            "not known".clone_into(&mut group.name);
        }
    }
    Ok(groups)
}

fn row(group: &Group) -> RowView {
    let cells = |figures: &Figures| {
        let spread = |spread: Option<Spread>| match spread {
            None => "too few".to_owned(),
            Some(Spread { median_s, p90_s }) => {
                format!("{}, {}", seconds(median_s), seconds(p90_s))
            }
        };
        let share = |share: Option<Share>| match share {
            None => "too few".to_owned(),
            Some(Share { of, value, low, high }) => {
                format!("{} ({} to {}) of {of}", percent(value), percent(low), percent(high))
            }
        };
        vec![
            figures.studies.to_string(),
            spread(figures.result),
            spread(figures.answer),
            share(figures.ppv),
            share(figures.overridden),
            share(figures.no_result),
        ]
    };
    RowView { name: group.name.clone(), cells: group.figures.as_ref().map(cells) }
}

/// Comma-separated values; a field is empty where it rests on too few.
fn table(groups: &[Group]) -> String {
    let mut text = "dimension,group,studies,result_median_s,result_p90_s,answer_median_s,\
                    answer_p90_s,ppv,ppv_low,ppv_high,judged,override_rate,read,no_result_rate\r\n"
        .to_owned();
    for group in groups {
        let mut fields = vec![quoted(group.dimension.word()), quoted(&group.name)];
        match &group.figures {
            None => fields.resize(14, String::new()),
            Some(figures) => {
                fields.push(figures.studies.to_string());
                for spread in [figures.result, figures.answer] {
                    let [median, p90] = spread
                        .map_or([None, None], |spread| [Some(spread.median_s), Some(spread.p90_s)]);
                    fields
                        .extend([median, p90].map(|s| s.map_or(String::new(), |s| s.to_string())));
                }
                fields.extend(shares(figures));
            }
        }
        // Writing to a String cannot fail.
        write!(text, "{}\r\n", fields.join(",")).unwrap_or_default();
    }
    text
}

fn shares(figures: &Figures) -> [String; 7] {
    let number = |share: Option<Share>, of: fn(Share) -> f64| {
        share.map_or(String::new(), |share| format!("{:.4}", of(share)))
    };
    let count = |share: Option<Share>| share.map_or(String::new(), |share| share.of.to_string());
    [
        number(figures.ppv, |share| share.value),
        number(figures.ppv, |share| share.low),
        number(figures.ppv, |share| share.high),
        count(figures.ppv),
        number(figures.overridden, |share| share.value),
        count(figures.overridden),
        number(figures.no_result, |share| share.value),
    ]
}

/// A text that no spreadsheet takes for a formula.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::quality::{Case, report};

    #[test]
    fn a_table_has_every_column_and_no_formula() {
        let case = |vendor: &str| Case {
            of: ["a", "F", "65+", vendor].map(str::to_owned),
            analysed: true,
            result_s: Some(7),
            ..Case::default()
        };
        let mut cases = vec![case("=1+1"); 6];
        cases.push(case("say \"x\""));
        let text = table(&report(&cases, &[]));
        assert!(text.lines().all(|line| line.matches(',').count() == 13), "{text}");
        assert!(text.contains("\"site\",\"a\",7,7,7,,,,,,,,,0.0000\r\n"), "{text}");
        assert!(text.contains("\"scanner\",\"'=1+1\",,"), "{text}");
        assert!(text.contains("\"say \"\"x\"\"\""), "{text}");
    }
}
