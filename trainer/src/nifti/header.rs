//! What the 348 bytes at the beginning of a NIfTI-1 file say:
//! <https://nifti.nimh.nih.gov/nifti-1>.

use std::array::from_fn;

/// Bytes of the header.
pub(super) const HEADER: usize = 348;
/// First byte where voxels may begin, and the last one that is believed: extensions stand between.
const VOXELS_AT: [f64; 2] = [352.0, 16_777_216.0];
/// A quaternion of single precision may be longer than 1 by so much.
const ROUNDING: f64 = 3.0 * f32::EPSILON as f64;
/// Axes whose unit vectors span less than this volume lie in one plane.
const SMALLEST_DETERMINANT: f64 = 1e-3;
/// Distances of voxels that differ by less are equal.
const EQUAL: f64 = 1.05;
/// The axis that is said to be that of the slices is not, where another is coarser by this.
const COARSER: f64 = 2.0;

/// How voxels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I16,
    I32,
    F32,
    F64,
    I8,
    U16,
    U32,
    I64,
    U64,
}

/// By their codes, with the bytes of a voxel.
const KINDS: [(i16, Kind, u8); 10] = [
    (2, Kind::U8, 1),
    (4, Kind::I16, 2),
    (8, Kind::I32, 4),
    (16, Kind::F32, 4),
    (64, Kind::F64, 8),
    (256, Kind::I8, 1),
    (512, Kind::U16, 2),
    (768, Kind::U32, 4),
    (1024, Kind::I64, 8),
    (1280, Kind::U64, 8),
];

/// A volume as its file has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) big_endian: bool,
    /// Along the three axes, the first fastest.
    pub(super) size_vox: [usize; 3],
    pub(super) kind: Kind,
    /// Bytes of a voxel.
    pub(super) width: usize,
    /// Bytes between the header and the first voxel.
    pub(super) gap: u64,
    /// Slope and intercept, unless values are as stored.
    pub(super) rescale: Option<[f64; 2]>,
    /// From a voxel to the next along each axis, in LPS.
    pub(super) step_mm: [[f64; 3]; 3],
    /// Centre of the first voxel, in LPS.
    pub(super) origin_mm: [f64; 3],
    /// The axis that slices follow each other along.
    pub(super) slice_axis: usize,
}

impl Header {
    /// Reads a header of a volume of at most `limit_vox` voxels.
    ///
    /// # Errors
    ///
    /// Says what was found, what was expected, and what to do.
    pub(super) fn parse(bytes: &[u8; HEADER], limit_vox: u64) -> Result<Self, String> {
        let fields = Fields::of(bytes)?;
        let size_vox = fields.size_vox(limit_vox)?;
        let code = fields.short(70);
        let known = KINDS.iter().find(|(known, ..)| *known == code);
        let (_, kind, width) = known.ok_or_else(|| {
            format!("data type {code} is not one number a voxel; write whole or real numbers")
        })?;
        let at = fields.float(108);
        if !(VOXELS_AT[0]..=VOXELS_AT[1]).contains(&at) || at.fract() != 0.0 {
            return Err(format!(
                "voxels begin at byte {at}, expected a whole number from {} to {}",
                VOXELS_AT[0], VOXELS_AT[1]
            ));
        }
        let (origin_mm, step_mm) = fields.place()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in a small range"
        )]
        Ok(Self {
            big_endian: fields.big_endian,
            size_vox,
            kind: *kind,
            width: usize::from(*width),
            gap: at as u64 - HEADER as u64,
            rescale: fields.rescale()?,
            slice_axis: slice_axis(step_mm.map(length), (bytes[39] >> 4) & 3),
            step_mm,
            origin_mm,
        })
    }
}

/// Numbers of a header by the byte they begin at.
struct Fields<'a> {
    bytes: &'a [u8; HEADER],
    big_endian: bool,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8; HEADER]) -> Result<Self, String> {
        let length = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (little, big) = (i32::from_le_bytes(length), i32::from_be_bytes(length));
        if [little, big].contains(&540) {
            return Err("a NIfTI-2 file; write it as NIfTI-1".to_owned());
        }
        if ![little, big].contains(&348) {
            return Err("no NIfTI-1 file; give one, as .nii or .nii.gz".to_owned());
        }
        match &bytes[344..] {
            b"n+1\0" => Ok(Self { bytes, big_endian: big == 348 }),
            b"ni1\0" => {
                Err("the header of an image in two files; write both as one .nii".to_owned())
            }
            _ => {
                Err("an ANALYZE header, which does not tell left from right; convert the original \
                      images to NIfTI-1"
                    .to_owned())
            }
        }
    }

    fn short(&self, at: usize) -> i16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if self.big_endian { i16::from_be_bytes(bytes) } else { i16::from_le_bytes(bytes) }
    }

    fn float(&self, at: usize) -> f64 {
        let bytes = from_fn(|i| self.bytes[at + i]);
        f64::from(if self.big_endian {
            f32::from_be_bytes(bytes)
        } else {
            f32::from_le_bytes(bytes)
        })
    }

    fn floats<const N: usize>(&self, at: usize) -> [f64; N] {
        from_fn(|i| self.float(at + 4 * i))
    }

    /// Sizes of one volume; axes of one voxel behind the third are let be.
    fn size_vox(&self, limit_vox: u64) -> Result<[usize; 3], String> {
        let axes = self.short(40);
        let Some(axes) = usize::try_from(axes).ok().filter(|axes| (3..=7).contains(axes)) else {
            return Err(format!("an image of {axes} axes; give a volume of three"));
        };
        let sizes: Vec<i16> = (0..axes).map(|axis| self.short(42 + 2 * axis)).collect();
        let shown = || sizes.iter().map(i16::to_string).collect::<Vec<_>>().join(" x ");
        if sizes.iter().any(|size| *size < 1) {
            return Err(format!("sizes of {}; each axis needs a voxel at least", shown()));
        }
        if sizes[3..].iter().any(|size| *size > 1) {
            return Err(format!("several volumes ({}); give each in a file of its own", shown()));
        }
        let found: u64 = sizes.iter().map(|size| u64::from(size.unsigned_abs())).product();
        if found > limit_vox {
            return Err(format!("{found} voxels ({}), at most {limit_vox} are accepted", shown()));
        }
        Ok(from_fn(|axis| usize::from(sizes[axis].unsigned_abs())))
    }

    /// Slope and intercept; a slope of 0 means none, and so does one that is no number.
    fn rescale(&self) -> Result<Option<[f64; 2]>, String> {
        let [slope, intercept] = self.floats(112);
        if slope == 0.0 || slope.is_nan() || (slope, intercept) == (1.0, 0.0) {
            return Ok(None);
        }
        if slope.is_finite() && intercept.is_finite() {
            return Ok(Some([slope, intercept]));
        }
        Err(format!(
            "values times {slope} plus {intercept} are no numbers; write scl_slope and scl_inter"
        ))
    }

    /// First voxel and steps in LPS: by sform where there is one, else by qform.
    fn place(&self) -> Result<([f64; 3], [[f64; 3]; 3]), String> {
        let (form, origin, steps) = if self.short(254) > 0 {
            let rows = [280, 296, 312].map(|at| self.floats::<4>(at));
            ("sform", rows.map(|row| row[3]), from_fn(|axis| rows.map(|row| row[axis])))
        } else if self.short(252) > 0 {
            ("qform", self.floats(268), self.turned_steps())
        } else {
            return Err("neither sform nor qform says where voxels lie, and left cannot be told \
                        from right; convert the original images again"
                .to_owned());
        };
        let unit = self.bytes[123] & 7;
        let to_mm = match unit {
            0 | 2 => 1.0,
            1 => 1e3,
            3 => 1e-3,
            _ => return Err(format!("unit {unit} of space; write millimetres, which is 2")),
        };
        // Patient coordinates of NIfTI grow to the right and to the front, those of DICOM to the
        // left and to the back.
        let lps = |[x, y, z]: [f64; 3]| [-x, -y, z].map(|part| part * to_mm);
        let (origin, steps) = (lps(origin), steps.map(lps));
        let axes = steps.map(|step| step.map(|part| part / length(step)));
        let volume = determinant(axes).abs();
        if !(volume > SMALLEST_DETERMINANT && origin.iter().all(|part| part.is_finite())) {
            return Err(format!(
                "its {form} puts voxels nowhere: the first lies at {origin:?} mm, the next along \
                 each axis by {steps:?} mm; convert the original images again"
            ));
        }
        Ok((origin, steps))
    }

    /// Steps in RAS by the quaternion and the distances of voxels; not numbers where the
    /// quaternion is none.
    fn turned_steps(&self) -> [[f64; 3]; 3] {
        let [b, c, d] = self.floats(256);
        let [handedness, x, y, z] = self.floats(76);
        let square = 1.0 - (b * b + c * c + d * d);
        // Half a turn leaves nothing but rounding.
        let (a, b, c, d) = if square.abs() < ROUNDING {
            let scale = 1.0 / (1.0 - square).sqrt();
            (0.0, b * scale, c * scale, d * scale)
        } else {
            (square.sqrt(), b, c, d)
        };
        let z = if handedness < 0.0 { -z } else { z };
        [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c + a * d), 2.0 * (b * d - a * c)]
                .map(|v| x * v),
            [2.0 * (b * c - a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d + a * b)]
                .map(|v| y * v),
            [2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - b * b - c * c]
                .map(|v| z * v),
        ]
    }
}

/// The axis of the slices: as the header says (from 1, 0 for nothing) unless another is far
/// coarser; else the coarsest, and of equal ones the third, which converters leave to the slices.
fn slice_axis(spacing_mm: [f64; 3], said: u8) -> usize {
    let coarser = |a: usize, b: usize| if spacing_mm[b] > EQUAL * spacing_mm[a] { b } else { a };
    let coarsest = coarser(coarser(2, 1), 0);
    match usize::from(said).checked_sub(1) {
        Some(axis) if spacing_mm[coarsest] < COARSER * spacing_mm[axis] => axis,
        _ => coarsest,
    }
}

pub(super) fn length(vector: [f64; 3]) -> f64 {
    vector.iter().map(|part| part * part).sum::<f64>().sqrt()
}

fn determinant([a, b, c]: [[f64; 3]; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
        + a[2] * (b[0] * c[1] - b[1] * c[0])
}
