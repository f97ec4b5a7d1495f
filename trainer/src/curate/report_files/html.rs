//! The text of a narrative: markup away, blocks as lines, entities as characters.

/// Elements that end a line.
const BLOCKS: [&str; 12] =
    ["br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "table", "ul", "pre"];

/// Plain text of simple (X)HTML. A `<` that begins no element stays.
pub(super) fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let begins = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match after.split_once('>') {
            Some((tag, tail)) if begins => {
                let name = tag.trim_matches('/').split([' ', '\n', '\t', '/']).next();
                let name = name.unwrap_or_default().to_ascii_lowercase();
                if BLOCKS.contains(&name.as_str()) {
                    out.push('\n');
                }
                rest = tail;
            }
            _ => {
                out.push('<');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    tidy(&entities(&out))
}

fn entities(text: &str) -> String {
    let named = [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'")];
    let text = named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.replace("&#160;", " ").replace("&apos;", "'").replace("&amp;", "&")
}

/// Single blank lines, no blanks at line ends.
fn tidy(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().map(str::trim) {
        if !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn markup_becomes_lines() {
        let html = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>FINDINGS: cyst <b>&lt; 5 mm</b>\
                    </p>size < 3<br/>R&amp;L</div>";
        assert_eq!(text(html), "FINDINGS: cyst < 5 mm\nsize < 3\nR&L");
    }
}
