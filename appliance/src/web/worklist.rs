//! The worklist: did it arrive, and is it urgent.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use super::language::{Language, Sentence};
use super::who::Who;
use super::words::{self, Badge};
use super::{Error, Frame, Receive, Web, html};
use crate::store::worklist::{Listed, QueueCounts, Row, WorklistQuery};
use crate::worklist::Queue;

/// Rows of a page.
const PAGE: usize = 50;
/// Studies in the strip of latest arrivals.
const ARRIVALS: usize = 5;
/// Findings named in a row.
const FINDINGS: usize = 3;
/// Seconds after which the page loads itself again where no script runs.
const REFRESH_S: u32 = 20;
/// Characters of a search that are looked at.
const MAX_SEARCH: usize = 200;

/// Parameters of the page and of the API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    queue: String,
    search: Option<String>,
    #[serde(default)]
    offset: usize,
    /// API only.
    limit: Option<usize>,
}

impl Wanted {
    pub(super) fn query(&self, most: usize) -> Result<WorklistQuery, Error> {
        let queue = match self.queue.as_str() {
            "" => None,
            word => Some(Queue::from_word(word).ok_or_else(|| {
                let known = Queue::ALL.map(Queue::word).join(", ");
                let said = Language::En.say("error-no-queue").with("queue", format!("{word:?}"));
                Error::Refused(said.with("known", known))
            })?),
        };
        let search = self.search.as_deref().unwrap_or_default();
        let search = search.chars().take(MAX_SEARCH).collect();
        let limit = self.limit.unwrap_or(PAGE).min(most);
        Ok(WorklistQuery { queue, search, offset: self.offset, limit })
    }

    /// The address of the page with these parameters.
    fn link(&self, queue: &str, offset: usize) -> String {
        let mut link = String::from("/?");
        if !queue.is_empty() {
            link.push_str(&format!("queue={queue}&"));
        }
        if let Some(search) = &self.search {
            link.push_str(&format!("search={}&", percent_encoded(search)));
        }
        if offset > 0 {
            link.push_str(&format!("offset={offset}&"));
        }
        link.pop();
        if link.is_empty() { "/".to_owned() } else { link }
    }
}

#[derive(Template)]
#[template(path = "worklist.html")]
struct Page {
    frame: Frame,
    tabs: Vec<Tab>,
    /// Present while the search box is open.
    search: Option<String>,
    queue: String,
    arrivals: Vec<RowView>,
    rows: Vec<RowView>,
    empty: Empty,
    receive: Receive,
    paging: Paging,
    now: String,
    /// Number of the latest change that the page shows.
    changed: i64,
}

struct Tab {
    name: Sentence,
    count: i64,
    link: String,
    current: bool,
}

/// Why there is no row.
enum Empty {
    /// Nothing has ever arrived.
    Box,
    /// Nothing fits the search.
    Search,
    /// In words.
    Queue(Sentence),
}

struct Paging {
    from: usize,
    to: usize,
    total: usize,
    back: Option<String>,
    next: Option<String>,
}

/// One study as shown.
pub(super) struct RowView {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) patient_id: String,
    pub(super) age_sex: String,
    pub(super) accession: String,
    pub(super) description: String,
    pub(super) arrived: Moment,
    pub(super) state: String,
    pub(super) badge: Badge,
    /// A mark and why it is there.
    pub(super) marks: Vec<(String, String)>,
    pub(super) findings: Vec<String>,
    pub(super) more: usize,
    pub(super) referral: String,
    pub(super) not_analysed: Option<String>,
    pub(super) done: Option<Moment>,
}

/// A time in three ways.
pub(super) struct Moment {
    pub(super) ago: String,
    pub(super) utc: String,
    pub(super) iso: String,
}

impl Moment {
    pub(super) fn new(at: i64, now: i64, words: Language) -> Self {
        let (ago, utc) = (words::ago(at, now, words), words::utc(at, words));
        Self { ago, utc, iso: words::iso(at) }
    }
}

impl RowView {
    pub(super) fn new(row: &Row, now: i64, words: Language) -> Self {
        let referral = row.referrals.first();
        let referral =
            referral.map(|r| format!("{}: {}", r.service, words::urgency(r.urgency, words)));
        let findings = row.findings.iter().take(FINDINGS);
        Self {
            id: row.id,
            name: words::person(&row.patient_name, words),
            patient_id: row.patient_id.clone(),
            age_sex: words::age_sex(&row.age, &row.birth_date, &row.study_date, &row.sex, words),
            accession: row.accession.clone(),
            description: row.description.clone(),
            arrived: Moment::new(row.first_at, now, words),
            state: words::state(row, words),
            badge: words::study_badge(row, words),
            marks: words::marks(row, now, words),
            findings: findings.map(|finding| words.diagnosis(&finding.label)).collect(),
            more: row.findings.len().saturating_sub(FINDINGS),
            referral: referral.unwrap_or_default(),
            not_analysed: row.not_analysed.clone(),
            done: row.done_at.map(|at| Moment::new(at, now, words)),
        }
    }
}

/// Shows a queue, or all that is open, or what fits a search.
pub(super) async fn page(
    State(web): State<Web>,
    who: Who,
    uri: Uri,
    words: Language,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Error> {
    let Query(wanted) = wanted?;
    let query = wanted.query(PAGE)?;
    let frame = Frame::new(&web, &who, &uri, words, "worklist");
    web.store(move |web| html(&read(web, frame, &wanted, &query)?)).await
}

fn read(
    web: &Web,
    mut frame: Frame,
    wanted: &Wanted,
    query: &WorklistQuery,
) -> Result<Page, Error> {
    // A page that loads itself again while somebody types would eat what is typed.
    frame.refresh_s = wanted.search.is_none().then_some(REFRESH_S);
    // Before the rows: what changes meanwhile is told again rather than never.
    let changed = web.store.latest_change()?;
    let (now, words) = (web.now(), frame.words);
    let Listed { counts, mut rows } = web.store.worklist(query, &web.caps)?;
    let open = query.queue.is_none() && wanted.search.is_none();
    let total = usize::try_from(total(&counts, query, open)).unwrap_or_default();
    // In reading order those that are done come after all that are open.
    rows.truncate(total.saturating_sub(query.offset));
    let rows: Vec<RowView> = rows.iter().map(|row| RowView::new(row, now, words)).collect();
    let arrivals = if open && query.offset == 0 { latest(web, now, words)? } else { Vec::new() };
    let queue = query.queue.map_or("", Queue::word);
    Ok(Page {
        tabs: tabs(wanted, query, &counts, open, words),
        empty: if wanted.search.as_ref().is_some_and(|s| !s.is_empty()) {
            Empty::Search
        } else if Queue::ALL.iter().all(|queue| counts.of(*queue) == 0) {
            Empty::Box
        } else {
            Empty::Queue(words.say(nothing(query.queue)))
        },
        paging: Paging {
            from: query.offset + 1,
            to: query.offset + rows.len(),
            total,
            back: (query.offset > 0).then(|| wanted.link(queue, query.offset.saturating_sub(PAGE))),
            next: (query.offset + rows.len() < total)
                .then(|| wanted.link(queue, query.offset + rows.len())),
        },
        frame,
        search: wanted.search.clone(),
        queue: queue.to_owned(),
        arrivals,
        rows,
        receive: web.status.borrow().receive.clone(),
        now: words::utc(now, words),
        changed,
    })
}

fn total(counts: &QueueCounts, query: &WorklistQuery, open: bool) -> i64 {
    match query.queue {
        Some(queue) => counts.of(queue),
        None if open => counts.urgent + counts.review + counts.not_analysed,
        None => Queue::ALL.iter().map(|queue| counts.of(*queue)).sum(),
    }
}

fn latest(web: &Web, now: i64, words: Language) -> Result<Vec<RowView>, Error> {
    let mut views = Vec::new();
    for id in web.store.latest_studies(ARRIVALS)? {
        let row = web.store.worklist_row(id, &web.caps)?;
        views.extend(row.map(|row| RowView::new(&row, now, words)));
    }
    Ok(views)
}

fn tabs(
    wanted: &Wanted,
    query: &WorklistQuery,
    counts: &QueueCounts,
    open: bool,
    words: Language,
) -> Vec<Tab> {
    let all = WorklistQuery { queue: None, ..query.clone() };
    let first = Tab {
        name: words.say(if wanted.search.is_none() { "queue-all-open" } else { "queue-all" }),
        count: total(counts, &all, open || wanted.search.is_none()),
        link: wanted.link("", 0),
        current: query.queue.is_none(),
    };
    let queues = Queue::ALL.map(|queue| Tab {
        name: words.say(name(queue)),
        count: counts.of(queue),
        link: wanted.link(queue.word(), 0),
        current: query.queue == Some(queue),
    });
    std::iter::once(first).chain(queues).collect()
}

/// The message that names a queue.
pub(super) fn name(queue: Queue) -> &'static str {
    match queue {
        Queue::Urgent => "queue-urgent",
        Queue::Review => "queue-review",
        Queue::NotAnalysed => "queue-not-analysed",
        Queue::Done => "queue-done",
    }
}

/// The message of an empty queue.
fn nothing(queue: Option<Queue>) -> &'static str {
    match queue {
        None => "queue-empty",
        Some(Queue::Urgent) => "queue-empty-urgent",
        Some(Queue::Review) => "queue-empty-review",
        Some(Queue::NotAnalysed) => "queue-empty-not-analysed",
        Some(Queue::Done) => "queue-empty-done",
    }
}

pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
