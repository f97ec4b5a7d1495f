//! The words and tags of a document. Everything that a caller says is escaped.

use std::collections::BTreeSet;

use super::{Align, Block, Page, Section, Table};
use crate::markup::escape;
use crate::plot::{Head, Picture};

const STYLE: &str = include_str!("style.css");
const SIMULATED: &str = "Simulated studies, not patients.";
const NOT_A_DEVICE: &str = "Research use; not a medical device.";
/// Nothing is loaded from anywhere, whatever the document says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Rows of tables that stay on one sheet of paper.
const SHORT: usize = 20;

/// Numbers of the figures and tables so far.
#[derive(Default)]
struct Numbers {
    figures: usize,
    tables: usize,
}

pub(super) fn document(page: &Page) -> String {
    let title = escape(&page.title);
    let class = if page.simulated { "banner simulated" } else { "banner" };
    let simulated =
        if page.simulated { format!("<strong>{SIMULATED}</strong> ") } else { String::new() };
    let facts: String = page.facts.iter().map(fact).collect();
    let facts = if facts.is_empty() { facts } else { format!("<dl>\n{facts}</dl>\n") };
    let ids = ids(&page.sections);
    let mut numbers = Numbers::default();
    let (mut contents, mut sections) = (String::new(), String::new());
    for ((index, section), id) in (1..).zip(&page.sections).zip(&ids) {
        let heading = format!("{index} {}", escape(&section.title));
        let mut inner = String::new();
        sections += &format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n");
        sections += &paragraphs(&section.lead, " class=\"lead\"");
        for block in &section.blocks {
            sections += &self::block(block, &mut numbers, &mut inner);
        }
        sections += "</section>\n";
        let inner = if inner.is_empty() { inner } else { format!("\n<ol>\n{inner}</ol>\n") };
        contents += &format!("<li><a href=\"#{id}\">{heading}</a>{inner}</li>\n");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n\
         <aside class=\"{class}\" aria-label=\"Notice\">{simulated}{NOT_A_DEVICE}</aside>\n\
         <div class=\"page\">\n<header>\n<h1>{title}</h1>\n{facts}</header>\n\
         <nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ol>\n{contents}</ol>\n</nav>\n\
         <main>\n{sections}</main>\n</div>\n</body>\n</html>\n",
        sheets(page.simulated)
    )
}

/// What stands on every printed sheet (CSS Paged Media, margin boxes).
fn sheets(simulated: bool) -> String {
    let simulated = if simulated { format!("{SIMULATED} ") } else { String::new() };
    let font = "font: 8pt Helvetica, Arial, sans-serif; color: #4d545c;";
    format!(
        "@page {{ @top-center {{ content: \"{simulated}{NOT_A_DEVICE}\"; {font} }} \
         @bottom-center {{ content: \"Page \" counter(page) \" of \" counter(pages); {font} }} }}\n"
    )
}

fn fact((name, value): &(String, String)) -> String {
    format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value))
}

/// Names of the sections for links: lower case, unlike each other and the names of figures and
/// tables.
fn ids(sections: &[Section]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let id = |section: &Section| {
        let letters = section.id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        let id: String = letters.collect::<String>().to_ascii_lowercase();
        let id = match id.trim_matches('-') {
            "" => "section",
            id => id,
        };
        let is_ours = ["figure-", "table-"].iter().any(|ours| id.starts_with(ours));
        let id = if is_ours { format!("section-{id}") } else { id.to_owned() };
        let numbered = (2..).map(|number| format!("{id}-{number}"));
        let mut choices = [id.clone()].into_iter().chain(numbered);
        let free = choices.find(|choice| taken.insert(choice.clone()));
        free.unwrap_or(id)
    };
    sections.iter().map(id).collect()
}

/// Paragraphs, divided by empty lines.
fn paragraphs(text: &str, attributes: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let pieces = text.split("\n\n").map(str::trim).filter(|piece| !piece.is_empty());
    pieces.map(|piece| format!("<p{attributes}>{}</p>\n", escape(piece))).collect()
}

/// A block; `contents` gets its line of the contents.
fn block(block: &Block, numbers: &mut Numbers, contents: &mut String) -> String {
    let mut entry = |id: &str, name: &str, title: &str| {
        *contents += &format!("<li><a href=\"#{id}\">{name}. {}</a></li>\n", escape(title));
    };
    match block {
        Block::Text(text) => paragraphs(text, ""),
        Block::Figure { picture, caption } => {
            numbers.figures += 1;
            let number = numbers.figures;
            entry(&format!("figure-{number}"), &format!("Figure {number}"), &picture.head().title);
            figure(picture, caption, number)
        }
        Block::Table(of) => {
            numbers.tables += 1;
            let number = numbers.tables;
            entry(&format!("table-{number}"), &format!("Table {number}"), brief(&of.caption));
            table(of, number)
        }
    }
}

/// The first clause of a caption.
fn brief(caption: &str) -> &str {
    let end = [". ", "; ", ": ", " ("].iter().filter_map(|end| caption.find(end)).min();
    end.and_then(|end| caption.get(..end)).unwrap_or(caption).trim_end_matches('.')
}

/// Attributes of what is wider than a small screen: keys move it, too.
fn scrolls(name: &str) -> String {
    format!("class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{name}\"")
}

fn figure(picture: &Picture, caption: &str, number: usize) -> String {
    let Head { title, n, command } = picture.head();
    let [title, n, command, caption] = [title, n, command, caption].map(escape);
    let width = picture.width();
    let name = format!("Figure {number}");
    format!(
        "<figure id=\"figure-{number}\">\n<div {} style=\"--width: {width}px\">\n{}\
         </div>\n<figcaption><strong>{name}. {title}.</strong> {caption} \
         <span class=\"n\">{n}.</span> <code>{command}</code></figcaption>\n</figure>\n",
        scrolls(&name),
        picture.inline()
    )
}

fn table(table: &Table, number: usize) -> String {
    let class = |align: Align| match align {
        Align::Start => "",
        Align::End => " class=\"number\"",
    };
    let heads: String = (table.columns.iter())
        .map(|column| {
            format!("<th scope=\"col\"{}>{}</th>", class(column.align), escape(&column.name))
        })
        .collect();
    let row = |cells: &Vec<String>| {
        let cell = |index: usize| {
            let words = cells.get(index).map_or_else(String::new, |cell| escape(cell));
            let class = class(table.columns[index].align);
            match index {
                0 => format!("<th scope=\"row\"{class}>{words}</th>"),
                _ => format!("<td{class}>{words}</td>"),
            }
        };
        let cells: String = (0..table.columns.len()).map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = table.rows.iter().map(row).collect();
    let short = if table.rows.len() <= SHORT { " short" } else { "" };
    let [caption, n, command] =
        [&table.caption, &table.n, &table.command].map(|words| escape(words));
    format!(
        "<div class=\"table{short}\" id=\"table-{number}\">\n<div {}>\n<table>\n\
         <caption><strong>Table {number}.</strong> {caption}</caption>\n\
         <thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n\
         <div class=\"made\">{n}. <code>{command}</code></div>\n</div>\n",
        scrolls(&format!("Table {number}"))
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use roxmltree::{Document, Node, ParsingOptions};

    use super::*;
    use crate::page::Column;
    use crate::plot::{Axis, Bars};

    const BAD: &str = "</style></svg><script>alert('1')</script> & \u{0} \u{b} \"]]>";

    fn words() -> impl Strategy<Value = String> {
        prop_oneof!["[a-zA-Z ]{1,30}", any::<String>(), Just(BAD.to_owned()), Just(String::new())]
    }

    fn block() -> impl Strategy<Value = Block> {
        let head = [words(), words(), words()];
        let figure = (head, words()).prop_map(|([title, n, command], caption)| {
            let head = Head { title, n, command };
            let x = Axis::linear("mean AUROC");
            let bars = Bars { head, x, base: None, series: vec![], groups: vec![] };
            Block::Figure { picture: bars.draw(), caption }
        });
        let cells = |most| prop::collection::vec(words(), 0..most);
        let table = ([words(), words(), words()], cells(5), prop::collection::vec(cells(7), 0..6));
        let table = table.prop_map(|([caption, n, command], names, rows)| {
            let aligns = [Align::Start, Align::End].into_iter().cycle();
            let columns = names.into_iter().zip(aligns).map(|(name, align)| Column { name, align });
            Block::Table(Table { caption, n, command, columns: columns.collect(), rows })
        });
        prop_oneof![figure, table, words().prop_map(Block::Text)]
    }

    fn section() -> impl Strategy<Value = Section> {
        let id = prop_oneof![words(), Just("figure-1".to_owned()), Just("a".to_owned())];
        let blocks = prop::collection::vec(block(), 0..5);
        (id, words(), words(), blocks).prop_map(|(id, title, lead, blocks)| Section {
            id,
            title,
            lead,
            blocks,
        })
    }

    fn page() -> impl Strategy<Value = Page> {
        let facts = prop::collection::vec((words(), words()), 0..4);
        let sections = prop::collection::vec(section(), 0..6);
        (words(), any::<bool>(), facts, sections).prop_map(|(title, simulated, facts, sections)| {
            Page { title, simulated, facts, sections }
        })
    }

    fn tagged<'a>(document: &'a Document<'a>, tag: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
        document.descendants().filter(move |node| node.tag_name().name() == tag)
    }

    fn said(node: Node<'_, '_>) -> String {
        node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_page_is_whole_whatever_it_holds(page in page()) {
            let html = page.html();
            let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
            let document = Document::parse_with_options(&html, options).unwrap();
            let mut ids = HashSet::new();
            for node in document.descendants() {
                if let Some(id) = node.attribute("id") {
                    prop_assert!(ids.insert(id), "{id} is there twice");
                }
                for attribute in node.attributes() {
                    let name = attribute.name();
                    prop_assert!(!name.starts_with("on") && name != "src", "{name}");
                }
            }
            for link in document.descendants().filter_map(|node| node.attribute("href")) {
                prop_assert!(ids.contains(link.strip_prefix('#').unwrap()), "{link} leads nowhere");
            }
            let links = tagged(&document, "a").count();
            let shown = ["section", "figure", "table"].map(|tag| tagged(&document, tag).count());
            prop_assert_eq!(links, shown.iter().sum::<usize>());
            for tag in ["script", "link", "img", "iframe", "object"] {
                prop_assert_eq!(tagged(&document, tag).count(), 0, "{}", tag);
            }
            let banner = said(tagged(&document, "aside").next().unwrap());
            prop_assert_eq!(banner.contains(SIMULATED), page.simulated);
            prop_assert!(banner.contains(NOT_A_DEVICE));
        }

        #[test]
        fn figures_and_tables_say_what_they_are(page in page()) {
            let html = page.html();
            let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
            let document = Document::parse_with_options(&html, options).unwrap();
            let blocks: Vec<&Block> = page.sections.iter().flat_map(|of| &of.blocks).collect();
            let heads = blocks.iter().filter_map(|block| match block {
                Block::Figure { picture, caption } => Some((picture.head(), caption)),
                _ => None,
            });
            let shown = |words: &str| said(Document::parse(&format!("<a>{}</a>", escape(words))).unwrap().root());
            let figures: Vec<Node<'_, '_>> = tagged(&document, "figure").collect();
            prop_assert_eq!(figures.len(), heads.clone().count());
            for (figure, (head, caption)) in figures.iter().zip(heads) {
                let caption_of = figure.last_element_child().unwrap();
                prop_assert_eq!(caption_of.tag_name().name(), "figcaption");
                let text = said(caption_of);
                for words in [&head.title, &head.n, &head.command, caption] {
                    prop_assert!(text.contains(&shown(words)), "{words:?} is not in {text:?}");
                }
            }
            let tables = blocks.iter().filter_map(|block| match block {
                Block::Table(table) => Some(table),
                _ => None,
            });
            for (node, table) in tagged(&document, "table").zip(tables) {
                prop_assert_eq!(node.first_element_child().unwrap().tag_name().name(), "caption");
                let cells = |row: Node<'_, '_>| row.children().filter(Node::is_element).count();
                let rows: Vec<Node<'_, '_>> =
                    node.descendants().filter(|node| node.tag_name().name() == "tr").collect();
                prop_assert_eq!(rows.len(), table.rows.len() + 1);
                prop_assert!(rows.iter().all(|row| cells(*row) == table.columns.len()));
                let heads = node.descendants().filter(|node| node.tag_name().name() == "th");
                prop_assert!(heads.clone().all(|head| head.attribute("scope").is_some()));
            }
        }
    }
}
