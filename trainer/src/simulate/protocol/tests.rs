use rand::SeedableRng;

use super::*;

fn drawn(seed: u64) -> (Scanner, Protocol) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let settings =
        [Some(Setting::Emergency), Some(Setting::Inpatient), Some(Setting::Outpatient), None];
    let setting = settings[usize::try_from(seed).unwrap() % 4];
    let scanner = Scanner::draw(&mut rng);
    let age = rng.random_range(0.0..90.0);
    let protocol = Protocol::draw(age, setting, &scanner, false, &mut rng);
    (scanner, protocol)
}

#[test]
fn every_protocol_can_be_read_for_the_frequent_diagnoses() {
    let mut diffusion = 0;
    for seed in 0..400 {
        let (_, Protocol { sequences, contrast, description, .. }) = drawn(seed);
        assert!((3..=7).contains(&sequences.len()), "{seed}: {} series", sequences.len());
        let has = |kind| sequences.iter().any(|s| s.kind == kind);
        assert!(has(Kind::T2) || has(Kind::Flair), "{seed}");
        assert_eq!(sequences.iter().any(|s| s.contrast), contrast, "{seed}");
        let words = description.split(' ').any(|word| word == "W");
        assert_eq!(words, contrast, "{seed}: {description}");
        for s in &sequences {
            assert!((14..=46).contains(&s.slices), "{seed}: {s:?}");
            assert!(s.matrix[0] <= s.reconstructed, "{seed}: {s:?}");
            assert!(!s.name.contains('{'), "{}", s.name);
        }
        diffusion += usize::from(has(Kind::Diffusion));
    }
    assert!(diffusion > 320, "{diffusion} of 400");
}

#[test]
fn equal_seeds_give_equal_protocols() {
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}
