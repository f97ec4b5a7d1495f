use proptest::prelude::*;

use super::*;
use crate::bootstrap::Plan;

/// Distances of points along streets.
fn streets(points: &[(i32, i32)]) -> Vec<f64> {
    let distance = |a: (i32, i32), b: (i32, i32)| a.0.abs_diff(b.0) + a.1.abs_diff(b.1);
    let from = |a: &(i32, i32)| {
        let a = *a;
        points.iter().map(move |b| f64::from(distance(a, *b)))
    };
    points.iter().flat_map(from).collect()
}

fn length(order: &[usize], distances: &[f64]) -> f64 {
    let items = order.len();
    order.windows(2).map(|pair| distances[pair[0] * items + pair[1]]).sum()
}

proptest! {
    /// Every height is the mean distance of the two clusters' items, and none is lower than before.
    #[test]
    fn heights_are_mean_distances(points in prop::collection::vec((0_i32..30, 0_i32..30), 1..16)) {
        let (distances, items) = (streets(&points), points.len());
        let merges = average_linkage(&distances, items);
        let mut members: Vec<Vec<usize>> = (0..items).map(|item| vec![item]).collect();
        for merge in &merges {
            let (left, right) = (members[merge.left].clone(), members[merge.right].clone());
            let from = |i: &usize| right.iter().map(|j| distances[i * items + j]).sum::<f64>();
            let mean = left.iter().map(from).sum::<f64>() / (left.len() * right.len()) as f64;
            prop_assert!((merge.height - mean).abs() < 1e-9);
            members.push([left, right].concat());
            prop_assert_eq!(members[members.len() - 1].len(), merge.size);
        }
        prop_assert!(merges.is_sorted_by(|a, b| a.height <= b.height));
        prop_assert_eq!(merges.len() + 1, items);
        for clusters in 1..=items {
            let cut = cut(&merges, clusters);
            prop_assert_eq!(cut.iter().max(), Some(&(clusters - 1)));
        }
    }

    /// No order that the merges allow is shorter: all of them, one by one.
    #[test]
    fn no_order_is_shorter(points in prop::collection::vec((0_i32..20, 0_i32..20), 1..8)) {
        let (distances, items) = (streets(&points), points.len());
        let merges = average_linkage(&distances, items);
        let found = optimal_order(&merges, &distances);
        let turned = |turns: u32| {
            let turn = |(number, merge): (usize, &Merge)| {
                let Merge { left, right, .. } = *merge;
                if turns >> number & 1 == 1 {
                    Merge { left: right, right: left, ..*merge }
                } else {
                    *merge
                }
            };
            leaves(&merges.iter().enumerate().map(turn).collect::<Vec<_>>())
        };
        let orders: Vec<Vec<usize>> = (0..1 << merges.len()).map(turned).collect();
        prop_assert!(orders.contains(&found));
        let least = orders.iter().map(|order| length(order, &distances)).fold(f64::MAX, f64::min);
        prop_assert!((length(&found, &distances) - least).abs() < 1e-9);
    }
}

#[test]
fn consensus_finds_items_that_go_together() {
    // Three groups of items, mixed; every study shows one group and some noise.
    let groups = [0, 1, 2, 0, 1, 2, 0, 1, 2];
    let shows = |study: usize, item: usize| {
        groups[item] == study % 3 || (study * 7 + item * 11).is_multiple_of(13)
    };
    let plan = Plan::new(3, 50, 90);
    let found = consensus(9, 3, &plan, |counts| {
        let differ = |a: usize, b: usize| {
            let apart = (0..90).filter(|study| shows(*study, a) != shows(*study, b));
            apart.map(|study| f64::from(counts[study])).sum::<f64>()
        };
        (0..81).map(|pair| differ(pair / 9, pair % 9)).collect()
    });
    for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
        let expected = f64::from(u8::from(groups[i] == groups[j]));
        assert_eq!(found.together[i * 9 + j], expected);
    }
    let order: Vec<usize> = found.order.iter().map(|item| groups[*item]).collect();
    assert_eq!(order.chunk_by(|a, b| a == b).count(), 3, "{order:?}");
}
