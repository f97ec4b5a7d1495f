use rand::SeedableRng;

use super::*;
use crate::simulate::head::{Alpha, Layer};
use crate::simulate::protocol::Protocol;

/// Shells of a sphere: fat, bone, fluid, grey matter, white matter; a lesion to the left.
pub(crate) fn phantom() -> Head {
    let grid = Grid { size: [90, 100, 96], spacing_mm: 2.0, origin_mm: [-89.0, -81.0, -95.0] };
    let mut fractions = vec![[0; TISSUES]; grid.len()];
    for (index, voxel) in fractions.iter_mut().enumerate() {
        let at = [index % 90, index / 90 % 100, index / 9000];
        let [x, y, z] = grid.position_mm(at);
        let radius = ((x / 70.0).powi(2) + ((y - 18.0) / 85.0).powi(2) + (z / 80.0).powi(2)).sqrt();
        let tissue = match radius {
            r if r > 1.0 => Tissue::Air,
            r if r > 0.95 => Tissue::Fat,
            r if r > 0.88 => Tissue::Bone,
            r if r > 0.84 => Tissue::Csf,
            r if r > 0.78 => Tissue::GreyMatter,
            r if r < 0.2 => Tissue::Csf,
            _ => Tissue::WhiteMatter,
        };
        voxel[tissue as usize] = 255;
    }
    let lesion = Material {
        density: 0.85,
        t1_ms: 1500.0,
        t2_ms: 150.0,
        t2_star_ms: 60.0,
        adc_um2_ms: 1.3,
        chi_ppm: 0.0,
        gadolinium_mm: 0.5,
        flow: 0.0,
    };
    let layer = Layer {
        material: [lesion; 2],
        alpha: Alpha { lower: [60, 45, 50], size: [10, 10, 10], parts: vec![255; 1000] },
        component: Some(1),
    };
    let region = vec![0; grid.len()];
    Head { grid, fractions, region, layers: vec![layer] }
}

fn study(seed: u64) -> Vec<Series> {
    let head = phantom();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scanner = Scanner::draw(&mut rng);
    let protocol = Protocol::draw(50.0, None, &scanner, false, &mut rng);
    let mut session = Session::new(&head, &scanner, 50.0, &mut rng);
    protocol.sequences.iter().map(|sequence| session.acquire(sequence, &mut rng)).collect()
}

#[test]
fn equal_seeds_give_equal_pixels() {
    assert_eq!(study(5), study(5));
}

/// The lesion is bright where physics says so, its mask has its volume and lies on the left.
#[test]
fn lesion_has_its_contrast_volume_and_side() {
    let mut seen = 0;
    for series in (0..3).flat_map(study) {
        if !matches!(series.sequence.target, Target::Brain) {
            continue;
        }
        let voxels = series.mask.iter().filter(|m| **m == 1).count();
        let [across, down] = series.spacing_mm;
        let volume = voxels as f32 * across * down * series.sequence.spacing_mm() / 1000.0;
        assert!((5.0..12.0).contains(&volume), "{}: {volume} ml", series.sequence.name);
        let contrast = series.contrast_to_noise()[&1];
        match series.sequence.kind {
            Kind::T2 | Kind::Flair | Kind::Adc => assert!(contrast > 2.0, "{contrast}"),
            Kind::T1 if !series.sequence.contrast => assert!(contrast < -2.0, "{contrast}"),
            _ => {}
        }
        let (mut left, mut count) = (0.0, 0.0);
        for (index, _) in series.mask.iter().enumerate().filter(|(_, m)| **m == 1) {
            let column = (index % series.columns) as f32 * across;
            let row = (index / series.columns % series.rows) as f32 * down;
            let slice =
                (index / series.columns / series.rows) as f32 * series.sequence.spacing_mm();
            left += series.head_origin_mm[0]
                + column * series.head_axes[0][0]
                + row * series.head_axes[1][0]
                + slice * series.head_axes[2][0];
            count += 1.0;
        }
        let centre: f32 = left / count;
        assert!((centre - 40.0).abs() < 2.5, "{}: {centre} mm", series.sequence.name);
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}
