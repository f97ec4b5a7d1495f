//! A chart that is drawn, and what stands around it.

use super::Head;
use super::canvas::{Canvas, EDGE, Words, short};
use super::style::{GREY, INK};
use super::text::{BOLD, SIZE, SMALL, wrap};
use crate::markup::escape;

/// Size of the title.
const TITLE: f64 = 15.0;
/// Distance of base lines.
const LINE: f64 = 1.4;
/// Lines of a title or a command; longer ones are cut off.
const MOST_LINES: usize = 4;

/// A drawn chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    head: Head,
    /// What kind of chart it is, for those who cannot see it.
    about: String,
    /// Width and height.
    size: [f64; 2],
    /// Elements of the drawing.
    body: String,
}

impl Picture {
    pub(super) fn new(head: &Head, about: String, size: [f64; 2], canvas: Canvas) -> Self {
        let size = size.map(f64::ceil);
        Self { head: head.clone(), about, size, body: canvas.finish() }
    }

    /// Title, n and command.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The chart as a file of its own, with its title, n and command in it.
    #[must_use]
    pub fn svg(&self) -> String {
        let [width, height] = self.size;
        let mut canvas = Canvas::default();
        canvas.add(format_args!(r##"<rect width="100%" height="100%" fill="#fff"/>"##));
        let mut y = EDGE;
        let room = width - 2.0 * EDGE;
        for line in wrap(&self.head.title, TITLE * BOLD, room, MOST_LINES) {
            y += TITLE * LINE;
            canvas.text(&Words::new(&line, [EDGE, y - 6.0]).size(TITLE).bold());
        }
        y = says(&mut canvas, &self.head.n, SIZE, [y, room]) + 6.0;
        let top = y;
        y = says(&mut canvas, &self.head.command, SMALL, [y + height + EDGE, room]) + EDGE;
        canvas.add(format_args!(
            "<g transform=\"translate(0 {})\">\n{}</g>",
            short(top),
            self.body
        ));
        self.element([width, y.ceil()], &canvas.finish())
    }

    /// The drawing alone, for a page that says title, n and command itself.
    pub(crate) fn inline(&self) -> String {
        self.element(self.size, &self.body)
    }

    /// Width that the drawing is made for, in pixels.
    pub(crate) fn width(&self) -> f64 {
        self.size[0]
    }

    fn element(&self, [width, height]: [f64; 2], body: &str) -> String {
        let Head { title, n, command } = &self.head;
        let [title, about] =
            [escape(title), escape(&format!("{} {n}. Made by: {command}", self.about))];
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" \
             font-size=\"{SIZE}\" fill=\"{INK}\">\n<title>{title}</title>\n<desc>{about}</desc>\n\
             {body}</svg>\n"
        )
    }
}

/// Grey lines from `y` down, and where they end.
fn says(canvas: &mut Canvas, words: &str, size: f64, [mut y, room]: [f64; 2]) -> f64 {
    for line in wrap(words, size, room, MOST_LINES) {
        y += size * LINE;
        canvas.text(&Words::new(&line, [EDGE, y - 4.0]).size(size).fill(GREY));
    }
    y
}
