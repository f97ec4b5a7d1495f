//! How wide words are, and how numbers are written.

/// Size of most words, in pixels of the drawing.
pub(super) const SIZE: f64 = 12.0;
/// Size of the names of rows, and of figures beside them.
pub(super) const SMALL: f64 = 11.0;
/// Bold letters are wider than others by at most this.
pub(super) const BOLD: f64 = 1.16;
/// What words become that are cut off.
const CUT: char = '…';

/// An upper bound of the width of words on a reader's machine, whose fonts nobody knows: by the
/// widest of the usual ones, `DejaVu Sans`.
pub(super) fn width(words: &str, size: f64) -> f64 {
    words.chars().map(advance).sum::<f64>() * size
}

/// Width of a character at size 1.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | 'J' | '\'' => 0.34,
        ' ' | ',' | '.' | ':' | ';' | '/' | '\\' | '-' | 'f' | '·' | '\u{a0}' => 0.375,
        'r' | 't' | '(' | ')' | '[' | ']' | '!' | '⁰'..='⁹' | '¹' | '²' | '³' => 0.43,
        '"' | '*' | '_' | '`' | '^' | '?' | 's' | 'z' | 'c' | '–' | '°' | '⁻' | '|' => 0.56,
        'm' | '@' | 'W' | CUT => 1.0,
        '%' | 'M' => 0.96,
        '#' | '+' | '<' | '=' | '>' | '~' | '−' | '×' | '±' | '≤' | '≥' | '∞' | '&' => {
            0.84
        }
        'w' => 0.82,
        'a'..='z' | '0'..='9' | '$' | '{' | '}' => 0.637,
        'C' | 'D' | 'G' | 'H' | 'N' | 'O' | 'Q' | 'U' => 0.79,
        'A'..='Z' => 0.7,
        // Letters of Europe, with whatever stands above and below them.
        '\u{a1}'..='\u{52f}' => 0.9,
        // East Asian letters fill a square.
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => 1.0,
        _ => 1.4,
    }
}

/// The words, or as many letters of them as fit, and three dots.
pub(super) fn fit(words: &str, size: f64, room: f64) -> String {
    // Rooms are sums of widths, and not exact.
    let room = room + 0.01;
    if width(words, size) <= room {
        return words.to_owned();
    }
    let mut left = room - advance(CUT) * size;
    let kept = words.chars().take_while(|character| {
        left -= advance(*character) * size;
        left >= 0.0
    });
    let mut out: String = kept.collect();
    out.truncate(out.trim_end().len());
    out.push(CUT);
    out
}

/// The words in lines that fit; the last of them is cut off where it is too long.
pub(super) fn wrap(words: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_ascii_whitespace() {
        match lines.pop() {
            None => lines.push(word.to_owned()),
            Some(line) => {
                let longer = format!("{line} {word}");
                if width(&longer, size) <= room || lines.len() + 1 == most {
                    lines.push(longer);
                } else {
                    lines.extend([line, word.to_owned()]);
                }
            }
        }
    }
    lines.iter().map(|line| fit(line, size, room)).collect()
}

/// A number with so many decimals, its thousands apart: "−1,204.50".
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "n/a".to_owned();
    }
    if value.is_finite() && value.abs() >= 1e7 {
        return scientific(value);
    }
    let digits = match value.is_finite() {
        true => format!("{:.decimals$}", value.abs()),
        false => "∞".to_owned(),
    };
    let is_zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    format!("{sign}{}{fraction}", thousands(whole))
}

/// A count with its thousands apart: "30,000".
pub(crate) fn count(value: u64) -> String {
    thousands(&value.to_string())
}

fn thousands(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.chars().count() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A ratio: "0.87", "1.83", "12.4", "1,204"; below 0.1 with two digits that say something.
pub(super) fn ratio(value: f64) -> String {
    match value.abs() {
        size if size > 0.0 && size < 1e-4 => scientific(value),
        size if size > 0.0 && size < 0.095 => decimal(value, decimals(size) - 1),
        size => decimal(value, decimals(size).min(2)),
    }
}

/// Decimals with which a number of this size has three digits that say something; at most six.
pub(super) fn decimals(size: f64) -> usize {
    let powers = [100.0, 10.0, 1.0, 0.1, 0.01, 0.001];
    let place = powers.iter().position(|power| size >= *power);
    place.unwrap_or(if size > 0.0 { 6 } else { 2 })
}

/// "1.50×10⁷".
pub(super) fn scientific(value: f64) -> String {
    let digits = format!("{value:.2e}");
    let (mantissa, power) = digits.split_once('e').unwrap_or((&digits, "0"));
    format!("{}×{}", mantissa.replace('-', "−"), power_of_ten(power))
}

/// "10⁻³", of "-3".
fn power_of_ten(power: &str) -> String {
    let raised = |character: char| match character.to_digit(10) {
        Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
        None => '⁻',
    };
    format!("10{}", power.chars().map(raised).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let decimals = |value| decimal(value, 2);
        assert_eq!(decimals(1234.567), "1,234.57");
        assert_eq!(decimals(-0.5), "−0.50");
        assert_eq!(decimals(-0.001), "0.00");
        assert_eq!(decimals(f64::NAN), "n/a");
        assert_eq!(decimals(f64::NEG_INFINITY), "−∞");
        assert_eq!(decimals(123_456_789.0), "1.23×10⁸");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(29_431_000), "29,431,000");
        let ratios = [0.0, 3e-7, 0.0213, 0.0999, 0.87, 1.834, 12.34, 1204.4].map(ratio);
        let expected = ["0.00", "3.00×10⁻⁷", "0.021", "0.10", "0.87", "1.83", "12.3", "1,204"];
        assert_eq!(ratios, expected);
    }

    #[test]
    fn long_words_are_wrapped_and_cut() {
        let room = width("area under the", 10.0);
        assert_eq!(wrap("area under the curve", 10.0, room, 2), ["area under the", "curve"]);
        assert_eq!(
            wrap("area under the ROC curve of it", 10.0, room, 2),
            ["area under the", "ROC curve o…"]
        );
        assert_eq!(wrap("  ", 10.0, room, 2), [""; 0]);
        assert_eq!(fit("glioma", 10.0, width("gl…", 10.0)), "gl…");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(words in any::<String>(), room in 12.0..300.0) {
            prop_assert!(width(&fit(&words, 12.0, room), 12.0) <= room + 0.1);
            for line in wrap(&words, 12.0, room, 3) {
                prop_assert!(width(&line, 12.0) <= room + 0.1);
            }
        }
    }
}
