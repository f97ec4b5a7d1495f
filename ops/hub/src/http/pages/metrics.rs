//! `/metrics` for Prometheus (text exposition format 0.0.4), and `/healthz`. No label carries
//! anything of a patient.

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::{Error, Web};
use crate::accounts::digest;
use crate::escalation::overdue;
use crate::store::referrals::Urgency;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with the present values.
pub(super) async fn page(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Error> {
    let token = &web.settings().metrics_token;
    let expected = format!("Bearer {token}");
    let given = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    // Digests take the same time to compare, however much of them is right.
    let right = digest(&String::from_utf8_lossy(given)) == digest(&expected);
    if !token.is_empty() && !right {
        return Err(Error::LogIn);
    }
    let text = web.blocking(render).await?;
    Ok(([(CONTENT_TYPE, FORMAT)], text).into_response())
}

/// Answers when the database does.
pub(super) async fn healthz(State(web): State<Web>) -> Result<Response, Error> {
    web.blocking(|web| Ok(web.store().acknowledged_command("")?)).await?;
    Ok("ok\n".into_response())
}

/// Metrics, each with its help and type before its values.
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        // Writing to a String cannot fail.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n").unwrap_or_default();
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = match labels.join(",") {
            none if none.is_empty() => none,
            some => format!("{{{some}}}"),
        };
        writeln!(self.0, "{name}{labels} {value}").unwrap_or_default();
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn render(web: &Web) -> Result<String, Error> {
    let mut text = Text(String::new());
    text.gauge("prima_hub_info", "Version of the program.");
    text.value("prima_hub_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    referrals(web, &mut text)?;
    sites(web, &mut text)?;
    systems(web, &mut text)?;
    Ok(text.0)
}

fn systems(web: &Web, text: &mut Text) -> Result<(), Error> {
    let (now_ms, queues) = (web.now_ms(), web.store().outbound_queues()?);
    text.gauge("prima_hub_outbound_rows", "What is for a system of the hospital, by its state.");
    for queue in &queues {
        let counts = [("waiting", queue.waiting), ("sent", queue.sent), ("dead", queue.dead)];
        for (state, count) in counts {
            let labels = [("destination", queue.destination.as_str()), ("state", state)];
            text.value("prima_hub_outbound_rows", &labels, count);
        }
    }
    text.gauge("prima_hub_outbound_age_seconds", "How long the oldest of it waits.");
    for queue in &queues {
        let age_s = queue.oldest_ms.map_or(0, |at_ms| now_ms.saturating_sub(at_ms) / 1000);
        let labels = [("destination", queue.destination.as_str())];
        text.value("prima_hub_outbound_age_seconds", &labels, age_s);
    }
    Ok(())
}

fn referrals(web: &Web, text: &mut Text) -> Result<(), Error> {
    let store = web.store();
    text.gauge("prima_hub_referrals", "Referrals that are open, by how they stand.");
    for (status, urgency, count) in store.open_counts()? {
        let labels = [("status", status.as_str()), ("urgency", urgency.word())];
        text.value("prima_hub_referrals", &labels, count);
    }
    let over = overdue(&store.waiting()?, web.now_ms(), &web.settings().limits);
    text.gauge("prima_hub_overdue_referrals", "Referrals without an answer beyond their limit.");
    for urgency in Urgency::ALL {
        let count = over.iter().filter(|one| one.urgency == urgency).count();
        text.value("prima_hub_overdue_referrals", &[("urgency", urgency.word())], count);
    }
    let counts = store.escalation_counts()?;
    text.gauge("prima_hub_escalations", "Escalations so far, by what came of them.");
    for came in ["good", "failed", "started"] {
        let count = counts.get(came).copied().unwrap_or(0);
        text.value("prima_hub_escalations", &[("came", came)], count);
    }
    Ok(())
}

fn sites(web: &Web, text: &mut Text) -> Result<(), Error> {
    let (now_ms, sites, health) = (web.now_ms(), web.store().sites()?, web.store().health()?);
    text.gauge("prima_hub_contact_age_seconds", "Time since a box spoke last.");
    for site in &sites {
        if let Some(at_ms) = site.contact_ms {
            let age_s = now_ms.saturating_sub(at_ms) / 1000;
            text.value("prima_hub_contact_age_seconds", &[("site", &site.id)], age_s);
        }
    }
    text.gauge("prima_hub_clock_offset_seconds", "Clock of a box minus ours.");
    for site in &sites {
        if let Some(offset_ms) = site.offset_ms {
            text.value("prima_hub_clock_offset_seconds", &[("site", &site.id)], offset_ms / 1000);
        }
    }
    text.gauge("prima_hub_backlog_rows", "Rows that wait at a box, by priority.");
    for site in &sites {
        for (priority, rows) in ["0", "1", "2", "3"].into_iter().zip(site.backlog) {
            let labels = [("site", site.id.as_str()), ("priority", priority)];
            text.value("prima_hub_backlog_rows", &labels, rows);
        }
    }
    text.gauge("prima_hub_dead_rows", "Rows that a box gave up.");
    for site in &sites {
        text.value("prima_hub_dead_rows", &[("site", &site.id)], site.dead);
    }
    text.gauge("prima_hub_forks", "Rows of a box that contradict others.");
    for site in &sites {
        text.value("prima_hub_forks", &[("site", &site.id)], site.forks);
    }
    text.gauge("prima_hub_offered_model_ratio", "Share of the offered model that is at a site.");
    for (site, offer) in web.store().offers()?.iter().filter(|(_, offer)| !offer.withdrawn) {
        let labels = [("site", site.as_str()), ("stage", offer.progress.stage.word())];
        text.value("prima_hub_offered_model_ratio", &labels, offer.progress.share());
    }
    text.gauge(
        "prima_hub_drifted_findings",
        "Findings whose share has left that of the beginning.",
    );
    for (site, health) in &health {
        let drifted = health.drift.iter().filter(|drift| drift.marked).count();
        text.value("prima_hub_drifted_findings", &[("site", site)], drifted);
    }
    text.gauge("prima_hub_quality_alarms", "Open alarms of the watch on a box's scanners.");
    for (site, health) in &health {
        let alarms = health.telemetry.quality_alarms;
        text.value("prima_hub_quality_alarms", &[("site", site)], alarms);
    }
    Ok(())
}
