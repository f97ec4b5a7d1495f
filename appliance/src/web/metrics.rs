//! `/metrics` for Prometheus (text exposition format 0.0.4). No label carries anything of a
//! patient: AE titles, checks, names of scanners and the model's name only.

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::{Error, Status, Verdict, Web};
use crate::hub::task::{Doing, HubNow};
use crate::quality::Found;
use crate::quality::chart::Chart;
use crate::store::StoreError;
use crate::store::quality::alarms::Kind;
use crate::worklist::Queue;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with the present values.
pub(super) async fn page(State(web): State<Web>) -> Result<Response, Error> {
    let text = web.store(|web| Ok(render(web)?)).await?;
    Ok(([(CONTENT_TYPE, FORMAT)], text).into_response())
}

/// Metrics, each with its help and type before its values.
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) -> &mut Self {
        self.begin(name, help, "gauge")
    }

    fn counter(&mut self, name: &str, help: &str) -> &mut Self {
        self.begin(name, help, "counter")
    }

    fn begin(&mut self, name: &str, help: &str, kind: &str) -> &mut Self {
        // Writing to a String cannot fail.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").unwrap_or_default();
        self
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let labels: Vec<_> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = match labels.join(",") {
            none if none.is_empty() => none,
            some => format!("{{{some}}}"),
        };
        writeln!(self.0, "{name}{labels} {value}").unwrap_or_default();
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn render(web: &Web) -> Result<String, StoreError> {
    let now = web.now();
    let status = web.status.borrow().clone();
    let (counts, view) = (web.store.queue_counts()?, web.store.box_view(0)?);
    let mut text = Text(String::new());

    let version = env!("CARGO_PKG_VERSION");
    text.gauge("prima_info", "Version of the program.");
    text.value("prima_info", &[("version", version)], 1);
    text.gauge("prima_running_seconds", "Time since the daemon started.");
    text.value("prima_running_seconds", &[], seconds(now - status.started_at));
    text.gauge("prima_status_age_seconds", "Time since the box last looked at itself.");
    text.value("prima_status_age_seconds", &[], seconds(now - status.at));
    if let Some(at) = web.store.last_backup_at()? {
        text.gauge("prima_backup_age_seconds", "Time since the database was last copied.");
        text.value("prima_backup_age_seconds", &[], seconds(now - at));
    }
    if let Some(at) = view.senders.iter().map(|sender| sender.last_at).max() {
        text.gauge("prima_last_image_age_seconds", "Time since an image last came in.");
        text.value("prima_last_image_age_seconds", &[], seconds(now - at));
    }
    model(&mut text, web, &status)?;

    text.gauge("prima_check", "How a check went: 0 good, 1 worth knowing, 2 somebody must act.");
    for check in &status.checks {
        let level = match check.verdict {
            Verdict::Good => 0,
            Verdict::Notice => 1,
            Verdict::Problem => 2,
        };
        text.value("prima_check", &[("check", &check.name)], level);
    }

    text.gauge("prima_worklist_studies", "Studies on the worklist.");
    for queue in Queue::ALL {
        text.value("prima_worklist_studies", &[("queue", queue.word())], counts.of(queue));
    }
    text.gauge("prima_studies", "Studies that are not settled.");
    for (state, studies) in
        [("receiving", view.receiving), ("waiting", view.waiting), ("triaging", view.triaging)]
    {
        text.value("prima_studies", &[("state", state)], studies);
    }
    text.gauge("prima_associations", "Open DICOM associations of peers.");
    text.value("prima_associations", &[], status.receive.associations.len());
    text.gauge("prima_quarantined_files", "Files set aside that nobody has dealt with.");
    text.value("prima_quarantined_files", &[], view.quarantined);

    let queues = web.store.delivery_queues()?;
    text.counter("prima_delivered_total", "Objects that an archive took.");
    for queue in &queues {
        text.value("prima_delivered_total", &[("archive", &queue.destination)], queue.sent);
    }
    text.gauge("prima_deliveries", "Objects that an archive does not have.");
    for queue in &queues {
        for (state, objects) in [("waiting", queue.waiting), ("dead", queue.dead)] {
            let labels = [("archive", queue.destination.as_str()), ("state", state)];
            text.value("prima_deliveries", &labels, objects);
        }
    }
    text.gauge("prima_oldest_delivery_seconds", "Age of the oldest result that waits, else 0.");
    for queue in &queues {
        let age = queue.oldest_at.map_or(0, |at| now - at);
        let labels = [("archive", queue.destination.as_str())];
        text.value("prima_oldest_delivery_seconds", &labels, seconds(age));
    }
    quality(&mut text, web, status.model.as_ref().map_or("", |model| &model.digest))?;
    hub(&mut text, web, status.hub.as_ref())?;
    Ok(text.0)
}

/// The models, and whether the assisting one was trained on series as this box selects them.
fn model(text: &mut Text, web: &Web, status: &Status) -> Result<(), StoreError> {
    let killed = web.store.models()?.iter().filter(|model| model.killed_at.is_some()).count();
    text.gauge("prima_models_killed", "Models whose kill switch is on.");
    text.value("prima_models_killed", &[], killed);
    text.gauge("prima_model_info", "The model that orders the worklist.");
    if let Some(model) = &status.model {
        let labels = [("name", model.name.as_str()), ("digest", model.digest.as_str())];
        text.value("prima_model_info", &labels, 1);
    }
    if let Some(selection) = &status.selection {
        text.gauge(
            "prima_selection_differs",
            "Training saw series selected by other rules than this box has: 1, else 0.",
        );
        let labels = [("trained", selection.trained.as_str()), ("here", selection.here.as_str())];
        text.value("prima_selection_differs", &labels, u8::from(selection.difference.is_some()));
    }
    Ok(())
}

/// The watch on scanners. What has not been looked at yet has no value.
fn quality(text: &mut Text, web: &Web, model_digest: &str) -> Result<(), StoreError> {
    let [open, acknowledged] = web.store.alarm_counts()?;
    text.gauge("prima_quality_alarms", "Alarms of the watch on scanners.");
    for (state, alarms) in [("open", open), ("acknowledged", acknowledged)] {
        text.value("prima_quality_alarms", &[("state", state)], alarms);
    }
    let mut looks: Vec<(String, Found)> = Vec::new();
    for look in web.store.quality_looks(model_digest)? {
        looks.extend(serde_json::from_str(&look.found).ok().map(|found| (look.scanner, found)));
    }
    text.gauge("prima_drift_psi", "Largest population stability index of a scanner.");
    for (scanner, found) in &looks {
        for kind in [Kind::Input, Kind::Scores] {
            let of_kind = found.streams.iter().filter(|stream| stream.kind == kind);
            if let Some(psi) = of_kind.filter_map(|stream| stream.psi).reduce(f64::max) {
                let labels = [("scanner", scanner.as_str()), ("kind", kind.word())];
                text.value("prima_drift_psi", &labels, psi);
            }
        }
    }
    let charts: Vec<_> = looks.iter().flat_map(|(scanner, found)| charts(scanner, found)).collect();
    text.gauge("prima_cusum", "Cumulative sum of a rate of events.");
    for (labels, chart) in &charts {
        text.value("prima_cusum", labels, chart.sum);
    }
    text.gauge("prima_cusum_threshold", "Sum from which on it is an alarm.");
    for (labels, chart) in &charts {
        text.value("prima_cusum_threshold", labels, chart.threshold);
    }
    Ok(())
}

/// Charts of a scanner with their labels.
fn charts<'a>(
    scanner: &'a str,
    found: &'a Found,
) -> impl Iterator<Item = ([(&'static str, &'a str); 2], &'a Chart)> {
    let both = [("no_result", &found.no_result), ("override", &found.overrides)];
    both.into_iter().filter_map(move |(event, chart)| {
        Some(([("scanner", scanner), ("event", event)], chart.as_ref()?))
    })
}

/// The link to the hub. Rows wait also where sticks are the only link.
fn hub(text: &mut Text, web: &Web, now: Option<&HubNow>) -> Result<(), StoreError> {
    let counts = web.store.outbox_counts()?;
    if !counts.active {
        return Ok(());
    }
    text.gauge("prima_hub_rows", "Rows of the outbox that the hub does not have.");
    for (priority, rows) in
        ["flag", "result", "images", "telemetry"].into_iter().zip(counts.waiting)
    {
        text.value("prima_hub_rows", &[("priority", priority)], rows);
    }
    text.gauge("prima_hub_dead_rows", "Rows that were given up.");
    text.value("prima_hub_dead_rows", &[], counts.dead);
    text.gauge("prima_hub_oldest_flag_seconds", "Age of the oldest referral that waits, else 0.");
    let age = counts.oldest_flag_at.map_or(0, |at| web.now() - at);
    text.value("prima_hub_oldest_flag_seconds", &[], seconds(age));
    let Some(now) = now else { return Ok(()) };
    text.gauge("prima_hub_up", "The hub takes what is sent.");
    let up = matches!(now.doing, Doing::Working | Doing::Idle);
    text.value("prima_hub_up", &[], u8::from(up));
    text.gauge("prima_hub_goodput_bytes_per_second", "What the link carries, estimated.");
    text.value("prima_hub_goodput_bytes_per_second", &[], now.goodput);
    if let Some(contact) = now.contact {
        text.gauge("prima_hub_contact_seconds", "Time since the hub last answered.");
        text.value("prima_hub_contact_seconds", &[], seconds(web.now() - contact.at));
        text.gauge("prima_hub_clock_offset_seconds", "The hub's clock minus this box's.");
        text.value("prima_hub_clock_offset_seconds", &[], seconds(contact.clock_offset_ms));
    }
    if let Some(offer) = &now.offer {
        text.gauge("prima_offered_model_ratio", "Share of the model of the hub that is here.");
        let labels = [("name", offer.name.as_str()), ("stage", offer.stage.word())];
        text.value("prima_offered_model_ratio", &labels, offer.share());
    }
    if let Some(until) = now.valid_until_s {
        text.gauge("prima_hub_certificate_expiry_seconds", "End of the certificate, since 1970.");
        text.value("prima_hub_certificate_expiry_seconds", &[], until);
    }
    Ok(())
}

fn seconds(ms: i64) -> f64 {
    // Exact below 285,000 years.
    ms as f64 / 1000.0
}
