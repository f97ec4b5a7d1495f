//! Small charts as self-contained SVG: lines, bars. Deterministic text, no scripts, no fonts to
//! fetch.

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;
/// Height of a bar with its gap.
const BAR: f64 = 18.0;
/// Height of a line of the legend.
const LEGEND: f64 = 16.0;
/// Okabe and Ito's colours, told apart by most eyes.
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Words for the legend.
    pub name: String,
    /// `(x, y)`; points that are not finite break the line.
    pub points: Vec<[f64; 2]>,
}

/// A chart of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Heading.
    pub title: String,
    /// What x is, with its unit.
    pub x: String,
    /// What y is, with its unit.
    pub y: String,
    /// Range of both axes; taken from the points where it is not given.
    pub range: Option<[[f64; 2]; 2]>,
    /// The lines.
    pub lines: Vec<Line>,
    /// A dashed diagonal: chance on a ROC curve, perfect calibration.
    pub diagonal: bool,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Words beside it.
    pub name: String,
    /// Its length; not finite shows as "n/a".
    pub value: f64,
    /// Interval drawn as a whisker.
    pub interval: Option<[f64; 2]>,
}

/// A chart of horizontal bars.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// Heading.
    pub title: String,
    /// What the length is, with its unit.
    pub x: String,
    /// Left and right end of the axis.
    pub range: [f64; 2],
    /// Dashed vertical line, such as chance.
    pub reference: Option<f64>,
    /// From the top.
    pub bars: Vec<Bar>,
}

impl LineChart {
    /// The chart as an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let [x_range, y_range] = self.range.unwrap_or_else(|| [0, 1].map(|axis| self.extent(axis)));
        let legend = self.lines.len() as f64 * LEGEND;
        let mut out = open(WIDTH, HEIGHT + legend, &self.title);
        let x = Axis { range: x_range, from: LEFT, to: WIDTH - RIGHT };
        let y = Axis { range: y_range, from: HEIGHT - BOTTOM, to: TOP };
        for tick in x.ticks() {
            let at = x.place(tick.value);
            line(&mut out, [at, y.from, at, y.to], GRID);
            text(&mut out, [at, y.from + 18.0], "middle", &tick.label);
        }
        for tick in y.ticks() {
            let at = y.place(tick.value);
            line(&mut out, [x.from, at, x.to, at], GRID);
            text(&mut out, [x.from - 8.0, at + 4.0], "end", &tick.label);
        }
        if self.diagonal {
            line(&mut out, [x.from, y.from, x.to, y.to], DASHED);
        }
        text(&mut out, [f64::midpoint(x.from, x.to), HEIGHT - 12.0], "middle", &self.x);
        let middle = f64::midpoint(y.from, y.to);
        let turned = format_args!(
            r#"<text transform="translate(16 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escape(&self.y)
        );
        add(&mut out, turned);
        for (index, own) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let finite = |point: &[f64; 2]| point.iter().all(|value| value.is_finite());
            for run in own.points.split(|point| !finite(point)).filter(|run| !run.is_empty()) {
                let points: Vec<String> = run
                    .iter()
                    .map(|[at_x, at_y]| format!("{:.1},{:.1}", x.place(*at_x), y.place(*at_y)))
                    .collect();
                add(
                    &mut out,
                    format_args!(
                        r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.8"/>"#,
                        points.join(" ")
                    ),
                );
            }
            let at = HEIGHT + index as f64 * LEGEND;
            add(
                &mut out,
                format_args!(
                    r#"<rect x="{LEFT}" y="{at}" width="18" height="4" fill="{colour}"/>"#
                ),
            );
            text(&mut out, [LEFT + 26.0, at + 6.0], "start", &own.name);
        }
        close(out)
    }

    /// Smallest and largest finite value along an axis, a little apart.
    fn extent(&self, axis: usize) -> [f64; 2] {
        let values = self.lines.iter().flat_map(|line| &line.points).map(|point| point[axis]);
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low < high {
            [low, high]
        } else if low.is_finite() {
            [low - 0.5, low + 0.5]
        } else {
            [0.0, 1.0]
        }
    }
}

impl BarChart {
    /// The chart as an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let longest = self.bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        let left = 16.0 + longest as f64 * 6.6;
        let bottom = TOP + self.bars.len() as f64 * BAR + 8.0;
        let mut out = open(WIDTH, bottom + BOTTOM, &self.title);
        // The figure of a bar stands right of the axis.
        let x = Axis { range: self.range, from: left, to: WIDTH - 56.0 };
        for tick in x.ticks() {
            let at = x.place(tick.value);
            line(&mut out, [at, TOP, at, bottom], GRID);
            text(&mut out, [at, bottom + 18.0], "middle", &tick.label);
        }
        text(&mut out, [f64::midpoint(x.from, x.to), bottom + 40.0], "middle", &self.x);
        for (index, bar) in self.bars.iter().enumerate() {
            let top = TOP + index as f64 * BAR + 3.0;
            let middle = top + BAR / 2.0 - 2.0;
            text(&mut out, [left - 8.0, middle + 4.0], "end", &bar.name);
            if !bar.value.is_finite() {
                text(&mut out, [WIDTH - 48.0, middle + 4.0], "start", "n/a");
                continue;
            }
            let width = x.place(bar.value) - x.from;
            add(
                &mut out,
                format_args!(
                    r#"<rect x="{:.1}" y="{top:.1}" width="{width:.1}" height="{:.1}" fill="{}"/>"#,
                    x.from,
                    BAR - 5.0,
                    COLOURS[0]
                ),
            );
            if let Some([low, high]) = bar.interval {
                let ends = [x.place(low), middle, x.place(high), middle];
                line(&mut out, ends, r##"stroke="#000" stroke-width="1.2""##);
            }
            text(&mut out, [WIDTH - 48.0, middle + 4.0], "start", &format!("{:.3}", bar.value));
        }
        if let Some(at) = self.reference.map(|value| x.place(value)) {
            line(&mut out, [at, TOP, at, bottom], DASHED);
        }
        close(out)
    }
}

/// Text with the characters that mean something in SVG spelled out.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const GRID: &str = r##"stroke="#e2e5e9" stroke-width="1""##;
const DASHED: &str = r##"stroke="#888" stroke-width="1" stroke-dasharray="4 4""##;

/// Values along a stretch of the picture.
struct Axis {
    range: [f64; 2],
    from: f64,
    to: f64,
}

struct Tick {
    value: f64,
    label: String,
}

impl Axis {
    /// Where a value lies; values outside lie at the end.
    fn place(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        self.from + ((value - low) / (high - low)).clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// About five round values.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of decimals, below twenty"
    )]
    fn ticks(&self) -> Vec<Tick> {
        let [low, high] = self.range;
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough * (1.0 - 1e-9))
            .unwrap_or(rough);
        let decimals = (-step.log10().floor()).clamp(0.0, 17.0) as usize;
        let first = (low / step - 1e-9).ceil();
        let values = (0..12).map(|index| (first + f64::from(index)) * step);
        values
            .take_while(|value| *value <= high + step * 1e-9)
            .map(|value| Tick { value, label: format!("{:.decimals$}", value + 0.0) })
            .collect()
    }
}

fn open(width: f64, height: f64, title: &str) -> String {
    let mut out = String::new();
    add(
        &mut out,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" font-family="sans-serif" font-size="12" role="img">"#
        ),
    );
    add(&mut out, format_args!("<title>{}</title>", escape(title)));
    add(&mut out, format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
    add(
        &mut out,
        format_args!(
            r#"<text x="16" y="20" font-size="14" font-weight="bold">{}</text>"#,
            escape(title)
        ),
    );
    out
}

fn close(mut out: String) -> String {
    out.push_str("</svg>\n");
    out
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4], style: &str) {
    add(
        out,
        format_args!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#),
    );
}

fn text(out: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    add(
        out,
        format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(words)
        ),
    );
}

fn add(out: &mut String, element: std::fmt::Arguments<'_>) {
    out.push_str(&element.to_string());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels = |low, high| -> Vec<String> {
            let axis = Axis { range: [low, high], from: 0.0, to: 1.0 };
            axis.ticks().into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(0.5, 1.0), ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]);
        assert_eq!(labels(-3.0, 4.0), ["-2", "0", "2", "4"]);
        assert_eq!(labels(0.0, 12_000.0), ["0", "5000", "10000"]);
    }

    #[test]
    fn a_line_breaks_where_a_value_is_missing_and_words_are_escaped() {
        let chart = LineChart {
            title: "loss < 1 & \"low\"".into(),
            x: "step".into(),
            y: "loss".into(),
            range: Some([[0.0, 4.0], [0.0, 1.0]]),
            lines: vec![Line {
                name: "train".into(),
                points: vec![[0.0, 1.0], [1.0, 0.5], [2.0, f64::NAN], [3.0, 0.25], [4.0, 0.0]],
            }],
            diagonal: false,
        };
        let svg = chart.svg();
        let runs: Vec<&str> = svg.lines().filter(|line| line.starts_with("<polyline")).collect();
        assert_eq!(
            runs[0],
            r##"<polyline points="64.0,40.0 204.0,194.0" fill="none" stroke="#0072b2" stroke-width="1.8"/>"##
        );
        assert!(runs[1].contains(r#"points="484.0,271.0 624.0,348.0""#), "{}", runs[1]);
        assert_eq!(runs.len(), 2);
        assert!(svg.contains("<title>loss &lt; 1 &amp; &quot;low&quot;</title>"));
    }

    #[test]
    fn bars_end_at_their_value() {
        let bar = |name: &str, value| Bar { name: name.into(), value, interval: Some([0.5, 0.9]) };
        let chart = BarChart {
            title: "AUROC".into(),
            x: "AUROC".into(),
            range: [0.5, 1.0],
            reference: Some(0.6),
            bars: vec![bar("glioma", 0.75), bar("syrinx", f64::NAN)],
        };
        let svg = chart.svg();
        let half = (WIDTH - 56.0 - 16.0 - 6.0 * 6.6) / 2.0;
        assert!(svg.contains(&format!(r#"width="{half:.1}" height="13.0""#)), "{svg}");
        assert_eq!(svg.matches(">n/a<").count(), 1);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
    }
}
