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
            entry(&format!("table-{number}"), &format!("Table {number}"), &of.caption);
            table(of, number)
        }
    }
}

fn figure(picture: &Picture, caption: &str, number: usize) -> String {
    let Head { title, n, command } = picture.head();
    let [title, n, command, caption] = [title, n, command, caption].map(|words| escape(words));
    let width = picture.width();
    format!(
        "<figure id=\"figure-{number}\">\n<div class=\"scroll\" style=\"--width: {width}px\">\n{}\
         </div>\n<figcaption><strong>Figure {number}. {title}.</strong> {caption} \
         <span class=\"n\">{n}.</span> <code>{command}</code></figcaption>\n</figure>\n",
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
    let [caption, n, command] =
        [&table.caption, &table.n, &table.command].map(|words| escape(words));
    format!(
        "<div class=\"table\" id=\"table-{number}\">\n<div class=\"scroll\">\n<table>\n\
         <caption><strong>Table {number}.</strong> {caption}</caption>\n\
         <thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n\
         <div class=\"made\">{n}. <code>{command}</code></div>\n</div>\n"
    )
}
