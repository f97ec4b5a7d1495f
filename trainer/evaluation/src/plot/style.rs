//! Colours, marks and dashes: each tells things apart by itself, in colour, in grey and for eyes
//! that see few colours.

/// Words and axes.
pub(super) const INK: &str = "#1a1a1a";
/// Words beside others.
pub(super) const GREY: &str = "#555";
/// Lines behind the data.
pub(super) const GRID: &str = "#dfe3e8";
/// The line where an axis is 0.
pub(super) const ZERO: &str = "#9aa3ad";
/// Rows that are set off.
pub(super) const SHADE: &str = "#f4f6f8";

/// How one of several things is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Of lines and marks.
    pub(super) colour: &'static str,
    /// Of bars.
    pub(super) fill: &'static str,
    pub(super) shape: Shape,
    /// `stroke-dasharray`; empty for a whole line.
    pub(super) dashes: &'static str,
}

/// Outline of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
}

/// The colours of Okabe and Ito (Color Universal Design, 2008) for lines and marks, without
/// yellow; the first five stand out from white by 3 to 1 (WCAG 2.2, 1.4.11).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#000000", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// The same for bars, which have dark edges; neighbours differ in lightness.
const FILLS: [&str; 7] =
    ["#0072b2", "#e69f00", "#f0e442", "#d55e00", "#56b4e9", "#009e73", "#cc79a7"];
const SHAPES: [Shape; 5] =
    [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Cross];
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Style of the first, second, … thing. Seven colours, five shapes and four kinds of dashes come
/// around together after 140.
pub(super) fn style(index: usize) -> Style {
    Style {
        colour: COLOURS[index % COLOURS.len()],
        fill: FILLS[index % FILLS.len()],
        shape: SHAPES[index % SHAPES.len()],
        dashes: DASHES[index % DASHES.len()],
    }
}

/// From white to dark blue in steps of one lightness (`OKLab`, Ottosson 2020).
const BLUES: [[u8; 3]; 6] = [
    [0xf6, 0xf9, 0xfb],
    [0xae, 0xd7, 0xf5],
    [0x63, 0xac, 0xe4],
    [0x2d, 0x7c, 0xbc],
    [0x16, 0x52, 0x89],
    [0x10, 0x2e, 0x52],
];
/// From white to dark red brown, as light as the blues.
const REDS: [[u8; 3]; 6] = [
    [0xf6, 0xf9, 0xfb],
    [0xf4, 0xc7, 0xa3],
    [0xe0, 0x8e, 0x53],
    [0xb5, 0x5a, 0x24],
    [0x82, 0x35, 0x13],
    [0x4c, 0x1e, 0x0f],
];

/// Red, green and blue of a share from −1, dark blue, over 0, white, to 1, dark red.
pub(super) fn diverging(share: f64) -> [u8; 3] {
    ramp(if share < 0.0 { &BLUES } else { &REDS }, share.abs())
}

/// Red, green and blue of a share from 0, white, to 1, dark blue.
pub(super) fn sequential(share: f64) -> [u8; 3] {
    ramp(&BLUES, share)
}

fn ramp(points: &[[u8; 3]; 6], share: f64) -> [u8; 3] {
    let last = points.len() - 1;
    let at = share.clamp(0.0, 1.0) * last as f64;
    let from = whole(at).min(last - 1);
    let part = at - from as f64;
    [0, 1, 2].map(|channel| {
        let [low, high] = [points[from], points[from + 1]].map(|point| f64::from(point[channel]));
        u8::try_from(whole((low + part * (high - low)).round())).unwrap_or(u8::MAX)
    })
}

/// Ink that stands out on a colour: at least 4.5 to 1 (WCAG 2.2, 1.4.3).
pub(super) fn ink_on(colour: [u8; 3]) -> &'static str {
    if luminance(colour) > 0.2 { INK } else { "#fff" }
}

/// Relative luminance (WCAG 2.2).
pub(super) fn luminance(colour: [u8; 3]) -> f64 {
    let linear = colour.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

/// "#0072b2".
pub(super) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A small number without its fraction; 0 for what is below it or not a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and what it is given is small"
)]
pub(super) fn whole(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE lightness.
    fn lightness(colour: [u8; 3]) -> f64 {
        116.0 * luminance(colour).cbrt() - 16.0
    }

    #[test]
    fn shades_grow_darker_in_even_steps_and_carry_readable_words() {
        for palette in [sequential, diverging, |share: f64| diverging(-share)] {
            let lights: Vec<f64> =
                (0..=20).map(|step| lightness(palette(f64::from(step) / 20.0))).collect();
            for pair in lights.windows(2) {
                assert!((2.0..6.5).contains(&(pair[0] - pair[1])), "{lights:?}");
            }
            for step in 0..=200 {
                let colour = palette(f64::from(step) / 200.0);
                let light = luminance(colour) + 0.05;
                let contrast = match ink_on(colour) {
                    INK => light / (luminance([0x1a; 3]) + 0.05),
                    _ => 1.05 / light,
                };
                assert!(contrast >= 4.5, "{}: {contrast}", hex(colour));
            }
        }
    }

    #[test]
    fn both_ends_of_a_diverging_palette_are_as_dark() {
        for step in 0..=20 {
            let share = f64::from(step) / 20.0;
            let [blue, red] = [-share, share].map(|share| lightness(diverging(share)));
            assert!((blue - red).abs() < 4.0, "{share}: {blue} {red}");
        }
    }

    #[test]
    fn things_that_are_shown_together_differ_without_colours() {
        let styles: Vec<(Shape, &str)> =
            (0..20).map(|index| (style(index).shape, style(index).dashes)).collect();
        for (index, one) in styles.iter().enumerate() {
            assert!(!styles[..index].contains(one), "{index}");
        }
    }
}
