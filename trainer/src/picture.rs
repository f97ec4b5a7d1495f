//! Grey pictures of patches and slices.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// A grey picture.
#[derive(Clone, Debug)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A black one.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; width * height] }
    }

    /// Pastes a square of values; `white` and above become white.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a byte"
    )]
    pub fn paste(&mut self, x: usize, y: usize, edge: usize, values: &[f32], white: f32) {
        for (row, values) in values.chunks_exact(edge).enumerate() {
            let at = (y + row) * self.width + x;
            for (pixel, value) in self.pixels[at..at + edge].iter_mut().zip(values) {
                *pixel = (255.0 * (value / white).clamp(0.0, 1.0)).round() as u8;
            }
        }
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let size = |n: usize| u32::try_from(n).map_err(std::io::Error::other);
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, size(self.width)?, size(self.height)?);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        Ok(())
    }
}
