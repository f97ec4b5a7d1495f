//! An RGB picture to draw on: pixels, rectangles, text, PNG.

use super::glyphs;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Pixels from `[left, top]` (included) to `[right, bottom]` (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// One past the last column.
    pub right: usize,
    /// One past the last row.
    pub bottom: usize,
}

impl Rectangle {
    /// The same rectangle, smaller by `margin` on every side.
    fn inset(self, margin: usize) -> Self {
        Self {
            left: self.left + margin,
            top: self.top + margin,
            right: self.right.saturating_sub(margin),
            bottom: self.bottom.saturating_sub(margin),
        }
    }
}

/// An RGB picture, 8 bits a channel.
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A picture of one colour.
    pub fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self { width, height, pixels: colour.repeat(width * height) }
    }

    /// Mixes `colour` into a pixel; `opacity` runs from 0 to 1. Outside the picture nothing
    /// happens.
    pub fn blend(&mut self, x: usize, y: usize, colour: Colour, opacity: f64) {
        if x >= self.width || y >= self.height {
            return;
        }
        let pixel = &mut self.pixels[(y * self.width + x) * 3..][..3];
        for (channel, new) in pixel.iter_mut().zip(colour) {
            let old = f64::from(*channel);
            *channel = to_byte(old + (f64::from(new) - old) * opacity);
        }
    }

    /// Mixes `colour` into a rectangle.
    pub fn fill(&mut self, area: Rectangle, colour: Colour, opacity: f64) {
        for y in area.top..area.bottom {
            for x in area.left..area.right {
                self.blend(x, y, colour, opacity);
            }
        }
    }

    /// A line of `thickness` pixels along the inside of a rectangle's edge, with a dark seam
    /// that keeps it visible on bright tissue.
    pub fn outline(&mut self, area: Rectangle, colour: Colour, thickness: usize) {
        let mut frame = |outer: Rectangle, thickness: usize, colour, opacity| {
            let inner = outer.inset(thickness);
            for y in outer.top..outer.bottom {
                for x in outer.left..outer.right {
                    let inside = (inner.left..inner.right).contains(&x)
                        && (inner.top..inner.bottom).contains(&y);
                    if !inside {
                        self.blend(x, y, colour, opacity);
                    }
                }
            }
        };
        frame(area, thickness, colour, 1.0);
        frame(area.inset(thickness), 1, [0; 3], 0.6);
    }

    /// Writes `text` with its top left corner at `(x, y)`; a dot of a letter is a square of
    /// `dot` pixels.
    pub fn text(&mut self, x: usize, y: usize, text: &str, dot: usize, colour: Colour) {
        for (place, character) in text.chars().enumerate() {
            let left = x + place * advance(dot);
            let y = y + glyphs::drop(character) * dot;
            for (row, bits) in glyphs::rows(character).into_iter().enumerate() {
                for column in (0..glyphs::WIDTH).filter(|column| bits >> (4 - column) & 1 == 1) {
                    let (left, top) = (left + column * dot, y + row * dot);
                    let area = Rectangle { left, top, right: left + dot, bottom: top + dot };
                    self.fill(area, colour, 1.0);
                }
            }
        }
    }

    /// Like [`Canvas::text`], on a dark rim that keeps it legible on any tissue.
    pub fn text_on_image(&mut self, x: usize, y: usize, text: &str, dot: usize, colour: Colour) {
        let rim = dot.div_ceil(2);
        for (dx, dy) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)] {
            let (x, y) = ((x + dx * rim).saturating_sub(rim), (y + dy * rim).saturating_sub(rim));
            self.text(x, y, text, dot, [0; 3]);
        }
        self.text(x, y, text, dot, colour);
    }

    /// The pixels, row by row: red, green, blue.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    ///
    /// What the encoder reports; a picture without pixels is one such case.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let size = |length: usize| u32::try_from(length).unwrap_or(0);
        let mut encoder = png::Encoder::new(&mut file, size(self.width), size(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }
}

/// Pixels from one letter to the next.
pub fn advance(dot: usize) -> usize {
    (glyphs::WIDTH + 1) * dot
}

/// Pixels that a text is wide.
pub fn text_width(text: &str, dot: usize) -> usize {
    (text.chars().count() * advance(dot)).saturating_sub(dot)
}

/// Rounds to a channel value, cutting what lies outside 0 to 255.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to the range of u8 first"
)]
pub fn to_byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}
