//! NIfTI-1, one compressed file: <https://nifti.nimh.nih.gov/nifti-1>.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the format has single precision, and values that are whole were looked at before"
)]

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};

/// Most voxels along a side.
pub(super) const LONGEST_SIDE: usize = 32_767;

/// Bytes of the header with its empty extension flag.
const VOXELS_AT: usize = 352;
/// Type codes.
const INT16: i16 = 4;
const FLOAT32: i16 = 16;
/// Code of scanner coordinates, and of millimetres.
const SCANNER: i16 = 1;
const MILLIMETRES: u8 = 2;
/// Voxels that are made bytes at a time.
const CHUNK: usize = 1 << 16;
/// Cosines of axes that are perpendicular but for rounding are smaller.
const PERPENDICULAR: f64 = 1e-3;

/// Voxels and where they lie.
pub(super) struct Nifti<'a> {
    /// Along the three axes, each at most [`LONGEST_SIDE`].
    pub(super) size_vox: [usize; 3],
    /// Centre of the first voxel, in LPS.
    pub(super) origin_mm: [f64; 3],
    /// From a voxel to the next along each axis, in LPS.
    pub(super) step_mm: [[f64; 3]; 3],
    /// Values to be shown as black and as white.
    pub(super) range: Option<[f64; 2]>,
    /// At most 79 bytes.
    pub(super) description: &'a str,
    /// The first axis fastest.
    pub(super) voxels: &'a [f32],
}

impl Nifti<'_> {
    /// The file. Values that are whole and fit are stored in two bytes, others in four.
    pub(super) fn file(&self) -> io::Result<Vec<u8>> {
        let shorts = f32::from(i16::MIN)..=f32::from(i16::MAX);
        let fits = |value: &f32| value.fract() == 0.0 && shorts.contains(value);
        let short = self.voxels.iter().all(fits);
        // No name and no time in it, so that equal volumes are equal bytes.
        let mut out = GzBuilder::new().write(Vec::new(), Compression::fast());
        out.write_all(&self.header(short))?;
        for voxels in self.voxels.chunks(CHUNK) {
            let bytes: Vec<u8> = if short {
                voxels.iter().flat_map(|value| (*value as i16).to_le_bytes()).collect()
            } else {
                voxels.iter().flat_map(|value| value.to_le_bytes()).collect()
            };
            out.write_all(&bytes)?;
        }
        out.finish()
    }

    fn header(&self, short: bool) -> [u8; VOXELS_AT] {
        // Patient coordinates of DICOM grow to the left and to the back, those of NIfTI to the
        // right and to the front.
        let ras = |[x, y, z]: [f64; 3]| [-x, -y, z];
        let (origin, steps) = (ras(self.origin_mm), self.step_mm.map(ras));
        let spacing = steps.map(length);
        let size = |axis: usize| {
            let size = self.size_vox.get(axis).copied().unwrap_or(1);
            i16::try_from(size).unwrap_or(i16::MAX)
        };
        let (kind, bits) = if short { (INT16, 16) } else { (FLOAT32, 32) };
        let turn = Turn::of(steps);

        let mut header = Header([0; VOXELS_AT]);
        header.put(0, &348_i32.to_le_bytes());
        header.shorts(40, &[3]);
        header.shorts(42, &[0, 1, 2, 3, 4, 5, 6].map(size));
        header.shorts(70, &[kind, bits]);
        header.floats(76, &[turn.as_ref().map_or(1.0, |turn| turn.handedness)]);
        header.floats(80, &spacing);
        header.floats(92, &[1.0; 4]);
        header.floats(108, &[VOXELS_AT as f64, 1.0, 0.0]);
        header.put(123, &[MILLIMETRES]);
        if let Some([black, white]) = self.range {
            header.floats(124, &[white, black]);
        }
        let description = self.description.as_bytes();
        header.put(148, description.get(..79).unwrap_or(description));
        if let Some(turn) = turn {
            header.shorts(252, &[SCANNER]);
            header.floats(256, &turn.quaternion);
            header.floats(268, &origin);
        }
        header.shorts(254, &[SCANNER]);
        for (axis, offset) in origin.iter().enumerate() {
            let [x, y, z] = steps.map(|step| step[axis]);
            header.floats(280 + 16 * axis, &[x, y, z, *offset]);
        }
        header.put(344, b"n+1\0");
        header.0
    }
}

struct Header([u8; VOXELS_AT]);

impl Header {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn shorts(&mut self, at: usize, values: &[i16]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.put(at, &bytes);
    }

    fn floats(&mut self, at: usize, values: &[f64]) {
        let bytes: Vec<u8> =
            values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        self.put(at, &bytes);
    }
}

/// Directions of axes as a rotation (the format's "method 2").
struct Turn {
    /// b, c and d of the unit quaternion whose first component is not negative.
    quaternion: [f64; 3],
    /// -1 when the third axis is turned over before the rotation, else 1.
    handedness: f64,
}

impl Turn {
    /// Of the steps along three axes; none when they are not perpendicular: no rotation is so.
    fn of(steps: [[f64; 3]; 3]) -> Option<Self> {
        let [x, y, mut z] = steps.map(|step| step.map(|part| part / length(step)));
        if [dot(x, y), dot(y, z), dot(z, x)].iter().any(|cosine| cosine.abs() > PERPENDICULAR) {
            return None;
        }
        let cross =
            [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
        let handedness = if dot(cross, z) < 0.0 { -1.0 } else { 1.0 };
        z = z.map(|part| handedness * part);
        // Four times the products of the quaternion's components; the largest square divides best.
        let (xy, yx) = (x[1] + y[0], x[1] - y[0]);
        let (yz, zy) = (y[2] + z[1], y[2] - z[1]);
        let (zx, xz) = (z[0] + x[2], z[0] - x[2]);
        let products = [
            [1.0 + x[0] + y[1] + z[2], zy, xz, yx],
            [zy, 1.0 + x[0] - y[1] - z[2], xy, zx],
            [xz, xy, 1.0 - x[0] + y[1] - z[2], yz],
            [yx, zx, yz, 1.0 - x[0] - y[1] + z[2]],
        ];
        let square = |row: &usize| products[*row][*row];
        let largest = (0..4).max_by(|a, b| square(a).total_cmp(&square(b)))?;
        let twice = 2.0 * square(&largest).sqrt();
        let [a, b, c, d] = products[largest].map(|product| product / twice);
        let sign = if a < 0.0 { -1.0 } else { 1.0 };
        Some(Self { quaternion: [b, c, d].map(|part| sign * part), handedness })
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn length(vector: [f64; 3]) -> f64 {
    dot(vector, vector).sqrt()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn unpacked(nifti: &Nifti<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(&nifti.file().unwrap()[..]).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn short(bytes: &[u8], at: usize) -> i16 {
        i16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
    }

    fn floats<const N: usize>(bytes: &[u8], at: usize) -> [f32; N] {
        std::array::from_fn(|i| {
            let at = at + 4 * i;
            f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
        })
    }

    fn list<const N: usize>(bytes: &[u8], at: usize) -> Vec<f32> {
        floats::<N>(bytes, at).to_vec()
    }

    /// The fourth part of a quaternion of f32 is computed from the other three, which leaves some
    /// micrometres far from the origin.
    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 5e-3), "{a:?} {b:?}");
    }

    /// Where the header puts a voxel, in LPS: by its rows, and by its quaternion as the format's
    /// description has it.
    fn places(bytes: &[u8], voxel: [f64; 3]) -> [[f64; 3]; 2] {
        let lps = |[x, y, z]: [f64; 3]| [-x, -y, z];
        let wide = |values: [f32; 4]| values.map(f64::from);
        let rows = [280, 296, 312].map(|at| wide(floats(bytes, at)));
        let by_rows = rows.map(|row| dot([row[0], row[1], row[2]], voxel) + row[3]);
        let [b, c, d] = floats::<3>(bytes, 256).map(f64::from);
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let turn = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ];
        let [handedness, x, y, z] = wide(floats(bytes, 76));
        let scaled = [x * voxel[0], y * voxel[1], z * handedness * voxel[2]];
        let offset = floats::<3>(bytes, 268).map(f64::from);
        let by_quaternion = [0, 1, 2].map(|axis| dot(turn[axis], scaled) + offset[axis]);
        [lps(by_rows), lps(by_quaternion)]
    }

    #[test]
    fn fields_stand_where_the_format_has_them() {
        let bytes = unpacked(&Nifti {
            size_vox: [3, 2, 1],
            origin_mm: [10.0, 20.0, 30.0],
            step_mm: [[0.5, 0.0, 0.0], [0.0, 0.75, 0.0], [0.0, 0.0, 4.0]],
            range: Some([-10.0, 300.0]),
            description: "what it is",
            voxels: &[0.0, 1.0, -2.0, 300.0, -32768.0, 32767.0],
        });
        assert_eq!(bytes.len(), 352 + 12);
        assert_eq!(bytes[..4], [0x5c, 1, 0, 0]);
        assert_eq!([40, 42, 44, 46, 48].map(|at| short(&bytes, at)), [3, 3, 2, 1, 1]);
        assert_eq!([70, 72].map(|at| short(&bytes, at)), [INT16, 16]);
        assert_eq!(list::<5>(&bytes, 76), [1.0, 0.5, 0.75, 4.0, 1.0]);
        assert_eq!(list::<3>(&bytes, 108), [352.0, 1.0, 0.0]);
        assert_eq!(bytes[123], 2);
        assert_eq!(list::<2>(&bytes, 124), [300.0, -10.0]);
        assert_eq!(&bytes[148..160], b"what it is\0\0");
        assert_eq!([252, 254].map(|at| short(&bytes, at)), [1, 1]);
        // Half a turn about z: left and back become right and front.
        assert_eq!(list::<3>(&bytes, 256), [0.0, 0.0, 1.0]);
        assert_eq!(list::<3>(&bytes, 268), [-10.0, -20.0, 30.0]);
        assert_eq!(list::<4>(&bytes, 280), [-0.5, -0.0, -0.0, -10.0]);
        assert_eq!(list::<4>(&bytes, 296), [-0.0, -0.75, -0.0, -20.0]);
        assert_eq!(list::<4>(&bytes, 312), [0.0, 0.0, 4.0, 30.0]);
        assert_eq!(&bytes[344..352], b"n+1\0\0\0\0\0");
        let voxels: Vec<i16> = (352..364).step_by(2).map(|at| short(&bytes, at)).collect();
        assert_eq!(voxels, [0, 1, -2, 300, -32768, 32767]);
    }

    #[test]
    fn values_that_are_not_whole_or_do_not_fit_take_four_bytes() {
        for voxels in [[0.5, 1.0], [32768.0, 1.0], [-32769.0, 1.0]] {
            let bytes = unpacked(&Nifti {
                size_vox: [2, 1, 1],
                origin_mm: [0.0; 3],
                step_mm: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                range: None,
                description: "",
                voxels: &voxels,
            });
            assert_eq!([70, 72].map(|at| short(&bytes, at)), [FLOAT32, 32]);
            assert_eq!(list::<2>(&bytes, 124), [0.0, 0.0], "no range");
            assert_eq!(list::<2>(&bytes, 352), voxels);
        }
    }

    /// Rows, columns and slices of stacks in every plane, and of one that is tilted in two.
    #[test]
    fn voxels_lie_where_their_slices_say() {
        let (sine, cosine) = 20_f64.to_radians().sin_cos();
        let tilted = [
            [0.9 * cosine, 0.9 * sine, 0.0],
            [-0.8 * sine * cosine, 0.8 * cosine * cosine, 0.8 * sine],
            [4.0 * sine * sine, -4.0 * cosine * sine, 4.0 * cosine],
        ];
        let stacks = [
            // Axial, upwards and downwards.
            [[0.9, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 4.0]],
            [[0.9, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, -4.0]],
            // Sagittal, coronal.
            [[0.0, 0.9, 0.0], [0.0, 0.0, -0.8], [4.0, 0.0, 0.0]],
            [[0.9, 0.0, 0.0], [0.0, 0.0, -0.8], [0.0, 4.0, 0.0]],
            tilted,
        ];
        for step_mm in stacks {
            let origin_mm = [-100.0, -90.0, 35.5];
            let bytes = unpacked(&Nifti {
                size_vox: [2, 1, 1],
                origin_mm,
                step_mm,
                range: None,
                description: "",
                voxels: &[0.0; 2],
            });
            for voxel in [[0.0, 0.0, 0.0], [7.0, 0.0, 0.0], [3.0, 5.0, 2.0]] {
                let expected: [f64; 3] = std::array::from_fn(|axis| {
                    origin_mm[axis] + dot(step_mm.map(|step| step[axis]), voxel)
                });
                for found in places(&bytes, voxel) {
                    close(&found, &expected);
                }
            }
        }
    }

    #[test]
    fn a_sheared_stack_has_no_rotation() {
        let bytes = unpacked(&Nifti {
            size_vox: [1, 1, 1],
            origin_mm: [1.0, 2.0, 3.0],
            step_mm: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 4.0]],
            range: None,
            description: "",
            voxels: &[0.0],
        });
        assert_eq!([252, 254].map(|at| short(&bytes, at)), [0, 1]);
        close(&places(&bytes, [0.0, 0.0, 2.0])[0], &[1.0, 4.0, 11.0]);
    }
}
