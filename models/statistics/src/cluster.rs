//! Agglomerative clustering with average linkage (UPGMA), and the order of its leaves.
//!
//! Distances are a square matrix by rows, symmetric, of which the diagonal is not looked at.

use serde::{Deserialize, Serialize};

use crate::bootstrap::Plan;

/// Two clusters that become one. Items are clusters 0 to their number; every merge is the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merge {
    /// The cluster of the smaller number.
    pub left: usize,
    /// The other one.
    pub right: usize,
    /// Mean distance of their items.
    pub height: f64,
    /// Items of both.
    pub size: usize,
}

/// Joins the nearest two clusters until one is left, lowest first, by chains of nearest
/// neighbours (Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011). Equal
/// distances are joined in the order in which `SciPy` joins them.
///
/// # Panics
/// When there are not as many distances as pairs of items.
#[must_use]
pub fn average_linkage(distances: &[f64], items: usize) -> Vec<Merge> {
    assert_eq!(distances.len(), items * items, "a square of distances");
    let mut between = distances.to_vec();
    let mut sizes = vec![1.0; items];
    let mut chain: Vec<usize> = Vec::new();
    let mut pairs: Vec<(usize, usize, f64)> = Vec::new();
    while pairs.len() + 1 < items {
        if chain.is_empty() {
            chain.extend(sizes.iter().position(|size| *size > 0.0));
        }
        let (Some(&last), before) = (chain.last(), chain.iter().rev().nth(1).copied()) else {
            break;
        };
        let others = (0..items).filter(|other| *other != last && sizes[*other] > 0.0);
        let distance = |other: usize| between[last * items + other];
        // The one before in the chain, if nothing is nearer.
        let nearest = before
            .into_iter()
            .chain(others)
            .reduce(|best, other| if distance(other) < distance(best) { other } else { best });
        let Some(nearest) = nearest else { break };
        if before != Some(nearest) {
            chain.push(nearest);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (gone, kept) = (last.min(nearest), last.max(nearest));
        pairs.push((gone, kept, distance(nearest)));
        let (small, large) = (sizes[gone], sizes[kept]);
        for other in (0..items).filter(|other| *other != kept) {
            let sum = small * between[gone * items + other] + large * between[kept * items + other];
            between[kept * items + other] = sum / (small + large);
            between[other * items + kept] = sum / (small + large);
        }
        (sizes[gone], sizes[kept]) = (0.0, small + large);
    }
    pairs.sort_by(|a, b| a.2.total_cmp(&b.2));
    numbered(&pairs, items)
}

/// Pairs of members, from the lowest, as merges of clusters.
fn numbered(pairs: &[(usize, usize, f64)], items: usize) -> Vec<Merge> {
    let mut cluster: Vec<usize> = (0..items).collect();
    let mut members: Vec<Vec<usize>> = cluster.iter().map(|item| vec![*item]).collect();
    let mut merges = Vec::new();
    for &(a, b, height) in pairs {
        let (a, b) = (cluster[a], cluster[b]);
        let joined = [members[a].as_slice(), &members[b]].concat();
        joined.iter().for_each(|item| cluster[*item] = members.len());
        merges.push(Merge { left: a.min(b), right: a.max(b), height, size: joined.len() });
        members.push(joined);
    }
    merges
}

/// The items from left to right, so that every cluster stands together.
#[must_use]
pub fn leaves(merges: &[Merge]) -> Vec<usize> {
    let items = merges.len() + 1;
    let mut order = Vec::new();
    let mut open = vec![2 * merges.len()];
    while let Some(cluster) = open.pop() {
        match cluster.checked_sub(items).and_then(|merge| merges.get(merge)) {
            Some(merge) => open.extend([merge.right, merge.left]),
            None => order.push(cluster),
        }
    }
    order
}

/// Every item's cluster when there are `clusters` of them, numbered as they first appear.
#[must_use]
pub fn cut(merges: &[Merge], clusters: usize) -> Vec<usize> {
    let items = merges.len() + 1;
    let joined = items - clusters.clamp(1, items);
    let mut top: Vec<usize> = (0..items + joined).collect();
    for (number, merge) in merges[..joined].iter().enumerate().rev() {
        let own = top[items + number];
        (top[merge.left], top[merge.right]) = (own, own);
    }
    let mut seen: Vec<usize> = Vec::new();
    let number = |cluster: &usize| {
        seen.iter().position(|known| known == cluster).unwrap_or_else(|| {
            seen.push(*cluster);
            seen.len() - 1
        })
    };
    top[..items].iter().map(number).collect()
}

/// The order of the leaves with the least sum of distances of neighbours, of all that the merges
/// allow (Bar-Joseph, Gifford and Jaakkola, Bioinformatics 2001).
///
/// # Panics
/// When there are not as many distances as pairs of items.
#[must_use]
pub fn optimal_order(merges: &[Merge], distances: &[f64]) -> Vec<usize> {
    let items = merges.len() + 1;
    assert_eq!(distances.len(), items * items, "a square of distances");
    // Two items are the ends of one cluster at most, the one that first holds both: its least
    // sum, and where the best order changes from one half to the other.
    let mut best = vec![(0.0, [0, 0]); items * items];
    // Halves of every cluster; an item is its own half.
    let mut halves: Vec<[Vec<usize>; 2]> =
        (0..items).map(|item| [vec![item], vec![item]]).collect();
    for merge in merges {
        let [left, right] = [merge.left, merge.right].map(|half| halves[half].clone());
        for (near, far) in [(&left, &right), (&right, &left)] {
            for (starts, ends) in [(0, 1), (1, 0)].map(|(a, b)| (&near[a], &near[b])) {
                join(&mut best, distances, items, starts, ends, far);
            }
        }
        let whole = |half: &[Vec<usize>; 2]| {
            let mut items = half.concat();
            items.dedup();
            items
        };
        halves.push([whole(&left), whole(&right)]);
    }
    let Some([left, right]) = halves.last().filter(|_| items > 1) else { return vec![0; items] };
    let pairs = left.iter().flat_map(|i| right.iter().map(move |j| (*i, *j)));
    let ends =
        pairs.min_by(|(i, j), (k, l)| best[i * items + j].0.total_cmp(&best[k * items + l].0));
    let mut order = Vec::new();
    let mut open: Vec<(usize, usize)> = ends.into_iter().collect();
    while let Some((first, last)) = open.pop() {
        if first == last {
            order.push(first);
        } else {
            let [end, start] = best[first * items + last].1;
            open.extend([(start, last), (first, end)]);
        }
    }
    order
}

/// Least sums of orders that begin at one of `starts`, leave its cluster at one of `ends`, and go
/// on through the cluster whose halves are `far`.
fn join(
    best: &mut [(f64, [usize; 2])],
    distances: &[f64],
    items: usize,
    starts: &[usize],
    ends: &[usize],
    far: &[Vec<usize>; 2],
) {
    for &first in starts {
        for (enters, lasts) in [(&far[0], &far[1]), (&far[1], &far[0])] {
            // The best way to each entrance.
            let way = |start: usize, end: usize| {
                (best[first * items + end].0 + distances[end * items + start], [end, start])
            };
            let ways: Vec<(f64, [usize; 2])> = enters
                .iter()
                .filter_map(|start| ends.iter().map(|end| way(*start, *end)).reduce(smaller))
                .collect();
            for &last in lasts {
                let all = ways.iter().map(|(sum, via)| (sum + best[via[1] * items + last].0, *via));
                if let Some(least) = all.reduce(smaller) {
                    best[first * items + last] = least;
                }
            }
        }
    }
}

fn smaller(a: (f64, [usize; 2]), b: (f64, [usize; 2])) -> (f64, [usize; 2]) {
    if b.0 < a.0 { b } else { a }
}

/// Clusters that hold in resampled studies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consensus {
    /// Share of the resamples in which two items were in one cluster, a square by rows.
    pub together: Vec<f64>,
    /// Average linkage of what is missing to 1.
    pub merges: Vec<Merge>,
    /// Items from left to right, by [`optimal_order`].
    pub order: Vec<usize>,
}

/// Consensus clustering (Monti et al., Machine Learning 2003): in every resample of the plan the
/// items are cut into `clusters`, by average linkage of the distances that `distances` finds when
/// each study counts as often as it was drawn.
///
/// # Panics
/// When `distances` returns no square of `items`.
#[must_use]
pub fn consensus(
    items: usize,
    clusters: usize,
    plan: &Plan,
    distances: impl Fn(&[u32]) -> Vec<f64> + Sync,
) -> Consensus {
    let cuts = plan.map_counts(|counts| cut(&average_linkage(&distances(counts), items), clusters));
    let mut together = vec![0.0; items * items];
    for cut in &cuts {
        for (i, cluster) in cut.iter().enumerate() {
            let same = cut.iter().zip(&mut together[i * items..][..items]);
            same.for_each(|(other, count)| *count += f64::from(u8::from(other == cluster)));
        }
    }
    together.iter_mut().for_each(|count| *count /= cuts.len() as f64);
    let apart: Vec<f64> = together.iter().map(|share| 1.0 - share).collect();
    let merges = average_linkage(&apart, items);
    Consensus { order: optimal_order(&merges, &apart), together, merges }
}

#[cfg(test)]
mod tests;
