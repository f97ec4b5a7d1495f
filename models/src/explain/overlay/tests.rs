use super::*;

/// A volume whose voxels say where they are: bright towards `[z, y, x]` = superior, posterior,
/// left by the factors given.
fn volume(thin_axis: usize, slope: [f32; 3]) -> Volume {
    let mut size_vox = [64; 3];
    size_vox[thin_axis] = 10;
    let [depth, height, width] = size_vox;
    let mut voxels = Vec::new();
    for z in 0..depth {
        for y in 0..height {
            for x in 0..width {
                voxels.push(slope[0] * z as f32 + slope[1] * y as f32 + slope[2] * x as f32);
            }
        }
    }
    let mut spacing_mm = [1.0; 3];
    spacing_mm[2 - thin_axis] = 5.0;
    Volume {
        voxels,
        size_vox,
        thin_axis,
        spacing_mm,
        origin_mm: [0.0; 3],
        direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
}

const CAPTION: Caption<'static> = Caption { series: "AX T2", output: "Mass effect" };

struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    fn of(overlay: &Overlay<'_>, slice: usize) -> Self {
        let file = overlay.png(slice).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        Self { width: info.width as usize, height: info.height as usize, pixels }
    }

    /// The pixel at a share of the width and of the height of a square slice.
    fn at(&self, across: f64, down: f64) -> Colour {
        let place = |share: f64| (share * self.width as f64) as usize;
        let start = (place(down) * self.width + place(across)) * 3;
        self.pixels[start..start + 3].try_into().unwrap()
    }
}

/// Checks the side of the picture to which grey values rise.
fn check_rises(thin_axis: usize, slope: [f32; 3], from: (f64, f64), to: (f64, f64)) {
    let volume = volume(thin_axis, slope);
    let overlay = Overlay::new(&volume, &[], CAPTION).unwrap();
    let picture = Picture::of(&overlay, 4);
    let (dark, bright) = (picture.at(from.0, from.1)[0], picture.at(to.0, to.1)[0]);
    assert!(bright > dark + 100, "axis {thin_axis}, slope {slope:?}: {dark} to {bright}");
}

#[test]
fn slices_hang_as_a_radiologist_expects() {
    let (left, right) = ((0.1, 0.3), (0.9, 0.3));
    let (top, bottom) = ((0.3, 0.1), (0.3, 0.9));
    let (superior, posterior, patient_left) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
    check_rises(0, patient_left, left, right);
    check_rises(0, posterior, top, bottom);
    check_rises(1, patient_left, left, right);
    check_rises(1, superior, bottom, top);
    check_rises(2, posterior, left, right);
    check_rises(2, superior, bottom, top);
}

#[test]
fn letters_follow_the_geometry() {
    let mut axial = volume(0, [0.0; 3]);
    assert_eq!(View::of(&axial).letters(), ["R", "L", "A", "P"]);
    assert_eq!(View::of(&volume(1, [0.0; 3])).letters(), ["R", "L", "S", "I"]);
    assert_eq!(View::of(&volume(2, [0.0; 3])).letters(), ["A", "P", "S", "I"]);
    // Tilted by 20 degrees about the left-right axis.
    let (sine, cosine) = 20_f64.to_radians().sin_cos();
    axial.direction = [[1.0, 0.0, 0.0], [0.0, cosine, sine], [0.0, -sine, cosine]];
    assert_eq!(View::of(&axial).letters(), ["R", "L", "AI", "PS"]);
}

#[test]
fn pixels_are_square_in_millimetres() {
    let mut volume = volume(0, [1.0; 3]);
    volume.spacing_mm = [0.5, 1.0, 5.0];
    let view = View::of(&volume);
    assert_eq!((view.width_px, view.height_px), (640, 1280));
}

#[test]
fn a_token_is_tinted_where_it_lies_and_nowhere_else() {
    let volume = volume(0, [0.0, 1.0, 0.0]);
    // 10 slices are padded by one on either side, so this token covers slices 3 to 6.
    let tokens = [
        WeightedToken { start_vox: [4, 0, 32], weight: 0.5 },
        WeightedToken { start_vox: [4, 32, 0], weight: -0.9 },
    ];
    let overlay = Overlay::new(&volume, &tokens, CAPTION).unwrap();
    let grey = |[r, g, b]: Colour| r == g && g == b;
    let inside = Picture::of(&overlay, 3);
    assert!(!grey(inside.at(0.75, 0.3)), "the positive token is tinted");
    assert!(grey(inside.at(0.3, 0.75)), "the negative token is not");
    assert_eq!(inside.at(0.5 + 0.001, 0.3), OUTLINE, "its edge is outlined");
    assert!(grey(Picture::of(&overlay, 2).at(0.75, 0.3)), "the slice before is not touched");
    assert_eq!((inside.width, inside.height), (640, 640 + 86));
}

#[test]
fn top_slices_start_with_the_strongest_token() {
    let volume = volume(0, [1.0; 3]);
    let token = |z, x, weight| WeightedToken { start_vox: [z, 0, x], weight };
    // The slab at 8 has more weight in all, and one of its tokens is there twice.
    let tokens = [token(0, 0, 0.5), token(8, 0, 0.2), token(8, 0, 0.2), token(8, 32, 0.3)];
    let overlay = Overlay::new(&volume, &tokens, CAPTION).unwrap();
    assert_eq!(overlay.top_slices(5), [1, 8]);
    assert_eq!(overlay.top_slices(1), [1]);
    assert!((overlay.tokens[1].weight - 0.4).abs() < 1e-12);
}

#[test]
fn long_captions_and_missing_weights_are_drawn() {
    let volume = volume(2, [0.0; 3]);
    let name = "x".repeat(300);
    let caption = Caption { series: &name, output: &name };
    let overlay = Overlay::new(&volume, &[], caption).unwrap();
    assert!(overlay.top_slices(3).is_empty());
    Picture::of(&overlay, 0);
    assert_eq!(shortened("abcdef", 5), "ab...");
    assert_eq!(shortened("abcde", 5), "abcde");
}

#[test]
fn mistakes_are_named() {
    let text = |volume: &Volume, slice| {
        let overlay = Overlay::new(volume, &[], CAPTION);
        overlay.and_then(|overlay| overlay.png(slice)).unwrap_err().to_string()
    };
    let mut broken = volume(0, [1.0; 3]);
    assert_eq!(text(&broken, 10), "slice 10 asked for, the volume has 10 (counted from 0)");
    broken.spacing_mm[1] = 0.0;
    assert_eq!(
        text(&broken, 0),
        "the volume cannot be shown: spacing [1.0, 0.0, 5.0] mm is not positive"
    );
    broken.voxels.pop();
    assert!(text(&broken, 0).contains("asks for 40960 voxels, it has 40959"));
}
