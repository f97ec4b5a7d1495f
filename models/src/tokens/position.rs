//! What a token says about where it lies: a sine/cosine position per axis and a one-hot of the
//! thin axis, written behind its latent values (specification §5).

use super::patchify::patch_size_vox;
use crate::dims::{LATENT, ORIENTATION, POSITION, TOKEN_FEATURES};

/// Position values per axis.
pub const PER_AXIS: usize = POSITION / 3;
/// Rows of the published position table along each axis. A series of at most 5000 patches stays
/// below index 79, so computing the values can replace the table.
const PUBLISHED_ROWS: u32 = 100;

/// Interleaved sine and cosine of `position` at five frequencies, 10000^(-k/5). Characters of a
/// name and patches along one axis share this formula.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "each step is rounded to single precision, as the published table was: at position \
              100 a frequency that is off by one unit in the last place would show"
)]
pub fn character_position(position: usize) -> [f32; PER_AXIS] {
    let mut features = [0.0; PER_AXIS];
    for (k, pair) in features.chunks_exact_mut(2).enumerate() {
        let exponent = (2 * k) as f32 / PER_AXIS as f32;
        let frequency = 1.0 / 10_000f64.powf(exponent.into()) as f32;
        let angle = position as f32 * frequency;
        pair.copy_from_slice(&[angle.sin(), angle.cos()]);
    }
    features
}

/// Position of the patch with this index along z, y, x: the three axes one after the other.
///
/// # Panics
/// When an index is 100 or more, where the published table ends. Series of at most 5000 patches
/// never get there.
#[must_use]
pub fn position(index: [u32; 3]) -> [f32; POSITION] {
    assert!(
        index.iter().all(|&i| i < PUBLISHED_ROWS),
        "patch index {index:?} is beyond the {PUBLISHED_ROWS} positions per axis"
    );
    let mut features = [0.0; POSITION];
    for (axis, i) in features.chunks_exact_mut(PER_AXIS).zip(index) {
        axis.copy_from_slice(&character_position(i as usize));
    }
    features
}

/// One-hot of the thin axis: axial, coronal, sagittal.
///
/// # Panics
/// When `thin_axis` is above 2.
#[must_use]
pub fn orientation(thin_axis: usize) -> [f32; ORIENTATION] {
    let mut features = [0.0; ORIENTATION];
    features[thin_axis] = 1.0;
    features
}

/// Writes a token: latent values in the order the transformer was trained on, position,
/// orientation.
///
/// `latent` is the encoder's output for one patch, C-ordered `[channel, z, y, x]` with 2 channels,
/// 2 cells along `thin_axis` and 8 along the others. The token has the thin axis second: z and y
/// change places for coronal patches; z and x for sagittal ones, whose in-plane axes so come out
/// as y, z. `start` is the patch's coordinate in the padded volume, `[z, y, x]` voxels.
///
/// # Panics
/// When `latent` is not 256 long, `thin_axis` is above 2, or as [`position`].
pub fn assemble_token(
    latent: &[f32],
    thin_axis: usize,
    start: [u32; 3],
    token: &mut [f32; TOKEN_FEATURES],
) {
    let latent = thin_first(latent, thin_axis);
    assemble_thin_first(&latent, thin_axis, start, token);
}

/// As [`assemble_token`], from latent values that already have the thin axis second.
///
/// # Panics
///
/// As [`assemble_token`].
#[expect(clippy::cast_possible_truncation, reason = "a patch has at most 32 voxels along an axis")]
pub fn assemble_thin_first(
    latent: &[f32],
    thin_axis: usize,
    start: [u32; 3],
    token: &mut [f32; TOKEN_FEATURES],
) {
    let patch_vox = patch_size_vox(thin_axis);
    token[..LATENT].copy_from_slice(latent);
    let index = std::array::from_fn(|a| start[a] / patch_vox[a] as u32);
    token[LATENT..LATENT + POSITION].copy_from_slice(&position(index));
    token[LATENT + POSITION..].copy_from_slice(&orientation(thin_axis));
}

/// Latent values of the convolutional encoder, `[channel, z, y, x]`, with the thin axis second.
///
/// # Panics
///
/// When `latent` is not 256 long or `thin_axis` is above 2.
#[must_use]
pub fn thin_first(latent: &[f32], thin_axis: usize) -> [f32; LATENT] {
    assert_eq!(latent.len(), LATENT, "latent values of one token");
    // Strides of [channel, z, y, x] in the encoder's output; an in-plane edge has 8 cells.
    let mut cells = [2, 8, 8, 8];
    cells[1 + thin_axis] = 2;
    let mut stride = [cells[1] * cells[2] * cells[3], cells[2] * cells[3], cells[3], 1];
    stride.swap(1, 1 + thin_axis);
    std::array::from_fn(|at| {
        let [channel, thin, row, column] = [at / 128, at / 64 % 2, at / 8 % 8, at % 8];
        latent[channel * stride[0] + thin * stride[1] + row * stride[2] + column * stride[3]]
    })
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::tokens::golden::{floats, integers, read};

    fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn positions_are_the_published_table() {
        let bytes = read("model_io.safetensors");
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let rows = integers(&golden, "posenc3d.rows");
        let values = floats(&golden, "posenc3d.values");
        for (&row, values) in rows.iter().zip(values.chunks_exact(POSITION)) {
            let row = u32::try_from(row).unwrap();
            let found = position([row / 10_000, row / 100 % 100, row % 100]);
            assert!(largest_difference(&found, values) <= 1e-7, "row {row}");
        }
        let characters: Vec<f32> = (0..200).flat_map(character_position).collect();
        assert!(largest_difference(&characters, &floats(&golden, "posenc1d_10")) <= 1e-7);
    }

    #[test]
    fn tokens_are_assembled_as_published() {
        let bytes = read("model_io.safetensors");
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let mut seen = [false; 3];
        for series in golden.names().iter().filter_map(|name| name.strip_suffix(".z_e")) {
            let shape = golden.tensor(&format!("{series}.z_e")).unwrap().shape().to_vec();
            let thin_axis = shape[2..].iter().position(|&cells| cells == 2).unwrap();
            let latents = floats(&golden, &format!("{series}.z_e"));
            let starts = integers(&golden, &format!("{series}.coords"));
            let tokens = floats(&golden, &format!("{series}.tokens"));
            let mut token = [0.0; TOKEN_FEATURES];
            for ((latent, start), expected) in latents
                .chunks_exact(LATENT)
                .zip(starts.chunks_exact(3))
                .zip(tokens.chunks_exact(TOKEN_FEATURES))
            {
                let start = std::array::from_fn(|a| u32::try_from(start[a]).unwrap());
                assemble_token(latent, thin_axis, start, &mut token);
                assert_eq!(token[..LATENT], expected[..LATENT], "{series} {start:?}");
                assert!(largest_difference(&token, expected) <= 1e-7, "{series} {start:?}");
            }
            seen[thin_axis] = true;
        }
        assert_eq!(seen, [true; 3], "the golden file has every orientation");
    }
}
