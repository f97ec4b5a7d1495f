//! The exclusion flow chart as one self-contained SVG, drawn as such charts are in papers: what
//! stays goes down, what is left out goes to the right.

use std::fmt::Write;

use super::exclusion::Exclusion;
use super::summary::Counts;

const WIDTH: usize = 760;
const BOX_WIDTH: usize = 300;
const LEFT: usize = 40;
const RIGHT: usize = 420;
const BOX_HEIGHT: usize = 52;
const STEP: usize = 88;
const TOP: usize = 24;

/// Draws the chart. Steps at which nothing was left out are not drawn.
pub(super) fn svg(counts: &Counts) -> String {
    let mut body = String::new();
    let mut remaining = counts.studies;
    let mut y = TOP;
    boxed(&mut body, LEFT, y, BOX_WIDTH, "Studies in the export", remaining);
    for exclusion in Exclusion::ALL {
        let left_out = counts.left_out(exclusion);
        if left_out == 0 {
            continue;
        }
        remaining -= left_out;
        let centre = LEFT + BOX_WIDTH / 2;
        let branch = y + BOX_HEIGHT + (STEP - BOX_HEIGHT) / 2;
        arrow(&mut body, [centre, y + BOX_HEIGHT], [centre, y + STEP]);
        arrow(&mut body, [centre, branch], [RIGHT, branch]);
        boxed(&mut body, RIGHT, branch - BOX_HEIGHT / 2, BOX_WIDTH, exclusion.words(), left_out);
        y += STEP;
        let words =
            if remaining == counts.included { "Studies in the cohort" } else { "Remaining" };
        boxed(&mut body, LEFT, y, BOX_WIDTH, words, remaining);
    }
    if remaining == counts.studies {
        // Nothing was left out.
        arrow(&mut body, [LEFT + BOX_WIDTH / 2, y + BOX_HEIGHT], [LEFT + BOX_WIDTH / 2, y + STEP]);
        y += STEP;
        boxed(&mut body, LEFT, y, BOX_WIDTH, "Studies in the cohort", remaining);
    }
    let height = splits(&mut body, counts, y) + TOP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Exclusion flow chart\">\n\
         <title>Exclusion flow chart</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 10 5 0 10z\" fill=\"#333\"/></marker>\
         </defs>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <g font-family=\"Helvetica,Arial,sans-serif\" font-size=\"15\" text-anchor=\"middle\" \
         fill=\"#111\">\n{body}</g>\n</svg>\n"
    )
}

/// The three splits side by side below the last box; returns where they end.
fn splits(body: &mut String, counts: &Counts, above: usize) -> usize {
    const GAP: usize = 20;
    let width = (WIDTH - 2 * LEFT - 2 * GAP) / 3;
    let y = above + STEP + 12;
    let bar = above + BOX_HEIGHT + (STEP + 12 - BOX_HEIGHT) / 2;
    let centre = LEFT + BOX_WIDTH / 2;
    line(body, [centre, above + BOX_HEIGHT], [centre, bar]);
    let middle = |index: usize| LEFT + index * (width + GAP) + width / 2;
    line(body, [middle(0), bar], [middle(2), bar]);
    for (index, (name, split)) in counts.splits.iter().enumerate() {
        arrow(body, [middle(index), bar], [middle(index), y]);
        let x = LEFT + index * (width + GAP);
        frame(body, x, y, width, BOX_HEIGHT + 20);
        let mut word = name.clone();
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text(body, middle(index), y + 21, &word, true);
        text(body, middle(index), y + 41, &counted(split.studies, ["study", "studies"]), false);
        text(body, middle(index), y + 61, &counted(split.patients, ["patient", "patients"]), false);
    }
    y + BOX_HEIGHT + 20
}

fn boxed(body: &mut String, x: usize, y: usize, width: usize, words: &str, count: usize) {
    frame(body, x, y, width, BOX_HEIGHT);
    text(body, x + width / 2, y + 22, words, true);
    text(body, x + width / 2, y + 42, &format!("n = {}", grouped(count)), false);
}

fn frame(body: &mut String, x: usize, y: usize, width: usize, height: usize) {
    push(
        body,
        format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" \
             fill=\"#f6f8fa\" stroke=\"#333\"/>\n"
        ),
    );
}

fn text(body: &mut String, x: usize, y: usize, words: &str, strong: bool) {
    let weight = if strong { " font-weight=\"600\"" } else { "" };
    push(body, format_args!("<text x=\"{x}\" y=\"{y}\"{weight}>{words}</text>\n"));
}

fn line(body: &mut String, [x1, y1]: [usize; 2], [x2, y2]: [usize; 2]) {
    push(body, format_args!("<path d=\"M{x1} {y1}L{x2} {y2}\" stroke=\"#333\" fill=\"none\"/>\n"));
}

fn arrow(body: &mut String, [x1, y1]: [usize; 2], [x2, y2]: [usize; 2]) {
    push(
        body,
        format_args!(
            "<path d=\"M{x1} {y1}L{x2} {y2}\" stroke=\"#333\" fill=\"none\" \
             marker-end=\"url(#tip)\"/>\n"
        ),
    );
}

#[expect(clippy::let_underscore_must_use, reason = "writing to a string cannot fail")]
fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    let _: std::fmt::Result = body.write_fmt(text);
}

fn counted(count: usize, [one, more]: [&str; 2]) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { more })
}

/// Thousands apart.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Exclusion, grouped, svg};
    use crate::curate::summary::{Counts, SplitCount};

    #[test]
    fn every_number_is_in_the_chart() {
        let split = |studies, patients| SplitCount { studies, patients };
        let counts = Counts {
            files: 1,
            studies: 279_908,
            included: 221_147,
            exclusions: [(Exclusion::NoReport, 58_000), (Exclusion::FewSeries, 761)].into(),
            splits: [
                ("train".into(), split(190_000, 150_000)),
                ("validation".into(), split(11_147, 9_000)),
                ("test".into(), split(20_000, 18_000)),
            ]
            .to_vec(),
        };
        let chart = svg(&counts);
        for part in [
            "279,908",
            "58,000",
            "221,908",
            "761",
            "221,147",
            "190,000",
            "9,000 patients",
            "No radiology report",
        ] {
            assert_eq!(
                chart.matches(&format!(">{part}")).count()
                    + chart.matches(&format!("= {part}<")).count(),
                1,
                "{part}"
            );
        }
        assert!(!chart.contains(Exclusion::Corrupt.words()));
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
