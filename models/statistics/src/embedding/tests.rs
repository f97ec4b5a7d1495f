use super::*;

fn table(rows: u32, width: u32, value: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    (0..rows)
        .flat_map(|i| (0..width).map(move |j| (i, j)))
        .map(|(i, j)| value(f64::from(i), f64::from(j)) as f32)
        .collect()
}

#[test]
fn cka_equals_numpy() {
    let x = table(30, 5, |i, j| (1.1 * i * (j + 1.0)).sin());
    let y: Vec<f32> = table(30, 3, |i, j| {
        let x = (1.1 * i * (j + 1.0)).sin() as f32;
        (0.9 * i + j).cos() + 0.5 * f64::from(x)
    });
    let (x, y) = (Rows::new(&x, 5), Rows::new(&y, 3));
    let found = linear_cka(x, y).unwrap();
    assert!((found - 0.219_099_138_726_193_72).abs() < 1e-9, "{found}");
    // Another scale, offset and order of the columns is the same embedding.
    let turned: Vec<f32> =
        x.iter().flat_map(|row| row.iter().rev().map(|v| 1.0 - 4.0 * v)).collect();
    assert!((linear_cka(x, Rows::new(&turned, 5)).unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(linear_cka(x, Rows::new(&[1.0; 30], 1)), None);
}

#[test]
fn retrieval_counts_pairs_within_their_group() {
    // Directions on a circle; the reports of the first group are shifted by 0.6 studies.
    let angle = |tenths: u32| f64::from(tenths) * 0.03;
    let circle = |places: &[u32]| -> Vec<f32> {
        places.iter().flat_map(|p| [angle(*p).cos() as f32, angle(*p).sin() as f32]).collect()
    };
    let images = circle(&[0, 10, 20, 30, 0, 10, 20, 30, 90]);
    let texts = circle(&[6, 16, 26, 36, 0, 10, 20, 30, 90]);
    let found = retrieval(Rows::new(&images, 2), Rows::new(&texts, 2), 4, &[1, 2]).unwrap();
    // In the first group only image 0 and report 3 have no closer neighbour than their own.
    assert_eq!(found.groups, 2);
    assert_eq!(found.image_to_text, [(1, 5.0 / 8.0), (2, 1.0)]);
    assert_eq!(found.text_to_image, [(1, 5.0 / 8.0), (2, 1.0)]);

    let same = [1.0; 8];
    let found = retrieval(Rows::new(&same, 2), Rows::new(&same, 2), 4, &[1]).unwrap();
    assert_eq!(found.image_to_text, [(1, 0.0)]);
    assert_eq!(retrieval(Rows::new(&same, 2), Rows::new(&same, 2), 100, &[1]), None);
}
