//! Slices of phantoms: a bright dot whose place in the patient is known, looked for in the picture.

use std::io::Read as _;

use models::dicom::decoder::DecoderLimits;

use super::*;

/// Images of one file, uncompressed, 16 bit. The first pixel lies at `position_mm`.
#[derive(Clone)]
pub(crate) struct Phantom {
    pub(crate) size_px: [u16; 2],
    pub(crate) axes: Option<[[f64; 3]; 2]>,
    pub(crate) position_mm: [f64; 3],
    /// Between columns, between rows.
    pub(crate) spacing_mm: [f64; 2],
    pub(crate) photometric: &'static str,
    /// Centre and width.
    pub(crate) window: Option<[f64; 2]>,
    pub(crate) rescale: [f64; 2],
    pub(crate) padding: Option<u16>,
    pub(crate) frames: u16,
    /// All frames, one after the other.
    pub(crate) values: Vec<u16>,
}

impl Phantom {
    /// An axial slice, black but for one pixel of 1000.
    pub(crate) fn new(size_px: [u16; 2], bright: [u16; 2]) -> Self {
        let mut values = vec![0; usize::from(size_px[0]) * usize::from(size_px[1])];
        values[usize::from(bright[1] * size_px[0] + bright[0])] = 1000;
        Self {
            size_px,
            axes: Some([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
            position_mm: [0.0; 3],
            spacing_mm: [1.0, 1.0],
            photometric: "MONOCHROME2",
            window: Some([500.0, 1000.0]),
            rescale: [1.0, 0.0],
            padding: None,
            frames: 1,
            values,
        }
    }

    /// The file, without preamble and meta group.
    pub(crate) fn file(&self) -> Vec<u8> {
        let decimal = |numbers: &[f64]| {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            numbers.join("\\")
        };
        let mut out = Vec::new();
        let mut put = |tag: (u16, u16), vr: &str, value: &[u8]| {
            out.extend([tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat());
            out.extend(vr.as_bytes());
            let length = value.len().next_multiple_of(2);
            if vr == "OW" {
                out.extend([0, 0]);
                out.extend(u32::try_from(length).unwrap().to_le_bytes());
            } else {
                out.extend(u16::try_from(length).unwrap().to_le_bytes());
            }
            out.extend(value);
            out.resize(out.len() + length - value.len(), b' ');
        };
        let text = |number: u16| number.to_le_bytes();
        put((0x0008, 0x0016), "UI", b"1.2.840.10008.5.1.4.1.1.4\0");
        put((0x0008, 0x0060), "CS", b"MR");
        if let Some(axes) = &self.axes {
            put((0x0020, 0x0032), "DS", decimal(&self.position_mm).as_bytes());
            put((0x0020, 0x0037), "DS", decimal(axes.as_flattened()).as_bytes());
        }
        put((0x0028, 0x0002), "US", &text(1));
        put((0x0028, 0x0004), "CS", self.photometric.as_bytes());
        put((0x0028, 0x0008), "IS", self.frames.to_string().as_bytes());
        put((0x0028, 0x0010), "US", &text(self.size_px[1]));
        put((0x0028, 0x0011), "US", &text(self.size_px[0]));
        let [column_mm, row_mm] = self.spacing_mm;
        put((0x0028, 0x0030), "DS", decimal(&[row_mm, column_mm]).as_bytes());
        put((0x0028, 0x0100), "US", &text(16));
        put((0x0028, 0x0101), "US", &text(16));
        put((0x0028, 0x0102), "US", &text(15));
        put((0x0028, 0x0103), "US", &text(0));
        if let Some(padding) = self.padding {
            put((0x0028, 0x0120), "US", &text(padding));
        }
        if let Some([centre, width]) = self.window {
            put((0x0028, 0x1050), "DS", decimal(&[centre]).as_bytes());
            put((0x0028, 0x1051), "DS", decimal(&[width]).as_bytes());
        }
        let [slope, intercept] = self.rescale;
        put((0x0028, 0x1052), "DS", decimal(&[intercept]).as_bytes());
        put((0x0028, 0x1053), "DS", decimal(&[slope]).as_bytes());
        let pixels: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        put((0x7fe0, 0x0010), "OW", &pixels);
        out
    }
}

pub(crate) fn no_decoder() -> Decoder {
    Decoder::new("no-such-program".into(), Vec::new(), DecoderLimits::default())
}

/// Files in a folder of their own.
struct Bed {
    folder: tempfile::TempDir,
    slices: Slices,
    decoder: Decoder,
}

const PLAIN: Look<'static> = Look { window: WindowChoice::Stored, tokens: None };

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, slices: Slices::default(), decoder: no_decoder() }
    }

    fn write(&self, name: &str, phantom: &Phantom) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, phantom.file()).unwrap();
        path
    }

    /// Under names of its own: a name that was read already is not read again.
    fn series(&self, phantoms: &[Phantom]) -> Arc<Series> {
        let first = fs::read_dir(self.folder.path()).unwrap().count();
        let named = (first..).zip(phantoms);
        let paths = named.map(|(i, phantom)| self.write(&format!("{i}.dcm"), phantom));
        self.slices.series(&paths.collect::<Vec<_>>())
    }

    fn sheet(&self, phantom: &Phantom, look: Look<'_>) -> Sheet {
        let series = self.series(std::slice::from_ref(phantom));
        let slice = &series.listing.slices[0];
        self.slices.sheet(&self.decoder, &series, slice, look).unwrap().0
    }

    /// The image as it is shown, one pixel for each that is stored, before it is enlarged.
    fn image(&self, phantom: &Phantom, choice: WindowChoice) -> Image {
        let series = self.series(std::slice::from_ref(phantom));
        let slice = &series.listing.slices[0];
        let pixels = self.slices.pixels(&self.decoder, slice).unwrap();
        let window = choice.of(&pixels, || self.slices.usual(&self.decoder, &series));
        Image::new(&pixels, &window).hung(&Hang::of(slice.axes))
    }
}

fn pixel(sheet: &Sheet, x: usize, y: usize) -> [u8; 3] {
    let at = (y * sheet.side_px + x) * 3;
    sheet.canvas.rgb()[at..at + 3].try_into().unwrap()
}

/// Column and row of the brightest pixel of an image.
fn brightest(image: &Image) -> [usize; 2] {
    let plane = &image.planes[0];
    let at = (0..plane.len()).max_by(|&a, &b| plane[a].total_cmp(&plane[b])).unwrap();
    [at % image.size_px[0], at / image.size_px[0]]
}

const LEFT: [f64; 3] = [1.0, 0.0, 0.0];
const RIGHT: [f64; 3] = [-1.0, 0.0, 0.0];
const BACK: [f64; 3] = [0.0, 1.0, 0.0];
const FRONT: [f64; 3] = [0.0, -1.0, 0.0];
const UP: [f64; 3] = [0.0, 0.0, 1.0];
const DOWN: [f64; 3] = [0.0, 0.0, -1.0];

#[test]
fn a_dot_is_where_the_letters_say() {
    let bed = Bed::new();
    // Directions of rows and columns; the dot's stored place; its place in the picture of 5
    // columns and 3 rows, or 3 and 5 where the file's columns run across.
    for (row, column, dot, expected) in [
        // The patient's right (the first columns), at the front.
        (LEFT, BACK, [1, 0], [1, 0]),
        // The same, stored from left to right: the right is at the end of the rows.
        (RIGHT, BACK, [3, 0], [1, 0]),
        (LEFT, FRONT, [1, 2], [1, 0]),
        // Coronal, the patient's right, near the head.
        (LEFT, DOWN, [1, 0], [1, 0]),
        (RIGHT, UP, [3, 2], [1, 0]),
        // Sagittal, at the front, near the head.
        (BACK, DOWN, [1, 0], [1, 0]),
        (FRONT, UP, [3, 2], [1, 0]),
        // Rows run from front to back: right is in the first column of the file's first row.
        (BACK, LEFT, [1, 0], [0, 1]),
        (UP, BACK, [3, 0], [0, 1]),
    ] {
        let phantom = Phantom { axes: Some([row, column]), ..Phantom::new([5, 3], dot) };
        let image = bed.image(&phantom, WindowChoice::Stored);
        assert_eq!(brightest(&image), expected, "{row:?} {column:?}");
    }
}

#[test]
fn pixels_are_square_and_none_is_lost() {
    assert_eq!(square_px([256, 256], Some([1.0, 0.5]), 1, 4000), [512, 256]);
    assert_eq!(square_px([256, 128], Some([0.5, 2.0]), 1, 4000), [256, 512]);
    assert_eq!(square_px([256, 128], None, 512, 1024), [512, 256]);
    assert_eq!(square_px([4000, 2000], None, 512, 1024), [1024, 512]);
    assert_eq!(square_px([8000, 1], Some([1.0, 1e-3]), 1, u32::MAX), [4096, 1]);
    assert_eq!(square_px([3, 3], None, 1, 0), [1, 1]);
}

#[test]
fn windows_are_as_the_standard_has_them() {
    let bed = Bed::new();
    let ramp = |window| Phantom {
        window,
        values: (0..12).map(|i| i * 100).collect(),
        ..Phantom::new([4, 3], [0, 0])
    };
    let shown = |phantom: &Phantom, choice| bed.image(phantom, choice).planes.swap_remove(0);
    let stored = shown(&ramp(Some([500.0, 401.0])), WindowChoice::Stored);
    // PS3.3 C.11.2.1.2.1: black up to 299.5, white above 699.5.
    let near = |a: f64, b: f64| assert!((a - b).abs() < 0.2, "{a} {b}");
    near(stored[2], 0.0);
    near(stored[3], 0.32);
    near(stored[5], 127.8);
    near(stored[7], 255.0);
    let fixed = WindowChoice::Fixed { centre: 100.0, width: 1.0 };
    let fixed = shown(&ramp(None), fixed);
    near(fixed[0], 0.0);
    near(fixed[1], 255.0);
    let slice = shown(&ramp(Some([5.0, 1.0])), WindowChoice::Slice);
    near(slice[0], 0.0);
    near(slice[11], 255.0);
    assert!((100.0..150.0).contains(&slice[5]), "{}", slice[5]);
    let rescaled = Phantom { rescale: [2.0, -100.0], ..ramp(Some([500.0, 401.0])) };
    near(shown(&rescaled, WindowChoice::Stored)[3], 127.8);
}

#[test]
fn windows_are_written_as_they_are_read() {
    for text in ["stored", "slice", "450,900", "0.0012,0.002", "-5,1"] {
        assert_eq!(text.parse::<WindowChoice>().unwrap().to_string(), text);
    }
    for text in ["x", "1", "1,0", "1,-2", "1,inf", "NaN,1", "1,2,3"] {
        assert!(text.parse::<WindowChoice>().is_err(), "{text}");
    }
}

#[test]
fn monochrome1_is_turned_over_and_padding_is_black_in_both() {
    let bed = Bed::new();
    for (photometric, expected) in
        [("MONOCHROME2", [255.0, 0.0, 0.0]), ("MONOCHROME1", [0.0, 255.0, 0.0])]
    {
        let mut phantom =
            Phantom { photometric, padding: Some(60_000), ..Phantom::new([4, 1], [0, 0]) };
        phantom.values[2] = 60_000;
        let image = bed.image(&phantom, WindowChoice::Stored);
        assert_eq!(image.planes[0][..3], expected, "{photometric}");
    }
}

#[test]
fn one_window_serves_a_series_whose_files_have_none() {
    let bed = Bed::new();
    let slice = |bright: u16, z: f64| Phantom {
        window: None,
        position_mm: [0.0, 0.0, z],
        values: (0..16).map(|i| i * bright).collect(),
        ..Phantom::new([4, 4], [0, 0])
    };
    let series = bed.series(&[slice(10, 0.0), slice(100, 1.0), slice(10, 2.0), slice(10, 3.0)]);
    let windows: Vec<_> = series
        .listing
        .slices
        .iter()
        .map(|slice| bed.slices.window(&bed.decoder, &series, slice, WindowChoice::Stored).unwrap())
        .collect();
    assert!(windows[0].is_some() && windows.iter().all(|window| *window == windows[0]));
}

#[test]
fn slices_stand_in_the_order_of_their_places() {
    let bed = Bed::new();
    let at = |z: f64| Phantom { position_mm: [0.0, 0.0, z], ..Phantom::new([4, 4], [0, 0]) };
    let turned = |z: f64| Phantom { axes: Some([RIGHT, BACK]), ..at(z) };
    let places = |series: &Series| -> Vec<String> {
        series.listing.slices.iter().map(|slice| place(slice).unwrap()).collect()
    };
    let expected = ["4.0 mm inferior", "0.0 mm superior", "12.5 mm superior"];
    assert_eq!(places(&bed.series(&[at(12.5), at(-4.0), at(0.0)])), expected);
    assert_eq!(places(&bed.series(&[turned(12.5), turned(-4.0), turned(0.0)])), expected);
}

#[test]
fn frames_of_one_file_are_slices_and_broken_files_are_told() {
    let bed = Bed::new();
    let mut phantom = Phantom { frames: 3, ..Phantom::new([4, 4], [0, 0]) };
    phantom.values = (0..48).map(|i| if i == 32 { 1000 } else { 0 }).collect();
    let path = bed.write("three.dcm", &phantom);
    let broken = bed.folder.path().join("broken.dcm");
    fs::write(&broken, b"not DICOM").unwrap();
    let series = bed.slices.series(&[path, broken]);
    assert_eq!((series.listing.slices.len(), series.listing.unreadable.len()), (3, 1));
    let shown = |n: usize| {
        let slice = &series.listing.slices[n];
        let pixels = bed.slices.pixels(&bed.decoder, slice).unwrap();
        let Values::Grey(grey) = pixels.values else { panic!("it is grey") };
        grey.values[0]
    };
    let black_and_grey = [0, 1, 2].map(shown).map(f64::from);
    assert_eq!(black_and_grey.map(|value| format!("{value:.0}")), ["0", "0", "1000"]);
}

#[test]
fn a_file_that_could_not_be_read_is_tried_again() {
    let bed = Bed::new();
    let path = bed.folder.path().join("late.dcm");
    let slices = || bed.slices.series(std::slice::from_ref(&path)).listing.slices.len();
    assert_eq!(slices(), 0);
    bed.write("late.dcm", &Phantom::new([4, 4], [0, 0]));
    assert_eq!(slices(), 1);
}

#[test]
fn rounding_does_not_turn_the_order_of_oblique_slices() {
    let bed = Bed::new();
    let heights = |cosine: f64, sine: f64| -> Vec<f64> {
        let at = |mm: f64| Phantom {
            axes: Some([LEFT, [0.0, cosine, sine]]),
            position_mm: [0.0, -sine * mm, cosine * mm],
            ..Phantom::new([4, 4], [0, 0])
        };
        let series = bed.series(&[at(20.0), at(0.0), at(10.0)]);
        series.listing.slices.iter().map(|slice| slice.position_mm.unwrap()[2].round()).collect()
    };
    let diagonal = std::f64::consts::FRAC_1_SQRT_2;
    assert_eq!(heights(diagonal, diagonal - 1e-7), [0.0, 7.0, 14.0]);
    assert_eq!(heights(diagonal - 1e-7, diagonal), [0.0, 7.0, 14.0]);
}

#[tokio::test]
async fn a_frame_is_rendered_plain_or_refused_in_words() {
    let bed = Bed::new();
    let path = bed.write("one.dcm", &Phantom::new([8, 8], [1, 1]));
    let decoder = Arc::new(no_decoder());
    let jpeg = rendered(&decoder, &path, 0, None, 4).await.unwrap();
    assert_eq!(jpeg[..2], [0xff, 0xd8]);
    // Start of frame: 8 bit, 4 rows, 4 columns, one component.
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc0]).unwrap();
    assert_eq!(jpeg[frame + 4..frame + 10], [8, 0, 4, 0, 4, 1]);
    let bright = rendered(&decoder, &path, 0, Some((-5.0, 1.0)), 4).await.unwrap();
    assert_ne!(bright, jpeg);
    let error = rendered(&decoder, &path, 1, None, 4).await.unwrap_err().to_string();
    assert!(
        error.starts_with("this slice cannot be shown: one.dcm: there is no frame 1"),
        "{error}"
    );
}

#[test]
fn letters_are_burnt_in_where_the_geometry_is_known() {
    let bed = Bed::new();
    let black = Phantom { values: vec![0; 64], ..Phantom::new([8, 8], [0, 0]) };
    let lit = |sheet: &Sheet, [left, right]: [usize; 2]| {
        let ink = |x, y| pixel(sheet, x, y) != [0; 3];
        (200..312).any(|y| (left..right).any(|x| ink(x, y)))
    };
    let sheet = bed.sheet(&black, PLAIN);
    assert_eq!(sheet.side_px, 512);
    assert!(lit(&sheet, [0, 40]) && lit(&sheet, [472, 512]) && !lit(&sheet, [60, 440]));
    let unknown = bed.sheet(&Phantom { axes: None, ..black }, PLAIN);
    assert!(unknown.canvas.rgb().iter().all(|value| *value == 0));
}

#[test]
fn a_tinted_picture_says_what_it_is_and_no_other_does() {
    let bed = Bed::new();
    let black = Phantom {
        position_mm: [10.0, 20.0, 30.0],
        spacing_mm: [2.0, 2.0],
        values: vec![0; 64],
        ..Phantom::new([8, 8], [0, 0])
    };
    // The patient's left half of this slice, and a box that does not reach it.
    let token = |weight, low_mm, high_mm| TokenInfo { weight, low_mm, high_mm };
    let tokens = [
        token(0.5, [17.0, 19.0, 25.0], [25.0, 35.0, 35.0]),
        token(1.0, [9.0, 19.0, 35.0], [25.0, 35.0, 45.0]),
    ];
    let plain = bed.sheet(&black, PLAIN);
    let tinted = bed.sheet(&black, Look { tokens: Some(&tokens), ..PLAIN });
    let band = |sheet: &Sheet| -> Vec<[u8; 3]> {
        let rows = 512 - 53..512 - 36;
        rows.flat_map(|y| (60..250).map(move |x| (x, y))).map(|(x, y)| pixel(sheet, x, y)).collect()
    };
    assert!(band(&plain).iter().all(|value| *value == [0; 3]));
    assert!(band(&tinted).contains(&[255, 214, 92]), "the notice");
    let untouched = bed.sheet(&black, Look { tokens: Some(&[]), ..PLAIN });
    assert!(band(&untouched).contains(&[255, 214, 92]), "the notice stands without tints too");
    let tint = |x, y| {
        let [red, green, blue] = pixel(&tinted, x, y);
        red > 20 && red > green && green > blue
    };
    assert!(tint(258, 100) && tint(500, 100), "from the middle to the left side");
    assert!(!tint(254, 100) && !tint(40, 100), "not on the right side");
}

/// Header and voxels of a compressed NIfTI-1 file of two bytes or four a voxel.
fn unpacked(file: &[u8]) -> (Vec<u8>, Vec<f32>) {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let (header, voxels) = bytes.split_at(352);
    let short = header[72] == 16;
    let voxel = |bytes: &[u8]| -> f32 {
        match bytes {
            [a, b] => i16::from_le_bytes([*a, *b]).into(),
            bytes => f32::from_le_bytes(bytes.try_into().unwrap()),
        }
    };
    let voxels = voxels.chunks_exact(if short { 2 } else { 4 }).map(voxel).collect();
    (header.to_vec(), voxels)
}

/// Slices at these heights; in one of them the pixel of column 2 and row 1 is bright.
fn stack(heights_mm: &[f64], bright: usize) -> Vec<Phantom> {
    let slice = |(place, height): (usize, &f64)| Phantom {
        position_mm: [-10.0, -20.0, *height],
        spacing_mm: [2.0, 3.0],
        values: if place == bright { Phantom::new([4, 3], [2, 1]).values } else { vec![0; 12] },
        ..Phantom::new([4, 3], [0, 0])
    };
    heights_mm.iter().enumerate().map(slice).collect()
}

#[test]
fn a_volume_holds_the_values_where_the_slices_lie() {
    let bed = Bed::new();
    let volume = |phantoms: &[Phantom]| {
        let series = bed.series(phantoms);
        let slices: Vec<&ListedSlice> = series.listing.slices.iter().collect();
        bed.slices.volume(&bed.decoder, &series, &slices)
    };
    let (header, voxels) = unpacked(&volume(&stack(&[8.0, 0.0, 4.0], 2)).unwrap());
    let sizes = [42, 44, 46].map(|at| i16::from_le_bytes([header[at], header[at + 1]]));
    assert_eq!(sizes, [4, 3, 3]);
    let bright = voxels.iter().position(|value| *value > 0.0).unwrap();
    assert_eq!((bright, voxels[bright].to_string()), (2 + 4 * (1 + 3), "1000".to_owned()));
    let float = |at: usize| f32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    // Left and back of DICOM are right and front of NIfTI; the window of the files.
    let rows = [280, 284, 288, 292, 296, 300, 304, 308, 312, 316, 320, 324].map(float).to_vec();
    assert_eq!(rows, [-2.0, 0.0, 0.0, 10.0, 0.0, -3.0, 0.0, 20.0, 0.0, 0.0, 4.0, 0.0]);
    assert_eq!([124, 128].map(float).to_vec(), [1000.0, 0.0]);

    let padded = |phantom: Phantom| Phantom { padding: Some(0), rescale: [0.5, -3.0], ..phantom };
    let padded: Vec<Phantom> = stack(&[0.0, 4.0], 1).into_iter().map(padded).collect();
    let (header, voxels) = unpacked(&volume(&padded).unwrap());
    assert_eq!((header[70], header[72]), (4, 16), "497 everywhere: padding is the least value");
    assert!(voxels.iter().all(|value| value.to_string() == "497"), "{voxels:?}");
}

#[test]
fn an_explanation_lies_on_the_same_grid_and_says_what_it_is() {
    let bed = Bed::new();
    let series = bed.series(&stack(&[0.0, 4.0, 8.0], 1));
    let slices: Vec<&ListedSlice> = series.listing.slices.iter().collect();
    let token = |weight, low_mm, high_mm| TokenInfo { weight, low_mm, high_mm };
    let tokens = [
        token(1.0, [-7.0, -18.0, 3.0], [-5.0, -16.0, 5.0]),
        token(0.5, [-11.0, -21.0, 7.0], [-9.0, -19.0, 9.0]),
        token(0.01, [-100.0; 3], [100.0; 3]),
    ];
    let (header, voxels) = unpacked(&explained(&slices, &tokens).unwrap());
    assert!(header[148..].starts_with(b"AI preview - not for diagnosis\0"));
    let marked: Vec<(usize, String)> = voxels
        .iter()
        .enumerate()
        .filter(|(_, value)| **value > 0.0)
        .map(|(place, value)| (place, value.to_string()))
        .collect();
    assert_eq!(marked, [(2 + 4 * (1 + 3), "1".to_owned()), (24, "0.5".to_owned())]);
}

#[test]
fn what_is_no_stack_is_refused_in_words() {
    let bed = Bed::new();
    let refused = |phantoms: &[Phantom]| {
        let series = bed.series(phantoms);
        let slices: Vec<&ListedSlice> = series.listing.slices.iter().collect();
        bed.slices.volume(&bed.decoder, &series, &slices).unwrap_err().to_string()
    };
    let nowhere = "this series is no volume: its slices do not say where they lie, or they differ in \
                   size or direction";
    let plain = Phantom { axes: None, ..Phantom::new([4, 3], [0, 0]) };
    assert_eq!(refused(&[plain.clone(), plain]), nowhere);
    assert_eq!(refused(&[]), nowhere);
    assert_eq!(refused(&stack(&[4.0], 0)), "this series is no volume: it has one slice");
    assert_eq!(
        refused(&stack(&[0.0, 4.0, 8.0, 40.0], 1)),
        "this series is no volume: a slice lies 18.7 mm from where an even stack has it"
    );
    let mut differing = stack(&[0.0, 4.0], 1);
    differing[1].spacing_mm = [2.0, 3.5];
    let series = bed.series(&differing);
    let slices: Vec<&ListedSlice> = series.listing.slices.iter().collect();
    assert!(matches!(explained(&slices, &[]), Err(VolumeError::Places)));
    let large = ListedSlice { size_px: [4096, 4096], ..slices[0].clone() };
    let error = explained(&[&large, &large, &large], &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        "this series is too large for a volume: 4096 × 4096 × 3 voxels, and 33554432 are the most"
    );
}
