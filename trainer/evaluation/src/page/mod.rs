//! A document of figures, tables and text: one HTML file without scripts, that asks for nothing
//! from anywhere, reads well on screens and on paper.

mod html;

use crate::plot::Picture;

/// The document.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Heading of the document.
    pub title: String,
    /// The studies are simulated; a banner says so, on paper on every sheet.
    pub simulated: bool,
    /// What was evaluated: name and value, such as "Model" and its identity.
    pub facts: Vec<(String, String)>,
    /// The parts, in order.
    pub sections: Vec<Section>,
}

/// A part of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Name for links; made unique and safe where it is not.
    pub id: String,
    /// Heading.
    pub title: String,
    /// What the section shows, in a sentence or two; empty for none.
    pub lead: String,
    /// What it holds.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A chart; its title, n and command stand below it.
    Figure {
        /// The chart.
        picture: Picture,
        /// What to see in it, and how it was computed.
        caption: String,
    },
    /// A table.
    Table(Table),
    /// Paragraphs, divided by empty lines.
    Text(String),
}

/// A table; the first column names the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// What was counted.
    pub n: String,
    /// Command that makes it.
    pub command: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// A cell for each column; missing ones stay empty.
    pub rows: Vec<Vec<String>>,
}

/// A column of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading, with the unit.
    pub name: String,
    /// Where its cells stand.
    pub align: Align,
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words, to the left.
    Start,
    /// Numbers, to the right, with digits of one width.
    End,
}

impl Page {
    /// The document as HTML5 that is well-formed XML too.
    #[must_use]
    pub fn html(&self) -> String {
        html::document(self)
    }
}
