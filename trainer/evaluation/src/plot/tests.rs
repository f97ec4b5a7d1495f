//! What holds for every chart, whatever it is given: read back by an XML parser.

use std::ops::Range;

use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::text::{BOLD, SIZE, width};
use super::*;

/// Left, top, right, bottom.
type Box4 = [f64; 4];

/// Reads a picture as a file and as a part of a page, and complains of what is wrong in it.
#[track_caller]
fn inspect(picture: &Picture) {
    for text in [picture.svg(), picture.inline()] {
        let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let root = document.root_element();
        assert_eq!(root.attribute("role"), Some("img"));
        let first: Vec<&str> =
            root.children().filter(Node::is_element).take(2).map(|n| n.tag_name().name()).collect();
        assert_eq!(first, ["title", "desc"]);
        let [left, top, wide, high] = numbers(root.attribute("viewBox").unwrap())[..] else {
            panic!("four numbers")
        };
        assert!(left == 0.0 && top == 0.0 && wide > 0.0 && high > 0.0);
        let mut words = Vec::new();
        walk(root, [0.0, 0.0], &mut |node, shift| {
            for attribute in ["id", "href", "style", "onload"] {
                assert_eq!(node.attribute(attribute), None, "{node:?}");
            }
            for [x, y] in places(node) {
                let [x, y] = [x + shift[0], y + shift[1]];
                let inside = (-0.1..=wide + 0.1).contains(&x) && (-0.1..=high + 0.1).contains(&y);
                assert!(inside, "{x} {y} is outside of {wide} {high}: {node:?}\n{text}");
            }
            if node.has_tag_name(("http://www.w3.org/2000/svg", "text")) {
                words.push((text_box(node, shift), node));
            }
        });
        for (at, ([left, top, right, bottom], node)) in words.iter().enumerate() {
            let inside =
                *left >= -0.1 && *top >= -0.1 && *right <= wide + 0.1 && *bottom <= high + 0.1;
            assert!(
                inside,
                "{:?} is cut: {left} {top} {right} {bottom} of {wide} {high}",
                node.text()
            );
            for ([l, t, r, b], other) in &words[..at] {
                let apart =
                    r.min(*right) - l.max(*left) < 0.2 || b.min(*bottom) - t.max(*top) < 0.2;
                assert!(apart, "{:?} lies on {:?}\n{text}", said(*node), said(*other));
            }
        }
    }
}

fn walk<'a>(node: Node<'a, 'a>, shift: [f64; 2], visit: &mut impl FnMut(Node<'a, 'a>, [f64; 2])) {
    let mut shift = shift;
    if let Some(moved) = node.attribute("transform")
        && node.tag_name().name() == "g"
    {
        let [x, y] = numbers(moved)[..] else { panic!("{moved}") };
        shift = [shift[0] + x, shift[1] + y];
    }
    visit(node, shift);
    node.children().filter(Node::is_element).for_each(|child| walk(child, shift, visit));
}

/// Every number in an attribute.
fn numbers(text: &str) -> Vec<f64> {
    let pieces = text.split(|c: char| !(c.is_ascii_digit() || "-.einfNa".contains(c)));
    let pieces = pieces.filter(|piece| piece.contains(|c: char| c.is_ascii_digit()));
    pieces.map(|piece| piece.parse().unwrap_or_else(|_| panic!("{piece:?} in {text:?}"))).collect()
}

/// The corners of an element, all of them finite numbers.
fn places(node: Node<'_, '_>) -> Vec<[f64; 2]> {
    let of = |name: &str| -> f64 {
        let value: f64 = node.attribute(name).unwrap_or("0").parse().unwrap();
        assert!(value.is_finite(), "{node:?}");
        value
    };
    match node.tag_name().name() {
        "rect" if node.attribute("width") == Some("100%") => Vec::new(),
        "rect" => vec![[of("x"), of("y")], [of("x") + of("width"), of("y") + of("height")]],
        "line" => vec![[of("x1"), of("y1")], [of("x2"), of("y2")]],
        "circle" => {
            vec![[of("cx") - of("r"), of("cy") - of("r")], [of("cx") + of("r"), of("cy") + of("r")]]
        }
        "polyline" | "polygon" => {
            let numbers = numbers(node.attribute("points").unwrap());
            numbers.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
        }
        // Paths are written as absolute beginnings and small steps.
        "path" => {
            let beginnings = node.attribute("d").unwrap().split('M').skip(1);
            beginnings.map(|path| [numbers(path)[0], numbers(path)[1]]).collect()
        }
        "text" if node.attribute("transform").is_none() => vec![[of("x"), of("y")]],
        _ => Vec::new(),
    }
}

/// The words that are seen, without those of a tool tip.
fn said(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

fn text_box(node: Node<'_, '_>, shift: [f64; 2]) -> Box4 {
    let size: f64 = node.attribute("font-size").map_or(SIZE, |size| size.parse().unwrap());
    let bold = if node.attribute("font-weight").is_some() { BOLD } else { 1.0 };
    let length = width(&said(node), size * bold);
    let before = match node.attribute("text-anchor") {
        Some("middle") => length / 2.0,
        Some("end") => length,
        _ => 0.0,
    };
    let [above, below] = [0.8 * size, 0.2 * size];
    match node.attribute("transform") {
        Some(turned) => {
            let [x, y, -90.0] = numbers(turned)[..] else { panic!("{turned}") };
            let [x, y] = [x + shift[0], y + shift[1]];
            [x - above, y + before - length, x + below, y + before]
        }
        None => {
            let [x, y] =
                ["x", "y"].map(|name| node.attribute(name).unwrap().parse::<f64>().unwrap());
            let [x, y] = [x + shift[0], y + shift[1]];
            [x - before, y - above, x - before + length, y + below]
        }
    }
}

const SIZES: Range<usize> = 0..60;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z][a-z ]{0,24}",
        1 => any::<String>(),
        1 => "\\PC{0,200}",
        1 => Just("</text></svg><script>alert(\"1\")</script>&amp;&#0;]]>'".to_owned()),
        1 => Just("W".repeat(400)),
        1 => Just(String::new()),
    ]
}

fn names(sizes: Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), sizes)
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -0.5..1.5,
        2 => Just(0.5),
        1 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        1 => Just(0.0),
    ]
}

fn values(sizes: Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        3 => prop::collection::vec(value(), sizes.clone()),
        1 => (value(), sizes).prop_map(|(value, size)| vec![value; size]),
    ]
}

fn points() -> impl Strategy<Value = Vec<[f64; 2]>> {
    prop::collection::vec([value(), value()], SIZES)
}

fn estimate() -> impl Strategy<Value = Estimate> {
    let interval = prop::option::weighted(0.8, [value(), value()]);
    (value(), interval).prop_map(|(value, interval)| Estimate { value, interval })
}

fn axis() -> impl Strategy<Value = Axis> {
    let range = prop_oneof![
        Just(None),
        Just(Some([0.0, 1.0])),
        [value(), value()].prop_map(Some),
        [any::<f64>(), any::<f64>()].prop_map(Some),
    ];
    let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log)];
    (name(), scale, range).prop_map(|(name, scale, range)| Axis { name, scale, range })
}

fn head() -> impl Strategy<Value = Head> {
    [name(), name(), name()].prop_map(|[title, n, command]| Head { title, n, command })
}

/// Rows in groups, of at most [`SIZES`] together.
fn groups<T: std::fmt::Debug>(
    row: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Group<T>>> {
    let group = (name(), prop::collection::vec(row, 0..15));
    prop::collection::vec(group.prop_map(|(name, rows)| Group { name, rows }), 0..5)
}

fn row() -> impl Strategy<Value = Row> {
    let row = (name(), name(), prop::collection::vec(estimate(), 0..5));
    row.prop_map(|(name, note, estimates)| Row { name, note, estimates })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn forests_are_whole(
        head in head(), x in axis(), series in names(0..5), note in prop::option::of(name()),
        reference in prop::option::of(value()), groups in groups(row()),
        mark in prop_oneof![Just(Mark::Dot), Just(Mark::Diamond)],
    ) {
        inspect(&Forest { head, x, mark, reference, series, note, groups }.draw());
    }

    #[test]
    fn bars_are_whole(
        head in head(), x in axis(), base in prop::option::of(value()), series in names(0..4),
        groups in groups(row()),
    ) {
        inspect(&Bars { head, x, base, series, groups }.draw());
    }

    #[test]
    fn boxes_are_whole(
        head in head(), x in axis(), references in values(0..3),
        groups in groups((name(), values(SIZES)).prop_map(|(name, values)| {
            BoxRow { name, summary: Summary::of(&values) }
        })),
    ) {
        inspect(&Boxes { head, x, references, groups }.draw());
    }

    #[test]
    fn radars_are_whole(
        head in head(), value in axis(), groups in groups(name()),
        models in prop::collection::vec((name(), values(SIZES)), 0..5),
    ) {
        let models = models.into_iter().map(|(name, values)| Model { name, values }).collect();
        inspect(&Radar { head, value, groups, models }.draw());
    }

    #[test]
    fn curves_are_whole(
        head in head(), x in axis(), y in axis(), diagonal in any::<bool>(),
        lines in prop::collection::vec((name(), points()), 0..8),
    ) {
        let lines = lines.into_iter().map(|(name, points)| Line { name, points }).collect();
        inspect(&Curves { head, x, y, lines, diagonal }.draw());
    }

    #[test]
    fn reliability_diagrams_are_whole(
        head in head(),
        models in prop::collection::vec(
            (name(), prop::collection::vec((value(), estimate(), any::<u64>()), SIZES)), 0..4,
        ),
    ) {
        let bin = |(predicted, observed, count)| Bin { predicted, observed, count };
        let model = |(name, bins): (String, Vec<_>)| {
            Calibration { name, bins: bins.into_iter().map(bin).collect() }
        };
        inspect(&Reliability { head, models: models.into_iter().map(model).collect() }.draw());
    }

    #[test]
    fn scatters_are_whole(
        head in head(), x in axis(), y in axis(), identity in any::<bool>(), copies in 1_usize..80,
        clouds in prop::collection::vec((name(), points(), [value(), value(), value()]), 0..4),
    ) {
        let cloud = |(name, points, [a, b, c]): (String, Vec<[f64; 2]>, [f64; 3])| {
            let law = match a > b {
                true => Law::Straight { intercept: a, slope: b },
                false => Law::Power { floor: a, factor: b, exponent: c },
            };
            // Some have so many points that hexagons are drawn.
            Cloud { points: points.repeat(copies), fit: Some(Fit { name: name.clone(), law }), name }
        };
        let clouds = clouds.into_iter().map(cloud).collect();
        inspect(&Scatter { head, x, y, clouds, identity }.draw());
    }

    #[test]
    fn heatmaps_are_whole(
        head in head(), value in name(), rows in names(SIZES), columns in names(SIZES),
        row_name in name(), column_name in name(), lower_triangle in any::<bool>(),
        values in prop::collection::vec(values(SIZES), SIZES),
        palette in [value(), value()].prop_flat_map(|[a, b]| prop_oneof![
            Just(Palette::Sequential(a, b)), Just(Palette::Diverging { centre: a, reach: b }),
        ]),
    ) {
        let map = Heatmap {
            head, value, palette, row_name, column_name, rows, columns, values, lower_triangle,
        };
        inspect(&map.draw());
    }

    #[test]
    fn confusions_are_whole(
        head in head(), truth in name(), predicted in name(), classes in names(0..12),
        counts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..12), 0..12),
    ) {
        inspect(&Confusion { head, truth, predicted, classes, counts }.draw());
    }
}

fn plain(title: &str) -> Head {
    Head::new(title, "n = 3", "trainer evaluate")
}

fn one_row(value: f64) -> Forest {
    let estimates = vec![Estimate::new(value, [value - 0.1, value + 0.1])];
    Forest {
        head: plain("AUROC"),
        x: Axis::linear("AUROC").from_to(0.0, 1.0),
        mark: Mark::Dot,
        reference: None,
        series: vec!["model".to_owned()],
        note: None,
        groups: vec![Group {
            name: String::new(),
            rows: vec![Row { name: "glioma".to_owned(), note: String::new(), estimates }],
        }],
    }
}

/// Numbers of an attribute of every element of a kind.
fn all(picture: &Picture, tag: &str, attribute: &str) -> Vec<f64> {
    let text = picture.inline();
    let document = Document::parse(&text).unwrap();
    let found = document.descendants().filter(|node| node.has_tag_name(tag_of(tag)));
    found.filter_map(|node| node.attribute(attribute)).flat_map(numbers).collect()
}

fn tag_of(tag: &str) -> (&str, &str) {
    ("http://www.w3.org/2000/svg", tag)
}

#[test]
fn a_value_outside_of_the_axis_stands_at_its_edge_with_an_arrow() {
    let [inside, end, above, infinite] =
        [0.5, 1.0, 1.7, f64::INFINITY].map(|value| one_row(value).draw());
    let centre = |picture: &Picture| all(picture, "circle", "cx")[0];
    assert!(centre(&inside) < centre(&end));
    for picture in [&above, &infinite] {
        // The width of the figures differs, and with it the end of the axis.
        let edge = all(picture, "line", "x2").into_iter().fold(0.0, f64::max);
        assert_eq!(centre(picture), edge);
    }
    let arrows = |picture: &Picture| all(picture, "polygon", "points").len() / 6;
    assert_eq!([&inside, &end, &above, &infinite].map(arrows), [0, 1, 3, 3]);
    assert!(infinite.inline().contains(">∞ (∞–∞)<"));
}

#[test]
fn what_is_not_a_number_reads_so() {
    let missing = one_row(f64::NAN).draw();
    assert!(all(&missing, "circle", "cx").is_empty());
    assert!(missing.inline().contains(">n/a<"));
    let map = Heatmap {
        head: plain("AUROC"),
        value: "AUROC".to_owned(),
        palette: Palette::Sequential(0.0, 1.0),
        row_name: "logit".to_owned(),
        column_name: "label".to_owned(),
        rows: vec!["a".to_owned(), "b".to_owned()],
        columns: vec!["a".to_owned(), "b".to_owned()],
        values: vec![vec![0.5, f64::NAN], vec![0.5]],
        lower_triangle: false,
    };
    assert!(map.draw().inline().contains(">n/a<"));
    let whole = Heatmap { values: vec![vec![0.5, 0.1], vec![0.5, 2.0]], ..map };
    assert!(!whole.draw().inline().contains("n/a"));
}

#[test]
fn a_line_breaks_where_a_value_is_missing() {
    let points = vec![[0.0, 1.0], [1.0, 0.5], [2.0, f64::NAN], [3.0, 0.25], [4.0, 0.0]];
    let chart = Curves {
        head: plain("loss"),
        x: Axis::linear("step").from_to(0.0, 4.0),
        y: Axis::linear("loss").from_to(0.0, 1.0),
        lines: vec![Line { name: "train".to_owned(), points }],
        diagonal: false,
    };
    let text = chart.draw().inline();
    let document = Document::parse(&text).unwrap();
    let runs = document.descendants().filter(|node| {
        node.has_tag_name(tag_of("polyline")) && node.attribute("stroke") == Some("#0072b2")
    });
    let lengths: Vec<usize> =
        runs.map(|node| numbers(node.attribute("points").unwrap()).len() / 2).collect();
    assert_eq!(lengths, [2, 2]);
}

#[test]
fn hexagons_hold_every_point() {
    let points: Vec<[f64; 2]> =
        (0..4000).map(|index| [f64::from(index % 50), f64::from(index / 50)]).collect();
    let chart = |points: &[[f64; 2]]| Scatter {
        head: plain("age"),
        x: Axis::linear("age, years").from_to(0.0, 50.0),
        y: Axis::linear("age by the model, years").from_to(0.0, 80.0),
        clouds: vec![Cloud { name: "study".to_owned(), points: points.to_vec(), fit: None }],
        identity: false,
    };
    // Every point twice doubles what the fullest hexagon holds, and no hexagon is new.
    let [once, twice] = [points.clone(), points.repeat(2)].map(|points| chart(&points).draw());
    let hexagons = |picture: &Picture| picture.inline().matches("l4.3 2.5").count();
    assert_eq!(hexagons(&once), hexagons(&twice));
    assert!(hexagons(&once) > 1000);
    assert!(all(&chart(&points[..1000]).draw(), "circle", "cx").len() == 1000);
}

#[test]
fn a_confusion_matrix_says_counts_and_shares_of_rows() {
    let chart = Confusion {
        head: plain("acuity"),
        truth: "report".to_owned(),
        predicted: "model".to_owned(),
        classes: ["none", "low", "high"].map(str::to_owned).to_vec(),
        counts: vec![vec![1500, 500, 0], vec![1, 2, 0], vec![0, 0, 0]],
    };
    let text = chart.draw().inline();
    for words in [">1,500<", ">75.0 %<", ">25.0 %<", ">33.3 %<", ">66.7 %<", ">n/a<"] {
        assert!(text.contains(words), "{words}");
    }
}

#[test]
fn a_file_says_title_n_and_command_and_a_page_leaves_that_to_its_caption() {
    let picture = one_row(0.9).draw();
    for words in ["AUROC", "n = 3", "trainer evaluate"] {
        let seen = |text: &str| {
            let document = Document::parse(text).unwrap();
            let texts = document.descendants().filter(|node| node.has_tag_name(tag_of("text")));
            texts.filter(|node| said(*node) == words).count()
        };
        let of_axis = usize::from(words == "AUROC");
        assert_eq!([seen(&picture.svg()), seen(&picture.inline())], [1 + of_axis, of_axis]);
    }
}
