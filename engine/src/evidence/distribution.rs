//! A small sketch of a number per session: how many, the mean, and quantiles within a tenth.
//!
//! For people only. Nothing acts on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Neighbouring buckets differ by this factor, so that a quantile is right within ten percent.
const RATIO: f64 = 1.2;
/// Buckets cover 1 to more than 10^12; larger values count as the last bucket.
const LAST_BUCKET: i16 = 152;

/// A sketch of non-negative numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Distribution {
    /// How many.
    pub count: i64,
    /// Their sum.
    pub sum: i64,
    /// How many per bucket; bucket 0 holds what is below 1, bucket b holds 1.2^(b-1) to 1.2^b.
    pub buckets: BTreeMap<i16, i64>,
}

impl Distribution {
    /// Adds a number.
    pub fn add(&mut self, value: i64) {
        let value = value.max(0);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        *self.buckets.entry(bucket(value)).or_insert(0) += 1;
    }

    /// The mean; absent without numbers.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value below which a share of the numbers lies, within ten percent; absent without numbers.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = libm::ceil(share.clamp(0.0, 1.0) * self.count as f64).max(1.0);
        let mut seen = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen as f64 >= wanted).then(|| middle(*bucket))
        })
    }
}

fn bucket(value: i64) -> i16 {
    if value < 1 {
        return 0;
    }
    let place = libm::log(value as f64) / libm::log(RATIO);
    (1..LAST_BUCKET).find(|bucket| place < f64::from(*bucket)).unwrap_or(LAST_BUCKET)
}

/// The geometric middle of a bucket.
fn middle(bucket: i16) -> f64 {
    if bucket < 1 { 0.0 } else { libm::pow(RATIO, f64::from(bucket) - 0.5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_tenth() {
        let mut sketch = Distribution::default();
        (1..=10_000).for_each(|value| sketch.add(value));
        for (share, truth) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.01, 100.0)] {
            let found = sketch.quantile(share).unwrap();
            assert!((found / truth - 1.0).abs() < 0.101, "{share}: {found} against {truth}");
        }
        assert!((sketch.mean().unwrap() - 5_000.5).abs() < 1e-9);
    }

    #[test]
    fn any_number_finds_a_bucket_and_nothing_has_no_quantile() {
        let mut sketch = Distribution::default();
        assert_eq!((sketch.quantile(0.5), sketch.mean()), (None, None));
        for value in [i64::MIN, 0, 1, i64::MAX] {
            sketch.add(value);
        }
        assert_eq!(sketch.buckets.keys().copied().collect::<Vec<_>>(), [0, 1, LAST_BUCKET]);
    }
}
