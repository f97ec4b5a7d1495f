//! Words as text of XML, and so of SVG and HTML.

/// Text with the characters that mean something in markup spelled out, in quotes as well. What
/// XML 1.0 §2.2 does not allow, and what turns the direction of the words around it, becomes
/// U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{fdd0}'..='\u{fdef}' => out.push('\u{fffd}'),
            // The last two code points of every plane are no characters.
            _ if u32::from(character) & 0xfffe == 0xfffe => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_parser_reads_what_was_said(words in any::<String>()) {
            let element = format!("<a b=\"{0}\">{0}</a>", escape(&words));
            let document = roxmltree::Document::parse(&element).unwrap();
            let root = document.root_element();
            let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            prop_assert_eq!(root.attribute("b").unwrap(), root.text().unwrap_or_default());
            let read = root.text().unwrap_or_default().chars();
            for (read, said) in read.zip(words.chars()).filter(|(_, said)| is_plain(*said)) {
                prop_assert!([said, char::REPLACEMENT_CHARACTER].contains(&read));
            }
        }
    }

    #[test]
    fn markup_becomes_text_and_control_characters_are_replaced() {
        assert_eq!(
            escape("a<b> & \"c\"'\n\0\u{1b}\u{202e}é"),
            "a&lt;b&gt; &amp; &quot;c&quot;&#39; \u{fffd}\u{fffd}\u{fffd}é"
        );
    }
}
