//! Sizes that the published tokens fix, and the alphabet used for tensor shapes.
//!
//! Shapes in docs, comments and assertion messages use one alphabet: `B` studies, `S` series,
//! `T` tokens, `P` latent values per token, `R` registers, `D` width, `H` heads, `L` labels.
//! Voxel arrays are C-ordered `[z, y, x]` in patient LPS order (z to superior, y to posterior,
//! x to left); coordinates in millimetres are `[x, y, z]`.

/// In-plane size every slice is resampled to, in voxels (paper, Methods; specification §1a).
pub const IN_PLANE_VOX: usize = 256;
/// Patch size along the two in-plane axes, in voxels.
pub const PATCH_IN_PLANE_VOX: usize = 32;
/// Patch size along the thin (stacking) axis, in voxels.
pub const PATCH_THIN_VOX: usize = 4;
/// Voxels in one patch: 32 x 32 x 4.
pub const PATCH_VOX: usize = PATCH_IN_PLANE_VOX * PATCH_IN_PLANE_VOX * PATCH_THIN_VOX;
/// Each slice of a patch is shown to the tokenizer twice along the thin axis (specification §2).
pub const THIN_REPEAT: usize = 2;
/// Latent values per token: 2 channels x 2 x 8 x 8 (`P`).
pub const LATENT: usize = 256;
/// Length of the 3-D sine/cosine position feature: 10 values per axis.
pub const POSITION: usize = 30;
/// Length of the orientation feature: one-hot over the thin axis.
pub const ORIENTATION: usize = 3;
/// Features of one token before zero padding to the sequence ViT's width.
pub const TOKEN_FEATURES: usize = LATENT + POSITION + ORIENTATION;
/// A series with more patches than this is left out (specification §2.8).
pub const MAX_TOKENS_PER_SERIES: usize = 5000;
/// Longest series or study name in characters; the text position table has one row more.
pub const MAX_NAME_CHARS: usize = 199;

const _: () = assert!(TOKEN_FEATURES == 289);
const _: () = assert!(IN_PLANE_VOX.is_multiple_of(PATCH_IN_PLANE_VOX));
const _: () = assert!(LATENT == 2 * 2 * (PATCH_IN_PLANE_VOX / 4) * (PATCH_IN_PLANE_VOX / 4));
