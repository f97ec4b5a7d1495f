use super::*;
use rand::SeedableRng;
use std::sync::LazyLock;

static ATLAS: LazyLock<Atlas> = LazyLock::new(|| Atlas::load().unwrap());

fn coarse(change: impl Fn(&mut AnatomyParameters)) -> Built {
    let mut parameters = AnatomyParameters { grid_mm: 2.0, ..AnatomyParameters::default() };
    change(&mut parameters);
    build(&ATLAS, &parameters, &mut ChaCha8Rng::seed_from_u64(7))
}

fn volume_ml(built: &Built, wanted: impl Fn(Region) -> bool) -> f32 {
    let voxels = built.head.region.iter().filter(|r| wanted(Region::of(**r))).count();
    voxels as f32 * built.head.grid.spacing_mm.powi(3) / 1000.0
}

#[test]
fn fractions_sum_to_255_everywhere() {
    let built = coarse(|p| {
        p.age_years = 80.0;
        p.changes = vec![Change::DandyWalker { severity: 1.0 }];
    });
    let sums = built.head.fractions.iter().map(|f| f.iter().map(|v| u32::from(*v)).sum::<u32>());
    assert!(sums.into_iter().all(|s| s == 255));
}

#[test]
fn equal_seeds_give_equal_heads_and_others_do_not() {
    let (a, b) = (coarse(|_| ()), coarse(|_| ()));
    assert_eq!(a.head.fractions, b.head.fractions);
    assert_eq!(a.head.region, b.head.region);
    let parameters = AnatomyParameters { grid_mm: 2.0, ..AnatomyParameters::default() };
    let other = build(&ATLAS, &parameters, &mut ChaCha8Rng::seed_from_u64(8));
    assert_ne!(a.head.grid, other.head.grid);
}

#[test]
fn ventricles_have_the_volume_asked_for() {
    let normal = volume_ml(&coarse(|_| ()), Region::is_supratentorial_ventricle);
    assert!((15.0..45.0).contains(&normal), "{normal} ml");
    for factor in [0.6, 2.0, 3.5] {
        let built = coarse(|p| p.ventricles = factor);
        let ratio = volume_ml(&built, Region::is_supratentorial_ventricle) / normal;
        assert!((ratio / factor - 1.0).abs() < 0.3, "asked for {factor}, got {ratio}");
    }
}

#[test]
fn sulci_follow_atrophy_and_swelling() {
    let fluid = |built: &Built| -> f32 {
        let of = |r: u8| Region::of(r).has_folds();
        let parts = built.head.fractions.iter().zip(&built.head.region);
        parts.filter(|(_, r)| of(**r)).map(|(f, _)| f32::from(f[Tissue::Csf as usize])).sum()
    };
    let normal = fluid(&coarse(|_| ()));
    assert!(fluid(&coarse(|p| p.atrophy = 1.0)) > 1.25 * normal);
    assert!(fluid(&coarse(|p| p.sulci_effaced = 1.0)) < 0.75 * normal);
}

#[test]
fn head_and_atlas_positions_are_inverse() {
    let push = Push {
        centre_mm: [30.0, 10.0, 30.0],
        radius_mm: 12.0,
        displacement_mm: 7.0,
        reach_mm: 16.0,
        direction: None,
    };
    for ventricles in [1.0, 3.0] {
        let built = coarse(|p| {
            p.pushes = vec![push];
            p.ventricles = ventricles;
        });
        let mut worst = 0.0f32;
        for region in [Region::Frontal, Region::Thalamus, Region::Pons, Region::Putamen] {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            for _ in 0..20 {
                let a = ATLAS.place(region, Some(Side::Left), 2.0, &mut rng);
                let back = built.to_atlas(built.to_head(a));
                worst = worst.max(norm(add(a, back, -1.0)));
            }
        }
        assert!(worst < 1.0, "{worst} mm at ventricles {ventricles}");
    }
}

#[test]
fn a_push_moves_tissue_by_what_it_says() {
    let push = Push {
        centre_mm: [24.0, 5.0, 38.0],
        radius_mm: 8.0,
        displacement_mm: 6.0,
        reach_mm: 14.0,
        direction: None,
    };
    let (without, with) = (coarse(|_| ()), coarse(|p| p.pushes = vec![push]));
    for (d, expected) in [(11.0, 5.9), (18.0, 4.6), (28.0, 2.2)] {
        let a = [24.0 - d, 5.0, 38.0];
        let moved = norm(add(with.to_head(a), without.to_head(a), -1.0));
        assert!((moved - expected).abs() < 0.8, "{moved} mm at {d} mm");
    }
    let far = [-45.0, 20.0, 20.0];
    assert!(norm(add(with.to_head(far), without.to_head(far), -1.0)) < 0.3);
}

#[test]
fn bone_does_not_move_with_the_brain() {
    let push = Push {
        centre_mm: [45.0, 10.0, 45.0],
        radius_mm: 10.0,
        displacement_mm: 12.0,
        reach_mm: 15.0,
        direction: None,
    };
    let (without, with) = (coarse(|_| ()), coarse(|p| p.pushes = vec![push]));
    for (i, r) in without.head.region.iter().enumerate() {
        if Region::of(*r) == Region::Skull {
            assert_eq!(with.head.region[i], *r);
        }
    }
}

#[test]
fn tonsils_come_down_as_far_as_asked() {
    for mm in [2.0, 6.0, 12.0] {
        let built = coarse(|p| p.changes = vec![Change::TonsilDescent { mm }]);
        let grid = built.head.grid;
        let tonsil = |r: &u8| *r == Region::Tonsil as u8;
        let lowest = built.head.region.iter().position(tonsil).unwrap();
        let lowest = grid.position_mm([0, 0, lowest / (grid.size[0] * grid.size[1])]);
        let foramen = built.to_head([0.0, 43.0, -66.0]);
        let below = foramen[2] - lowest[2];
        assert!((below - mm).abs() < 2.5, "asked for {mm}, got {below}");
    }
}

#[test]
fn regions_are_where_anatomy_has_them() {
    for (position, region) in [
        ([0.0, 10.0, 27.0], Region::CorpusCallosum),
        ([12.0, 18.0, 8.0], Region::Thalamus),
        ([-26.0, -4.0, 2.0], Region::Putamen),
        ([0.0, 28.0, -32.0], Region::Pons),
        ([30.0, -40.0, 30.0], Region::Frontal),
        ([-50.0, 25.0, -22.0], Region::Temporal),
        ([25.0, 62.0, 52.0], Region::Parietal),
        ([12.0, 88.0, 4.0], Region::Occipital),
        ([30.0, 62.0, -42.0], Region::CerebellarHemisphere),
        ([0.0, -6.0, -29.5], Region::Sella),
        ([33.0, -62.0, -33.0], Region::Eye),
        ([0.0, 42.5, -95.0], Region::CervicalCord),
    ] {
        assert_eq!(ATLAS.region(position), region, "{position:?}");
    }
    let mirrored = ATLAS.mirrored();
    for p in [[30.0, -40.0, 30.0], [-50.0, 25.0, -22.0]] {
        assert_eq!(mirrored.fractions([-p[0], p[1], p[2]]), ATLAS.fractions(p));
    }
}

#[test]
fn every_region_exists_and_a_place_lies_in_it() {
    for region in Region::ALL.iter().skip(1) {
        assert!(ATLAS.volume_ml(*region) > 0.0, "{region:?} is empty");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let p = ATLAS.place(*region, None, 0.0, &mut rng);
        let centre = p.map(f32::round);
        let near = [[0.0; 3], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]];
        assert!(near.iter().any(|d| ATLAS.region(add(centre, *d, 1.0)) == *region), "{region:?}");
    }
}

#[test]
fn a_damaged_atlas_is_refused() {
    let message = |packed: &[u8]| Atlas::read(packed).unwrap_err().to_string();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packer, b"HEADATL1\x02\0\x02\0\x02\0\0\0\0\0\0\0").unwrap();
    let short = packer.finish().unwrap();
    assert_eq!(
        message(&short),
        "The head atlas assets/atlas.bin.gz holds 20 bytes where its header asks for 44. Rebuild \
         it with ops/trainer/make_atlas.py."
    );
}
