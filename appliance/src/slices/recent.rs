//! What was read lately and is likely to be wanted again, within a bound.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Values by key, the one asked for last at the end.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    /// Largest sum of weights. A single value may weigh more and is kept until another comes.
    limit: u64,
    kept: Mutex<Vec<Kept<K, V>>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    key: K,
    weight: u64,
    value: Arc<OnceLock<V>>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// The value of `key`, made when it is not there. Who asks while it is being made waits for
    /// it, so that nothing is made twice.
    pub(super) fn get(&self, key: &K, weight: u64, make: impl FnOnce(&K) -> V) -> V
    where
        K: Clone,
    {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|one| one.key == *key).map(|place| kept.remove(place));
        let one = found.unwrap_or_else(|| Kept {
            key: key.clone(),
            weight,
            value: Arc::new(OnceLock::new()),
        });
        let value = Arc::clone(&one.value);
        kept.push(one);
        let mut sum: u64 = kept.iter().map(|one| one.weight).sum();
        while sum > self.limit && kept.len() > 1 {
            sum -= kept.remove(0).weight;
        }
        drop(kept);
        value.get_or_init(|| make(key)).clone()
    }

    /// Forgets a value that was no use.
    pub(super) fn forget(&self, key: &K) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.key != *key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_nothing_is_made_twice() {
        let recent = Recent::new(10);
        let mut made = Vec::new();
        let mut get = |key: u8, weight| {
            recent.get(&key, weight, |key| {
                made.push(*key);
                *key
            })
        };
        get(1, 5);
        get(2, 5);
        get(1, 5);
        get(3, 5);
        get(1, 5);
        get(2, 5);
        get(4, 50);
        get(4, 50);
        assert_eq!(made, [1, 2, 3, 2, 4]);
        recent.forget(&4);
        recent.get(&4, 1, |_| 7);
        assert_eq!(recent.get(&4, 1, |_| 8), 7);
    }
}
